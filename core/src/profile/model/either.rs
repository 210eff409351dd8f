//! Values with a short form (a word) and a long form (a map).
//!
//! Serde's `untagged` would do, but it also takes a list for a struct, field by field: `rootfs: [/srv]`.

use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

/// A short form, or a map.
pub(in crate::profile) enum Either<S, M> {
    Short(S),
    Map(M),
}

impl<'de, S: Deserialize<'de>, M: Deserialize<'de>> Deserialize<'de> for Either<S, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherVisitor(PhantomData))
    }
}

struct EitherVisitor<S, M>(PhantomData<(S, M)>);

impl<'de, S: Deserialize<'de>, M: Deserialize<'de>> Visitor<'de> for EitherVisitor<S, M> {
    type Value = Either<S, M>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a word or a map")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        S::deserialize(text.into_deserializer()).map(Either::Short)
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Self::Value, E> {
        S::deserialize(yes.into_deserializer()).map(Either::Short)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        S::deserialize(number.into_deserializer()).map(Either::Short)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        S::deserialize(number.into_deserializer()).map(Either::Short)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        S::deserialize(SeqAccessDeserializer::new(items)).map(Either::Short)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        M::deserialize(MapAccessDeserializer::new(entries)).map(Either::Map)
    }
}

/// `Deserialize` of an enum with a short and a long form.
macro_rules! short_or_map {
    ($type:ident { $short:ident($short_type:ty), $map:ident($map_type:ty) }) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::profile::model::either::Either;
                Ok(match Either::<$short_type, $map_type>::deserialize(deserializer)? {
                    Either::Short(short) => Self::$short(short),
                    Either::Map(map) => Self::$map(map),
                })
            }
        }
    };
}
pub(in crate::profile) use short_or_map;
