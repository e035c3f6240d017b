//! JSON in which nothing stands twice.

use model::{Fault, Reason};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Most values within values, one in the other. Messages have four.
const DEPTH_MAX: usize = 8;

/// A value. Numbers are for nobody: no message has any but as reasons of revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// One that is not negative and has no fraction.
    Number(u64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// Any other number.
    Other,
}

impl Json {
    /// Reads a value that is an object.
    pub(super) fn object(octets: &[u8]) -> Result<Self, Fault> {
        let read: Self = serde_json::from_slice(octets).map_err(|_| Fault::malformed("this is no JSON"))?;
        if !read.is_within(DEPTH_MAX) {
            return Err(Fault::malformed("the JSON is nested too deep"));
        }
        if read.is_ambiguous() {
            return Err(Reason::MessageAmbiguous.into());
        }
        if matches!(read, Self::Object(_)) { Ok(read) } else { Err(Fault::malformed("this is no JSON object")) }
    }

    fn is_within(&self, depth: usize) -> bool {
        match self {
            Self::List(list) => depth > 0 && list.iter().all(|value| value.is_within(depth.saturating_sub(1))),
            Self::Object(members) => {
                depth > 0 && members.iter().all(|(_, value)| value.is_within(depth.saturating_sub(1)))
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Other => true,
        }
    }

    /// Whether some object has a member twice.
    fn is_ambiguous(&self) -> bool {
        match self {
            Self::List(list) => list.iter().any(Self::is_ambiguous),
            Self::Object(members) => {
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
                    || members.iter().any(|(_, value)| value.is_ambiguous())
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Other => false,
        }
    }

    /// A member of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The names of the members of an object.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let members = if let Self::Object(members) = self { members.as_slice() } else { &[] };
        members.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
    pub(super) fn list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }
    /// A member that is a text.
    pub(super) fn member(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Json;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }
    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), Fault>) {
        assert_eq!(Json::object(text.as_bytes()).map(|_| ()), expected, "{text}");
    }

    #[test]
    fn an_object() {
        check(r#"{"a":1,"b":[true,null,-1,1.5,"x"],"c":{"a":{}}}"#, Ok(()));
        assert_eq!(Json::object(br#"{"a":"b"}"#).unwrap().member("a"), Some("b"));
    }
    #[test]
    fn a_member_twice_also_deep_inside_and_also_escaped() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"b":[{"a":1,"b":2,"a":3}]}"#, "{\"a\":1,\"\\u0061\":1}"] {
            check(text, Err(Reason::MessageAmbiguous.into()));
        }
    }
    #[test]
    fn no_object() {
        for text in ["[]", "1", "null", "\"{}\""] {
            check(text, Err(Fault::malformed("this is no JSON object")));
        }
        for text in ["", "{", "{}x", "{'a':1}", "\u{feff}{}"] {
            check(text, Err(Fault::malformed("this is no JSON")));
        }
    }
    #[test]
    fn nested_too_deep() {
        let nested = |n: usize| format!("{}{}{}", "{\"a\":".repeat(n), 1, "}".repeat(n));
        check(&nested(8), Ok(()));
        check(&nested(9), Err(Fault::malformed("the JSON is nested too deep")));
        check(&nested(1000), Err(Fault::malformed("this is no JSON")));
    }
}
