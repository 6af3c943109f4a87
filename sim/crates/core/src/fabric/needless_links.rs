//! Paths without the links that can never be the reason why a flow is slow.
//!
//! A GPU, its PCIe switch and its NIC form a chain of equal links that the same flows cross: one of them
//! says it all. The rates stay exactly the same, and the fewer links are found much faster.

use std::collections::{BTreeMap, BTreeSet};

use masim_engine::{Hop, LinkId};
use masim_units::Bandwidth;

/// The paths without links that another link covers: every path that crosses the one crosses the other at
/// least as often, and the other is no faster. Of links that cover each other the first stays.
///
/// A link of `touchable` may change its speed: it always stays, and covers no other.
pub fn without_needless_links(
    paths: &[Vec<Hop>],
    bandwidth: impl Fn(LinkId) -> Bandwidth,
    touchable: &BTreeSet<LinkId>,
) -> Vec<Vec<Hop>> {
    let mut crossed_by = BTreeMap::<LinkId, Vec<usize>>::new();
    for (path, hops) in paths.iter().enumerate() {
        for hop in hops {
            crossed_by.entry(hop.link).or_default().push(path);
        }
    }
    let crossings = |path: usize, link: LinkId| {
        paths[path].iter().find(|hop| hop.link == link).map_or(0, |hop| hop.multiplicity)
    };
    let covers = |a: LinkId, b: LinkId| {
        !touchable.contains(&a)
            && !touchable.contains(&b)
            && bandwidth(a) <= bandwidth(b)
            && crossed_by[&b].iter().all(|&path| crossings(path, a) >= crossings(path, b))
    };
    let is_needless = |link: LinkId, crossing: &[usize]| {
        let mut others = paths[crossing[0]].iter().map(|hop| hop.link).filter(|&other| other != link);
        others.any(|other| covers(other, link) && (other < link || !covers(link, other)))
    };
    let needless: Vec<LinkId> = crossed_by
        .iter()
        .filter(|(link, crossing)| is_needless(**link, crossing))
        .map(|(link, _)| *link)
        .collect();
    let keep = |hop: &&Hop| needless.binary_search(&hop.link).is_err();
    paths.iter().map(|hops| hops.iter().filter(keep).copied().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: BTreeSet<LinkId> = BTreeSet::new();

    fn path(links: &[u32]) -> Vec<Hop> {
        links.iter().map(|&link| Hop { link: LinkId(link), multiplicity: 1 }).collect()
    }

    fn equal(_: LinkId) -> Bandwidth {
        Bandwidth::from_gb_per_sec(25)
    }

    #[test]
    fn a_chain_of_equal_links_is_one_link() {
        // Links 0, 1, 2 form a chain out of a GPU; 3 and 4 are as fast and carry less.
        let paths = [path(&[0, 1, 2, 3]), path(&[0, 1, 2, 4])];
        assert_eq!(without_needless_links(&paths, equal, &NONE), [path(&[0]), path(&[0])]);
    }

    /// Link 1 may become the slowest of the chain, or 0 may: both stay, and 2, which 0 would cover, with them.
    #[test]
    fn a_link_that_may_change_its_speed_stays_and_covers_none() {
        let paths = [path(&[0, 1, 2])];
        let touch = |link| BTreeSet::from([LinkId(link)]);
        assert_eq!(without_needless_links(&paths, equal, &touch(1)), [path(&[0, 1])]);
        assert_eq!(without_needless_links(&paths, equal, &touch(0)), [path(&[0, 1])]);
    }

    #[test]
    fn a_narrower_link_stays_wherever_it_is() {
        let bandwidth = |link: LinkId| Bandwidth::from_gb_per_sec(if link.0 == 2 { 10 } else { 25 });
        assert_eq!(without_needless_links(&[path(&[0, 1, 2])], bandwidth, &NONE), [path(&[2])]);
    }

    #[test]
    fn links_that_carry_different_flows_stay() {
        // Two senders to two receivers: each link carries a pair of flows that no other link carries.
        let paths = [path(&[0, 2]), path(&[0, 3]), path(&[1, 2]), path(&[1, 3])];
        assert_eq!(without_needless_links(&paths, equal, &NONE), paths);
    }

    #[test]
    fn a_link_that_is_crossed_more_often_covers_the_other() {
        let twice = vec![Hop { link: LinkId(0), multiplicity: 1 }, Hop { link: LinkId(1), multiplicity: 2 }];
        assert_eq!(
            without_needless_links(&[twice], equal, &NONE),
            [vec![Hop { link: LinkId(1), multiplicity: 2 }]]
        );
    }
}
