//! Leaves out links that can never be the reason why a flow is slow.
//!
//! A GPU, its PCIe switch and its NIC form a chain of equal links that the same flows cross: one of them
//! says it all. The rates stay exactly the same, and the fewer links are found much faster.

use std::collections::BTreeMap;

use masim_engine::{Hop, LinkId};
use masim_units::Bandwidth;

/// The paths without links that another link dominates: every path that crosses the one crosses the other at
/// least as often, and the other is no faster. Of links that dominate each other the first stays.
///
/// Holds as long as links keep their speeds.
pub fn essential(paths: &[Vec<Hop>], bandwidth: impl Fn(LinkId) -> Bandwidth) -> Vec<Vec<Hop>> {
    let mut crossed_by = BTreeMap::<LinkId, Vec<usize>>::new();
    for (path, hops) in paths.iter().enumerate() {
        for hop in hops {
            crossed_by.entry(hop.link).or_default().push(path);
        }
    }
    let crossings = |path: usize, link: LinkId| {
        paths[path].iter().find(|hop| hop.link == link).map_or(0, |hop| hop.multiplicity)
    };
    let dominates = |a: LinkId, b: LinkId| {
        let is_narrower = (bandwidth(a), a) < (bandwidth(b), b);
        is_narrower && crossed_by[&b].iter().all(|&path| crossings(path, a) >= crossings(path, b))
    };
    let is_dominated = |link: LinkId, crossing: &[usize]| {
        paths[crossing[0]].iter().any(|other| other.link != link && dominates(other.link, link))
    };
    let needless: Vec<LinkId> = crossed_by
        .iter()
        .filter(|(link, crossing)| is_dominated(**link, crossing))
        .map(|(link, _)| *link)
        .collect();
    let keep = |hop: &&Hop| needless.binary_search(&hop.link).is_err();
    paths.iter().map(|hops| hops.iter().filter(keep).copied().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(links: &[u32]) -> Vec<Hop> {
        links.iter().map(|&link| Hop { link: LinkId(link), multiplicity: 1 }).collect()
    }

    fn equal(_: LinkId) -> Bandwidth {
        Bandwidth::from_gb_per_sec(25)
    }

    #[test]
    fn a_chain_of_equal_links_is_one_link() {
        // Links 0, 1, 2 form a chain out of a GPU; 3 and 4 lead to two others.
        let paths = [path(&[0, 1, 2, 3]), path(&[0, 1, 2, 4])];
        assert_eq!(essential(&paths, equal), [path(&[0, 3]), path(&[0, 4])]);
    }

    #[test]
    fn a_narrower_link_stays_wherever_it_is() {
        let bandwidth = |link: LinkId| Bandwidth::from_gb_per_sec(if link.0 == 2 { 10 } else { 25 });
        assert_eq!(essential(&[path(&[0, 1, 2])], bandwidth), [path(&[2])]);
    }

    #[test]
    fn a_link_that_others_share_stays() {
        // Link 1 is shared by both paths, links 0 and 2 are not.
        let paths = [path(&[0, 1]), path(&[2, 1])];
        assert_eq!(essential(&paths, equal), paths);
    }

    #[test]
    fn a_link_that_is_crossed_more_often_stays() {
        let twice = vec![Hop { link: LinkId(0), multiplicity: 1 }, Hop { link: LinkId(1), multiplicity: 2 }];
        assert_eq!(essential(&[twice], equal), [vec![Hop { link: LinkId(1), multiplicity: 2 }]]);
    }
}
