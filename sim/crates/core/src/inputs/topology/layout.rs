//! Positions of the vertices of a cluster in a picture.
//!
//! Rows from bottom to top: what joins the GPUs of a machine, the GPUs, the switches of the machine in
//! order of their distance from the GPUs, its NICs, and above all machines what joins those. Machines
//! stand side by side. Large clusters show their first machines only.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::Cluster;
use super::graph::{Vertex, VertexIdx, VertexKind};

/// Width of the widest picture, in GPUs.
const N_COLUMNS_MAX: usize = 32;
/// Spines shown at most.
const N_SPINES_MAX: usize = 16;
/// Height of a vertex.
const BOX_HEIGHT: f64 = 26.0;
/// From one row to the next.
const ROW: f64 = 76.0;
/// Around the machines, and between them.
const GAP: f64 = 24.0;
/// Between the frame of a machine and what is in it.
const PADDING: f64 = 14.0;
/// The line of text at the bottom of a machine, where no link runs.
const TITLE: f64 = 28.0;

/// A rectangle in pixels; y grows downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// From left to right.
    pub width: f64,
    /// From top to bottom.
    pub height: f64,
}

impl Rect {
    /// The middle.
    pub fn center(&self) -> (f64, f64) {
        (self.left + self.width / 2.0, self.top + self.height / 2.0)
    }

    /// The right edge.
    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    /// The lower edge.
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// Positions of everything in the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The vertices that are shown.
    pub spots: BTreeMap<VertexIdx, Rect>,
    /// The row of each shown vertex, from 0 at the bottom; GPUs stand in row 1.
    pub rows: BTreeMap<VertexIdx, usize>,
    /// The frames of the machines that are shown, from machine 0 on.
    pub frames: Vec<Rect>,
    /// Size of the whole.
    pub width: f64,
    /// Size of the whole.
    pub height: f64,
    /// Spines and switches between machines that are not shown.
    pub n_hidden_switches: usize,
}

/// Name of a vertex inside the frame of its machine: `g1` for `n0.g1`.
pub fn short_name(vertex: &Vertex) -> &str {
    let inside = vertex.node_idx.and_then(|node| vertex.name.strip_prefix(&format!("n{node}.")));
    inside.unwrap_or(&vertex.name)
}

/// Layout of everything in `cluster`.
pub fn layout(cluster: &Cluster) -> Layout {
    let planner = Planner::new(cluster);
    let mut layout = Layout {
        spots: BTreeMap::new(),
        rows: planner.rows.clone(),
        frames: Vec::new(),
        width: 0.0,
        height: 0.0,
        n_hidden_switches: 0,
    };
    let mut left = GAP;
    for node_idx in 0..planner.n_shown {
        let frame = planner.machine(node_idx, left, &mut layout.spots);
        left = frame.right() + GAP;
        layout.frames.push(frame);
    }
    layout.width = left;
    layout.height = layout.frames.first().map_or(0.0, Rect::bottom) + GAP;
    layout.n_hidden_switches = planner.between(&mut layout);
    layout
}

struct Planner<'a> {
    cluster: &'a Cluster,
    rows: BTreeMap<VertexIdx, usize>,
    n_shown: u32,
    column: f64,
    /// The highest row inside machines.
    row_inside: usize,
    row_max: usize,
    /// True if leaves join the NICs of equal index.
    has_rails: bool,
    /// Room below the GPUs for what joins them.
    below: f64,
}

impl<'a> Planner<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let rows = rows(cluster);
        let inside = |vertex: &Vertex| vertex.node_idx.is_some();
        let highest = |only_inside: bool| {
            let all = cluster.vertices().filter(|(_, vertex)| !only_inside || inside(vertex));
            all.map(|(idx, _)| rows[&idx]).max().unwrap_or(1)
        };
        let names = cluster.vertices().filter(|(_, vertex)| inside(vertex)).map(|(_, v)| short_name(v).len());
        let column = (names.max().unwrap_or(0) as f64 * 7.5 + 26.0).max(62.0);
        let widest = cluster.nodes().map(|node| node.len()).max().unwrap_or(1);
        let n_shown = u32::try_from((N_COLUMNS_MAX / widest).max(1)).unwrap_or(1).min(cluster.n_nodes());
        let has_nvswitch = cluster.vertices().any(|(_, vertex)| vertex.kind == VertexKind::NvSwitch);
        let below = if has_nvswitch { ROW } else { arc_depth(widest - 1) + 6.0 };
        let (row_inside, row_max) = (highest(true), highest(false));
        let is_leaf = |idx: VertexIdx| cluster.vertex(idx).kind == VertexKind::Leaf;
        let leaves_of = |nic_idx| {
            let nics = cluster.vertices().filter(move |(_, vertex)| {
                vertex.node_idx == Some(0) && vertex.kind == VertexKind::Nic { nic_idx }
            });
            nics.flat_map(|(idx, _)| cluster.neighbors(idx)).find(|&idx| is_leaf(idx))
        };
        let has_rails = leaves_of(1).is_some() && leaves_of(0) != leaves_of(1);
        Self { cluster, rows, n_shown, column, row_inside, row_max, has_rails, below }
    }

    /// The upper edge of a row.
    fn top(&self, row: usize) -> f64 {
        GAP + (self.row_max - row) as f64 * ROW
    }

    fn spot(&self, middle: f64, row: usize, width: f64) -> Rect {
        Rect { left: middle - width / 2.0, top: self.top(row), width, height: BOX_HEIGHT }
    }

    /// Places what is in a machine, and returns its frame.
    fn machine(&self, node_idx: u32, left: f64, spots: &mut BTreeMap<VertexIdx, Rect>) -> Rect {
        let members: Vec<_> =
            self.cluster.vertices().filter(|(_, vertex)| vertex.node_idx == Some(node_idx)).collect();
        let in_row = |row| members.iter().filter(move |(idx, _)| self.rows[idx] == row);
        let has_host = members.iter().any(|(_, vertex)| vertex.kind == VertexKind::Host);
        let widest =
            (1..=self.row_inside).map(|row| in_row(row).count() - usize::from(has_host && row == 2)).max();
        let n_columns = widest.unwrap_or(1).max(1);
        let x = |column: f64| left + PADDING + (column + 0.5) * self.column;
        // GPUs come before the switches that stand above the middle of theirs.
        for row in 0..=self.row_inside {
            let placed: Vec<_> = in_row(row).filter(|(_, vertex)| vertex.kind != VertexKind::Host).collect();
            let share = n_columns as f64 / placed.len().max(1) as f64;
            for (position, (idx, vertex)) in placed.into_iter().enumerate() {
                let spread = x((position as f64 + 0.5) * share - 0.5);
                let (middle, width) = match vertex.kind {
                    VertexKind::NvSwitch => (spread, n_columns as f64 * self.column - 10.0),
                    VertexKind::PcieSwitch => {
                        (self.mean_of_gpus(*idx, spots).unwrap_or(spread), self.column - 10.0)
                    }
                    _ => (spread, self.column - 10.0),
                };
                spots.insert(*idx, self.spot(middle, row, width));
            }
        }
        if let Some((idx, _)) = members.iter().find(|(_, vertex)| vertex.kind == VertexKind::Host) {
            spots.insert(*idx, self.spot(x(n_columns as f64), 2, self.column - 10.0));
        }
        let top = self.top(self.row_inside) - PADDING;
        let bottom = self.top(1) + BOX_HEIGHT + self.below + TITLE;
        let n_columns = n_columns + usize::from(has_host);
        let width = n_columns as f64 * self.column + 2.0 * PADDING;
        Rect { left, top, width, height: bottom - top }
    }

    /// The middle of the GPUs on a `PCIe` switch.
    fn mean_of_gpus(&self, switch: VertexIdx, spots: &BTreeMap<VertexIdx, Rect>) -> Option<f64> {
        let is_gpu = |idx: &VertexIdx| matches!(self.cluster.vertex(*idx).kind, VertexKind::Gpu(_));
        let gpus: Vec<_> =
            self.cluster.neighbors(switch).filter(is_gpu).filter_map(|idx| spots.get(&idx)).collect();
        let sum: f64 = gpus.iter().map(|spot| spot.center().0).sum();
        (!gpus.is_empty()).then(|| sum / gpus.len() as f64)
    }

    /// Places what joins machines, and returns how much of it is not shown.
    fn between(&self, layout: &mut Layout) -> usize {
        let mut n_hidden = 0;
        for row in 1..=self.row_max {
            let all: Vec<_> = (self.cluster.vertices())
                .filter(|(idx, vertex)| vertex.node_idx.is_none() && self.rows[idx] == row)
                .collect();
            let is_shown =
                |idx: VertexIdx| self.cluster.neighbors(idx).any(|to| layout.spots.contains_key(&to));
            let shown: Vec<_> = all.iter().filter(|(idx, _)| is_shown(*idx)).take(N_SPINES_MAX).collect();
            n_hidden += all.len() - shown.len();
            let share = (layout.width - 2.0 * GAP) / shown.len().max(1) as f64;
            for (position, (idx, vertex)) in shown.iter().enumerate() {
                let spread = GAP + (position as f64 + 0.5) * share;
                let width = (short_name(vertex).len() as f64 * 7.5 + 26.0).max(62.0).min(share - 6.0);
                let spot = self.bar(*idx, vertex, layout).unwrap_or_else(|| self.spot(spread, row, width));
                layout.spots.insert(*idx, spot);
            }
        }
        n_hidden
    }

    /// A switch under which its NICs stand side by side spans them.
    fn bar(&self, idx: VertexIdx, vertex: &Vertex, layout: &Layout) -> Option<Rect> {
        let spans = match vertex.kind {
            VertexKind::Fabric => true,
            VertexKind::Leaf => !self.has_rails,
            _ => false,
        };
        let nodes: BTreeSet<u32> =
            self.cluster.neighbors(idx).filter_map(|to| self.cluster.vertex(to).node_idx).collect();
        let shown: Vec<_> = nodes.into_iter().filter_map(|node| layout.frames.get(node as usize)).collect();
        let (first, last) = (shown.first()?, shown.last()?);
        let left = first.left + PADDING;
        spans.then(|| Rect {
            left,
            top: self.top(self.rows[&idx]),
            width: last.right() - PADDING - left,
            height: BOX_HEIGHT,
        })
    }
}

/// Depth of the arc below two GPUs of a row that stand `span` columns apart.
pub fn arc_depth(span: usize) -> f64 {
    if span == 0 { 8.0 } else { 10.0 + 12.0 * span as f64 }
}

/// The row of each vertex.
fn rows(cluster: &Cluster) -> BTreeMap<VertexIdx, usize> {
    let ranks = ranks(cluster);
    let inside_max = (cluster.vertices())
        .filter(|(_, vertex)| vertex.kind == VertexKind::Switch && vertex.node_idx.is_some())
        .map(|(idx, _)| ranks[&idx])
        .max()
        .unwrap_or(0);
    let outside =
        |(_, vertex): &(VertexIdx, &Vertex)| vertex.kind == VertexKind::Switch && vertex.node_idx.is_none();
    let outside_min = cluster.vertices().filter(outside).map(|(idx, _)| ranks[&idx]).min().unwrap_or(0);
    let row = |idx: VertexIdx, vertex: &Vertex| match vertex.kind {
        VertexKind::NvSwitch => 0,
        VertexKind::Gpu(_) => 1,
        VertexKind::PcieSwitch | VertexKind::Host => 2,
        VertexKind::Nic { .. } => 3,
        VertexKind::Fabric | VertexKind::Leaf => 4,
        VertexKind::Spine => 5,
        VertexKind::Switch if vertex.node_idx.is_some() => 1 + ranks[&idx],
        VertexKind::Switch => 2 + inside_max + ranks[&idx] - outside_min,
    };
    cluster.vertices().map(|(idx, vertex)| (idx, row(idx, vertex))).collect()
}

/// The distance of each vertex from the nearest GPU, in links of either direction.
fn ranks(cluster: &Cluster) -> BTreeMap<VertexIdx, usize> {
    let is_gpu = |(_, vertex): &(VertexIdx, &Vertex)| matches!(vertex.kind, VertexKind::Gpu(_));
    let mut ranks: BTreeMap<_, _> = cluster.vertices().filter(is_gpu).map(|(idx, _)| (idx, 0)).collect();
    let mut front: Vec<_> = ranks.keys().copied().collect();
    for rank in 1.. {
        let next: BTreeSet<_> = front
            .iter()
            .flat_map(|&idx| cluster.neighbors(idx))
            .filter(|idx| !ranks.contains_key(idx))
            .collect();
        if next.is_empty() {
            break;
        }
        ranks.extend(next.iter().map(|&idx| (idx, rank)));
        front = next.into_iter().collect();
    }
    // A vertex that no link joins stands with the nearest.
    for (idx, _) in cluster.vertices() {
        ranks.entry(idx).or_insert(1);
    }
    ranks
}
