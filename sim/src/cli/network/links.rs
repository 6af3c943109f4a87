//! Use of the links by a case, as tables and as JSON.

use masim_engine::LinkId;
use serde_json::json;

use crate::cli::table::Plain;
use masim_core::judging::metrics::network::NetworkUse;
use masim_core::judging::network::Case;

/// Rows of each table at most.
const N_ROWS: usize = 20;

/// Tables: the busiest links, the largest incasts, the largest volumes.
pub(super) fn text(case: &Case, found: &NetworkUse) -> String {
    let mut text = format!("{}: {} flows in {:.9} s\n\n", case.name, found.ends.len(), found.window_s);
    let mut links = Plain::new(["link", "bytes", "peak", "mean", "flows held back"]);
    let used: Vec<_> = found.busiest().into_iter().filter(|link| link.bytes > 0.0).collect();
    for link in used.iter().take(N_ROWS) {
        links.add([
            name(case, link.link).to_owned(),
            format!("{:.0}", link.bytes),
            percent(link.peak),
            percent(link.mean),
            link.n_limited.to_string(),
        ]);
    }
    text.push_str(&links.into_text());
    text.push_str(&more(used.len(), "links that carried something"));
    let mut incast: Vec<_> = found.incast.iter().map(|(&end, &n)| (n, end)).collect();
    incast.sort_by_key(|&(n, end)| (std::cmp::Reverse(n), end));
    let mut senders = Plain::new(["receiver", "most senders at once"]);
    for &(n, end) in incast.iter().take(N_ROWS) {
        senders.add([case.ends[end as usize].clone(), n.to_string()]);
    }
    text.push('\n');
    text.push_str(&senders.into_text());
    text.push_str(&more(incast.len(), "receivers"));
    let mut volume: Vec<_> = found.volume.iter().map(|(&pair, &bytes)| (bytes, pair)).collect();
    volume.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut pairs = Plain::new(["from", "to", "bytes"]);
    for &(bytes, (src, dst)) in volume.iter().take(N_ROWS) {
        pairs.add([case.ends[src as usize].clone(), case.ends[dst as usize].clone(), format!("{bytes:.0}")]);
    }
    text.push('\n');
    text.push_str(&pairs.into_text());
    text.push_str(&more(volume.len(), "pairs"));
    text
}

/// One line of JSON with everything.
pub(super) fn json(case: &Case, found: &NetworkUse) -> String {
    let link = |id: LinkId| name(case, id);
    let links: Vec<_> = found
        .links
        .iter()
        .map(|used| {
            json!({
                "link": link(used.link), "bytes": used.bytes.round(), "peak": used.peak, "mean": used.mean,
                "n_limited": used.n_limited,
            })
        })
        .collect();
    let end = |idx: u32| case.ends[idx as usize].as_str();
    let incast: Vec<_> =
        found.incast.iter().map(|(&to, n)| json!({ "receiver": end(to), "n_senders": n })).collect();
    let volume: Vec<_> = found
        .volume
        .iter()
        .map(|(&(src, dst), bytes)| json!({ "src": end(src), "dst": end(dst), "bytes": bytes.round() }))
        .collect();
    let value = json!({
        "case": case.name,
        "window_s": found.window_s,
        "finish_s": found.ends.iter().map(|end| end.as_secs()).collect::<Vec<_>>(),
        "limited_by": found.limits.iter().map(|limit| limit.map(link)).collect::<Vec<_>>(),
        "links": links,
        "incast": incast,
        "volume": volume,
    });
    format!("{value}\n")
}

fn name(case: &Case, link: LinkId) -> &str {
    &case.link_names[link.0 as usize]
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn more(n: usize, what: &str) -> String {
    if n > N_ROWS { format!("({N_ROWS} of {n} {what}; --json prints all)\n") } else { String::new() }
}
