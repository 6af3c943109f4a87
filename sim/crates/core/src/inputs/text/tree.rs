//! A file as a tree of values that remember where they stand.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_saphyr::{FlowSeq, Location, Spanned};

use super::{InputError, Problem, SourceText};

/// Nesting beyond this is no file that a person wrote, and would end in a stack overflow.
const DEPTH_MAX: usize = 64;

/// Line and column, both from 1.
pub type Position = (u32, u32);

/// A value of a file, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// `None` where a program put the value.
    pub at: Option<Position>,
    /// The value.
    pub value: TreeValue,
}

/// Kinds of value of a [`Tree`].
#[derive(Clone, Debug, PartialEq)]
pub enum TreeValue {
    /// `null`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Whole(i128),
    /// Any other number; finite.
    Real(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// A mapping, in the order of the file; no key stands twice.
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Position of the key.
    pub at: Option<Position>,
    /// Value of the key.
    pub tree: Tree,
}

impl Tree {
    /// Reads YAML.
    ///
    /// # Errors
    ///
    /// The first syntax error; a file that holds no mapping, or several documents.
    pub fn parse(source: &SourceText) -> Result<Self, InputError> {
        let tree = Self::read(&source.text).map_err(|problem| InputError::syntax(source, problem))?;
        let found = match tree.value {
            TreeValue::Map(_) => return Ok(tree),
            TreeValue::Null => "is empty",
            TreeValue::List(_) => "holds a list",
            TreeValue::Bool(_) | TreeValue::Whole(_) | TreeValue::Real(_) | TreeValue::Text(_) => {
                "holds one value"
            }
        };
        Err(InputError::syntax(source, Problem::new("", format!("the file {found}; expected a mapping"))))
    }

    /// Reads a value as a command line holds it, such as `3`, `x1.1` or `{ kind: balanced }`.
    ///
    /// # Errors
    ///
    /// A message that says what is wrong with the text.
    pub fn parse_value(text: &str) -> Result<Self, String> {
        let mut tree = Self::read(text).map_err(|problem| problem.message)?;
        tree.forget_positions();
        Ok(tree)
    }

    fn read(text: &str) -> Result<Self, Problem> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, flow_nesting_limit: DEPTH_MAX },
        };
        let spanned: Result<Spanned<Bare>, _> = serde_saphyr::from_str_with_options(text, options);
        spanned.map(Self::from).map_err(|error| Problem {
            position: error.location().as_ref().and_then(position_of),
            key: String::new(),
            message: finding(error.without_snippet()),
            hint: None,
        })
    }

    /// The value of `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            TreeValue::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.tree),
            _ => None,
        }
    }

    /// The text, where this is text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            TreeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The tree of anything that can be written.
    ///
    /// # Panics
    ///
    /// When `file` holds what no file can hold, such as a mapping whose keys are not text.
    pub fn of(file: &impl Serialize) -> Self {
        serde_json::to_value(file).map(Self::from).expect("a file type can be written as JSON")
    }

    /// Compact JSON; equal text means an equal value.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a tree holds only what JSON can hold")
    }

    /// YAML, as a file of its own.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("a tree holds only what YAML can hold")
    }

    /// Text for a cell of a table: bare text and numbers, anything else as compact JSON.
    pub fn to_cell(&self) -> String {
        self.as_text().map_or_else(|| self.to_json(), str::to_owned)
    }

    /// Drops all positions, for values that move into another file.
    pub fn forget_positions(&mut self) {
        self.at = None;
        match &mut self.value {
            TreeValue::List(items) => items.iter_mut().for_each(Self::forget_positions),
            TreeValue::Map(entries) => {
                for entry in entries {
                    entry.at = None;
                    entry.tree.forget_positions();
                }
            }
            TreeValue::Null
            | TreeValue::Bool(_)
            | TreeValue::Whole(_)
            | TreeValue::Real(_)
            | TreeValue::Text(_) => {}
        }
    }
}

impl From<TreeValue> for Tree {
    fn from(value: TreeValue) -> Self {
        Self { at: None, value }
    }
}

impl From<serde_json::Value> for Tree {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => TreeValue::Null,
            Json::Bool(truth) => TreeValue::Bool(truth),
            Json::Number(number) => number
                .as_i128()
                .map_or_else(|| TreeValue::Real(number.as_f64().unwrap_or(f64::MAX)), TreeValue::Whole),
            Json::String(text) => TreeValue::Text(text),
            Json::Array(items) => TreeValue::List(items.into_iter().map(Self::from).collect()),
            Json::Object(entries) => {
                let entry = |(key, value)| Entry { key, at: None, tree: Self::from(value) };
                TreeValue::Map(entries.into_iter().map(entry).collect())
            }
        };
        Self::from(value)
    }
}

/// True for a list of numbers, which is read along a line, and false for a list of things.
fn is_row(items: &[Tree]) -> bool {
    let is_number = |item: &Tree| matches!(item.value, TreeValue::Real(_) | TreeValue::Whole(_));
    items.iter().all(is_number) && items.iter().any(|item| matches!(item.value, TreeValue::Real(_)))
}

/// The number that a row holds.
fn number(value: &TreeValue) -> f64 {
    match value {
        TreeValue::Real(x) => *x,
        TreeValue::Whole(n) => *n as f64,
        TreeValue::Null
        | TreeValue::Bool(_)
        | TreeValue::Text(_)
        | TreeValue::List(_)
        | TreeValue::Map(_) => {
            unreachable!("rows hold numbers")
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            TreeValue::Null => to.serialize_unit(),
            TreeValue::Bool(truth) => to.serialize_bool(*truth),
            TreeValue::Whole(n) => match (u64::try_from(*n), i64::try_from(*n)) {
                (Ok(n), _) => to.serialize_u64(n),
                (_, Ok(n)) => to.serialize_i64(n),
                _ => to.serialize_f64(*n as f64),
            },
            TreeValue::Real(x) => to.serialize_f64(*x),
            TreeValue::Text(text) => to.serialize_str(text),
            TreeValue::List(items) if is_row(items) => {
                FlowSeq(items.iter().map(|item| &item.value).map(number).collect::<Vec<_>>()).serialize(to)
            }
            TreeValue::List(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            TreeValue::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key, &entry.tree)?;
                }
                map.end()
            }
        }
    }
}

/// A tree whose own position is still known only to the [`Spanned`] around it.
struct Bare(TreeValue);

impl From<Spanned<Bare>> for Tree {
    fn from(spanned: Spanned<Bare>) -> Self {
        Self { at: position_of(&spanned.referenced), value: spanned.value.0 }
    }
}

/// Message of the YAML reader, without the names of its own settings.
fn finding(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as Yaml;
    match error {
        Yaml::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` stands twice"),
        Yaml::MultipleDocuments { .. } => "the file holds several documents; expected one".to_owned(),
        Yaml::NonFiniteFloat { value, .. } => {
            format!("`{value}` is not a finite number; expected at most 1.8e308")
        }
        Yaml::Budget { .. } => format!("the file is too large or nests deeper than {DEPTH_MAX} levels"),
        other => {
            let message = other.to_string();
            message.rsplit_once(" at line ").map_or(message.clone(), |(finding, _)| finding.to_owned())
        }
    }
}

fn position_of(at: &Location) -> Option<Position> {
    let position = (u32::try_from(at.line()).ok()?, u32::try_from(at.column()).ok()?);
    (position.0 > 0).then_some(position)
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(BareVisitor)
    }
}

struct BareVisitor;

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Bare;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Bare, E> {
        Ok(Bare(TreeValue::Null))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Bare, E> {
        Ok(Bare(TreeValue::Bool(truth)))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Bare, E> {
        Ok(Bare(TreeValue::Whole(n.into())))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Bare, E> {
        Ok(Bare(TreeValue::Whole(n.into())))
    }

    fn visit_i128<E>(self, n: i128) -> Result<Bare, E> {
        Ok(Bare(TreeValue::Whole(n)))
    }

    fn visit_u128<E: serde::de::Error>(self, n: u128) -> Result<Bare, E> {
        i128::try_from(n).map(|n| Bare(TreeValue::Whole(n))).map_err(|_| E::custom("the number is too large"))
    }

    fn visit_f64<E: serde::de::Error>(self, x: f64) -> Result<Bare, E> {
        if x.is_finite() { Ok(Bare(TreeValue::Real(x))) } else { Err(E::custom("the number is not finite")) }
    }

    fn visit_str<E>(self, text: &str) -> Result<Bare, E> {
        Ok(Bare(TreeValue::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Bare, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element::<Spanned<Bare>>()? {
            items.push(item.into());
        }
        Ok(Bare(TreeValue::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Bare, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((key, value)) = from.next_entry::<Spanned<String>, Spanned<Bare>>()? {
            let at = position_of(&key.referenced);
            let key = key.value;
            if entries.iter().any(|entry| entry.key == key) {
                return Err(A::Error::custom(format!("the key `{key}` stands twice")));
            }
            entries.push(Entry { key, at, tree: value.into() });
        }
        Ok(Bare(TreeValue::Map(entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Tree, InputError> {
        Tree::parse(&SourceText { path: "x.yaml".to_owned(), text: text.to_owned() })
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn values_remember_where_they_stand() {
        let tree = parse("# a comment\na: 1\nb:\n  c: [x, 2.5, null, -3]\n").unwrap();
        assert_eq!(tree.at, Some((2, 1)));
        let list = tree.get("b").unwrap().get("c").unwrap();
        assert_eq!(list.at, Some((4, 6)));
        let TreeValue::List(items) = &list.value else { panic!("a list") };
        assert_eq!(items[1], Tree { at: Some((4, 10)), value: TreeValue::Real(2.5) });
        assert_eq!(tree.to_json(), r#"{"a":1,"b":{"c":["x",2.5,null,-3]}}"#);
    }

    #[test]
    fn what_is_no_tree_is_an_error_with_a_position() {
        assert_eq!(message(""), "x.yaml: the file is empty; expected a mapping");
        assert_eq!(message("# only a comment\n"), "x.yaml: the file is empty; expected a mapping");
        assert_eq!(message("a: 1\na: 2\n"), "x.yaml:2:1: the key `a` stands twice");
        assert_eq!(
            message("a: 1\n---\na: 2\n"),
            "x.yaml:3:1: the file holds several documents; expected one"
        );
        assert_eq!(message("a: [1, 2\nb: 3\n"), "x.yaml:2:2: illegal placement of ':' indicator");
        let not_finite =
            |text| format!("x.yaml:1:4: `{text}` is not a finite number; expected at most 1.8e308");
        assert_eq!(message("a: .nan\n"), not_finite(".nan"));
        assert_eq!(message("a: 1e999\n"), not_finite("1e999"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_stack_overflow() {
        for text in ["[", "- ", "{a: "] {
            let found = message(&text.repeat(100_000));
            let known = ["nests deeper than 64 levels", "recursion limit exceeded"];
            assert!(known.iter().any(|end| found.ends_with(end)), "{}", &found[..found.len().min(200)]);
        }
    }
}
