//! The YAML of variation from run to run.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::inputs::text::kind::{name_among, rest_of};

const NONE: &str = "none";
const PROFILE: &str = "profile";

/// `none`, `profile`, or what varies by how much.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum JitterFile {
    /// Equal work takes equal time.
    #[default]
    None,
    /// The variation of repeated rows of measurement sets.
    Profile,
    /// Given.
    Given(JitterWidthsFile),
}

/// Standard deviations of times over their means.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JitterWidthsFile {
    /// Variation of each kernel: a share, or `profile`.
    pub kernels: WidthFile,
    /// Variation of each transfer: a share, or `profile`.
    pub communication: WidthFile,
    /// Source of the shares.
    pub source: String,
}

/// A share, or `profile`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WidthFile {
    /// The variation that the profile holds for the family.
    Profile,
    /// Given.
    Share(f64),
}

impl Serialize for JitterFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => to.serialize_str(NONE),
            Self::Profile => to.serialize_str(PROFILE),
            Self::Given(widths) => widths.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for JitterFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(JitterVisitor)
    }
}

struct JitterVisitor;

impl<'de> Visitor<'de> for JitterVisitor {
    type Value = JitterFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`none`, `profile`, or a mapping with `kernels`, `communication` and `source`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<JitterFile, E> {
        match name_among(name, &[NONE, PROFILE], &[])? {
            NONE => Ok(JitterFile::None),
            _ => Ok(JitterFile::Profile),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JitterFile, A::Error> {
        rest_of(map).map(JitterFile::Given)
    }
}

impl JsonSchema for JitterFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JitterFile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let widths = generator.subschema_for::<JitterWidthsFile>();
        json_schema!({
            "description": "`none`, `profile`, or what varies by how much.",
            "anyOf": [{ "enum": [NONE, PROFILE] }, widths]
        })
    }
}

impl Serialize for WidthFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Profile => to.serialize_str(PROFILE),
            Self::Share(share) => to.serialize_f64(share),
        }
    }
}

impl<'de> Deserialize<'de> for WidthFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WidthVisitor)
    }
}

struct WidthVisitor;

impl Visitor<'_> for WidthVisitor {
    type Value = WidthFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`profile`, or a share such as 0.02")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<WidthFile, E> {
        name_among(name, &[PROFILE], &[]).map(|_| WidthFile::Profile)
    }

    fn visit_f64<E>(self, share: f64) -> Result<WidthFile, E> {
        Ok(WidthFile::Share(share))
    }

    fn visit_u64<E>(self, share: u64) -> Result<WidthFile, E> {
        Ok(WidthFile::Share(share as f64))
    }

    fn visit_i64<E>(self, share: i64) -> Result<WidthFile, E> {
        Ok(WidthFile::Share(share as f64))
    }
}

impl JsonSchema for WidthFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WidthFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A standard deviation over the mean, or `profile`.",
            "anyOf": [{ "const": PROFILE }, { "type": "number", "minimum": 0, "maximum": 1 }]
        })
    }
}
