//! The names that an enumeration of the document knows, from the enumeration itself.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor, value};
use serde::forward_to_deserialize_any;

/// All names of `T`, in the order of its definition; none if it is no enumeration.
pub fn names<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    let asked = Cell::new(&[][..]);
    let _ = T::deserialize(Asking(&asked));
    asked.get().to_vec()
}

/// A document that only listens to what is asked of it.
struct Asking<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Asking<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(nothing())
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.set(variants);
        Err(nothing())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn nothing() -> value::Error {
    value::Error::custom(fmt::from_fn(|f| f.write_str("there is nothing to read")))
}

#[cfg(test)]
mod tests {
    use super::names;
    use crate::config::document::{Operator, Root};

    #[test]
    fn an_enumeration_has_names_and_nothing_else_has() {
        assert_eq!(names::<Operator>().len(), 7);
        assert!(names::<Operator>().contains(&"SCMP_CMP_MASKED_EQ"));
        assert!(names::<Root<'_>>().is_empty());
    }
}
