//! Times of large sets of flows: 1,024 GPUs in a two-level fabric, and more and more flows at once.
//!
//! Prints a line of CSV for each: CPU seconds of this thread (Linux), seconds by the clock, largest memory so far.
//! `cargo bench -p masim-engine --bench scale -- all_to_all` runs those whose name contains the word;
//! `... -- --plot docs/network-growth.png` draws the growth of the time per flow.

#[path = "scale/plot.rs"]
mod plot;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use masim_engine::{
    Engine, Flow, Graph, Hop, Limits, LinkId, PathId, Pause, Resources, ShapeBuilder, StreamId, Trace, Work,
};
use masim_units::{Bandwidth, Bytes, SimDuration};

use plot::Series;

/// GPUs of a machine; each has a NIC.
const N_LOCAL: u32 = 8;
/// Machines under a leaf.
const N_PER_LEAF: u32 = 8;
/// Links that a GPU, its `PCIe` lanes and its NIC bring: out and in.
const PER_GPU: u32 = 8;

/// A fat tree of machines of eight GPUs, with as much bandwidth above the leaves as below.
#[expect(clippy::struct_field_names, reason = "they are counts")]
struct Fabric {
    n_gpus: u32,
    n_leaves: u32,
    n_spines: u32,
}

impl Fabric {
    fn new(n_gpus: u32) -> Self {
        Self { n_gpus, n_leaves: n_gpus.div_ceil(N_LOCAL * N_PER_LEAF), n_spines: 8 }
    }

    /// Each GPU: to and from the switch of the machine, PCIe out (2 links) and in (2), NIC out and in; then leaves to spines, and back.
    fn links(&self) -> Vec<Bandwidth> {
        let of_gpu = [300, 300, 25, 25, 25, 25, 25, 25].map(Bandwidth::from_gb_per_sec);
        let up = u64::from(N_LOCAL * N_PER_LEAF) * 25 / u64::from(self.n_spines);
        let n_trunks = 2 * self.n_leaves * self.n_spines;
        let trunks = (0..n_trunks).map(|_| Bandwidth::from_gb_per_sec(up));
        (0..self.n_gpus).flat_map(|_| of_gpu).chain(trunks).collect()
    }

    /// The links from one GPU to another and their latency; spines are taken by destination.
    fn route(&self, src: u32, dst: u32) -> (Vec<Hop>, SimDuration) {
        let own = |gpu: u32, idx: u32| gpu * PER_GPU + idx;
        let leaf = |gpu: u32| gpu / (N_LOCAL * N_PER_LEAF);
        let trunk = |leaf: u32, way: u32| {
            self.n_gpus * PER_GPU + (leaf * self.n_spines + dst % self.n_spines) * 2 + way
        };
        let links = if src / N_LOCAL == dst / N_LOCAL {
            vec![own(src, 0), own(dst, 1)]
        } else {
            let trunks =
                if leaf(src) == leaf(dst) { vec![] } else { vec![trunk(leaf(src), 0), trunk(leaf(dst), 1)] };
            let out = [2, 3, 4].map(|idx| own(src, idx));
            let into = [5, 6, 7].map(|idx| own(dst, idx));
            [out.to_vec(), trunks, into.to_vec()].concat()
        };
        let latency = SimDuration::from_ps(500_000 * links.len() as u64);
        (links.into_iter().map(|link| Hop { link: LinkId(link), multiplicity: 1 }).collect(), latency)
    }
}

/// Flows as tasks of one graph.
struct Load {
    resources: Resources,
    paths: Vec<Vec<Hop>>,
    graph: Graph,
}

/// A flow from GPU to GPU.
struct Pair {
    src: u32,
    dst: u32,
    bytes: Bytes,
}

fn load(fabric: &Fabric, pairs: impl Iterator<Item = Pair>) -> Load {
    let mut shape = ShapeBuilder::new();
    let (mut works, mut paths) = (Vec::new(), Vec::new());
    for (Pair { src, dst, bytes }, idx) in pairs.zip(0..) {
        let (hops, latency) = fabric.route(src, dst);
        paths.push(hops);
        works.push(Work::transfer(vec![Flow { path: PathId(idx), bytes, latency, rate_cap: None }]));
        shape.task(&[], &[]);
    }
    let shape = shape.build().expect("no edges");
    let resources = Resources { n_streams: 0, links: fabric.links() };
    Load { resources, paths, graph: Graph { shape: shape.into(), works: works.into(), after: Vec::new() } }
}

/// Knuth's linear congruential generator: equal loads on every machine.
struct Lcg(u64);

impl Lcg {
    /// A number below `n`.
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(((self.0 >> 32) * u64::from(n)) >> 32).expect("below n")
    }
}

/// A ring is one flow over all its links.
fn ring(n: u32) -> Load {
    let fabric = Fabric::new(n);
    let links: Vec<_> = (0..n).flat_map(|src| fabric.route(src, (src + 1) % n).0).collect();
    let mut load = load(&fabric, std::iter::once(Pair { src: 0, dst: 1, bytes: Bytes(2_000_000_000) }));
    load.paths = vec![links];
    load
}

fn all_to_all(n: u32, bytes: impl Fn(u32, u32) -> u64) -> Load {
    let pairs = (0..n).flat_map(|src| (0..n).filter(move |&dst| dst != src).map(move |dst| (src, dst)));
    load(&Fabric::new(n), pairs.map(|(src, dst)| Pair { src, dst, bytes: Bytes(bytes(src, dst)) }))
}

/// So many flows between random pairs at once, of sizes that all differ.
fn at_once(n_gpus: u32, n_flows: u32) -> Load {
    let mut random = Lcg(7);
    let pairs = (0..n_flows).map(move |_| {
        let (src, dst) = (random.below(n_gpus), random.below(n_gpus));
        let dst = if src == dst { (dst + 1) % n_gpus } else { dst };
        Pair { src, dst, bytes: Bytes(1_000_000 + u64::from(random.below(1_000_000))) }
    });
    load(&Fabric::new(n_gpus), pairs)
}

/// Rounds in which each of 64 GPUs computes, sends to all others, and goes on when it has heard from all: 64 tokens of 14,336
/// bytes on each, which go to 8 GPUs at random.
fn rounds(n_rounds: u32) -> Load {
    let (fabric, n, mut random) = (Fabric::new(64), 64, Lcg(3));
    let mut shape = ShapeBuilder::new();
    let (mut works, mut paths, mut heard) = (Vec::new(), Vec::new(), vec![Vec::new(); 64]);
    for _ in 0..n_rounds {
        let mut next = vec![Vec::new(); 64];
        for src in 0..n {
            let mut tokens = [0_u64; 64];
            for _ in 0..64 * 8 {
                tokens[random.below(n) as usize] += 1;
            }
            works.push(Work::Compute { time: SimDuration::from_us(100 + u64::from(random.below(20))) });
            let computed = shape.task(&[StreamId(src)], &heard[src as usize]);
            for dst in (0..n).filter(|&dst| dst != src && tokens[dst as usize] > 0) {
                let (hops, latency) = fabric.route(src, dst);
                let path = PathId(u32::try_from(paths.len()).expect("few paths"));
                paths.push(hops);
                let bytes = Bytes(tokens[dst as usize] * 14_336);
                works.push(Work::transfer(Flow { path, bytes, latency, rate_cap: None }));
                next[dst as usize].push(shape.task(&[], &[computed]));
            }
        }
        heard = next;
    }
    let shape = shape.build().expect("edges run forward");
    let resources = Resources { n_streams: n, links: fabric.links() };
    Load { resources, paths, graph: Graph { shape: shape.into(), works: works.into(), after: Vec::new() } }
}

/// A name, and what makes the load.
type Case = (String, Box<dyn Fn() -> Load>);

fn cases() -> Vec<Case> {
    // Sizes by destination: 1,024 different ones between 0.5 and 1.5 MB.
    let by_dst = |dst: u32| 500_000 + u64::from(dst.wrapping_mul(2_654_435_761) >> 12);
    let mut cases: Vec<Case> = vec![
        ("ring_1024".to_owned(), Box::new(|| ring(1024))),
        ("all_to_all_64".to_owned(), Box::new(|| all_to_all(64, |_, _| 1_000_000))),
        ("all_to_all_1024".to_owned(), Box::new(|| all_to_all(1024, |_, _| 1_000_000))),
        ("by_destination_64".to_owned(), Box::new(move || all_to_all(64, |_, dst| by_dst(dst)))),
        ("by_destination_256".to_owned(), Box::new(move || all_to_all(256, |_, dst| by_dst(dst)))),
        ("by_destination_1024".to_owned(), Box::new(move || all_to_all(1024, |_, dst| by_dst(dst)))),
    ];
    // Every pair has a size of its own: as many changes of rates as flows.
    let by_pair =
        |src: u32, dst: u32| 500_000 + u64::from((src * 1_021 + dst).wrapping_mul(2_654_435_761) >> 12);
    cases.push(("by_pair_64".to_owned(), Box::new(move || all_to_all(64, by_pair))));
    cases.push(("rounds_64".to_owned(), Box::new(|| rounds(2))));
    for n_flows in [100, 1_000, 10_000, 100_000] {
        cases.push((format!("at_once_{n_flows}"), Box::new(move || at_once(64, n_flows))));
    }
    cases
}

/// Runs `load`; ends of flows are noticed at multiples of `grain`.
fn run(load: &Load, grain: Option<SimDuration>) -> Trace {
    let mut engine = Engine::new(load.resources.clone(), Limits::NONE);
    for path in &load.paths {
        engine.add_path(path);
    }
    if let Some(grain) = grain {
        engine.coalesce(grain);
    }
    engine.submit(load.graph.clone()).expect("no limits");
    match engine.advance(None).expect("within 213 days") {
        Pause::Finished { trace, .. } => trace,
        Pause::Reached | Pause::Stalled { .. } => panic!("a graph at full speed finishes"),
    }
}

/// CPU seconds of this thread, where the system tells.
fn cpu_s() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns * 1e-9)
}

/// The most memory that was ever held, in GB.
fn peak_gb() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).map_or(f64::NAN, |kb| kb * 1024e-9)
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if let Some(at) = args.iter().position(|arg| arg == "--plot") {
        let path = args.get(at + 1).expect("--plot FILE");
        // Benches run in the folder of their package.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        plot::plot(&root.join(path), &growth()).expect("the picture can be drawn");
        return;
    }
    let words: Vec<_> = args.into_iter().filter(|word| !word.starts_with("--")).collect();
    let grain = |us: u64| SimDuration::from_ps(us * 1_000_000);
    println!("case,flows,coalesced,cpu_s,clock_s,peak_gb,last_end_s,worst_us,last_relative");
    for (name, make) in cases() {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let load = make();
        let exact = measured(&name, &load, None, None);
        // What coalescing costs in accuracy is measured where the exact answer is at hand.
        if name.contains("pair_64") || name.contains("rounds") || name.contains("destination_64") {
            for us in [1, 10, 100] {
                measured(&name, &load, Some(grain(us)), Some(&exact));
            }
        }
    }
}

/// Time per flow for more and more flows at once.
fn growth() -> Vec<Series> {
    let point = |load: Load| {
        let (n, began, mut n_runs) = (load.graph.works.len() as f64, cpu_s(), 0.0);
        // Small sets again and again, until the clock can tell.
        while n_runs < 1.0 || cpu_s() - began < 0.05 {
            black_box(run(&load, None));
            n_runs += 1.0;
        }
        let us = (cpu_s() - began) * 1e6 / n_runs / n;
        println!("{n} flows: {us:.2} us each");
        (n, us)
    };
    let gpus = [16, 32, 64, 128, 320, 1024];
    let equal = gpus.iter().map(|&n| point(all_to_all(n, |_, _| 1_000_000))).collect();
    let by_dst = |dst: u32| 500_000 + u64::from(dst.wrapping_mul(2_654_435_761) >> 12);
    let by_destination = gpus.iter().map(|&n| point(all_to_all(n, |_, dst| by_dst(dst)))).collect();
    let random = [100, 1_000, 10_000, 100_000].iter().map(|&n| point(at_once(64, n))).collect();
    vec![
        Series { name: "all-to-all among 16 to 1,024 GPUs, equal sizes", points: equal },
        Series { name: "the same, sizes that differ by destination", points: by_destination },
        Series { name: "random pairs of 64 GPUs, all sizes different", points: random },
    ]
}

/// Prints a line, with how far the ends are from `exact`.
fn measured(name: &str, load: &Load, grain: Option<SimDuration>, exact: Option<&Trace>) -> Trace {
    let (cpu, clock) = (cpu_s(), Instant::now());
    let trace = black_box(run(load, grain));
    let (cpu, clock) = (cpu_s() - cpu, clock.elapsed().as_secs_f64());
    let ends = |trace: &Trace| trace.spans.iter().map(|span| span.end.as_secs()).collect::<Vec<_>>();
    let last = |ends: &[f64]| ends.iter().copied().fold(0.0, f64::max);
    let ours = ends(&trace);
    let exact = exact.map_or_else(|| ours.clone(), ends);
    let worst_us =
        ours.iter().zip(&exact).map(|(ours, exact)| (ours - exact).abs() * 1e6).fold(0.0, f64::max);
    let of_last = last(&ours) / last(&exact) - 1.0;
    let (n, last, gb) = (ours.len(), last(&ours), peak_gb());
    let grain = grain.map_or_else(|| "exact".to_owned(), |grain| format!("{} us", grain.as_us()));
    println!("{name},{n},{grain},{cpu:.3},{clock:.3},{gb:.2},{last:.9},{worst_us:.1},{of_last:.2e}");
    trace
}
