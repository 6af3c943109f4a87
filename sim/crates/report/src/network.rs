//! Use of the network in one run: JSON, a picture of busy links, and a matrix of the bytes between pairs.

use std::fmt::Write;

use masim_engine::LinkId;
use serde_json::{Value, json};

use crate::topology_picture::utilisation_svg;
use masim_core::inputs::topology::Cluster;
use masim_core::judging::metrics::network::NetworkUse;

#[cfg(test)]
mod tests;

/// GPUs of a matrix that can still be read.
const N_GPUS_MAX: u32 = 64;
/// Side of a cell of the matrix, in pixels.
const CELL: f64 = 15.0;
/// Room for names beside the matrix.
const MARGIN: f64 = 58.0;
/// Colours of the matrix from little to much (`ColorBrewer` `OrRd`); the first is nothing.
const SHADES: [&str; 7] = ["#f4f4f4", "#fef0d9", "#fdd49e", "#fdbb84", "#fc8d59", "#e34a33", "#b30000"];

/// One run whose network is shown.
#[derive(Clone, Debug)]
pub struct NetworkShown<'a> {
    /// Its row in the results.
    pub row_idx: u32,
    /// Which plan at which point, in words.
    pub what: String,
    /// Cluster of the run.
    pub cluster: &'a Cluster,
    /// Use of the network.
    pub used: NetworkUse,
}

impl NetworkShown<'_> {
    /// Everything, as a JSON document.
    pub fn json(&self) -> String {
        let Self { row_idx, what, cluster, used } = self;
        let gpu = |idx: u32| cluster.gpus[idx as usize].name.as_str();
        let links: Vec<Value> = used
            .links
            .iter()
            .map(|link| {
                json!({
                    "link": cluster.link(link.link).name, "bytes": link.bytes.round(), "peak": link.peak,
                    "mean": link.mean, "n_limited": link.n_limited,
                })
            })
            .collect();
        let incast: Vec<Value> =
            used.incast.iter().map(|(&to, n)| json!({ "gpu": gpu(to), "n_senders": n })).collect();
        let volume: Vec<Value> = used
            .volume
            .iter()
            .map(|(&(src, dst), bytes)| json!({ "src": gpu(src), "dst": gpu(dst), "bytes": bytes.round() }))
            .collect();
        let transfers: Vec<Value> = used
            .bottlenecks
            .iter()
            .map(|of| {
                let link = of.link.map(|link| cluster.link(link).name.as_str());
                json!({
                    "work": of.kind, "n_flows": of.n_flows, "bytes": of.bytes.round(), "bottleneck": link,
                    "share": of.share, "n_alike": of.n_alike,
                })
            })
            .collect();
        let value = json!({
            "schema": 1, "row_idx": row_idx, "what": what, "cluster": cluster.name, "window_us": used.window_s * 1e6,
            "transfers": transfers, "links": links, "incast": incast, "volume": volume,
        });
        format!("{value:#}\n")
    }

    /// The cluster, links coloured by mean use; without a namespace where it stands inside a page.
    pub fn links_svg(&self) -> String {
        let shares: Vec<_> = self.used.links.iter().map(|link| link.mean).collect();
        utilisation_svg(self.cluster, &shares)
    }

    /// Bytes from each GPU (rows) to each GPU (columns); empty for more GPUs than can be read.
    pub fn volume_svg(&self) -> String {
        let n = self.cluster.n_gpus();
        let most = self.used.volume.values().copied().fold(0.0, f64::max);
        if n > N_GPUS_MAX || most <= 0.0 {
            return String::new();
        }
        let extent = f64::from(n) * CELL;
        let (width, height) = (MARGIN + extent + 150.0, MARGIN + extent.max(8.0 * 20.0) + 12.0);
        let mut out = format!(
            r##"<svg viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="10" role="img"><title>Bytes from GPU to GPU</title><rect width="100%" height="100%" fill="#ffffff"/>"##
        );
        let mut add =
            |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("a string takes every text");
        let shade = |bytes: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 6")]
            let at = (bytes / most * 6.0).ceil().clamp(0.0, 6.0) as usize;
            SHADES[at]
        };
        for idx in 0..n {
            let at = MARGIN + (f64::from(idx) + 0.5) * CELL;
            let name = &self.cluster.gpus[idx as usize].name;
            add(format_args!(
                r##"<text x="{:.1}" y="{:.1}" text-anchor="end" fill="#333333">{name}</text>"##,
                MARGIN - 5.0,
                at + 3.5
            ));
            add(format_args!(
                r##"<text transform="translate({:.1} {:.1}) rotate(-60)" fill="#333333">{name}</text>"##,
                at + 2.0,
                MARGIN - 5.0
            ));
            for dst in 0..n {
                let bytes = self.used.volume.get(&(idx, dst)).copied().unwrap_or(0.0);
                let (x, y) = (MARGIN + f64::from(dst) * CELL, at - 0.5 * CELL);
                let (size, fill) = (CELL - 1.0, shade(bytes));
                let to = &self.cluster.gpus[dst as usize].name;
                add(format_args!(
                    r#"<rect x="{x:.1}" y="{y:.1}" width="{size}" height="{size}" fill="{fill}"><title>{name} to {to}: {}</title></rect>"#,
                    bytes_text(bytes)
                ));
            }
        }
        let left = MARGIN + extent + 18.0;
        for (step, fill) in SHADES.iter().enumerate() {
            let y = MARGIN + 18.0 * step as f64;
            let text = match step {
                0 => "nothing".to_owned(),
                _ => format!("to {}", bytes_text(most * step as f64 / 6.0)),
            };
            add(format_args!(
                r##"<rect x="{left:.1}" y="{y:.1}" width="14" height="14" fill="{fill}" stroke="#bbbbbb"/><text x="{:.1}" y="{:.1}" fill="#333333">{text}</text>"##,
                left + 20.0,
                y + 11.0
            ));
        }
        out.push_str("</svg>");
        out
    }

    /// Rows of a table: kind of transfer, flows, bytes, the link that holds them back, and for which share of their time.
    pub(crate) fn transfers(&self) -> Vec<[String; 5]> {
        let row = |of: &masim_core::judging::metrics::network::Bottleneck| {
            let alike = if of.n_alike > 1 { format!(" and {} alike", of.n_alike - 1) } else { String::new() };
            let own = || "no link: its own rate or latency".to_owned();
            let link = of.link.map_or_else(own, |link| format!("{}{alike}", self.link_name(link)));
            let share = format!("{:.0} %", 100.0 * of.share);
            [of.kind.to_owned(), of.n_flows.to_string(), bytes_text(of.bytes), link, share]
        };
        self.used.bottlenecks.iter().map(row).collect()
    }

    /// Rows of a table: the ten busiest links, their bytes, mean and peak use, and the flows that they held back.
    pub(crate) fn busiest(&self) -> Vec<[String; 5]> {
        let used = self.used.busiest().into_iter().filter(|link| link.bytes > 0.0).take(10);
        let row = |link: masim_core::judging::metrics::network::LinkUse| {
            let percent = |share: f64| format!("{:.1} %", 100.0 * share);
            let bytes = bytes_text(link.bytes);
            [
                self.link_name(link.link),
                bytes,
                percent(link.mean),
                percent(link.peak),
                link.n_limited.to_string(),
            ]
        };
        used.map(row).collect()
    }

    /// The receivers that most senders meet at, in a sentence.
    pub(crate) fn incast_text(&self) -> String {
        let most = self.used.incast.values().copied().max().unwrap_or(0);
        let at: Vec<_> = self.used.incast.iter().filter(|(_, n)| **n == most).collect();
        let names: Vec<_> =
            at.iter().take(4).map(|(to, _)| self.cluster.gpus[**to as usize].name.as_str()).collect();
        let more = if at.len() > names.len() {
            format!(" and {} more", at.len() - names.len())
        } else {
            String::new()
        };
        match most {
            0 => "No GPU received anything.".to_owned(),
            _ => format!("At most {most} GPUs send to one at once: to {}{more}.", names.join(", ")),
        }
    }

    fn link_name(&self, link: LinkId) -> String {
        self.cluster.link(link).name.clone()
    }
}

/// `1.50 MB`.
fn bytes_text(bytes: f64) -> String {
    match bytes {
        bytes if bytes >= 1e9 => format!("{:.2} GB", bytes / 1e9),
        bytes if bytes >= 1e6 => format!("{:.2} MB", bytes / 1e6),
        bytes if bytes >= 1e3 => format!("{:.1} kB", bytes / 1e3),
        _ => format!("{bytes:.0} B"),
    }
}
