//! Which keys a configuration has, asked of the types that it is read into, so that no second list can fall behind.

use std::cell::Cell;
use std::fmt::Display;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

/// The keys that a table may have, in the order of their definition; none where there is no such table. The entries of
/// an array of tables are looked through to.
pub(super) fn keys<T: for<'de> Deserialize<'de>>(path: &[&str]) -> Option<&'static [&'static str]> {
    let found = Cell::new(None);
    // It always fails: nothing is there to be read.
    let _ = T::deserialize(Probe { path, found: &found });
    found.get()
}

/// Follows a path into a type, and notes the fields that it finds there.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'a str],
    found: &'a Cell<Option<&'static [&'static str]>>,
}

fn nothing() -> Error {
    Error::custom("nothing is there")
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(nothing())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(One(Some(self)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some((key, path)) = self.path.split_first() else {
            self.found.set(Some(fields));
            return Err(nothing());
        };
        visitor.visit_map(Entry {
            key: Some(key),
            value: Probe { path, ..self },
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// An array with one entry.
struct One<'a>(Option<Probe<'a>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|probe| seed.deserialize(probe)).transpose()
    }
}

/// A table with one entry.
struct Entry<'a> {
    key: Option<&'a str>,
    value: Probe<'a>,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let key = self
            .key
            .take()
            .map(|key| -> StrDeserializer<'_, Error> { key.into_deserializer() });
        key.map(|key| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.value)
    }
}

/// The name among these that was probably meant.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let (distance, nearest) = names
        .into_iter()
        .map(|known| (distance(known), known))
        .min_by_key(|(distance, _)| *distance)?;
    // A third of it mistyped is still a mistyping.
    (distance <= name.chars().count().div_ceil(3).min(3)).then_some(nearest)
}

/// Names in a row, as in a sentence.
pub(crate) fn list(names: &[impl Display]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_keys_are_those_of_the_types() {
        let top = keys::<Config>(&[]);
        assert!(top.is_some_and(|keys| keys.contains(&"server") && keys.contains(&"route")));
        assert!(keys::<Config>(&["policy"]).is_some_and(|keys| keys.contains(&"idle_after")));
        assert!(keys::<Config>(&["route"]).is_some_and(|keys| keys.contains(&"any_role")));
        assert_eq!(keys::<Config>(&["policy", "idle_after"]), None);
        assert_eq!(keys::<Config>(&["route", "methods"]), None);
        assert_eq!(keys::<Config>(&["nothing"]), None);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = ["idle_after", "deadline", "listen"];
        assert_eq!(nearest("idle_afer", names), Some("idle_after"));
        assert_eq!(nearest("dealdine", names), Some("deadline"));
        assert_eq!(nearest("Listen", names), Some("listen"));
        assert_eq!(nearest("colour", names), None);
    }
}
