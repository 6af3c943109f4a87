//! What the network did: bytes and utilisation of each link, senders that met, who sent how much to whom, and what
//! held transfers back.

use std::collections::BTreeMap;

use masim_engine::{Hop, LinkId};
use masim_units::{Bandwidth, Bytes, SimTime};

use crate::running::replay::{FlowBeyondTime, Notes, Sent, incast, replay};

/// Flows, and what is known of them besides the engine.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The rate that each link carries.
    pub rates: Vec<Bandwidth>,
    /// The bandwidth of each link, of which shares are given; a link may carry less.
    pub bandwidths: Vec<Bandwidth>,
    /// Links of each path.
    pub paths: Vec<Vec<Hop>>,
    /// From which to which GPU the bytes of each path go: one pair, or each step of a ring or tree.
    pub steps: Vec<Vec<(u32, u32)>>,
    /// What was sent, as long as it took.
    pub flows: Vec<Sent>,
    /// The bytes of each flow; a flow that varies takes as long as more or fewer would.
    pub bytes: Vec<Bytes>,
    /// To which kind of transfer each flow belongs.
    pub kinds: Vec<&'static str>,
    /// What counts; flows outside count for nothing, those across its borders in part.
    pub window: (SimTime, SimTime),
}

/// What one link did in the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkUse {
    /// The link.
    pub link: LinkId,
    /// Bytes that crossed it.
    pub bytes: f64,
    /// The largest share of its bandwidth that was taken at once.
    pub peak: f64,
    /// The mean share.
    pub mean: f64,
    /// Flows that it held back for longer than any other link did.
    pub n_limited: u64,
}

/// What held transfers of one kind back.
#[derive(Clone, Debug, PartialEq)]
pub struct Bottleneck {
    /// The kind of transfer.
    pub kind: &'static str,
    /// Its flows in the window.
    pub n_flows: u64,
    /// Their bytes, counted once whatever they cross.
    pub bytes: f64,
    /// The link that held back most of their time, of a chain of equal links the first; `None` where nothing did.
    pub link: Option<LinkId>,
    /// The share of their time in flows that this link held back.
    pub share: f64,
    /// Links that held back at least half as much, this one included.
    pub n_alike: usize,
}

/// What the network did in the window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkUse {
    /// Length of the window in seconds.
    pub window_s: f64,
    /// All links, by identifier.
    pub links: Vec<LinkUse>,
    /// Most senders at once, by receiver.
    pub incast: BTreeMap<u32, u32>,
    /// Bytes by sender and receiver.
    pub volume: BTreeMap<(u32, u32), f64>,
    /// By kind of transfer.
    pub bottlenecks: Vec<Bottleneck>,
    /// The link that held each flow back for longest.
    pub limits: Vec<Option<LinkId>>,
    /// When each flow ended.
    pub ends: Vec<SimTime>,
}

impl NetworkUse {
    /// Replays `traffic` and looks at what happens.
    ///
    /// # Errors
    ///
    /// A flow that ends beyond the representable range of time.
    pub fn of(traffic: &Traffic) -> Result<Self, FlowBeyondTime> {
        let replay =
            replay(&traffic.rates, &traffic.paths, &traffic.flows, Notes::All { within: traffic.window })?;
        let (from, to) = traffic.window;
        let mut found = Self { window_s: to.since(from).as_secs(), ..Self::default() };
        let mut bytes = vec![0.0; traffic.rates.len()];
        let mut n_limited = vec![0; traffic.rates.len()];
        let mut kinds = BTreeMap::<&'static str, Kind>::new();
        for (idx, (flow, &end)) in traffic.flows.iter().zip(&replay.ends).enumerate() {
            let share = share_inside((flow.start, end), traffic.window);
            let inside = share * traffic.bytes[idx].0 as f64;
            if inside <= 0.0 {
                continue;
            }
            for hop in &traffic.paths[flow.path as usize] {
                bytes[hop.link.0 as usize] += inside * f64::from(hop.multiplicity);
            }
            for &step in &traffic.steps[flow.path as usize] {
                *found.volume.entry(step).or_default() += inside;
            }
            let limit = replay.limits[idx];
            if let Some(link) = limit {
                n_limited[link.0 as usize] += 1;
            }
            let kind = kinds.entry(traffic.kinds[idx]).or_default();
            kind.n_flows += 1;
            kind.bytes += inside;
            let time = end.since(flow.start).as_secs();
            kind.time += time;
            *kind.by_link.entry(limit).or_default() += time;
        }
        found.links = (0..)
            .zip(traffic.rates.iter().zip(&traffic.bandwidths))
            .map(|(link, (rate, whole)): (u32, _)| LinkUse {
                link: LinkId(link),
                bytes: bytes[link as usize],
                peak: replay.peaks[link as usize] * share_of(*rate, *whole),
                mean: mean(bytes[link as usize], *whole, found.window_s),
                n_limited: n_limited[link as usize],
            })
            .collect();
        found.bottlenecks = kinds.into_iter().map(|(name, kind)| kind.bottleneck(name)).collect();
        found.incast = senders(traffic, &replay.ends);
        found.limits = replay.limits;
        found.ends = replay.ends;
        Ok(found)
    }

    /// The links by mean utilisation, the busiest first.
    pub fn busiest(&self) -> Vec<LinkUse> {
        let mut links = self.links.clone();
        links.sort_by(|a, b| b.mean.total_cmp(&a.mean).then(b.peak.total_cmp(&a.peak)));
        links
    }
}

/// Flows of one kind, added up.
#[derive(Default)]
struct Kind {
    n_flows: u64,
    bytes: f64,
    time: f64,
    by_link: BTreeMap<Option<LinkId>, f64>,
}

impl Kind {
    fn bottleneck(self, kind: &'static str) -> Bottleneck {
        // Of equals the first.
        let most = self.by_link.iter().rev().max_by(|a, b| a.1.total_cmp(b.1));
        let (link, time) = most.map_or((None, 0.0), |(&link, &time)| (link, time));
        let share = if self.time > 0.0 { time / self.time } else { 0.0 };
        let alike = self.by_link.iter().filter(|(link, of)| link.is_some() && **of >= 0.5 * time);
        let n_alike = alike.count();
        Bottleneck { kind, n_flows: self.n_flows, bytes: self.bytes, link, share, n_alike }
    }
}

/// The share of a flow that lies inside the window; what takes no time lies at its end.
fn share_inside((start, end): (SimTime, SimTime), (from, to): (SimTime, SimTime)) -> f64 {
    if start == end {
        return if from <= end && end <= to { 1.0 } else { 0.0 };
    }
    let (first, last) = (start.max(from), end.min(to));
    if first < last { last.since(first).as_secs() / end.since(start).as_secs() } else { 0.0 }
}

/// The rate that a link carries as a share of its bandwidth.
fn share_of(rate: Bandwidth, whole: Bandwidth) -> f64 {
    if rate == whole { 1.0 } else { rate.bytes_per_sec() as f64 / whole.bytes_per_sec() as f64 }
}

fn mean(bytes: f64, rate: Bandwidth, window_s: f64) -> f64 {
    if window_s > 0.0 { bytes / (rate.bytes_per_sec() as f64 * window_s) } else { 0.0 }
}

/// Most senders at once, by receiver, of flows that touch the window.
fn senders(traffic: &Traffic, ends: &[SimTime]) -> BTreeMap<u32, u32> {
    let inside = traffic
        .flows
        .iter()
        .zip(ends)
        .filter(|(flow, end)| share_inside((flow.start, **end), traffic.window) > 0.0);
    let all = inside.flat_map(|(flow, &end)| {
        let steps = traffic.steps[flow.path as usize].iter();
        steps.map(move |&(src, dst)| (dst, src, flow.start, end))
    });
    incast(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two senders of 1 MB each over links of 1 GB/s (0 and 1) into one of 1 GB/s (2): 0.5 GB/s each, 2 ms. The links
    /// of the senders are half full; the receiver's is full and holds both back.
    #[test]
    fn the_receiver_of_an_incast_is_its_bottleneck() {
        let path = |links: [u32; 2]| links.map(|link| Hop { link: LinkId(link), multiplicity: 1 }).to_vec();
        let sent = |path| Sent { start: SimTime::ZERO, path, bytes: Bytes(1_000_000), rate_cap: None };
        let ms = |n: u64| SimTime::from_ps(n * 1_000_000_000);
        let mut traffic = Traffic {
            rates: vec![Bandwidth::from_gb_per_sec(1); 3],
            bandwidths: vec![Bandwidth::from_gb_per_sec(1); 3],
            paths: vec![path([0, 2]), path([1, 2])],
            steps: vec![vec![(0, 9)], vec![(1, 9)]],
            flows: vec![sent(0), sent(1)],
            bytes: vec![Bytes(1_000_000); 2],
            kinds: vec!["incast"; 2],
            window: (ms(0), ms(2)),
        };
        let found = NetworkUse::of(&traffic).unwrap();
        assert_eq!(found.ends, [ms(2); 2]);
        let shares: Vec<_> = found.links.iter().map(|link| (link.peak, link.mean, link.n_limited)).collect();
        assert_eq!(shares, [(0.5, 0.5, 0), (0.5, 0.5, 0), (1.0, 1.0, 2)]);
        assert_eq!(found.incast, BTreeMap::from([(9, 2)]));
        assert_eq!(found.volume, BTreeMap::from([((0, 9), 1e6), ((1, 9), 1e6)]));
        let [bottleneck] = &found.bottlenecks[..] else { panic!("one kind") };
        assert_eq!((bottleneck.link, bottleneck.share, bottleneck.n_alike), (Some(LinkId(2)), 1.0, 1));
        assert_eq!(found.busiest()[0].link, LinkId(2));

        // Half of the time has half of the bytes.
        traffic.window = (ms(1), ms(2));
        let half = NetworkUse::of(&traffic).unwrap();
        assert_eq!((half.links[2].bytes, half.links[2].mean), (1e6, 1.0));
        traffic.window = (ms(2), ms(3));
        assert!(NetworkUse::of(&traffic).unwrap().links.iter().all(|link| link.peak < 1e-9));
    }
}
