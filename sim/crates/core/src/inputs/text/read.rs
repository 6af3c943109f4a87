//! From a [`Tree`] to the type that mirrors a file, with errors that name the place.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor, value::StrDeserializer,
};

use super::tree::{Entry, Position, Tree, TreeValue};
use super::{Problem, did_you_mean};

/// Error that stopped the reading, on its way out of the tree.
#[derive(Debug)]
pub(super) struct ReadError {
    /// Keys from the innermost outwards.
    path: Vec<String>,
    position: Option<Position>,
    message: String,
    hint: Option<String>,
    /// A key of the mapping being read that the finding is about.
    about: Option<String>,
}

impl ReadError {
    fn new(message: String) -> Self {
        Self { path: Vec::new(), position: None, message, hint: None, about: None }
    }

    /// Adds the `key` of the mapping or list around the place of the error.
    fn within(mut self, key: &str, position: Option<Position>) -> Self {
        self.path.push(key.to_owned());
        self.position = self.position.or(position);
        self
    }

    /// Moves an error about a key of the mapping `entries` to that key.
    fn settled(mut self, entries: &[Entry]) -> Self {
        match self.about.take() {
            Some(key) => {
                let at = entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.at);
                self.within(&key, at)
            }
            None => self,
        }
    }

    /// The problem, in the words of the project.
    pub(super) fn into_problem(self, root: Option<Position>) -> Problem {
        let mut key = String::new();
        for part in self.path.iter().rev() {
            if !key.is_empty() && !part.starts_with('[') {
                key.push('.');
            }
            key.push_str(part);
        }
        Problem { position: self.position.or(root), key, message: self.message, hint: self.hint }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("found {}; expected {}", in_words(found), expectation(expected)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Self::new(format!("found `{found}`; expected {}", one_of(expected)));
        error.hint = did_you_mean(found, expected.iter().copied());
        error
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Self::new(format!("there is no such key; expected {}", one_of(expected)));
        error.hint = did_you_mean(field, expected.iter().copied());
        error.about = Some(field.to_owned());
        error
    }

    fn missing_field(field: &'static str) -> Self {
        let mut error = Self::new("this key is required, but missing".to_owned());
        error.about = Some(field.to_owned());
        error
    }
}

/// Found value, in the vocabulary of serde.
fn unexpected(value: &TreeValue) -> Unexpected<'_> {
    match value {
        TreeValue::Null => Unexpected::Unit,
        TreeValue::Bool(truth) => Unexpected::Bool(*truth),
        TreeValue::Whole(n) => {
            i64::try_from(*n).map_or(Unexpected::Other("a large number"), Unexpected::Signed)
        }
        TreeValue::Real(x) => Unexpected::Float(*x),
        TreeValue::Text(text) => Unexpected::Str(text),
        TreeValue::List(_) => Unexpected::Seq,
        TreeValue::Map(_) => Unexpected::Map,
    }
}

/// Found value, without the vocabulary of serde.
fn in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(truth) => format!("`{truth}`"),
        Unexpected::Unsigned(n) => format!("the number {n}"),
        Unexpected::Signed(n) => format!("the number {n}"),
        Unexpected::Float(x) => format!("the number {x:?}"),
        Unexpected::Str(text) => format!("the text `{text}`"),
        Unexpected::Unit | Unexpected::Option => "`null`".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// Expected value, without the names of Rust's types.
fn expectation(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "u64" | "usize" => "a whole number from 0 to 18446744073709551615".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" => "text".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        _ if text.starts_with("struct ") => "a mapping".to_owned(),
        _ if text.starts_with("enum ") => "one of its names".to_owned(),
        _ => text,
    }
}

/// The allowed names, as a sentence says them.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [only] => only.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

/// Reads a tree with serde.
struct Reader<'de>(&'de Tree);

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let read = match &self.0.value {
            TreeValue::Null => visitor.visit_unit(),
            TreeValue::Bool(truth) => visitor.visit_bool(*truth),
            TreeValue::Whole(n) => match (u64::try_from(*n), i64::try_from(*n)) {
                (Ok(n), _) => visitor.visit_u64(n),
                (_, Ok(n)) => visitor.visit_i64(n),
                _ => Err(de::Error::custom(format!("the number {n} is too large"))),
            },
            TreeValue::Real(x) => visitor.visit_f64(*x),
            TreeValue::Text(text) => visitor.visit_borrowed_str(text),
            TreeValue::List(items) => visitor.visit_seq(ListAccess { items: items.iter(), next_idx: 0 }),
            TreeValue::Map(entries) => {
                visitor.visit_map(EntryAccess::new(entries)).map_err(|error| error.settled(entries))
            }
        };
        read.map_err(|mut error| {
            // A mapping is better shown by the key that holds it, which the caller knows.
            if !matches!(self.0.value, TreeValue::Map(_)) {
                error.position = error.position.or(self.0.at);
            }
            error
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0.value {
            TreeValue::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let read = match &self.0.value {
            TreeValue::Text(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            TreeValue::Map(entries) if entries.len() == 1 => visitor.visit_enum(VariantOf(&entries[0])),
            _ => Err(de::Error::invalid_type(unexpected(&self.0.value), &one_of(variants).as_str())),
        };
        read.map_err(|mut error| {
            error.position = error.position.or(self.0.at);
            error
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.0.value {
            // serde would also take a list of the values without their keys.
            TreeValue::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"a mapping")),
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct ListAccess<'de> {
    items: std::slice::Iter<'de, Tree>,
    next_idx: usize,
}

impl<'de> SeqAccess<'de> for ListAccess<'de> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let idx = self.next_idx;
        self.next_idx += 1;
        seed.deserialize(Reader(item)).map(Some).map_err(|error| error.within(&format!("[{idx}]"), item.at))
    }
}

struct EntryAccess<'de> {
    entries: Vec<&'de Entry>,
    value: Option<&'de Entry>,
}

impl<'de> EntryAccess<'de> {
    /// The entries in reverse, because they are popped; `kind` (of a workload, `phase`) is popped first,
    /// so that whoever reads a mapping of several kinds knows which one from the start.
    fn new(entries: &'de [Entry]) -> Self {
        let mut entries: Vec<&Entry> = entries.iter().rev().collect();
        entries.sort_by_key(|entry| entry.key == "kind" || entry.key == "phase");
        Self { entries, value: None }
    }
}

impl<'de> MapAccess<'de> for EntryAccess<'de> {
    type Error = ReadError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        self.value = self.entries.pop();
        match self.value {
            Some(entry) => seed.deserialize(StrDeserializer::new(&entry.key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        let entry = self.value.take().expect("a key is read before its value");
        seed.deserialize(Reader(&entry.tree)).map_err(|error| error.within(&entry.key, shown_at(entry)))
    }
}

/// A plain value is shown itself, anything larger by its key.
pub(super) fn shown_at(entry: &Entry) -> Option<Position> {
    match entry.tree.value {
        TreeValue::Map(_) | TreeValue::List(_) | TreeValue::Null => entry.at,
        TreeValue::Bool(_) | TreeValue::Whole(_) | TreeValue::Real(_) | TreeValue::Text(_) => entry.tree.at,
    }
}

/// A mapping of one key, read as a named choice with content.
struct VariantOf<'de>(&'de Entry);

impl<'de> EnumAccess<'de> for VariantOf<'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), ReadError> {
        let name = seed.deserialize(StrDeserializer::new(&self.0.key))?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for VariantOf<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        Err(de::Error::invalid_type(Unexpected::Map, &"a name"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ReadError> {
        seed.deserialize(Reader(&self.0.tree)).map_err(|error| error.within(&self.0.key, self.0.at))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ReadError> {
        Reader(&self.0.tree).deserialize_any(visitor).map_err(|error| error.within(&self.0.key, self.0.at))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        Reader(&self.0.tree).deserialize_any(visitor).map_err(|error| error.within(&self.0.key, self.0.at))
    }
}

impl Tree {
    /// Reads the type that mirrors the file.
    ///
    /// # Errors
    ///
    /// The first key that is unknown, missing or malformed.
    pub fn read_as<'de, F: Deserialize<'de>>(&'de self) -> Result<F, Problem> {
        F::deserialize(Reader(self)).map_err(|error| error.into_problem(self.at))
    }
}
