//! Collectives with a profile: alone they take what its model says, together they share links.

use std::sync::Arc;

use masim_core::fabric::Fabric;
use masim_core::fabric::communication_models::CommModel;
use masim_core::inputs::measurement::CollectiveWork;
use masim_core::inputs::profile::ProfileFile;
use masim_core::inputs::text::SourceText;
use masim_core::inputs::topology::GpuIdx;
use masim_core::inputs::topology::{Cluster, read_cluster};
use masim_core::judging::survey::{Question, survey};
use masim_core::judging::sweep::{network_of, simulate};
use masim_core::program::Activity;
use masim_core::running::collective::{Algorithm, Collective, CollectiveKind, Collectives};
use masim_core::running::price::TaskInfo;
use masim_core::scenario::{
    Choice, CollectiveRules, HostOverhead, Launch, Profiles, Scenario, Strategy, TpPp,
};
use masim_core::search::Found;
use masim_core::timing::fitted::CardModels;
use masim_core::timing::nccl_model::collective_time;
use masim_core::timing::provenance::Provenance;
use masim_core::work::routing::RoutingPool;
use masim_engine::{Graph, Resources, ShapeBuilder, Work, run_graph};
use masim_tests::{Shipped, decode};
use masim_units::{Bytes, SimDuration, SimTime};

const CARD: &str = "a100-sxm4-80gb";

/// A profile as `masim calibrate` would write it, with round figures.
const PROFILE_TEXT: &str = "
schema: 1
name: made-up
gpu: a100-sxm4-80gb
source: made up
families:
  collective:
    stack: NCCL 2.27.3
    sets: []
    split: { seed: 1, held_out: 0.2 }
    model: nccl_protocols
    params: {
      launch_us: 8, wide_us: 2.5, ll_hop_us: 0.9, ll_block_us: 0.4, ll_rate: 90, ll128_start_us: 2.6, ll128_hop_us: 1.7,
      ll128_rate: 148, simple_start_us: 6.5, simple_hop_us: 5.1, simple_rate: 244, ramp_bytes: 3000000, extra_shards: 0.4,
      grouped_start_us: 1.2, grouped_peers_us: 1.5, grouped_rate: 111, net_start_us: 5, nic_efficiency: 0.8 }
    covered: { kind: [all_reduce], bytes: [512, 1073741824], n_gpus: [2, 8], n_nodes: [1, 1] }
    error: { fit: { n: 1, mape: 0, median_ape: 0, p95_ape: 0, bias: 0 }, held_out: null }
    residuals: []
  p2p:
    stack: some profiler
    sets: []
    split: { seed: 1, held_out: 0.2 }
    model: launch_and_wire
    params: { launch_us: 38, net_us: 84, nvlink_rate: 250, nic_efficiency: 0.84, overlap: 0.2 }
    covered: { scope: [intra_node], bytes_per_pair: [1024, 1073741824], n_pairs: [1, 8] }
    error: { fit: { n: 1, mape: 0, median_ape: 0, p95_ape: 0, bias: 0 }, held_out: null }
    residuals: []
";

fn models() -> CardModels {
    let source = SourceText { path: "made-up.yaml".to_owned(), text: PROFILE_TEXT.to_owned() };
    CardModels::new(&ProfileFile::read(&source).unwrap(), None).unwrap()
}

fn comm() -> CommModel {
    CommModel::of_card(CARD, &models())
}

/// The scenario with the profile.
fn profiled(scenario: Scenario) -> Scenario {
    let cards = [(CARD.to_owned(), Arc::new(models()))].into_iter().collect();
    let profiles = Profiles { name: "made-up".to_owned(), cards, warnings: Vec::new() };
    Scenario { profiles: Arc::new(profiles), ..scenario }
}

fn gpus(range: std::ops::Range<u32>) -> Vec<GpuIdx> {
    range.map(GpuIdx).collect()
}

struct Net<'a> {
    fabric: Fabric<'a>,
    collectives: Collectives,
}

impl<'a> Net<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let fabric = Fabric::profiled(&scenario.cluster, comm());
        let collectives = Collectives::new(CollectiveRules::AUTO, Launch::Eager);
        Self { fabric, collectives }
    }

    /// Microseconds until all of `all`, which start together, have ended.
    fn time_us(&self, all: &[Arc<Collective>]) -> f64 {
        let mut shape = ShapeBuilder::new();
        let mut works = Vec::new();
        for collective in all {
            let mut last = Vec::new();
            for phase in &collective.phases {
                last = vec![shape.task(&[], &last)];
                works.push(Work::transfer(phase.clone()));
            }
        }
        let resources = Resources { n_streams: 0, links: self.fabric.rates().to_vec() };
        let graph =
            Graph { shape: Arc::new(shape.build().unwrap()), works: Arc::new(works), after: Vec::new() };
        let trace = run_graph(resources, self.fabric.paths(), graph).unwrap();
        trace.spans.iter().map(|span| span.end).max().unwrap().since(SimTime::ZERO).as_us()
    }

    fn choose(&mut self, kind: CollectiveKind, group: &[GpuIdx], bytes: u64) -> Arc<Collective> {
        self.collectives.choose(kind, group, Bytes(bytes), &mut self.fabric)
    }
}

/// From 512 B to 1 GiB, behind NVSwitch, on the board, and across nodes: flows in the engine and the model agree
/// to a thousandth of a percent; trees to 2 %, since the wires know more of them than the model.
#[test]
fn alone_a_collective_takes_what_the_model_says() {
    let kinds = [
        CollectiveKind::AllReduce,
        CollectiveKind::AllGather,
        CollectiveKind::ReduceScatter,
        CollectiveKind::Broadcast,
        CollectiveKind::AllToAll,
    ];
    for (cluster, sizes) in [("a100-2x8", [2, 4, 8, 16]), ("a100-4x4", [2, 3, 4, 16])] {
        let scenario = decode_on(cluster);
        let mut net = Net::new(&scenario);
        let comm = comm();
        let model = comm.of(CARD).unwrap();
        for n in sizes {
            let group = gpus(0..n);
            let machine = net.fabric.machine_of(&group);
            for kind in kinds {
                for bytes in (0..22).map(|step| 512u64 << step) {
                    let work = CollectiveWork {
                        operation: kind.operation(),
                        bytes,
                        n_gpus: n,
                        n_nodes: n.div_ceil(machine.n_gpus_per_node),
                    };
                    let expected = collective_time(&model.params, model.version, &work, &machine).total_us();
                    let collective = net.choose(kind, &group, bytes);
                    let found = net.time_us(&[Arc::clone(&collective)]);
                    // The inner nodes of a tree send 2 S where a GPU of a ring sends 2 (n - 1)/n S.
                    let tolerance = if collective.algorithm == Algorithm::Tree { 0.02 } else { 1e-5 };
                    assert!(
                        (found / expected - 1.0).abs() < tolerance,
                        "{cluster} {kind:?} on {n}, {bytes} B, {:?}: {found} us, expected {expected}",
                        collective.algorithm
                    );
                    assert!((collective.time_alone.as_us() / found - 1.0).abs() < 1e-6);
                }
            }
        }
    }
}

fn decode_on(cluster: &str) -> Scenario {
    match cluster {
        "a100-4x4" => decode(&[]),
        _ => decode(&[("cluster", cluster)]),
    }
}

/// Two all-reduces of the same four GPUs at once: each alone takes Simple's 244 of 300 GB/s, both together have 300.
#[test]
fn together_they_share_links() {
    let scenario = decode(&[]);
    let mut net = Net::new(&scenario);
    let one = net.choose(CollectiveKind::AllReduce, &gpus(0..4), 1 << 30);
    let alone = net.time_us(&[Arc::clone(&one)]);
    let together = net.time_us(&[Arc::clone(&one), Arc::clone(&one)]);
    // Twice 2 x 3/4 GiB at 300 GB/s, and latencies.
    let at_full_rate = 2.0 * 1.5 * f64::from(1 << 30) / 300e3;
    assert!(at_full_rate < together && together < at_full_rate + 100.0, "{together} after {at_full_rate}");
    assert!(together < 1.7 * alone);
    // Pairs on other wires do not notice one another.
    let [left, right] = [0..2, 2..4].map(|pair| net.choose(CollectiveKind::AllReduce, &gpus(pair), 1 << 26));
    let apart = net.time_us(&[Arc::clone(&left)]);
    assert!((net.time_us(&[left, right]) - apart).abs() < 1e-3);
}

/// NCCL 2.27 on two nodes: a tree for small buffers, rings for large ones; forced ones are slower or equal by its own account.
#[test]
fn the_choice_follows_the_size() {
    let scenario = decode_on("a100-2x8");
    let mut net = Net::new(&scenario);
    let algorithm =
        |net: &mut Net, bytes| net.choose(CollectiveKind::AllReduce, &gpus(0..16), bytes).algorithm;
    assert_eq!(algorithm(&mut net, 1024), Algorithm::Tree);
    assert_eq!(algorithm(&mut net, 1 << 30), Algorithm::Ring);
}

fn pipeline(changes: &[(&str, &str)]) -> Scenario {
    let pipeline = ("strategy", "{ kind: tp_pp, tp: 8, pp: 2, dp: 1, n_in_flight: 2 }");
    decode(&[&[pipeline], changes].concat())
}

fn found(scenario: &Scenario) -> Found {
    simulate(scenario, &RoutingPool::default()).unwrap().0
}

/// The communication of a step, with what it does.
fn communication(found: &Found) -> Vec<(&TaskInfo, &Work)> {
    let infos = found.run.cold.infos.iter().zip(found.run.works.iter());
    infos.filter(|(info, work)| info.activity.is_communication() && **work != Work::Barrier).collect()
}

/// On the board nothing was fitted: the profile's times are extrapolated, and its kernels take a share of the GPUs. On wires
/// alone they are rooflines that take nothing.
#[test]
fn a_profile_shows_in_every_message_of_a_step() {
    let calibrated = found(&profiled(pipeline(&[])));
    for (info, work) in communication(&calibrated) {
        assert_eq!(info.basis.provenance, Provenance::Extrapolated, "{info:?}");
        let Work::Transfer { flows, slows } = work else { panic!("{work:?}") };
        assert!(!slows.is_empty() && flows.iter().all(|flow| flow.rate_cap.is_some()), "{info:?}");
        // At most 24 of 108 multiprocessors each, and a small share of the memory.
        assert!(slows.iter().all(|slow| slow.share.as_ppm() <= 250_000), "{slows:?}");
    }
    for (info, work) in communication(&found(&pipeline(&[]))) {
        assert_eq!(info.basis.provenance, Provenance::Roofline, "{info:?}");
        let Work::Transfer { flows, slows } = work else { panic!("{work:?}") };
        assert!(slows.is_empty() && flows.iter().all(|flow| flow.rate_cap.is_none()), "{info:?}");
    }
}

/// A forced algorithm is taken where the group has the shape for it, and makes the step slower or leaves it as it is.
#[test]
fn algorithms_can_be_forced() {
    let end = |found: &Found| found.run.measured().1;
    let bare = found(&pipeline(&[]));
    for algorithm in ["ring", "leader"] {
        let forced = found(&pipeline(&[("collectives.algorithm", algorithm)]));
        assert!(end(&forced) > end(&bare), "{algorithm}");
    }
    let auto = found(&profiled(pipeline(&[])));
    let slow = found(&profiled(pipeline(&[("collectives.protocol", "ll")])));
    assert!(end(&slow) > end(&auto));
}

/// With kernels launched one by one, hosts gather the counts before tokens are sent; replayed graphs do not, nor wires alone.
#[test]
fn hosts_must_know_the_counts() {
    let split = |launch| {
        let heads = ("strategy.attention.heads", "1");
        decode(&[heads, ("strategy.n_micro_batches", "2"), ("launch", launch)])
    };
    let n_gathers = |scenario: &Scenario| {
        let gather = Activity::Collective(CollectiveKind::AllGather);
        communication(&found(scenario)).iter().filter(|(info, _)| info.activity == gather).count()
    };
    // One for each of 4 layers and 2 micro-batches.
    assert_eq!(n_gathers(&profiled(split("eager"))), n_gathers(&profiled(split("graph"))) + 8);
    assert_eq!(n_gathers(&split("eager")), n_gathers(&split("graph")));
}

/// A host that is modelled by itself launches collectives and sends too, each on all its GPUs: what is left of NCCL's
/// own launch is that of a replayed graph, so that nothing is counted twice.
#[test]
fn a_host_launches_each_collective_once() {
    let us = SimDuration::from_us;
    let host = HostOverhead {
        per_launch: us(5),
        per_step: us(10),
        per_sequence: us(0),
        graph_batch: None,
        hand_over: None,
    };
    let flows = |found: &Found| -> Vec<_> {
        let flows = |work: &Work| match work {
            Work::Transfer { flows, .. } => flows.to_vec(),
            _ => Vec::new(),
        };
        communication(found).into_iter().map(|(_, work)| flows(work)).collect()
    };
    let fixed = ("strategy.n_in_flight", "2");
    let graph = found(&profiled(pipeline(&[fixed])));
    let eager = found(&profiled(pipeline(&[fixed, ("launch", "eager")])));
    let hosted = pipeline(&[fixed, ("launch", "eager")]);
    let hosted = found(&profiled(Scenario { host_overhead: Some(host), ..hosted }));
    assert_eq!(flows(&hosted), flows(&graph));
    let latency = |found: &Found| flows(found).iter().flatten().map(|flow| flow.latency).max();
    assert!(latency(&eager) > latency(&hosted));
    // One delay for the launches of each block of kernels, of each send, and of a collective on each of its GPUs;
    // scheduling is one more for each passage.
    let n = |activity: fn(Activity) -> bool| {
        hosted.run.cold.infos.iter().filter(|info| activity(info.activity)).count()
    };
    let kernels = n(|it| matches!(it, Activity::Attention | Activity::Experts | Activity::Head));
    let sends = n(|it| it == Activity::StageSend);
    let collectives = n(|it| matches!(it, Activity::Collective(_)));
    assert_eq!(n(|it| it == Activity::Host), kernels + sends + 8 * collectives + 2);
}

/// The profile says that sends reach 0.84 of a NIC, more than collectives do: so much of its 25 GB/s the NIC carries, for a run and for
/// one collective alike. Shares are given of the whole.
#[test]
fn a_nic_carries_its_fitted_share_wherever_it_is_asked_for() {
    let scenario = profiled(decode(&[("cluster", "a100-4x4-nic1")]));
    let seen = network_of(&scenario, &found(&scenario), &RoutingPool::default());
    let is_nic = |name: &str| name.starts_with("net->");
    let links = || scenario.cluster.links.iter().zip(&seen.links).filter(|(link, _)| is_nic(&link.name));
    let peak = links().map(|(_, seen)| seen.peak).fold(0.0, f64::max);
    assert!((peak - 0.84).abs() < 1e-6, "{peak}");
    assert!(links().all(|(_, seen)| seen.mean <= seen.peak));

    let group = gpus(0..16);
    let question = Question {
        cluster: &scenario.cluster,
        comm: comm(),
        kind: CollectiveKind::AllToAll,
        group: &group,
        bytes: Bytes(1 << 30),
        launch: Launch::Graph,
    };
    let answers = survey(&question, Some("direct")).unwrap();
    let (name, bytes) = answers[0].bottleneck.clone().unwrap();
    assert!(name.contains("nic"), "{name}");
    let reached = bytes.0 as f64 / answers[0].time.as_secs() / 25e9;
    assert!(0.75 < reached && reached <= 0.84, "{reached}");
}

/// Four GPUs in two `NVLink` pairs, and a PCIe switch of `pcie` that joins the pairs.
fn two_pairs(pcie: &str) -> Arc<Cluster> {
    let gpu = |idx: u32| format!("  - {{ name: g{idx}, gpu: a100-sxm4-80gb, node: 0 }}\n");
    let link = |src: &str, dst: &str, rate: &str| {
        format!(
            "  - {{ src: {src}, dst: {dst}, bandwidth: {rate}, latency: 0.5 us, duplex: true, source: x }}\n"
        )
    };
    let gpus: String = (0..4).map(gpu).collect();
    let pairs = link("g0", "g1", "300 GB/s") + &link("g2", "g3", "300 GB/s");
    let to_switch: String = (0..4).map(|idx| link(&format!("g{idx}"), "c", pcie)).collect();
    let text = format!(
        "name: two-pairs\nnodes:\n{gpus}  - {{ name: c, node: 0 }}\nlinks:\n{pairs}{to_switch}assumed: [links]\n"
    );
    let source = SourceText { path: "topologies/two-pairs.yaml".to_owned(), text };
    read_cluster(&source, &Shipped::default()).unwrap()
}

/// A pair on an `NVLink` bridge is as fast as its bridge, whatever joins it to the others: 2 x 1/2 GiB at 300 GB/s at most, 3.58 ms, and
/// at 180 GB/s at least, since two GPUs reached 65 % of the rate on machines that were fitted; and the same with another PCIe. Three GPUs go by PCIe: 2 x 2/3 GiB at 25 GB/s, 57.3 ms. No such machine was
/// fitted.
#[test]
fn a_group_is_timed_by_its_own_paths() {
    let time = |pcie, group: &[u32]| {
        let cluster = two_pairs(pcie);
        let group: Vec<GpuIdx> = group.iter().copied().map(GpuIdx).collect();
        let mut fabric = Fabric::profiled(&cluster, comm());
        let mut collectives = Collectives::new(CollectiveRules::AUTO, Launch::Eager);
        let found = collectives.choose(CollectiveKind::AllReduce, &group, Bytes(1 << 30), &mut fabric);
        assert!(!found.nccl.unwrap().is_covered, "{group:?}");
        found.time_alone.as_us()
    };
    let pair = time("25 GB/s", &[0, 1]);
    let (least, most) = (f64::from(1 << 30) / 300e3, f64::from(1 << 30) / 180e3);
    assert!(least < pair && pair < most, "{pair}");
    assert_eq!(pair.to_bits(), time("300 GB/s", &[0, 1]).to_bits());
    let three = time("25 GB/s", &[0, 1, 2]);
    let by_pcie = 4.0 / 3.0 * f64::from(1 << 30) / 25e3;
    assert!(by_pcie < three && three < 1.1 * by_pcie, "{three}");
    // Sends, too, take the rate of the path that they take.
    let cluster = two_pairs("25 GB/s");
    let mut fabric = Fabric::profiled(&cluster, comm());
    let reach = |fabric: &mut Fabric, dst| fabric.machine_of_sends(GpuIdx(0), &[GpuIdx(dst)]).reach(2);
    let reaches = [1, 2].map(|dst| reach(&mut fabric, dst).to_bits());
    assert_eq!(reaches, [300.0_f64, 25.0].map(f64::to_bits));
}

/// TP2 within the pairs: no byte crosses PCIe, so that PCIe does not matter.
#[test]
fn pairs_in_a_scenario_do_not_see_other_links() {
    let time = |pcie| {
        let strategy = Strategy::TpPp(TpPp { tp: 2, pp: 1, dp: 2, n_in_flight: Choice::Fixed(1) });
        let scenario = decode(&[("workload.batch", "256")]);
        let scenario = profiled(Scenario { cluster: two_pairs(pcie), strategy, ..scenario });
        simulate(&scenario, &RoutingPool::default()).unwrap().1.period_us
    };
    assert_eq!(time("25 GB/s").to_bits(), time("300 GB/s").to_bits());
}

/// 16 GPUs behind two switches. A hop between nodes crosses two links of the fabric and four of PCIe, one inside a node two of
/// NVLink. Between nodes a ring of 16 has 2 (2 - 1) of its 30 serial hops, a gather 1 of 15, two trees a way up and a way down; messages of an
/// all-to-all go at the same time.
#[test]
fn another_latency_moves_a_fitted_time_on_every_serial_hop() {
    let (reduce, gather, all) =
        (CollectiveKind::AllReduce, CollectiveKind::AllGather, CollectiveKind::AllToAll);
    let ways = [
        (reduce, Algorithm::Ring, 16, (28.0, 2.0)),
        (reduce, Algorithm::Tree, 16, (14.0, 2.0)),
        (gather, Algorithm::Ring, 16, (14.0, 1.0)),
        (all, Algorithm::Direct, 16, (0.0, 1.0)),
        (reduce, Algorithm::Ring, 8, (14.0, 0.0)),
        (all, Algorithm::Direct, 8, (1.0, 0.0)),
    ];
    // Microseconds that a hop inside and one between nodes take longer.
    let machines = [
        ("cluster.scale_out.latency", "20 us", (0.0, 38.0)),
        ("cluster.host.latency", "1.5 us", (0.0, 4.0)),
        ("cluster.scale_up.latency", "1.5 us", (2.0, 0.0)),
    ];
    let time = |changes: &[(&str, &str)], (kind, algorithm, n), bytes| {
        let scenario = decode(&[&[("cluster", "a100-2x8")], changes].concat());
        let mut fabric = Fabric::profiled(&scenario.cluster, comm());
        let collectives = Collectives::new(CollectiveRules::AUTO, Launch::Eager);
        let found = collectives.by(kind, Some(algorithm), &gpus(0..n), Bytes(bytes), &mut fabric).unwrap();
        (found.time_alone.as_us(), found.nccl.unwrap().is_covered)
    };
    for (kind, algorithm, n, (inside, between)) in ways {
        for bytes in [4096, 1 << 20, 1 << 28] {
            let fitted = time(&[], (kind, algorithm, n), bytes).0;
            for (key, latency, (hop, net)) in machines {
                let (found, is_covered) = time(&[(key, latency)], (kind, algorithm, n), bytes);
                let expected = fitted + inside * hop + between * net;
                assert!(
                    (found - expected).abs() < 1e-3,
                    "{kind:?} {algorithm:?} {n} {key}: {found} {expected}"
                );
                // No row was fitted on such links; those of another network do not matter.
                assert!(!(is_covered && found > fitted + 1e-3), "{kind:?} {n} {key}");
            }
        }
    }
}

/// Steps of one micro-batch on 16 GPUs get longer by two legs of 38 us in each of 4 layers, or by 8 all-reduces of two hops and a gather of
/// scores of one; and the closed form, by which `auto` ranks, with them.
#[test]
fn runs_and_closed_forms_see_the_same_latencies() {
    let both = |strategy, changes: &[(&str, &str)]| {
        let strategy = [("strategy", strategy), ("cluster", "a100-2x8"), ("workload.batch", "64")];
        let scenario = profiled(decode(&[&strategy, changes].concat()));
        let (found, metrics) = simulate(&scenario, &RoutingPool::default()).unwrap();
        (metrics.period_us, found.closed_form_us)
    };
    let strategies = [
        ("{ kind: dp_ep, dp: 16, tp: 1, ep: 16, n_overlapped: 1 }", 4.0 * 2.0 * 38.0),
        ("{ kind: tp_pp, tp: 16, pp: 1, dp: 1, n_in_flight: 1 }", 8.0 * 2.0 * 38.0 + 38.0),
    ];
    for (strategy, expected) in strategies {
        let (run, form) = both(strategy, &[]);
        let (slow_run, slow_form) = both(strategy, &[("cluster.scale_out.latency", "20 us")]);
        assert!((slow_run - run - expected).abs() < 1.0, "{strategy}: {}", slow_run - run);
        assert!((slow_form - form - expected).abs() < 1.0, "{strategy}: {}", slow_form - form);
    }
}

/// Keys of links and protocols that have nothing to act upon.
#[test]
fn keys_without_effect_on_communication_warn() {
    let warns = |scenario: &Scenario, key: &str| scenario.warnings().iter().any(|text| text.contains(key));
    let forced = decode(&[("collectives.protocol", "ll")]);
    assert!(warns(&forced, "`collectives.protocol`") && !warns(&profiled(forced), "`collectives.protocol`"));
    assert!(!warns(&decode(&[]), "`collectives.protocol`"));

    let pipeline = ("strategy", "{ kind: tp_pp, tp: 4, pp: 1, dp: 1, n_in_flight: 1 }");
    let one = [("cluster.n_nodes", "1"), pipeline, ("workload.batch", "64")];
    assert!(warns(&decode(&one), "`cluster.scale_out`"));
    assert!(!warns(&decode(&[]), "`cluster.scale_out`"));
}
