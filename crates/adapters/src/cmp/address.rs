//! Where a server of CMP is.

use std::fmt;

/// Longest address in octets.
const ADDRESS_LEN_MAX: usize = 1024;

/// `http://HOST[:PORT][/PATH]`, or https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    https: bool,
    host: String,
    port: u16,
    // As it stands in the address, for the Host field.
    authority: String,
    path: String,
}

/// The address, or what was given with it, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddress(pub &'static str);

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
impl std::error::Error for BadAddress {}

impl Address {
    /// Reads an address. What is left out: port 80, or 443 for https; path `/`.
    ///
    /// # Errors
    /// [`BadAddress`] if it has another scheme, a user, a query, a fragment, or characters that are not to be in one.
    /// Source: RFC 3986, RFC 9811 §3.6.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        if text.len() > ADDRESS_LEN_MAX || !text.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(BadAddress("the address is too long, or has characters that are not to be in one"));
        }
        let (https, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => return Err(BadAddress("the address begins neither with http:// nor with https://")),
        };
        if rest.contains(['?', '#', '\\', '"', '<', '>']) {
            return Err(BadAddress("the address has a query or a fragment"));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.contains('@') {
            return Err(BadAddress("the address has a user; credentials are given by themselves"));
        }
        let (host, port) = host_and_port(authority).ok_or(BadAddress("the address has no host, or no proper port"))?;
        let port = port.unwrap_or(if https { 443 } else { 80 });
        Ok(Self { https, host: host.to_owned(), port, authority: authority.to_owned(), path: path.to_owned() })
    }

    pub(crate) const fn is_https(&self) -> bool {
        self.https
    }
    /// Name or address of the host, without the brackets of IPv6.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    // A sign in front is taken by `parse` and by nobody else.
    let number = |text: &str| text.parse().ok().filter(|n: &u16| *n > 0 && n.to_string() == text);
    let port = match port {
        Some(text) => Some(number(text)?),
        None => None,
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(bool, &str, u16, &str)>) {
        let read = Address::parse(text);
        let read = read.as_ref().ok().map(|a| (a.is_https(), a.host(), a.port(), a.path()));
        assert_eq!(read, expected);
    }

    #[test]
    fn a_host_alone() {
        check("http://ca.example", Some((false, "ca.example", 80, "/")));
        check("https://ca.example", Some((true, "ca.example", 443, "/")));
    }
    #[test]
    fn a_port_and_a_path() {
        check("http://ca.example:8080/pkix/a", Some((false, "ca.example", 8080, "/pkix/a")));
    }
    #[test]
    fn an_address_of_ipv6() {
        check("http://[::1]:829/", Some((false, "::1", 829, "/")));
        check("http://[::1]", Some((false, "::1", 80, "/")));
        check("http://[x]", None);
        check("http://[::1]829", None);
    }
    #[test]
    fn another_scheme() {
        check("ftp://ca.example", None);
        check("ca.example", None);
        check("HTTP://ca.example", None);
    }
    #[test]
    fn a_user_a_query_and_a_fragment() {
        check("http://user@ca.example/", None);
        check("http://ca.example/?a", None);
        check("http://ca.example/#a", None);
    }
    #[test]
    fn characters_that_would_end_a_line() {
        check("http://ca.example/a\r\nb", None);
        check("http://ca.example/a b", None);
    }
    #[test]
    fn ports_that_are_none() {
        for port in ["0", "65536", "+80", "080", "", "x", "80:80"] {
            check(&format!("http://ca.example:{port}/"), None);
        }
    }
    #[test]
    fn no_host() {
        check("http:///a", None);
        check("http://:80/", None);
    }
}
