//! `/.well-known/cmp[/p/LABEL][/OPERATION]`.

use model::EstLabel;

/// What every path of this protocol begins with. Source: RFC 9811 §3.3.
pub const PREFIX: &str = "/.well-known/cmp";

/// Names of operations. What is asked for says the body of the message, whatever the path says.
/// Source: RFC 9483 §6.1.
pub const OPERATIONS: [&str; 9] = [
    "initialization",
    "certification",
    "keyupdate",
    "pkcs10",
    "revocation",
    "getcacerts",
    "getrootupdate",
    "getcertreqtemplate",
    "getcrls",
];

/// A path, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The label; none stands for the label that the server takes then.
    pub label: Option<EstLabel>,
    /// The operation, if the path names one.
    pub operation: Option<&'static str>,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It does not begin as paths of this protocol do.
    NotCmp,
    /// No such operation.
    Operation,
    /// A label with a letter that labels do not have.
    Label,
}

/// Reads a path, as it was on the wire. What is percent-encoded is not decoded, because no label and no operation needs it.
///
/// Off-spec: doubled slashes count as one, and one at the end as none, because clients put paths together from pieces.
/// # Errors
/// [`BadPath`]
/// Source: RFC 9811 §3.3, RFC 9483 §6.1.
pub fn decode_path(path: &str) -> Result<Route, BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath::NotCmp);
    }
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    if (parts.next(), parts.next()) != (Some(".well-known"), Some("cmp")) {
        return Err(BadPath::NotCmp);
    }
    let (label, operation) = match parts.next() {
        Some("p") => {
            let label = parts.next().ok_or(BadPath::Label)?.parse().map_err(|_| BadPath::Label)?;
            (Some(label), parts.next())
        }
        other => (None, other),
    };
    let named = |name: &str| OPERATIONS.into_iter().find(|operation| *operation == name).ok_or(BadPath::Operation);
    let operation = operation.map(named).transpose()?;
    if parts.next().is_some() { Err(BadPath::Operation) } else { Ok(Route { label, operation }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Result<(Option<&str>, Option<&str>), BadPath>) {
        let read = decode_path(path);
        let said = read.as_ref().map(|route| (route.label.as_ref().map(EstLabel::as_str), route.operation));
        assert_eq!(said.map_err(|bad| *bad), expected, "{path}");
    }

    #[test]
    fn with_and_without_a_label_and_an_operation() {
        check("/.well-known/cmp", Ok((None, None)));
        check("/.well-known/cmp/initialization", Ok((None, Some("initialization"))));
        check("/.well-known/cmp/p/site-7", Ok((Some("site-7"), None)));
        check("/.well-known/cmp/p/site-7/keyupdate", Ok((Some("site-7"), Some("keyupdate"))));
        check("/.well-known/cmp/p/p/getcrls", Ok((Some("p"), Some("getcrls"))));
    }
    #[test]
    fn doubled_slashes_count_as_one() {
        check("//.well-known///cmp//p//site-7//pkcs10/", Ok((Some("site-7"), Some("pkcs10"))));
        check("/.well-known/cmp/", Ok((None, None)));
    }
    #[test]
    fn a_label_does_not_climb() {
        for label in ["..", ".", "%2e%2e", "A", "a b", "-a", &"a".repeat(33)] {
            check(&format!("/.well-known/cmp/p/{label}"), Err(BadPath::Label));
        }
        check("/.well-known/cmp/p", Err(BadPath::Label));
        check("/.well-known/cmp/p/a/../initialization", Err(BadPath::Operation));
    }
    #[test]
    fn what_is_not_offered() {
        for name in ["nested", "INITIALIZATION", "initialization/x", "site-7", "crosscert"] {
            check(&format!("/.well-known/cmp/{name}"), Err(BadPath::Operation));
        }
    }
    #[test]
    fn elsewhere() {
        for path in
            ["", "/", "/.well-known", "/.well-known/est/cacerts", ".well-known/cmp", "/cmp", "/x/.well-known/cmp"]
        {
            check(path, Err(BadPath::NotCmp));
        }
    }
}
