//! The number of measured steps as a file has it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::inputs::text::kind::rest_of;

/// A number of measured steps: `auto`, at most a number, or `{ exactly: number }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepsFile {
    /// The run decides.
    #[default]
    Auto,
    /// At most so many.
    AtMost(u32),
    /// All of them.
    Exactly(u32),
}

/// The mapping of [`StepsFile::Exactly`].
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExactlyFile {
    exactly: u32,
}

impl Serialize for StepsFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::AtMost(n) => to.serialize_u32(*n),
            Self::Exactly(n) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("exactly", n)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for StepsFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StepsVisitor)
    }
}

struct StepsVisitor;

impl<'de> Visitor<'de> for StepsVisitor {
    type Value = StepsFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`auto`, a whole number, or `{ exactly: number }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<StepsFile, E> {
        match text {
            "auto" => Ok(StepsFile::Auto),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<StepsFile, E> {
        u32::try_from(n)
            .map(StepsFile::AtMost)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(n), &"at most 4294967295"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StepsFile, A::Error> {
        rest_of(map).map(|ExactlyFile { exactly }| StepsFile::Exactly(exactly))
    }
}

impl JsonSchema for StepsFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StepsFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of measured steps: `auto`, at most a number, or exactly a number.",
            "anyOf": [
                { "const": "auto" },
                { "type": "integer", "minimum": 1, "maximum": 1000 },
                {
                    "type": "object",
                    "properties": { "exactly": { "type": "integer", "minimum": 1, "maximum": 1_000_000 } },
                    "required": ["exactly"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
