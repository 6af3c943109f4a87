//! Faster wires help where no two flows share a link; where they do, they may not.

use masim_tests::{Pair, TwoKernels, cold_time, steady_time};
use masim_units::SimDuration;
use rand::RngExt;
use rand_pcg::Pcg64;

/// 200 separations of two GPUs with times of up to 5 us; a token takes 50 to 1000 ns on the slower wire.
#[test]
fn twice_the_bandwidth_is_never_slower_without_contention() {
    let mut rng = Pcg64::new(1, 0);
    let mut n_faster = 0;
    for _ in 0..200 {
        let mut ps = || SimDuration::from_ps(rng.random_range(0..5_000_000));
        let kernels = TwoKernels { attention: ps(), experts: ps() };
        let slow = Pair {
            n_layers: 3,
            n_micro_batches: rng.random_range(1..=4),
            latency_ns: rng.random_range(0..1000),
            gb_per_sec: rng.random_range(1..=20),
        };
        let fast = Pair { gb_per_sec: 2 * slow.gb_per_sec, ..slow };
        let (before, after) = (slow.run(kernels), fast.run(kernels));
        let ((old, n_old), (new, n_new)) = (steady_time(&before), steady_time(&after));
        assert!(new.as_ps() * n_old <= old.as_ps() * n_new, "{slow:?} {kernels:?}: {old:?} {new:?}");
        assert!(cold_time(&after) < cold_time(&before), "{slow:?} {kernels:?}");
        n_faster += u32::from(new.as_ps() * n_old < old.as_ps() * n_new);
    }
    assert!(n_faster > 20, "some of them wait for the wire");
}
