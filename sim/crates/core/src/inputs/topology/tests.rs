//! Mistakes in clusters and cards, and the routes of correct ones.

use super::testing::{Shipped, changed, cluster, shipped};
use super::*;
use crate::inputs::text::{InputError, SourceText, parse_yaml};

/// `key: message` of every problem.
fn problems(error: &InputError) -> Vec<String> {
    error.problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
}

fn only_problem(result: Result<std::sync::Arc<Cluster>, InputError>) -> String {
    let error = result.map(|cluster| cluster.name.clone()).unwrap_err();
    let found = problems(&error);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

/// The vertices on the way and its latency.
fn way(cluster: &Cluster, src: &str, dst: &str) -> String {
    let route = cluster.route(cluster.gpu_named(src).unwrap(), cluster.gpu_named(dst).unwrap());
    format!("{}: {}", cluster.hops(route).join(" "), route.latency)
}

const EXPLICIT: &str = "name: x
nodes: [ { name: g0, gpu: h100-sxm }, { name: g1, gpu: h100-sxm }, { name: s } ]
links:
  - { src: g0, dst: s, bandwidth: 1 GB/s, latency: 1 us, duplex: true, source: test }
  - { src: g1, dst: s, bandwidth: 1 GB/s, latency: 1 us, duplex: true, source: test }
";

fn explicit(from: &str, to: &str) -> Result<std::sync::Arc<Cluster>, InputError> {
    assert!(EXPLICIT.contains(from), "{from}");
    cluster(&EXPLICIT.replacen(from, to, 1))
}

#[test]
fn a_cluster_is_told_everything_that_is_wrong_at_once() {
    let text = "name: x
gpu: [h100-sxm]
n_nodes: 2
n_gpus_per_node: 4
scale_up: { kind: mesh, bandwidth: 1 GB/s, latency: 2 h, source: '' }
host: { n_gpus_per_switch: 0, bandwidth: 1 GB/s, latency: 1 us, source: test }
scale_out: { kind: fat_tree, n_nics_per_node: 8, bandwidth: 1 GB/s, latency: 1 us, oversubscription: -2, source: test }
";
    assert_eq!(
        problems(&cluster(text).unwrap_err()),
        [
            "gpu: names 1 cards for 2 nodes; expected one, or one for each node",
            "scale_up.latency: 7200.000 s is out of range; expected at most 1 s",
            "scale_up.source: is empty; expected where the figures come from (say `assumed` where nobody states them)",
            "host.n_gpus_per_switch: 0 is out of range; expected 1 to 65536",
            "scale_out.n_nics_per_node: 8 NICs for 4 GPUs; every GPU prefers one NIC, so at most 4 can be used",
            "scale_out.oversubscription: -2 is out of range; expected a positive number",
            "scale_out.n_nodes_per_leaf: is missing; expected a count, 1 to 65536",
            "scale_out.n_spines: is missing; expected a count, 1 to 65536",
        ]
    );
}

#[test]
fn counts_must_be_believable() {
    let message = |from, to| only_problem(changed(from, to));
    assert_eq!(message("n_nodes: 4", "n_nodes: 0"), "n_nodes: 0 is out of range; expected 1 to 65536");
    assert_eq!(
        message("n_nodes: 4", "n_nodes: 60000"),
        "n_nodes: 60000 nodes of 4 GPUs are more than 65536 GPUs"
    );
    // 4 nodes x (16,000 x 15,999 in the mesh + 2 x (16,000 GPUs + 8,000 switches + 8 for NICs)).
    assert_eq!(
        message("n_gpus_per_node: 4", "n_gpus_per_node: 16000"),
        ": 1024128064 links are more than 4194304; expected a smaller cluster"
    );
    assert_eq!(
        message("n_nics_per_node: 4", "n_nics_per_node: 0"),
        "scale_out.n_nics_per_node: 0 is out of range; expected 1 to 65536"
    );
    assert_eq!(
        message("bandwidth: 100 GB/s", "bandwidth: 900 TB/s"),
        "scale_up.bandwidth: 900000 GB/s is out of range; expected at most 200 TB/s"
    );
    assert_eq!(message("schema: 1", "schema: 9"), "schema: this version reads schema 1, not 9");
    assert_eq!(
        message("  kind: switch", "  kind: switch\n  n_spines: 2"),
        "scale_out.n_spines: belongs to `fat_tree` and `rail`; `kind` is `switch`"
    );
}

#[test]
fn what_does_not_parse_is_told_with_its_position() {
    let position = |from, to| {
        let error = changed(from, to).unwrap_err();
        (error.problems[0].position.unwrap(), error.to_string())
    };
    let (at, message) = position("bandwidth: 100 GB/s", "bandwidth: 100");
    assert_eq!(at.0, 9);
    assert!(
        message.contains("`100` is not a quantity; expected a number and a unit, such as `25 GB/s`"),
        "{message}"
    );
    let (at, message) = position("  gpudirect: true", "  gpu_direct: true");
    assert_eq!(at.0, 22);
    assert!(message.contains("gpu_direct"), "{message}");
    let (_, message) = position("relay: none", "relay: ring");
    assert!(message.contains("pxn") && message.contains("ring") && message.contains("none"), "{message}");
}

#[test]
fn a_card_in_place_is_checked_under_its_key() {
    let card = "gpu: { name: '', source: test, peak: {}, memory: { size: 0 B, bandwidth: 1 GB/s }, n_sms: 0, l2: 1 MiB,
  power: { idle: { value: 500 W, source: '' }, tdp: 400 W },
  roofline: { memory: 1.2, matrix: 0, launch_eager: 5 us, launch_graph: 2 s, source: test } }";
    let error = changed("gpu: a100-sxm4-80gb", card).unwrap_err();
    assert_eq!(
        problems(&error),
        [
            "gpu.name: is empty; expected the card's name",
            "gpu.peak: is empty; expected a rate for at least one of bf16, fp16, fp32, fp8, int8",
            "gpu.n_sms: 0 is out of range; expected 1 to 65536",
            "gpu.memory.size: is zero; expected a size",
            "gpu.power.idle: 500 W is above the limit `tdp` of 400 W",
            "gpu.roofline.memory: 1.2 is out of range; expected more than 0 and at most 1",
            "gpu.roofline.matrix: 0 is out of range; expected more than 0 and at most 1",
            "gpu.roofline.launch_graph: 2.000 s is out of range; expected at most 1 s",
            "gpu.power.idle.source: is empty; expected where the figures come from (say `assumed` where nobody states them)",
        ]
    );
    let message = only_problem(changed("gpu: a100-sxm4-80gb", "gpu: b200"));
    assert!(message.starts_with("gpu: c.yaml names topologies/gpus/b200.yaml, "), "{message}");
}

#[test]
fn an_explicit_graph_must_name_what_there_is() {
    let message = |from, to| only_problem(explicit(from, to));
    assert_eq!(
        message("{ name: s }", "{ name: s }, { name: s }"),
        "nodes.3.name: `s` is already the name of nodes.2".to_owned()
    );
    assert_eq!(message("dst: s", "dst: t"), "links.0.dst: no vertex is named `t`");
    assert_eq!(message("dst: s", "dst: g0"), "links.0: joins `g0` to itself");
    assert_eq!(
        message(
            "src: g0, dst: s, bandwidth: 1 GB/s, latency: 1 us, duplex: true",
            "src: s, dst: g1, bandwidth: 1 GB/s, latency: 1 us"
        ),
        "links.1: `s->g1` is already links.0"
    );
    assert_eq!(
        message("name: x", "name: x\nn_nodes: 3"),
        "n_nodes: belongs to the regular form; this file has `nodes` and `links`"
    );
    assert_eq!(
        message("{ name: s }", "{ name: s, node: 4 }"),
        "nodes.2.node: 4 is out of range; machines that hold GPUs are counted from 0 without gaps, and there are 1"
    );
    let no_gpu = EXPLICIT.replace(", gpu: h100-sxm", "");
    assert_eq!(
        only_problem(cluster(&no_gpu)),
        "nodes: none is a GPU; expected `gpu: <card>` on at least one"
    );
}

#[test]
fn a_disconnected_cluster_is_told_its_halves() {
    let text = "name: x
nodes: [ { name: g0, gpu: h100-sxm }, { name: g1, gpu: h100-sxm }, { name: g2, gpu: h100-sxm }, { name: g3, gpu: h100-sxm } ]
links:
  - { src: g0, dst: g1, bandwidth: 1 GB/s, latency: 1 us, duplex: true, source: test }
  - { src: g2, dst: g3, bandwidth: 1 GB/s, latency: 1 us, duplex: true, source: test }
";
    assert_eq!(
        only_problem(cluster(text)),
        "links: there is no way from `g0` to `g2`: it reaches `g0`, `g1` but not `g2`, `g3`; a GPU forwards nothing"
    );
    // g1 could forward from g0 to g2, but a GPU is never on the way.
    let chain = text.replace("src: g2", "src: g1");
    assert_eq!(
        only_problem(cluster(&chain)),
        "links: there is no way from `g0` to `g2`: it reaches `g0`, `g1` but not `g2`, `g3`; a GPU forwards nothing"
    );
}

/// Inside: one hop of 0.5 us. Between: 2 PCIe hops of 0.5 us, 2 of the fabric of 1 us, 2 PCIe: 4 us.
#[test]
fn a_mesh_board_leaves_by_the_senders_nic_and_enters_by_the_receivers() {
    let cluster = shipped("a100-4x4");
    assert_eq!(way(&cluster, "n0.g0", "n0.g3"), "n0.g0 n0.g3: 0.500 us");
    assert_eq!(
        way(&cluster, "n0.g1", "n3.g2"),
        "n0.g1 n0.pcie0 n0.nic1 net n3.nic2 n3.pcie1 n3.g2: 4.000 us"
    );
    assert_eq!(cluster.rail_idx(GpuIdx(14)), 2);
    assert_eq!((cluster.n_nodes(), cluster.node(2)), (4, 8..12));
    // Per node: 6 pairs, 4 GPUs and 2 switches and 4 NICs on PCIe, 4 NICs on the fabric; each twice.
    assert_eq!(cluster.links.len(), 4 * 2 * (6 + 4 + 2 + 4 + 4));
    assert_eq!(
        cluster.link_named("n1.pcie1->n1.nic2").map(|id| &*cluster.link(id).name),
        Some("n1.pcie1->n1.nic2")
    );
}

/// GPU 3 sits on the other PCIe switch: 4 PCIe hops out (2 us), 2 us of fabric, 2 PCIe hops in (1 us).
#[test]
fn one_nic_per_node_is_shared_across_the_host_bridge() {
    let cluster = shipped("a100-4x4-nic1");
    assert_eq!(
        way(&cluster, "n0.g3", "n1.g0"),
        "n0.g3 n0.pcie1 n0.host n0.pcie0 n0.nic0 net n1.nic0 n1.pcie0 n1.g0: 5.000 us"
    );
}

#[test]
fn nvswitch_boards_have_two_hops_inside() {
    for name in ["a100-2x8", "h100-2x8"] {
        let cluster = shipped(name);
        assert_eq!(way(&cluster, "n1.g7", "n1.g0"), "n1.g7 n1.nvsw n1.g0: 1.000 us");
        assert_eq!(
            way(&cluster, "n0.g5", "n1.g5"),
            "n0.g5 n0.pcie2 n0.nic5 net n1.nic5 n1.pcie2 n1.g5: 4.000 us"
        );
    }
}

#[test]
fn the_explicit_example_takes_the_switch() {
    let cluster = shipped("example-explicit");
    assert_eq!(way(&cluster, "a0", "b1"), "a0 a.pcie sw b.pcie b1: 3.000 us");
    assert_eq!(way(&cluster, "a0", "a1"), "a0 a1: 0.500 us");
    let slow = cluster.route(GpuIdx(0), GpuIdx(3));
    let narrowest = slow.links.iter().map(|&link| cluster.link(link).bandwidth).min();
    assert_eq!(narrowest, "10 GB/s".parse().ok());
    assert_eq!(cluster.gpu(GpuIdx(3)).local_idx, 1);
    assert_eq!(cluster.gpu(GpuIdx(3)).node_idx, 1);
}

/// Twice through PCIe on either side: 4 x 0.5 us + 2 x 1 us + 4 x 0.5 us.
#[test]
fn without_gpudirect_data_goes_through_both_host_memories() {
    let cluster = changed("gpudirect: true", "gpudirect: false").unwrap();
    assert_eq!(
        way(&cluster, "n0.g0", "n1.g3"),
        "n0.g0 n0.pcie0 n0.host n0.pcie0 n0.nic0 net n1.nic3 n1.pcie1 n1.host n1.pcie1 n1.g3: 6.000 us"
    );
    assert_eq!(way(&cluster, "n0.g0", "n0.g3"), "n0.g0 n0.g3: 0.500 us");
}

/// A leaf brings 2 nodes x 4 NICs x 25 GB/s = 200 GB/s; 4 spines, 2:1 => 25 GB/s to each.
#[test]
fn a_fat_tree_spreads_destinations_over_spines() {
    let fat = "kind: fat_tree\n  n_nodes_per_leaf: 2\n  n_spines: 4\n  oversubscription: 2";
    let cluster = changed("kind: switch", fat).unwrap();
    let up = cluster.link(cluster.link_named("leaf1->spine3").unwrap());
    assert_eq!(up.bandwidth, "25 GB/s".parse().unwrap());
    for dst in 8..16 {
        let route = cluster.route(GpuIdx(0), GpuIdx(dst));
        assert_eq!(cluster.hops(route)[3..6], ["leaf0", &format!("spine{}", dst % 4), "leaf1"]);
    }
    assert_eq!(
        way(&cluster, "n0.g0", "n1.g0"),
        "n0.g0 n0.pcie0 n0.nic0 leaf0 n1.nic0 n1.pcie0 n1.g0: 4.000 us"
    );
}

/// Without spines a rail is an island: g0 crosses its host bridge to the NIC of the receiver's rail.
#[test]
fn rails_are_joined_by_spines_or_by_the_senders_host() {
    let alone = changed("kind: switch", "kind: rail").unwrap();
    assert_eq!(
        way(&alone, "n0.g0", "n1.g3"),
        "n0.g0 n0.pcie0 n0.host n0.pcie1 n0.nic3 leaf3 n1.nic3 n1.pcie1 n1.g3: 5.000 us"
    );
    let joined = changed("kind: switch", "kind: rail\n  n_spines: 2").unwrap();
    assert_eq!(
        way(&joined, "n0.g0", "n1.g3"),
        "n0.g0 n0.pcie0 n0.nic0 leaf0 spine1 leaf3 n1.nic3 n1.pcie1 n1.g3: 6.000 us"
    );
    assert_eq!(
        way(&joined, "n0.g3", "n1.g3"),
        "n0.g3 n0.pcie1 n0.nic3 leaf3 n1.nic3 n1.pcie1 n1.g3: 4.000 us"
    );
    // 4 nodes x 25 GB/s on a rail, 2 spines.
    let up = joined.link(joined.link_named("leaf0->spine1").unwrap());
    assert_eq!(up.bandwidth, "50 GB/s".parse().unwrap());
}

/// NCCL's PXN: over the board to the GPU on the receiver's rail (0.5 us), then by that rail alone (4 us).
#[test]
fn relays_carry_to_the_rail_of_the_receiver() {
    for kind in ["switch", "rail"] {
        let text = Shipped.cluster_text("a100-4x4").replace("relay: none", "relay: pxn");
        let cluster = cluster(&text.replace("kind: switch", &format!("kind: {kind}"))).unwrap();
        let net = if kind == "rail" { "leaf3" } else { "net" };
        assert_eq!(
            way(&cluster, "n0.g0", "n1.g3"),
            format!("n0.g0 n0.g3 n0.pcie1 n0.nic3 {net} n1.nic3 n1.pcie1 n1.g3: 4.500 us")
        );
        assert_eq!(
            way(&cluster, "n0.g3", "n1.g3"),
            format!("n0.g3 n0.pcie1 n0.nic3 {net} n1.nic3 n1.pcie1 n1.g3: 4.000 us")
        );
        assert_eq!(way(&cluster, "n0.g0", "n0.g3"), "n0.g0 n0.g3: 0.500 us");
        let relay = |src, dst| cluster.relay(GpuIdx(src), GpuIdx(dst));
        assert_eq!((relay(0, 7), relay(3, 7), relay(0, 3)), (Some(GpuIdx(3)), None, None));
    }
}

/// Every route of every shipped cluster: its links follow each other, and no GPU stands between.
#[test]
fn routes_are_contiguous_and_cross_no_gpu() {
    for name in ["a100-4x4", "a100-4x4-nic1", "a100-2x8", "h100-2x8", "example-explicit"] {
        let cluster = shipped(name);
        for (src, dst) in (0..cluster.n_gpus()).flat_map(|a| (0..cluster.n_gpus()).map(move |b| (a, b))) {
            if src == dst {
                continue;
            }
            let route = cluster.route(GpuIdx(src), GpuIdx(dst));
            let ends: Vec<_> = route.links.iter().map(|&link| cluster.link_ends(link)).collect();
            assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0));
            let kind = |vertex| cluster.vertex(vertex).kind;
            assert_eq!(kind(ends[0].0), VertexKind::Gpu(GpuIdx(src)));
            assert_eq!(kind(ends.last().unwrap().1), VertexKind::Gpu(GpuIdx(dst)));
            assert!(ends[1..].iter().all(|&(at, _)| !matches!(kind(at), VertexKind::Gpu(_))));
        }
    }
}

#[test]
fn mixed_pools_name_one_card_for_each_node() {
    let cluster =
        changed("gpu: a100-sxm4-80gb", "gpu: [a100-sxm4-80gb, h100-sxm, a100-sxm4-80gb, h100-sxm]").unwrap();
    let cards: Vec<_> = [0, 4, 8, 12].map(|gpu| cluster.gpu(GpuIdx(gpu)).card.name.as_str()).into();
    assert_eq!(cards, ["a100-sxm4-80gb", "h100-sxm", "a100-sxm4-80gb", "h100-sxm"]);
}

#[test]
fn figures_may_bring_their_own_source() {
    let cluster = shipped("h100-2x8");
    let card = &cluster.gpu(GpuIdx(0)).card;
    assert!(card.source.contains("; power.idle: assumed, typical"), "{}", card.source);
    assert_eq!(card.assumed, ["power.idle", "roofline"]);
    assert_eq!(card.peak[&Dtype::Fp8], "1978.9 TFLOP/s".parse().unwrap());
}

#[test]
fn a_patched_card_replaces_the_one_that_vertices_name() {
    let text = SourceText { path: "h".to_owned(), text: Shipped.gpu_text("h100-sxm") };
    let mut file: GpuFile = parse_yaml(&text).unwrap();
    file.memory.bandwidth.value = "1 TB/s".parse().unwrap();
    let yaml = format!("name: x\ngpu: {}", serde_json::to_string(&file).unwrap());
    let cluster = explicit("name: x", &yaml).unwrap();
    assert_eq!(cluster.gpu(GpuIdx(1)).card.memory_bandwidth, "1 TB/s".parse().unwrap());
}

/// 1,024 GPUs: one source's routes are a few milliseconds, and those of the others are not computed.
#[test]
fn large_clusters_route_source_by_source() {
    let text = Shipped.cluster_text("a100-2x8").replace("n_nodes: 2", "n_nodes: 128");
    let cluster = cluster(&text.replace(
        "kind: switch\n  n_nics",
        "kind: fat_tree\n  n_nodes_per_leaf: 8\n  n_spines: 16\n  n_nics",
    ))
    .unwrap();
    assert_eq!(cluster.route(GpuIdx(3), GpuIdx(1000)).links.len(), 8);
}
