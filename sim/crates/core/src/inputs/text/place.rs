//! From a dot path to a line and a column.

use super::read::shown_at;
use super::tree::{Position, Tree, TreeValue};

/// Position of the value at the dot path `key`, or of the innermost part of the path that exists.
///
/// List items are `.3` or `[3]`. Keys that themselves hold dots are found too.
pub(super) fn position_of(tree: &Tree, key: &str) -> Option<Position> {
    find(tree, None, key).position
}

/// Part of a path that was found.
struct Found {
    /// Number of parts that were not found.
    n_left: usize,
    position: Option<Position>,
}

fn find(tree: &Tree, here: Option<Position>, path: &str) -> Found {
    let path = path.trim_start_matches('.');
    let stop = Found { n_left: path.len(), position: here };
    if path.is_empty() {
        return stop;
    }
    match &tree.value {
        TreeValue::Map(entries) => entries
            .iter()
            .filter_map(|entry| {
                let rest = path.strip_prefix(entry.key.as_str())?;
                let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                ends.then(|| find(&entry.tree, shown_at(entry), rest))
            })
            .min_by_key(|found| found.n_left)
            .unwrap_or(stop),
        TreeValue::List(items) => match item_of(path).and_then(|(idx, rest)| Some((items.get(idx)?, rest))) {
            Some((item, rest)) => find(item, item.at, rest),
            None => stop,
        },
        TreeValue::Null
        | TreeValue::Bool(_)
        | TreeValue::Whole(_)
        | TreeValue::Real(_)
        | TreeValue::Text(_) => stop,
    }
}

/// Splits `[3].rest` or `3.rest` into the index and the rest.
fn item_of(path: &str) -> Option<(usize, &str)> {
    let (idx, rest) = match path.strip_prefix('[') {
        Some(path) => path.split_once(']')?,
        None => path.split_at(path.find(['.', '[']).unwrap_or(path.len())),
    };
    Some((idx.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::text::SourceText;

    #[test]
    fn a_path_leads_to_its_value_or_as_far_as_it_goes() {
        let text = "gpu: [a, b]\nnodes:\n  - name: x\n    gpu: y\naxes:\n  - { a.b: [1, 2], a: 3 }\n";
        let tree = Tree::parse(&SourceText { path: "x.yaml".to_owned(), text: text.to_owned() }).unwrap();
        let at = |key| position_of(&tree, key);
        assert_eq!(at("gpu"), Some((1, 1)));
        assert_eq!(at("gpu.1"), Some((1, 10)));
        assert_eq!(at("gpu[1]"), Some((1, 10)));
        assert_eq!(at("nodes[0].gpu"), Some((4, 10)));
        assert_eq!(at("nodes.0.missing"), Some((3, 5)));
        assert_eq!(at("nodes[7]"), Some((2, 1)));
        assert_eq!(at("axes[0].a.b[1]"), Some((6, 16)));
        assert_eq!(at("axes[0].a"), Some((6, 23)));
        assert_eq!(at("nowhere"), None);
    }
}
