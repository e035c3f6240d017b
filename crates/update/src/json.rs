//! JSON as TUF writes it: no fractions, no negative numbers, no key twice, not deep; and its one canonical form.

use crate::fault::BadRelease;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

/// Deepest nesting of objects and lists. Target metadata needs 6; the rest is for unknown fields.
pub const DEPTH_MAX: usize = 16;

/// A JSON text that has a canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Json {
    /// Reads all of `octets`.
    pub(crate) fn read(octets: &[u8]) -> Result<Self, BadRelease> {
        let finding = Cell::new(BadRelease::NotJson);
        let mut reader = serde_json::Deserializer::from_slice(octets);
        let seed = Tree { depth: 0, finding: &finding };
        let tree = seed.deserialize(&mut reader).map_err(|_| finding.get())?;
        reader.end().map_err(|_| BadRelease::NotJson)?;
        Ok(tree)
    }

    /// The canonical form: keys sorted by code point, no white space, only `"` and `\` escaped. Two texts have the same
    /// canonical form only if they say the same.
    ///
    /// Off-spec: strings are not brought to Unicode normal form C, which OLPC only suggests; the reference
    /// implementation of TUF does not do it either, and with it two different texts could have one form.
    /// Source: TUF 1.0.34 §4.2.1.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend(b"null"),
            Self::Bool(true) => out.extend(b"true"),
            Self::Bool(false) => out.extend(b"false"),
            Self::Number(number) => out.extend(number.to_string().as_bytes()),
            Self::Text(text) => write_canonical_text(text, out),
            Self::List(items) => {
                out.push(b'[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    item.write_canonical(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (n, (key, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    write_canonical_text(key, out);
                    out.push(b':');
                    value.write_canonical(out);
                }
                out.push(b'}');
            }
        }
    }

    pub(crate) const fn object(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }
    pub(crate) const fn object_mut(&mut self) -> Option<&mut BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }
    pub(crate) const fn list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::List(items) => Some(items),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }
    pub(crate) const fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Null | Self::Bool(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// An object of these members.
    pub(crate) fn of<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn write_canonical_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for octet in text.bytes() {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => s.serialize_unit(),
            Self::Bool(value) => s.serialize_bool(*value),
            Self::Number(number) => s.serialize_u64(*number),
            Self::Text(text) => s.serialize_str(text),
            Self::List(items) => s.collect_seq(items),
            Self::Object(members) => {
                let mut map = s.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

// Reads a tree at some depth, and says what it finds wrong through a cell: the errors of serde carry only text.
#[derive(Clone, Copy)]
struct Tree<'f> {
    depth: usize,
    finding: &'f Cell<BadRelease>,
}

impl Tree<'_> {
    fn refuse<T, E: de::Error>(self, finding: BadRelease) -> Result<T, E> {
        self.finding.set(finding);
        Err(E::custom("refused"))
    }
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return self.refuse(BadRelease::TooDeep);
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Json;
    fn deserialize<D: de::Deserializer<'de>>(self, d: D) -> Result<Json, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without fractions")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Json, E> {
        u64::try_from(number).map(Json::Number).or_else(|_| self.refuse(BadRelease::NotACount))
    }
    fn visit_f64<E: de::Error>(self, _number: f64) -> Result<Json, E> {
        self.refuse(BadRelease::NotACount)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }
    fn visit_string<E: de::Error>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let deeper = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(deeper)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let deeper = self.deeper()?;
        let mut members = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(deeper)?;
            if members.insert(key, value).is_some() {
                return self.refuse(BadRelease::DuplicateKey);
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, BadRelease>) {
        let found = Json::read(text.as_bytes()).map(|tree| String::from_utf8(tree.canonical()).unwrap());
        assert_eq!(found.as_deref(), expected.as_ref().map(|s| *s));
    }

    #[test]
    fn keys_are_sorted_and_space_goes() {
        check(r#" { "b" : [ 1 , true ] , "a" : null } "#, Ok(r#"{"a":null,"b":[1,true]}"#));
    }
    #[test]
    fn only_quote_and_backslash_are_escaped() {
        check(r#""\u0041\n\"\\\/""#, Ok("\"A\n\\\"\\\\/\""));
    }
    #[test]
    fn keys_are_sorted_before_they_are_escaped() {
        check(r#"{"aB":1,"a\"":2}"#, Ok(r#"{"a\"":2,"aB":1}"#));
    }
    #[test]
    fn letters_are_not_composed() {
        check("\"e\u{301}\"", Ok("\"e\u{301}\""));
    }
    #[test]
    fn the_greatest_number() {
        check("18446744073709551615", Ok("18446744073709551615"));
    }
    #[test]
    fn one_more_is_refused() {
        check("18446744073709551616", Err(BadRelease::NotACount));
    }
    #[test]
    fn negative_numbers_are_refused() {
        check("-1", Err(BadRelease::NotACount));
        check("-0", Err(BadRelease::NotACount));
    }
    #[test]
    fn fractions_are_refused() {
        check("[1.0]", Err(BadRelease::NotACount));
        check("1e2", Err(BadRelease::NotACount));
    }
    #[test]
    fn a_key_twice_is_refused() {
        check(r#"{"a":1,"a":1}"#, Err(BadRelease::DuplicateKey));
    }
    #[test]
    fn a_key_twice_in_two_spellings_is_refused() {
        check(r#"{"a":1,"\u0061":1}"#, Err(BadRelease::DuplicateKey));
    }
    #[test]
    fn sixteen_levels() {
        let text = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        check(&text, Ok(&text));
    }
    #[test]
    fn seventeen_levels_are_refused() {
        check(&format!("{}{}", "[".repeat(17), "]".repeat(17)), Err(BadRelease::TooDeep));
        check(&r#"{"a":"#.repeat(17), Err(BadRelease::TooDeep));
    }
    #[test]
    fn a_million_levels_are_refused() {
        check(&"[".repeat(1_000_000), Err(BadRelease::TooDeep));
    }
    #[test]
    fn what_follows_is_refused() {
        check("1 1", Err(BadRelease::NotJson));
    }
    #[test]
    fn a_byte_order_mark_is_refused() {
        check("\u{feff}1", Err(BadRelease::NotJson));
    }
    #[test]
    fn half_a_surrogate_is_refused() {
        check(r#""\ud800""#, Err(BadRelease::NotJson));
    }
    #[test]
    fn nothing_is_refused() {
        check("", Err(BadRelease::NotJson));
    }

    fn tree(text: &'static str) -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<u64>().prop_map(Json::Number),
            text.prop_map(Json::Text),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
                prop::collection::btree_map(text, inner, 0..4).prop_map(Json::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tree in tree(".*")) {
            let file = serde_json::to_vec_pretty(&tree).unwrap();
            prop_assert_eq!(Json::read(&file).unwrap(), tree);
        }
        #[test]
        fn the_canonical_form_does_not_depend_on_the_file(tree in tree(".*")) {
            let (dense, airy) = (serde_json::to_vec(&tree).unwrap(), serde_json::to_vec_pretty(&tree).unwrap());
            prop_assert_eq!(Json::read(&dense).unwrap().canonical(), Json::read(&airy).unwrap().canonical());
        }
        #[test]
        fn different_texts_have_different_forms(a in tree("[a\"\\\\]{0,2}"), b in tree("[a\"\\\\]{0,2}")) {
            prop_assert_eq!(a == b, a.canonical() == b.canonical());
        }
        // Another implementation says the same where it differs from the reference implementation in nothing: it composes
        // letters, and sorts keys with their quotes and escapes.
        #[test]
        fn another_implementation_agrees(tree in tree("[#-Z^-~]{0,9}")) {
            let mut theirs = Vec::new();
            let formatter = olpc_cjson::CanonicalFormatter::new();
            tree.serialize(&mut serde_json::Serializer::with_formatter(&mut theirs, formatter)).unwrap();
            prop_assert_eq!(tree.canonical(), theirs);
        }
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read_or_refused = Json::read(&octets);
        }
    }
}
