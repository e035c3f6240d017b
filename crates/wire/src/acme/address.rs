//! Addresses as text: in the one form that RFC 8738 §3 takes.

/// The octets of an address, 4 or 16; none if it is written in any other form.
/// Source: RFC 1123 §2.1, RFC 5952 §4.
pub(super) fn octets(text: &str) -> Option<Vec<u8>> {
    four(text).or_else(|| sixteen(text))
}

fn four(text: &str) -> Option<Vec<u8>> {
    let part = |part: &str| part.parse().ok().filter(|n: &u8| n.to_string() == part);
    text.split('.').map(part).collect::<Option<Vec<u8>>>().filter(|octets| octets.len() == 4)
}

fn sixteen(text: &str) -> Option<Vec<u8>> {
    let groups = |part: &str| -> Option<Vec<u16>> {
        if part.is_empty() {
            return Some(Vec::new());
        }
        part.split(':').map(|group| u16::from_str_radix(group, 16).ok()).collect()
    };
    let (head, tail) = text.split_once("::").map_or((text, None), |(head, tail)| (head, Some(tail)));
    let (mut all, rest) = (groups(head)?, groups(tail.unwrap_or_default())?);
    let missing = 8_usize.checked_sub(all.len().checked_add(rest.len())?)?;
    all.extend(std::iter::repeat_n(0, missing));
    all.extend(rest);
    // What is written otherwise than it would be written by us is another form.
    (written(&all) == text).then(|| all.iter().flat_map(|group| group.to_be_bytes()).collect())
}

/// Source: RFC 5952 §4: the first of the longest runs of zeros is left out.
fn written(groups: &[u16]) -> String {
    let text = |groups: &[u16]| groups.iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":");
    let zeros = |from: usize| groups.iter().skip(from).take_while(|group| **group == 0).count();
    let longest = (0..groups.len()).rev().max_by_key(|from| zeros(*from)).filter(|from| zeros(*from) > 1);
    match longest {
        None => text(groups),
        Some(from) => {
            let (head, rest) = groups.split_at(from);
            format!("{}::{}", text(head), text(rest.get(zeros(from)..).unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_one_form() {
        for text in ["192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::", "::1", "1::", "1:2:3:4:5:6:7:8"] {
            assert_eq!(octets(text), text.parse::<std::net::IpAddr>().ok().map(of), "{text}");
            assert!(octets(text).is_some(), "{text}");
        }
        assert!(octets("2001:0:0:1::1").is_some() && octets("1:0:2:3:4:5:6:7").is_some());
    }
    fn of(address: std::net::IpAddr) -> Vec<u8> {
        match address {
            std::net::IpAddr::V4(address) => address.octets().to_vec(),
            std::net::IpAddr::V6(address) => address.octets().to_vec(),
        }
    }
    #[test]
    fn in_no_other() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "+1.2.3.4",
            "256.0.0.1",
            "1.2.3.4 ",
            "2001:DB8::1",
            "2001:0db8::1",
            "::0",
            "0:0:0:0:0:0:0:1",
            "1::2:0:0:0:1",
            "1::2::3",
            ":::",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7::8",
            "::ffff:1.2.3.4",
            "fe80::1%1",
            "[::1]",
            "+1::",
        ] {
            assert_eq!(octets(text), None, "{text}");
        }
    }
}
