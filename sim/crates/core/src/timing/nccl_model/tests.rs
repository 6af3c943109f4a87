//! NCCL's choices, and properties that hold for any parameters.

use super::*;
use crate::inputs::measurement::{CollectiveWork, Machine, Operation, PairsWork, ScaleUp, Scope};

fn machine() -> Machine {
    Machine::assumed("a100-sxm4-80gb")
}

fn work(operation: Operation, bytes: u64, n_gpus: u32) -> CollectiveWork {
    CollectiveWork { operation, bytes, n_gpus, n_nodes: n_gpus.div_ceil(8) }
}

fn start() -> NcclParams {
    NcclParams::from_values(NcclParams::START)
}

fn time(work: &CollectiveWork) -> f64 {
    collective_time(&start(), NcclVersion::V2_27, work, &machine()).total_us()
}

fn choice(bytes: u64, n_gpus: u32) -> (Path, Protocol) {
    let way = choose(NcclVersion::V2_27, &work(Operation::AllReduce, bytes, n_gpus), &machine());
    (way.path, way.protocol)
}

/// Two GPUs: LL 6.6 + 2 * 0.6 us + S / 87.7 GB/s, Simple 8.4 + 2 * 3.4 us + S / 240 GB/s.
/// They meet where 7.4 us = S (1 / 87.7 - 1 / 240) / 1e3, so S = 1,022,707 B.
#[test]
fn two_gpus_leave_ll_where_the_tables_meet() {
    assert_eq!(choice(1_022_000, 2), (Path::Ring, Protocol::LowLatency));
    assert_eq!(choice(1_023_500, 2), (Path::Ring, Protocol::Simple));
}

#[test]
fn eight_gpus_take_all_three_protocols_and_nodes_take_trees() {
    assert_eq!(choice(1 << 20, 8), (Path::Ring, Protocol::LowLatency));
    assert_eq!(choice(4 << 20, 8), (Path::Ring, Protocol::LowLatency128));
    assert_eq!(choice(64 << 20, 8), (Path::Ring, Protocol::Simple));
    assert_eq!(choice(1024, 128), (Path::Tree, Protocol::LowLatency));
}

#[test]
fn versions_are_found_in_stacks() {
    for (stack, version) in [
        ("NCCL 2.8.4, nccl-tests", NcclVersion::V2_8),
        ("NCCL 2.27.3; other", NcclVersion::V2_27),
        ("nccl-tests, float32", NcclVersion::V2_27),
        ("", NcclVersion::V2_27),
    ] {
        assert_eq!(NcclVersion::of_stack(stack), version, "{stack}");
    }
}

/// LL on 4 GPUs, 4096 B a shard: one channel and full blocks, so 8 + sqrt((3 * 1.4)^2 + wire^2),
/// wire = 3.4 * 4096 B / 90 GB/s = 0.1547 us: 8 + 4.2028 = 12.2028 us.
#[test]
fn a_small_all_gather_is_hops() {
    let found = time(&work(Operation::AllGather, 16_384, 4));
    assert!((found - 12.2028).abs() < 1e-4, "{found}");
}

#[test]
fn more_bytes_never_take_less_by_the_same_way() {
    for operation in Operation::ALL {
        for n_gpus in [2, 3, 8, 16, 64] {
            let mut before = (None, 0.0);
            for step in 0..240_u64 {
                let work = work(operation, (16 + step % 8 * 2) << (step / 8), n_gpus);
                let way = choose(NcclVersion::V2_27, &work, &machine());
                let found = time(&work);
                assert!(before.0 != Some(way) || found >= before.1, "{work:?}: {found} after {}", before.1);
                before = (Some(way), found);
            }
        }
    }
}

#[test]
fn more_gpus_never_take_less_by_the_same_way() {
    for operation in Operation::ALL {
        for bytes in [1 << 10, 1 << 18, 1 << 28] {
            let mut before = (None, 0.0);
            for n_gpus in 2..=8 {
                let work = work(operation, bytes, n_gpus);
                let way = choose(NcclVersion::V2_27, &work, &machine());
                let found = time(&work);
                // More channels for more shards can outweigh a hop: a tenth is no contradiction.
                assert!(
                    before.0 != Some(way) || found > 0.9 * before.1,
                    "{work:?}: {found} after {}",
                    before.1
                );
                before = (Some(way), found);
            }
        }
    }
}

#[test]
fn no_parameters_outrun_the_links() {
    let mut values = NcclParams::START.to_vec();
    for (name, value) in NcclParams::NAMES.iter().zip(&mut values) {
        *value = if name.ends_with("rate") { 1e6 } else { 1e-6 };
    }
    let params = NcclParams::from_values(&values);
    for operation in Operation::ALL {
        for n_gpus in [2, 4, 8] {
            let bytes = 1 << 30;
            let found =
                collective_time(&params, NcclVersion::V2_27, &work(operation, bytes, n_gpus), &machine());
            let n = f64::from(n_gpus);
            let sent = bytes as f64
                * match operation {
                    Operation::AllReduce => 2.0 * (n - 1.0) / n,
                    Operation::Broadcast => 1.0,
                    _ => (n - 1.0) / n,
                };
            assert!(found.total_us() >= sent / 300e3, "{operation:?} {n_gpus}: {found:?}");
        }
    }
}

/// A third of the links of a mesh leads to one neighbour: two GPUs take about three times as long as behind a switch.
#[test]
fn a_mesh_gives_two_gpus_a_third() {
    let mesh = Machine { n_gpus_per_node: 4, scale_up: ScaleUp::Mesh, ..machine() };
    let pair = work(Operation::AllGather, 1 << 30, 2);
    let [on_mesh, on_switch] =
        [mesh, machine()].map(|it| collective_time(&start(), NcclVersion::V2_27, &pair, &it).wire_us);
    assert!((on_mesh / on_switch - 3.0).abs() < 0.1, "{on_mesh} {on_switch}");
}

/// 8 pairs over 4 NICs: two share one, 25 * 0.84 / 2 = 10.5 GB/s each; 1 GB in 95,238 us.
#[test]
fn pairs_share_nics() {
    let params = PairsParams::from_values(PairsParams::START);
    let four = Machine { n_nics_per_node: 4, ..machine() };
    let work = PairsWork { scope: Scope::InterNode, bytes_per_pair: 1_000_000_000, n_pairs: 8 };
    let found = pairs_time(&params, &work, &four);
    assert!((found.wire_us - 70.0 - 95_238.095).abs() < 0.01, "{found:?}");
    assert!(found.launch_us > 0.0 && found.launch_us < params.launch_us, "{found:?}");
}
