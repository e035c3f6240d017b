//! What the names in certificates look like.

/// Whether it is a host name: labels of letters, digits and hyphens; no wildcard, no underscore, no address.
/// Source: RFC 1123 §2.1, RFC 5280 §4.2.1.6.
pub(crate) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|c| c.is_ascii_digit())
}

/// Whether it is a URI in ASCII, without a wildcard. Source: RFC 3986 §3, RFC 5280 §4.2.1.6.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.'))
        && !rest.is_empty()
        && rest.bytes().all(|c| c.is_ascii_graphic() && !b"<>\"{}|\\^`*".contains(&c))
}

/// Whether it is the address of something that can be fetched: `http` or `https`, a host, perhaps a port and a path.
pub(crate) fn is_http(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "1"));
    is_uri(text) && (is_host_name(host) || ip_octets(host).is_some()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether it is an address of a mailbox. Source: RFC 5280 §4.2.1.6.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let plain = |c: u8| c.is_ascii_alphanumeric() || b".!#$%&'+-/=?^_`{|}~".contains(&c);
    (1..=64).contains(&local.len())
        && local.bytes().all(plain)
        && local.split('.').all(|part| !part.is_empty())
        && is_host_name(host)
}

/// Whether it is what devices are known by: 1 to 64 letters that can be seen, and no space.
pub(crate) fn is_identifier(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic())
}

/// Whether every letter can be seen, so that nobody reads something else than is there.
pub(crate) fn is_visible(text: &str) -> bool {
    !text.chars().any(model::text::is_hidden)
}

/// Whether a PrintableString can write it. Source: X.680 §41.4.
pub(crate) fn is_printable_string(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&c))
}

/// The octets of an address, 4 or 16.
pub(crate) fn ip_octets(text: &str) -> Option<Vec<u8>> {
    if text.contains(':') { ip_v6(text) } else { ip_v4(text) }
}

fn ip_v4(text: &str) -> Option<Vec<u8>> {
    let part = |part: &str| part.parse::<u8>().ok().filter(|n| n.to_string() == part);
    text.split('.').map(part).collect::<Option<Vec<_>>>().filter(|octets| octets.len() == 4)
}

// RFC 4291 §2.2, forms 1 and 2.
fn ip_v6(text: &str) -> Option<Vec<u8>> {
    let groups = |text: &str| -> Option<Vec<u8>> {
        let group = |part: &str| {
            let fits = (1..=4).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_hexdigit());
            u16::from_str_radix(part, 16).ok().filter(|_| fits)
        };
        let parts = text.split(':').filter(|_| !text.is_empty());
        Some(parts.map(group).collect::<Option<Vec<_>>>()?.into_iter().flat_map(u16::to_be_bytes).collect())
    };
    match text.split_once("::") {
        None => groups(text).filter(|octets| octets.len() == 16),
        Some((front, back)) => {
            let (front, back) = (groups(front)?, groups(back)?);
            let zeros = 16usize.checked_sub(front.len() + back.len()).filter(|zeros| *zeros >= 2)?;
            Some([front, vec![0; zeros], back].concat())
        }
    }
}

/// A network: an address, and how many of its first bits count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: Vec<u8>,
    bits: usize,
}

impl Network {
    /// Reads `10.0.0.0/8` or `2001:db8::/32`; an address with bits beyond its mask is not one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let network = Self { address: ip_octets(address)?, bits: bits.parse().ok()? };
        let fits = network.bits <= network.address.len() * 8 && bits == network.bits.to_string();
        (fits && network.has(&network.address) && network.masked() == network.address).then_some(network)
    }
    pub(crate) fn address(&self) -> &[u8] {
        &self.address
    }
    pub(crate) fn mask(&self) -> Vec<u8> {
        let octet = |n: usize| match self.bits.saturating_sub(n * 8).min(8) {
            0 => 0,
            bits => 0xff << (8 - bits),
        };
        (0..self.address.len()).map(octet).collect()
    }
    fn masked(&self) -> Vec<u8> {
        self.address.iter().zip(self.mask()).map(|(octet, mask)| octet & mask).collect()
    }
    /// Whether an address lies in it.
    pub(crate) fn has(&self, address: &[u8]) -> bool {
        address.len() == self.address.len()
            && address.iter().zip(self.mask()).map(|(octet, mask)| octet & mask).eq(self.address.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(is: fn(&str) -> bool, text: &str, expected: bool) {
        assert_eq!(is(text), expected, "{text}");
    }

    #[test]
    fn host_names() {
        check(is_host_name, "a-1.example", true);
        check(is_host_name, &format!("{}.example", "a".repeat(63)), true);
    }
    #[test]
    fn what_is_no_host_name() {
        for text in ["", ".", "a..b", "-a.example", "a-.example", "*.example", "a_b.example", "ä.example", "a b"] {
            check(is_host_name, text, false);
        }
        check(is_host_name, &format!("{}.example", "a".repeat(64)), false);
        check(is_host_name, &"a.".repeat(127), false);
    }
    #[test]
    fn an_address_is_no_host_name() {
        check(is_host_name, "10.0.0.1", false);
    }
    #[test]
    fn uris() {
        check(is_uri, "urn:dev:ops:32473-a-b", true);
        check(is_uri, "http://a.example/x?y#z", true);
    }
    #[test]
    fn what_is_no_uri() {
        for text in ["x", ":x", "1a:x", "a:", "a:b c", "a:\u{e4}", "a:{b}", "a:*"] {
            check(is_uri, text, false);
        }
    }
    #[test]
    fn addresses_to_fetch_from() {
        check(is_http, "http://a.example:8080/x.crl", true);
        check(is_http, "https://10.0.0.1", true);
        check(is_http, "http://", false);
        check(is_http, "http:///x", false);
        check(is_http, "http://a:0/x", false);
        check(is_http, "ftp://a.example/x", false);
    }
    #[test]
    fn mailboxes() {
        check(is_email, "a.b@c.example", true);
        for text in ["a", "@c.example", "a@", ".a@c.example", "a@*.example", "a b@c.example", "a@b@c.example"] {
            check(is_email, text, false);
        }
    }
    #[test]
    fn addresses() {
        assert_eq!(ip_octets("10.0.0.1"), Some(vec![10, 0, 0, 1]));
        assert_eq!(ip_octets("::1").map(|octets| octets[15]), Some(1));
        assert_eq!(ip_octets("2001:db8::1").map(|octets| octets[..4].to_vec()), Some(vec![0x20, 1, 0x0d, 0xb8]));
        assert_eq!(ip_octets("1:2:3:4:5:6:7:8").map(|octets| octets.len()), Some(16));
        for text in ["10.0.0", "10.0.0.01", "10.0.0.256", "1:2:3:4:5:6:7", "1::2::3", "1:2:3:4:5:6:7::8", "g::", ":1"] {
            assert_eq!(ip_octets(text), None, "{text}");
        }
    }
    #[test]
    fn networks() {
        let network = Network::read("10.16.0.0/12").unwrap();
        assert_eq!(network.mask(), [255, 240, 0, 0]);
        assert!(network.has(&[10, 31, 0, 1]) && !network.has(&[10, 32, 0, 1]) && !network.has(&[10; 16]));
        assert!(Network::read("0.0.0.0/0").is_some() && Network::read("2001:db8::/32").is_some());
        for text in ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/08"] {
            assert_eq!(Network::read(text), None, "{text}");
        }
    }
}
