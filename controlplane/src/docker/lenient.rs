//! Fields that are read as far as they are as we know them: what is missing, null or of another type counts as empty.
//!
//! One pass over the octets, for a list has a hundred thousand lines: whatever stands at a place is offered to the
//! [`Field`] that is wanted there, and passed over where that has no use for it.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// What can be made of some kinds of values, and of others not.
pub(super) trait Field: Sized {
    fn of_text(_: &str) -> Option<Self> {
        None
    }

    fn of_truth(_: bool) -> Option<Self> {
        None
    }

    fn of_number(_: i64) -> Option<Self> {
        None
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// For `deserialize_with`: the field, or its default.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: Field + Default>(deserializer: D) -> Result<T, D::Error> {
    let Perhaps(field) = Perhaps::deserialize(deserializer)?;
    Ok(field.unwrap_or_default())
}

/// Whatever stands there, as a field if it is one.
pub(super) struct Perhaps<T>(pub(super) Option<T>);

impl<'de, T: Field> Deserialize<'de> for Perhaps<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(PhantomData)).map(Self)
    }
}

struct Any<T>(PhantomData<T>);

impl<'de, T: Field> Visitor<'de> for Any<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::of_text(text))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(T::of_truth(truth))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(T::of_number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).ok().and_then(T::of_number))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        T::of_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        T::of_object(object)
    }
}

impl Field for String {
    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Field for bool {
    fn of_truth(truth: bool) -> Option<Self> {
        Some(truth)
    }
}

impl Field for Option<i64> {
    fn of_number(number: i64) -> Option<Self> {
        Some(Some(number))
    }
}

/// The entries that are as they should be.
impl<T: Field> Field for Vec<T> {
    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while let Some(Perhaps(entry)) = list.next_element()? {
            entries.extend(entry);
        }
        Ok(Some(entries))
    }
}

/// All entries, those that are not as they should be with the default.
impl<T: Field + Default> Field for HashMap<String, T> {
    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while let Some((key, Perhaps(entry))) = object.next_entry()? {
            entries.insert(key, entry.unwrap_or_default());
        }
        Ok(Some(entries))
    }
}

/// Whatever stands there.
#[derive(Debug, Default)]
pub(super) struct Nothing;

impl Field for Nothing {}
