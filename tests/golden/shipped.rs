//! Times of shipped scenarios in microseconds with three decimals: steady, cold, and the work bound.
//!
//! The arithmetic beside them is at 80 % of 2039 GB/s = 1631.2 GB/s, with 1.5 us for each kernel, and is asserted: the
//! simulated time is the sum by hand within a stated margin, the part that the hand leaves out.

use masim_core::judging::sweep::{RowJson, SweepRow, load_sweep, simulate_row};
use masim_core::scenario::load_scenario;
use masim_core::work::routing::RoutingPool;
use masim_tests::{Shipped, decode};

fn assert_times(row: &RowJson, expected: [&str; 3]) {
    let found = [row.tpot_us, row.step_time_us, row.work_bound_us].map(|us| format!("{:.3}", us.unwrap()));
    assert_eq!(found, expected, "row {}: {}, batch {}", row.row_idx, row.name, row.batch);
}

/// Time of a kernel that moves `bytes`, in microseconds.
fn kernel_us(bytes: f64) -> f64 {
    bytes / (0.8 * 2039e3) + 1.5
}

/// Holds a time against a sum by hand: at least that, and at most the share `margin` more.
fn assert_by_hand(what: &str, found_us: f64, by_hand_us: f64, margin: f64) {
    let over = found_us / by_hand_us - 1.0;
    assert!(
        (0.0..=margin).contains(&over),
        "{what}: {found_us:.1} us, by hand {by_hand_us:.1} us, {over:+.4} of it"
    );
}

/// 12:4 in two micro-batches of 512 tokens; the four experts of a GPU set the pace.
///
/// - up, and down: 4 x 4096 x 16384 x 2 B of weights and 256 rows x 20480 x 2 B = 547.4 MB, 335.6 + 1.5 us
/// - activation: 256 x 16384 x 4 B = 16.8 MB, 10.3 + 1.5 us
/// - rows gathered, and sums: 256 x 4096 x 4 B = 4.2 MB, 2.6 + 1.5 us each
///
/// 2 x 337.1 + 11.8 + 2 x 4.1 = 694.0 us; x 2 micro-batches x 4 layers = 5552 us. Once a step the experts wait
/// 27 us more, for the head between the last layer and the first: 0.5 %.
#[test]
fn decode_scenario() {
    let row = RowJson::from(&simulate_row(&SweepRow::alone(decode(&[])), &RoutingPool::default()).0);
    assert_eq!(row.n_micro_batches, Some(2));
    assert_times(&row, ["5578.869", "6273.234", "2792.739"]);
    let product = 4.0 * 4096.0 * 16384.0 * 2.0 + 256.0 * 20480.0 * 2.0;
    let layer_us =
        2.0 * kernel_us(product) + kernel_us(256.0 * 16384.0 * 4.0) + 2.0 * kernel_us(256.0 * 4096.0 * 4.0);
    assert_by_hand("experts", row.tpot_us.unwrap(), 2.0 * 4.0 * layer_us, 0.005);
}

/// Three rows by hand, a GPU's share in each of 4 layers:
///
/// Row 0, 12:4, batch 64, one micro-batch, so that all halves follow each other. Experts: 4 x 134.2 MB + 32 rows
/// x 41 kB = 538.2 MB, 331.4 us up and as much down; cache: 22 sequences on a replica, 22 x 2048 x 2 x 8 heads x
/// 64 x 2 B = 92.3 MB, 58.1 us; 4 x (2 x 331.4 + 58.1) = 2884 us. Wires 119, projections 54, head 42, collectives
/// 24 us; the rest, 2.2 %, is small kernels.
///
/// Row 11, `tp_pp` 8 x 2, batch 1024, 512 in flight in each stage, so that the steady time is one passage.
/// Cache: 512 x 2048 x 2 x 4 heads x 64 x 2 B = 1073.7 MB, 660.4 us; experts: 16 x 4096 x 2048 x 2 B + 1024 rows
/// x 12.3 kB = 281 MB, 173.8 us up and as much down; two all-reduces of 4.2 MB over two nodes: 1.05 MB at
/// 100 GB/s twice, 1.05 MB at 25 GB/s between, hops of 9 us, launch: 73.4 us each.
/// 4 x (660.4 + 2 x 173.8 + 2 x 73.4) = 4619 us; head 146, projections 85, gathers 87; the rest, 5 %, is small.
/// Cold: three stages where steady has two: 1.49 times as long.
///
/// Row 12, `dp_ep`, batch 1024, 64 sequences on a GPU. Cache: 64 x 2048 x 8192 B = 1073.7 MB, 660.4 us; expert:
/// 134.2 MB + 128 rows x 41 kB = 139.5 MB, 87.0 us up and as much down; projections 33.2 + 12.3 us; two
/// all-to-alls of 37.0 us: 4 x (660.4 + 2 x 87.0 + 45.5 + 2 x 37.0) = 3815 us; head 4096 x 32000 x 2 B, 165 us; the rest,
/// 3 %, is small.
#[test]
fn quick_sweep() {
    let expected = [
        ["3191.365", "3191.396", "678.111"],
        ["2530.614", "2530.777", "678.111"],
        ["1941.636", "1941.636", "678.111"],
        ["1780.610", "2651.104", "678.111"],
        ["1309.097", "1309.097", "678.111"],
        ["8144.448", "8144.448", "2792.739"],
        ["5578.869", "6273.234", "2792.739"],
        ["7859.985", "7860.668", "2792.739"],
        ["5069.795", "5724.973", "2792.739"],
        ["7896.201", "7896.201", "2792.739"],
        ["5865.216", "6310.870", "2792.739"],
        ["5173.915", "7706.198", "2792.739"],
        ["4093.688", "4093.688", "2792.739"],
    ];
    let shipped = Shipped::default();
    let sweep = load_sweep(&shipped.text("scenarios/quick.yaml").unwrap(), &shipped).unwrap();
    let rows = sweep.expand(&shipped).unwrap().rows;
    assert_eq!(rows.len(), expected.len());
    let rows: Vec<RowJson> =
        rows.iter().map(|row| RowJson::from(&simulate_row(row, &RoutingPool::default()).0)).collect();
    for (row, expected) in rows.iter().zip(expected) {
        assert_times(row, expected);
    }
    let tpot = |idx: usize| rows[idx].tpot_us.unwrap();

    let product = kernel_us(4.0 * 4096.0 * 16384.0 * 2.0 + 32.0 * 20480.0 * 2.0);
    let cache = kernel_us(22.0 * 2048.0 * 2.0 * 8.0 * 64.0 * 2.0);
    let split = 4.0 * (2.0 * product + cache) + (119.0 + 54.0 + 42.0 + 24.0);
    assert_by_hand("12:4, batch 64", tpot(0), split, 0.025);

    let cache = kernel_us(512.0 * 2048.0 * 2.0 * 4.0 * 64.0 * 2.0);
    let product = kernel_us(16.0 * 4096.0 * 2048.0 * 2.0 + 1024.0 * (4096.0 + 2048.0) * 2.0);
    let pipeline = 4.0 * (cache + 2.0 * product + 2.0 * 73.4) + (146.0 + 85.0 + 87.0);
    assert_by_hand("tp_pp, batch 1024", tpot(11), pipeline, 0.05);
    assert_by_hand("three stages cold", 1.5 * tpot(11), rows[11].step_time_us.unwrap(), 0.01);

    let cache = kernel_us(64.0 * 2048.0 * 8192.0);
    let product = kernel_us(4096.0 * 16384.0 * 2.0 + 128.0 * 20480.0 * 2.0);
    let colocated = 4.0 * (cache + 2.0 * product + (33.2 + 12.3) + 2.0 * 37.0) + 165.0;
    assert_by_hand("dp_ep, batch 1024", tpot(12), colocated, 0.03);
}

/// The bound of batch 1024: per layer 17.2 GB of cache, 4.3 GB of expert weights and 67 MB of projections, and a
/// head of 262 MB: 86.4 GB at 16 x 2039 GB/s = 2.65 ms. Activations add 5 %.
#[test]
fn work_bound_of_a_large_batch_is_memory() {
    let cache = 1024.0 * 2048.0 * 8192.0;
    let experts = 16.0 * 2.0 * 4096.0 * 16384.0 * 2.0;
    let projections = (3.0 + 1.0) * 2048.0 * 4096.0 * 2.0;
    let head = 4096.0 * 32000.0 * 2.0;
    let weights_us = (4.0 * (cache + experts + projections) + head) / (16.0 * 2039e9) * 1e6;
    let row = RowJson::from(&simulate_row(&SweepRow::alone(decode(&[])), &RoutingPool::default()).0);
    let bound = row.work_bound_us.unwrap();
    assert!(bound > weights_us && bound < 1.06 * weights_us, "{bound} {weights_us}");
}

/// BLOOM-176B over 8 GPUs, a layer of a GPU in a step of 8 sequences at 576 tokens:
///
/// - weights 14336 x (3 x 1792 + 1792 + 2 x 7168) x 2 B = 616.6 MB, 378.0 us; cache 8 x 576 x 2 x 14 x 128 x 2 B =
///   33.0 MB, 20.2 us; 8 kernels of 1.5 us and small traffic: 15.3 us; two all-reduces of 229 kB: 2 x 4.8 us
/// - 70 x (378.0 + 20.2 + 15.3 + 9.7) = 29.6 ms; head 14336 x 31360 x 2 B = 899 MB, 0.55 ms; host 1.4 + 2.8 ms + 8 x (120 + 7 x 44) us
/// - the embedding summed over the GPUs, 8 us; scores of 8 x 250880 gathered, 3.5 MB at 300 GB/s, 18 us, and searched on each
///   GPU, 8 arrays of 4.0 MB, 21 us
///
/// Prompts of 8 x 512 tokens, at 75 % of 312 TFLOP/s = 234: 2 x 4096 x 14336 x 21504 = 2.53 TFLOP, 10.8 ms a layer;
/// sums and norms 5 x 117 MB, twice, 0.72 ms; two all-reduces of 117 MB, 2 x 0.69 ms: 70 x 12.9 = 902 ms, host 7.6 ms, head; small kernels are the
/// other 1.2 %.
#[test]
fn inference_of_bloom() {
    let shipped = Shipped::default();
    let source = shipped.text("scenarios/inference-bloom.yaml").unwrap();
    let scenario = masim_core::scenario::load_scenario(&source, &shipped).unwrap();
    let row = RowJson::from(&simulate_row(&SweepRow::alone(scenario), &RoutingPool::default()).0);
    assert_times(&row, ["37915.108", "37915.108", "22779.799"]);
    let whole = [row.ttft_us, row.makespan_us].map(|us| format!("{:.3}", us.unwrap()));
    assert_eq!(whole, ["921142.638", "5736361.353"]);
    let (tpot, ttft, makespan) = (row.tpot_us.unwrap(), row.ttft_us.unwrap(), row.makespan_us.unwrap());
    assert!((ttft + 127.0 * tpot - makespan).abs() < 1e-3, "921.1 + 127 x 37.92 ms");

    let layer_us = (kernel_us(14336.0 * (4.0 * 1792.0 + 2.0 * 7168.0) * 2.0) - 1.5)
        + (kernel_us(8.0 * 576.0 * 2.0 * 14.0 * 128.0 * 2.0) - 1.5)
        + (15.3 + 2.0 * 4.8);
    let head_us = kernel_us(14336.0 * 31360.0 * 2.0) + (8.0 + 18.0 + 21.0);
    let host_us = 1400.0 + 2800.0 + 8.0 * (120.0 + 7.0 * 44.0);
    assert_by_hand("a step", tpot, 70.0 * layer_us + head_us + host_us, 0.003);
    let layer_us = 2.0 * 4096.0 * 14336.0 * 21504.0 / (0.75 * 312e6) + 720.0 + 2.0 * 690.0;
    assert_by_hand("prompts", ttft, 70.0 * layer_us + head_us + host_us, 0.012);

    // 8 x (98 W + 302 W x work), for 1024 tokens; work lies between nothing and all.
    assert_eq!(format!("{:.3}", row.energy_per_token_j.unwrap()), "11.964");
    let joules = |watts: f64| 8.0 * watts * makespan * 1e-6 / 1024.0;
    assert!(
        joules(98.0) < row.energy_per_token_j.unwrap()
            && row.energy_per_token_j.unwrap() < joules(98.0 + 302.0)
    );
}

/// 4:12 with 64 prompts of 2,048 in chunks of 512: 4 x 4 waves of 16 x 512 tokens; at 75 % of 312 TFLOP/s. The four GPUs with
/// two experts set the pace, 2,048 rows of each wave and layer.
///
/// - up, and down: 2 x 2048 x 4096 x 16384 FLOP = 274.9 GFLOP, 1174.7 + 1.5 us
/// - activation: 2048 x 16384 x 4 B = 134.2 MB, 82.3 + 1.5 us
/// - rows gathered: 2048 x 4096 x 4 B = 33.6 MB, 20.6 + 1.5 us; sums of as many rows to as many tokens: as much
///
/// 2 x 1176.2 + 83.8 + 2 x 22.1 = 2480.4 us; x 16 waves x 4 layers = 158.7 ms. The other 3.0 ms: the first wave's
/// attention and its way there, 2.1 ms, and the last one's way back and its head, 0.9 ms; in between these GPUs never wait.
#[test]
fn prefill_scenario() {
    let shipped = Shipped::default();
    let scenario = load_scenario(&shipped.text("scenarios/prefill.yaml").unwrap(), &shipped).unwrap();
    let row = RowJson::from(&simulate_row(&SweepRow::alone(scenario), &RoutingPool::default()).0);
    assert_eq!((row.n_micro_batches, row.tpot_us), (Some(4), None));
    let found = [row.ttft_us, row.work_bound_us].map(|us| format!("{:.3}", us.unwrap()));
    assert_eq!(found, ["161768.510", "67681.762"]);
    let product_us = 2.0 * 2048.0 * 4096.0 * 16384.0 / (0.75 * 312e6) + 1.5;
    let layer_us =
        2.0 * product_us + kernel_us(2048.0 * 16384.0 * 4.0) + 2.0 * kernel_us(2048.0 * 4096.0 * 4.0);
    assert_by_hand("prompts", row.ttft_us.unwrap(), 16.0 * 4.0 * layer_us + 2100.0 + 900.0, 0.001);
}
