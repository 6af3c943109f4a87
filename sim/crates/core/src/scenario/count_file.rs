//! Counts that may be left to the search.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// A count, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountFile {
    /// The best is looked for.
    #[default]
    Auto,
    /// Given.
    Fixed(u32),
}

impl Serialize for CountFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Fixed(n) => to.serialize_u32(*n),
        }
    }
}

impl<'de> Deserialize<'de> for CountFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = CountFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`auto` or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CountFile, E> {
        match text {
            "auto" => Ok(CountFile::Auto),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<CountFile, E> {
        u32::try_from(n)
            .map(CountFile::Fixed)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(n), &"at most 4294967295"))
    }
}

impl JsonSchema for CountFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CountFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A count, or `auto`.",
            "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1 }]
        })
    }
}
