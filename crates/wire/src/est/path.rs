//! `/.well-known/est[/LABEL]/OPERATION`.

use model::EstLabel;

/// What every path of this protocol begins with. Source: RFC 7030 §3.2.2.
pub const PREFIX: &str = "/.well-known/est/";

/// What is asked for. Source: RFC 7030 §3.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// The certificates of the authority.
    CaCerts,
    /// A certificate, for who has none of this kind yet.
    SimpleEnroll,
    /// A certificate in the place of the one that is shown.
    SimpleReenroll,
    /// What a request should have in it.
    CsrAttrs,
    /// A key that is made here, and a certificate for it.
    ServerKeyGen,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::CaCerts, Self::SimpleEnroll, Self::SimpleReenroll, Self::CsrAttrs, Self::ServerKeyGen];

    /// As it stands in a path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CaCerts => "cacerts",
            Self::SimpleEnroll => "simpleenroll",
            Self::SimpleReenroll => "simplereenroll",
            Self::CsrAttrs => "csrattrs",
            Self::ServerKeyGen => "serverkeygen",
        }
    }

    /// The method of HTTP by which it is asked for.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::CaCerts | Self::CsrAttrs => "GET",
            Self::SimpleEnroll | Self::SimpleReenroll | Self::ServerKeyGen => "POST",
        }
    }
}

/// A path, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The label; none stands for the label that the server takes then.
    pub label: Option<EstLabel>,
    /// What is asked for.
    pub operation: Operation,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It does not begin as paths of this protocol do.
    NotEst,
    /// No such operation, or none that is offered.
    Operation,
    /// A label with a letter that labels do not have: escaped, doubled slashes, `..`.
    Label,
}

/// Reads a path, as it was on the wire: what is percent-encoded is not decoded, because no label and no operation needs it.
///
/// # Errors
/// [`BadPath`]
/// Source: RFC 7030 §3.2.2.
pub fn decode_path(path: &str) -> Result<Route, BadPath> {
    let rest = path.strip_prefix(PREFIX).ok_or(BadPath::NotEst)?;
    let (label, name) = match rest.split_once('/') {
        None => (None, rest),
        Some((label, name)) => (Some(label), name),
    };
    let named = |name: &str| Operation::ALL.into_iter().find(|operation| operation.name() == name);
    // RFC 7030 §3.2.2: a label is not the name of an operation.
    if label.is_some_and(|label| named(label).is_some()) {
        return Err(BadPath::Label);
    }
    let label = label.map(str::parse).transpose().map_err(|_| BadPath::Label)?;
    named(name).map(|operation| Route { label, operation }).ok_or(BadPath::Operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Result<(Option<&str>, Operation), BadPath>) {
        let read = decode_path(path).map(|route| (route.label.map(|label| label.to_string()), route.operation));
        assert_eq!(read, expected.map(|(label, operation)| (label.map(str::to_owned), operation)), "{path}");
    }

    #[test]
    fn without_a_label() {
        check("/.well-known/est/cacerts", Ok((None, Operation::CaCerts)));
        check("/.well-known/est/simpleenroll", Ok((None, Operation::SimpleEnroll)));
        check("/.well-known/est/simplereenroll", Ok((None, Operation::SimpleReenroll)));
        check("/.well-known/est/csrattrs", Ok((None, Operation::CsrAttrs)));
        check("/.well-known/est/serverkeygen", Ok((None, Operation::ServerKeyGen)));
    }
    #[test]
    fn with_a_label() {
        check("/.well-known/est/site-7/cacerts", Ok((Some("site-7"), Operation::CaCerts)));
    }
    #[test]
    fn a_label_does_not_climb() {
        for label in ["..", ".", "%2e%2e", "a%2fb", "", "A", "a b", "-a", &"a".repeat(33)] {
            check(&format!("/.well-known/est/{label}/cacerts"), Err(BadPath::Label));
        }
        check("/.well-known/est/a/../cacerts", Err(BadPath::Operation));
        check("/.well-known/est/a/b/cacerts", Err(BadPath::Operation));
        check("/.well-known/est/a/cacerts/", Err(BadPath::Operation));
    }
    #[test]
    fn an_operation_is_no_label() {
        check("/.well-known/est/cacerts/cacerts", Err(BadPath::Label));
    }
    #[test]
    fn what_is_not_offered() {
        for name in ["fullcmc", "CACERTS", "cacerts?", ""] {
            check(&format!("/.well-known/est/{name}"), Err(BadPath::Operation));
        }
    }
    #[test]
    fn elsewhere() {
        for path in ["/", "/.well-known/est", "/.well-known//est/cacerts", "//.well-known/est/cacerts", "/est/cacerts"]
        {
            check(path, Err(BadPath::NotEst));
        }
    }
}
