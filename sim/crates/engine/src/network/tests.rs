//! The solver against the textbook, and the network against the physics.

use proptest::prelude::*;

use super::*;
use crate::network::textbook::Flow;

/// Quanta of 2^-16 B/s by which rounding may move a rate in these small networks.
const N_QUANTA: u64 = 64;

/// Capacities in rate units, and classes as (hops, cap).
#[derive(Clone, Debug)]
struct Net {
    capacities: Vec<u64>,
    classes: Vec<(Vec<Hop>, u64)>,
}

#[derive(Clone, Debug)]
enum Change {
    Add(usize),
    /// Takes away a flow of a class, if it has one.
    Remove(usize),
    Capacity(usize, u64),
}

fn capacity() -> impl Strategy<Value = u64> {
    // Few different values, so that links tie often; zero is a link that is down.
    prop_oneof![1 => Just(0), 8 => (1u64..6).prop_map(|n| n << 32), 4 => 1u64 << 20..1u64 << 40]
}

fn hops(n_links: usize) -> impl Strategy<Value = Vec<Hop>> {
    let n_hops = 1..=n_links.min(4);
    prop::sample::subsequence((0..n_links).collect::<Vec<_>>(), n_hops).prop_flat_map(|links| {
        let n = links.len();
        (Just(links), prop::collection::vec(prop_oneof![4 => Just(1u32), 1 => 1u32..4], n)).prop_map(
            |(links, multiplicities)| {
                let hop = |(link, multiplicity)| Hop { link: LinkId(index(link)), multiplicity };
                links.into_iter().zip(multiplicities).map(hop).collect()
            },
        )
    })
}

fn net() -> impl Strategy<Value = Net> {
    prop::collection::vec(capacity(), 1..8).prop_flat_map(|capacities| {
        let cap = prop_oneof![3 => Just(UNLIMITED), 1 => (1u64..4).prop_map(|n| n << 31)];
        let class = (hops(capacities.len()), cap);
        (Just(capacities), prop::collection::vec(class, 1..12))
            .prop_map(|(capacities, classes)| Net { capacities, classes })
    })
}

fn net_and_changes() -> impl Strategy<Value = (Net, Vec<Vec<Change>>)> {
    net().prop_flat_map(|net| {
        let (n_links, n_classes) = (net.capacities.len(), net.classes.len());
        let change = prop_oneof![
            4 => (0..n_classes).prop_map(Change::Add),
            3 => (0..n_classes).prop_map(Change::Remove),
            1 => (0..n_links, capacity()).prop_map(|(link, capacity)| Change::Capacity(link, capacity)),
        ];
        (Just(net), prop::collection::vec(prop::collection::vec(change, 1..4), 1..24))
    })
}

/// A solver, the numbers of flows of its classes, and its capacities.
struct State {
    solver: Solver,
    net: Net,
    n_flows: Vec<u64>,
}

impl State {
    fn new(net: &Net) -> Self {
        let mut solver = Solver::new(net.capacities.iter().copied());
        for (hops, cap) in &net.classes {
            solver.add_class(hops, *cap);
        }
        Self { solver, net: net.clone(), n_flows: vec![0; net.classes.len()] }
    }

    fn apply(&mut self, change: &Change) {
        match *change {
            Change::Add(class) => {
                self.solver.add_flow(index(class));
                self.n_flows[class] += 1;
            }
            Change::Remove(class) if self.n_flows[class] > 0 => {
                self.solver.remove_flow(index(class));
                self.n_flows[class] -= 1;
            }
            Change::Remove(_) => {}
            Change::Capacity(link, capacity) => {
                self.solver.set_capacity(index(link), capacity);
                self.net.capacities[link] = capacity;
            }
        }
    }

    /// The rate of each class by the textbook; zero for a class without flows.
    fn textbook(&self) -> Vec<u64> {
        let crossing = |hop: &Hop| (hop.link.0 as usize, u64::from(hop.multiplicity));
        let mut flows = Vec::new();
        for ((hops, cap), &n_flows) in self.net.classes.iter().zip(&self.n_flows) {
            let flow = Flow { crossings: hops.iter().map(crossing).collect(), cap: *cap };
            flows.extend((0..n_flows).map(|_| flow.clone()));
        }
        let mut rates = textbook::rates(&self.net.capacities, &flows).into_iter();
        let mut of_class = |&n_flows: &u64| (0..n_flows).map(|_| rates.next().unwrap()).last().unwrap_or(0);
        self.n_flows.iter().map(&mut of_class).collect()
    }

    fn rates(&self) -> Vec<u64> {
        (0..index(self.n_flows.len())).map(|class| self.solver.rate(class)).collect()
    }

    /// What all flows together take from `link`, and the sum of their crossings.
    fn used(&self, link: usize) -> (u64, u64) {
        let mut sums = (0, 0);
        for (class, (hops, _)) in self.net.classes.iter().enumerate() {
            for hop in hops.iter().filter(|hop| hop.link.0 as usize == link) {
                let weight = self.n_flows[class] * u64::from(hop.multiplicity);
                sums.0 += weight * self.solver.rate(index(class));
                sums.1 += weight;
            }
        }
        sums
    }

    /// True if `link` is full but for what rounding leaves, and no class on it is faster than `rate`.
    fn is_bottleneck(&self, link: usize, rate: u64) -> bool {
        let (used, weight) = self.used(link);
        let is_full = self.net.capacities[link] - used <= weight * N_QUANTA;
        let on_link =
            |class: &usize| self.net.classes[*class].0.iter().any(|hop| hop.link.0 as usize == link);
        let fastest =
            (0..self.n_flows.len()).filter(on_link).map(|class| self.solver.rate(index(class))).max();
        is_full && fastest.is_some_and(|fastest| fastest <= rate + N_QUANTA)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// After any history of changes, spreading, filling and the textbook agree.
    #[test]
    fn both_rules_agree_with_the_textbook((net, history) in net_and_changes()) {
        let (mut spread, mut filled) = (State::new(&net), State::new(&net));
        for instant in &history {
            for change in instant {
                spread.apply(change);
                filled.apply(change);
            }
            spread.solver.solve(&mut Vec::new());
            filled.solver.fill();
            let textbook = spread.textbook();
            for (rates, rule) in [(spread.rates(), "spreading"), (filled.rates(), "filling")] {
                let near = rates.iter().zip(&textbook).all(|(rate, right)| rate.abs_diff(*right) <= N_QUANTA);
                prop_assert!(near, "{rule} gives {rates:?}, the textbook {textbook:?}");
            }
        }
    }

    /// Classes that cross one link or two: looking at links alone gives the same rates to the last quantum.
    #[test]
    fn pairs_of_links_say_what_classes_say((mut net, history) in net_and_changes()) {
        for (hops, cap) in &mut net.classes {
            hops.truncate(2);
            *cap = UNLIMITED;
        }
        let mut state = State::new(&net);
        for change in history.iter().flatten() {
            state.apply(change);
            prop_assert!(state.solver.is_of_pairs());
            state.solver.fill();
            let by_pairs = state.rates();
            state.solver.n_long += 1;
            state.solver.fill();
            state.solver.n_long -= 1;
            prop_assert_eq!(by_pairs, state.rates());
        }
    }

    #[test]
    fn no_link_is_ever_over_its_capacity((net, history) in net_and_changes()) {
        let mut state = State::new(&net);
        for instant in &history {
            for change in instant {
                state.apply(change);
            }
            state.solver.solve(&mut Vec::new());
            for link in 0..state.net.capacities.len() {
                prop_assert!(state.used(link).0 <= state.net.capacities[link], "link {link} is over its capacity");
            }
        }
    }

    /// What defines max-min fairness: who is below its cap has a full link on which nobody is faster.
    #[test]
    fn every_flow_has_a_bottleneck((net, history) in net_and_changes()) {
        let mut state = State::new(&net);
        for change in history.iter().flatten() {
            state.apply(change);
        }
        state.solver.solve(&mut Vec::new());
        for (class, (hops, cap)) in state.net.classes.iter().enumerate().filter(|(class, _)| state.n_flows[*class] > 0) {
            let rate = state.solver.rate(index(class));
            let is_slowed = hops.iter().any(|hop| state.is_bottleneck(hop.link.0 as usize, rate));
            prop_assert!(rate == *cap || is_slowed, "class {class} could be faster than {rate}");
        }
    }

    /// A link that is never idle has carried all bytes when the last flow ends: nothing is lost or made
    /// by changes of rates, but for 1 ps at each end.
    #[test]
    fn bytes_in_are_bytes_out(sizes in prop::collection::vec(1u64..10_000_000, 1..40), gb in 1u64..400) {
        let mut network = Network::new(&[Bandwidth::from_gb_per_sec(gb)]);
        let path = network.add_path(&[Hop { link: LinkId(0), multiplicity: 1 }]);
        for &bytes in &sizes {
            network.start(SimTime::ZERO, path, Bytes(bytes), None, bytes);
        }
        let ends = run_out(&mut network);
        let total = Bytes(sizes.iter().sum()).time_at(Bandwidth::from_gb_per_sec(gb)).unwrap().as_ps();
        let last = ends.last().unwrap().0;
        prop_assert!(total <= last && last <= total + sizes.len() as u64, "{last} is not {total} ps");
        let mut by_size: Vec<_> = ends.iter().map(|&(_, tag)| tag).collect();
        by_size.sort_unstable();
        let mut sorted = sizes.clone();
        sorted.sort_unstable();
        prop_assert_eq!(by_size, sorted);
    }

    /// Whole lives of flows against a fluid simulation in floats that asks the textbook at each event.
    #[test]
    fn ends_agree_with_a_fluid_simulation(
        flows in prop::collection::vec((hops(4), 1u64..1_000_000, 0u64..2_000_000), 1..16),
    ) {
        let capacities = [1_000_000_000, 3_000_000_000, 7_000_000_000, 2_500_000_000];
        let links = capacities.map(|rate| Bandwidth::new(rate).unwrap());
        let ours = simulate(&links, &flows);
        let fluid = simulate_fluid(&capacities.map(|rate| rate << 16), &flows);
        let n_events = 2.0 * flows.len() as f64;
        for (ours, fluid) in ours.iter().zip(&fluid) {
            prop_assert!((*ours as f64 - fluid).abs() <= n_events + 1.0, "{ours} ps is not {fluid} ps");
        }
    }
}

/// Time and tag of all ends.
fn run_out(network: &mut Network) -> Vec<(u64, u64)> {
    let mut ends = Vec::new();
    while let Some(at) = network.next_end().unwrap() {
        let mut tags = Vec::new();
        network.pop_ended(at, &mut tags);
        ends.extend(tags.into_iter().map(|tag| (at.as_ps(), tag)));
    }
    ends
}

/// The end of each flow of (hops, bytes, start).
fn simulate(links: &[Bandwidth], flows: &[(Vec<Hop>, u64, u64)]) -> Vec<u64> {
    let mut network = Network::new(links);
    let mut starts: Vec<_> = flows.iter().map(|flow| flow.2).zip(0..).collect();
    starts.sort_unstable();
    let mut ends = vec![0; flows.len()];
    let mut tags = Vec::new();
    let mut starts = starts.into_iter().peekable();
    loop {
        let start = starts.peek().map(|&(at, _)| SimTime::from_ps(at));
        let Some(at) = start.into_iter().chain(network.next_end().unwrap()).min() else { return ends };
        if network.next_end() == Ok(Some(at)) {
            network.pop_ended(at, &mut tags);
            tags.drain(..).for_each(|tag| ends[usize::try_from(tag).unwrap()] = at.as_ps());
        }
        while let Some((_, idx)) = starts.next_if(|&(start, _)| start == at.as_ps()) {
            let (hops, bytes, _) = &flows[usize::try_from(idx).unwrap()];
            let path = network.add_path(hops);
            network.start(at, path, Bytes(*bytes), None, idx);
        }
    }
}

fn simulate_fluid(capacities: &[u64], flows: &[(Vec<Hop>, u64, u64)]) -> Vec<f64> {
    let mut now = 0.0;
    let mut left: Vec<_> = flows.iter().map(|flow| flow.1 as f64).collect();
    let mut ends = vec![f64::NAN; flows.len()];
    loop {
        let (mut moving, mut textbook_flows) = (Vec::new(), Vec::new());
        for (idx, (hops, _, start)) in flows.iter().enumerate() {
            if ends[idx].is_nan() && *start as f64 <= now {
                let crossing = |hop: &Hop| (hop.link.0 as usize, u64::from(hop.multiplicity));
                moving.push(idx);
                textbook_flows.push(Flow { crossings: hops.iter().map(crossing).collect(), cap: UNLIMITED });
            }
        }
        let per_ps = |rate: u64| rate as f64 / 65_536.0 / 1e12;
        let rates: Vec<_> = textbook::rates(capacities, &textbook_flows).into_iter().map(per_ps).collect();
        let next_start =
            flows.iter().map(|flow| flow.2 as f64).filter(|start| *start > now).fold(f64::INFINITY, f64::min);
        let next_end = moving
            .iter()
            .zip(&rates)
            .map(|(&idx, rate)| now + left[idx] / rate)
            .fold(f64::INFINITY, f64::min);
        let next = next_start.min(next_end);
        if next.is_infinite() {
            return ends;
        }
        for (&idx, rate) in moving.iter().zip(&rates) {
            left[idx] -= rate * (next - now);
            // What is served within a millionth of a picosecond is done.
            if left[idx] <= rate * 1e-6 {
                ends[idx] = next;
            }
        }
        now = next;
    }
}

/// Raising one link from 1 to 10 B/s moves the end of a flow that does not cross it from 10 to 18 s:
/// 90 B over link 1 (10 B/s) beside 90 B over links 0 and 1. With 1 B/s on link 0 the first gets 9 B/s;
/// with 10 B/s both get 5. More bandwidth is not always faster, and max-min fairness is not at fault.
#[test]
fn a_faster_link_can_slow_another_flow() {
    let over = |links: &[u32]| {
        links.iter().map(|&link| Hop { link: LinkId(link), multiplicity: 1 }).collect::<Vec<_>>()
    };
    for (rate, end_s) in [(1, 10), (10, 18)] {
        let links = [rate, 10].map(|rate| Bandwidth::new(rate).unwrap());
        let ends = simulate(&links, &[(over(&[1]), 90, 0), (over(&[0, 1]), 90, 0)]);
        assert_eq!(ends[0], end_s * 1_000_000_000_000);
    }
}

/// A cap of 1 GB/s leaves 3 of 4 GB/s to the other: 3 MB end after 1 ms; then the cap still holds: 2 ms.
#[test]
fn a_capped_flow_leaves_the_rest() {
    let mut network = Network::new(&[Bandwidth::from_gb_per_sec(4)]);
    let path = network.add_path(&[Hop { link: LinkId(0), multiplicity: 1 }]);
    network.start(SimTime::ZERO, path, Bytes(2_000_000), Some(Bandwidth::from_gb_per_sec(1)), 1);
    network.start(SimTime::ZERO, path, Bytes(3_000_000), None, 2);
    assert_eq!(run_out(&mut network), [(1_000_000_000, 2), (2_000_000_000, 1)]);
}

/// No link slows a flow on a path without links: it ends at once, or by its cap.
#[test]
fn a_path_without_links_takes_only_what_a_cap_makes_of_it() {
    let mut network = Network::new(&[]);
    let path = network.add_path(&[]);
    network.start(SimTime::ZERO, path, Bytes(1 << 40), None, 1);
    network.start(SimTime::ZERO, path, Bytes(1_000), Some(Bandwidth::from_gb_per_sec(1)), 2);
    assert_eq!(run_out(&mut network), [(0, 1), (1_000_000, 2)]);
    assert_eq!(network.n_flows(), 0);
}

/// Over 1 GB/s, 1 MB and 2 MB: at half the rate the first ends at 2 ms, noticed at 3 ms; it holds its share until
/// then, so that 0.5 MB are left, which take 0.5 ms: 3.5 ms, noticed at 6 ms.
#[test]
fn coalesced_ends_are_late_by_less_than_the_grain() {
    let mut network = Network::new(&[Bandwidth::from_gb_per_sec(1)]);
    network.coalesce(SimDuration::from_ps(3_000_000_000));
    let path = network.add_path(&[Hop { link: LinkId(0), multiplicity: 1 }]);
    network.start(SimTime::ZERO, path, Bytes(1_000_000), None, 1);
    network.start(SimTime::ZERO, path, Bytes(2_000_000), None, 2);
    assert_eq!(run_out(&mut network), [(3_000_000_000, 1), (6_000_000_000, 2)]);
}

#[test]
fn a_link_that_is_named_twice_counts_twice() {
    let hop = |link, multiplicity| Hop { link: LinkId(link), multiplicity };
    let mut network = Network::new(&[Bandwidth::from_gb_per_sec(1); 2]);
    assert_eq!(merged(&[hop(1, 1), hop(0, 2), hop(1, 3)]), [hop(0, 2), hop(1, 4)]);
    let paths = [[hop(1, 1), hop(0, 1)], [hop(0, 1), hop(1, 1)]].map(|hops| network.add_path(&hops));
    let routes = paths.map(|path| network.paths[path.0 as usize]);
    assert_eq!(routes[0], routes[1], "the order of links makes no other route");
}

/// 1 MB over links of 1 and 4 GB/s, and 2 MB over the second alone: the first is held back by its narrow link for
/// 1 ms; the second gets 3 GB/s and ends after 2/3 ms. The wide link is full at first, a quarter full then, and busy for 1 ms.
#[test]
fn a_watched_network_knows_what_held_flows_back() {
    for (from_us, until_us, wide) in [(0, 1000, 1.0), (600, 700, 1.0), (700, 1000, 0.25), (1000, 2000, 0.0)] {
        let within = [from_us, until_us].map(|us: u64| SimTime::from_ps(us * 1_000_000));
        assert_watched((within[0], within[1]), wide);
    }
}

fn assert_watched(within: (SimTime, SimTime), wide: f64) {
    let hop = |link| Hop { link: LinkId(link), multiplicity: 1 };
    let mut network = Network::new(&[1, 4, 9].map(Bandwidth::from_gb_per_sec));
    network.watch(within);
    let paths = [&[hop(0), hop(1)][..], &[hop(1)]].map(|hops| network.add_path(hops));
    network.start(SimTime::ZERO, paths[0], Bytes(1_000_000), None, 1);
    network.start(SimTime::ZERO, paths[1], Bytes(2_000_000), None, 2);
    run_out(&mut network);
    assert_eq!(network.next_end(), Ok(None));
    let limit = |tag, link| Limit { tag, link: Some(LinkId(link)) };
    assert_eq!(network.take_limits(), [limit(2, 1), limit(1, 0)]);
    let loads: Vec<_> = network.loads().iter().map(|load| (load.peak, (load.busy_s * 1e6).round())).collect();
    let narrow = if wide > 0.0 { 1.0 } else { 0.0 };
    assert_eq!(loads, [(narrow, 1000.0), (wide, 1000.0), (0.0, 0.0)]);
}

/// 40 senders to 40 receivers, links of different speed: 3,200 crossings, so that after the first change that goes through most
/// of them changes are filled at once, bounds are left as they were, and spreading finds them right again.
#[test]
fn a_large_network_agrees_with_the_textbook_whatever_rule_is_used() {
    let n = 40;
    let capacities = (0..2 * n as u64).map(|link| (1 << 32) + ((link * 7919 % 101) << 20)).collect();
    let hop = |link| Hop { link: LinkId(link), multiplicity: 1 };
    let classes =
        (0..n * n).map(|pair| (vec![hop(index(pair / n)), hop(index(n + pair % n))], UNLIMITED)).collect();
    let mut state = State::new(&Net { capacities, classes });
    (0..n * n).for_each(|class| state.apply(&Change::Add(class)));
    state.solver.solve(&mut Vec::new());
    let (mut n_filled, mut n_spread) = (0, 0);
    for step in 0..200 {
        let is_spread = state.solver.n_fills_left == 0;
        state.apply(&Change::Remove(step * 37 % (n * n)));
        state.solver.solve(&mut Vec::new());
        *(if is_spread { &mut n_spread } else { &mut n_filled }) += 1;
        if step % 20 == 0 || is_spread {
            let textbook = state.textbook();
            let near = |(rate, right): (&u64, &u64)| rate.abs_diff(*right) <= N_QUANTA;
            assert!(state.rates().iter().zip(&textbook).all(near), "step {step}");
        }
    }
    assert!(n_spread > 1 && n_filled > 100, "both rules were used: {n_spread} and {n_filled} times");
}
