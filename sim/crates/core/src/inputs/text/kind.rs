//! Values that are one of several: names, and mappings whose key `kind` says which they are.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::read::one_of;

/// A mapping of one of several kinds.
///
/// serde's internally tagged enums buffer their content and so lose the place of what is wrong with
/// it; this reads `kind` first and the rest in place.
pub(crate) trait Kinds: Sized {
    /// The key that says which.
    const TAG: &'static str = "kind";

    /// The values that it can have.
    const KINDS: &'static [&'static str];

    /// Values that later versions will know.
    const PLANNED: &'static [&'static str] = &[];

    /// Reads the keys beside `kind`, which is one of [`Self::KINDS`].
    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error>;
}

/// Reads the keys beside `kind` as a `T`.
pub(crate) fn rest_of<'de, T: Deserialize<'de>, A: MapAccess<'de>>(rest: A) -> Result<T, A::Error> {
    T::deserialize(MapAccessDeserializer::new(rest))
}

/// Reads a mapping that has no keys beside `kind`.
pub(crate) fn nothing_else<'de, A: MapAccess<'de>>(rest: A) -> Result<(), A::Error> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    rest_of(rest).map(|Nothing {}| ())
}

/// Reads a [`Kinds`] mapping.
pub(crate) struct KindVisitor<T>(pub(crate) PhantomData<T>);

impl<'de, T: Kinds> Visitor<'de> for KindVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a mapping with `{}`: {}", T::TAG, one_of(T::KINDS))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        match map.next_key::<String>()? {
            Some(key) if key == T::TAG => {
                let kind: KindName<T> = map.next_value()?;
                T::read(kind.0, map)
            }
            _ => Err(A::Error::missing_field(T::TAG)),
        }
    }
}

/// One of [`Kinds::KINDS`].
struct KindName<T>(&'static str, PhantomData<T>);

impl<'de, T: Kinds> Deserialize<'de> for KindName<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        name_among(&name, T::KINDS, T::PLANNED).map(|kind| Self(kind, PhantomData))
    }
}

/// The one of `known` that `name` is.
pub(crate) fn name_among<E: Error>(
    name: &str,
    known: &'static [&'static str],
    planned: &[&str],
) -> Result<&'static str, E> {
    match known.iter().find(|known| **known == name) {
        Some(known) => Ok(known),
        None if planned.contains(&name) => {
            Err(E::custom(format_args!("`{name}` is not modelled yet; expected {}", one_of(known))))
        }
        None => Err(E::unknown_variant(name, known)),
    }
}

/// Implements `Deserialize` for types that are [`Kinds`].
macro_rules! deserialize_kinds {
    ($($type:ty),* $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any($crate::inputs::text::kind::KindVisitor::<$type>(std::marker::PhantomData))
            }
        }
    )*};
}

/// Implements `Deserialize` for an enum of names, some of which are only planned.
macro_rules! deserialize_names {
    ($type:ty { $($name:literal => $value:expr),* $(,)? } planned [$($planned:literal),*]) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let name = String::deserialize(from)?;
                match $crate::inputs::text::kind::name_among::<D::Error>(&name, &[$($name),*], &[$($planned),*])? {
                    $($name => Ok($value),)*
                    other => unreachable!("`{other}` is not among the names"),
                }
            }
        }
    };
}

pub(crate) use {deserialize_kinds, deserialize_names};
