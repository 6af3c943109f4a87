//! Values that a file may write in more than one way: a name or the content in place, a figure with or
//! without a source.
//!
//! Written by hand because a derived `untagged` says "no variant matched" where the reader needs to
//! hear which key is wrong.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The name of a file, or its content in place (sweeps patch copies in memory).
#[derive(Clone, Debug, PartialEq, serde::Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ReferenceFile<T> {
    /// A file stem, or a path relative to the file that names it.
    Name(String),
    /// The content itself.
    Inline(Box<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ReferenceFile<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ReferenceVisitor(PhantomData))
    }
}

struct ReferenceVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ReferenceVisitor<T> {
    type Value = ReferenceFile<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a file, or its content in place")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(ReferenceFile::Name(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|file| ReferenceFile::Inline(Box::new(file)))
    }
}

/// One card for every GPU of a cluster, or one card for each node.
#[derive(Clone, Debug, PartialEq, serde::Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "CardsFile")]
pub enum CardsFile<G> {
    /// One for all.
    Same(ReferenceFile<G>),
    /// One for each node.
    PerNode(Vec<ReferenceFile<G>>),
}

impl<'de, G: Deserialize<'de>> Deserialize<'de> for CardsFile<G> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CardsVisitor(PhantomData))
    }
}

struct CardsVisitor<G>(PhantomData<G>);

impl<'de, G: Deserialize<'de>> Visitor<'de> for CardsVisitor<G> {
    type Value = CardsFile<G>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a GPU card, its content in place, or a list with one of them for each node")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        ReferenceVisitor(PhantomData).visit_str(name).map(CardsFile::Same)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        ReferenceVisitor(PhantomData).visit_map(map).map(CardsFile::Same)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(CardsFile::PerNode)
    }
}

/// A figure, `60 W`, or with a source of its own, `{ value: 60 W, source: "..." }`.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureFile<Q> {
    /// The figure.
    pub value: Q,
    /// Source of the value, if it is not the source of the block.
    pub source: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FigureBlock<Q> {
    value: Q,
    source: String,
}

impl<'de, Q: Deserialize<'de>> Deserialize<'de> for FigureFile<Q> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FigureVisitor(PhantomData))
    }
}

struct FigureVisitor<Q>(PhantomData<Q>);

impl<'de, Q: Deserialize<'de>> FigureVisitor<Q> {
    fn plain<E: Error>(value: impl IntoDeserializer<'de, E>) -> Result<FigureFile<Q>, E> {
        Q::deserialize(value.into_deserializer()).map(|value| FigureFile { value, source: None })
    }
}

impl<'de, Q: Deserialize<'de>> Visitor<'de> for FigureVisitor<Q> {
    type Value = FigureFile<Q>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number and a unit, or `{ value, source }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Self::plain(text)
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Self::Value, E> {
        Self::plain(n)
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<Self::Value, E> {
        Self::plain(n)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let block = FigureBlock::deserialize(MapAccessDeserializer::new(map))?;
        Ok(FigureFile { value: block.value, source: Some(block.source) })
    }
}

impl<Q: Serialize> Serialize for FigureFile<Q> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.source {
            None => self.value.serialize(to),
            Some(source) => {
                let mut map = to.serialize_map(Some(2))?;
                map.serialize_entry("value", &self.value)?;
                map.serialize_entry("source", source)?;
                map.end()
            }
        }
    }
}

impl<Q> JsonSchema for FigureFile<Q> {
    fn schema_name() -> Cow<'static, str> {
        "FigureFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number and a unit, or the same with a source of its own.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "value": { "type": "string" }, "source": { "type": "string" } },
                    "required": ["value", "source"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
