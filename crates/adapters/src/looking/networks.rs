//! Which addresses are somebody's on the internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address, and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNetwork;

impl std::fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a network is written as 10.0.0.0/8 or fd00::/8")
    }
}
impl std::error::Error for NoNetwork {}

impl FromStr for Network {
    type Err = NoNetwork;
    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = text.split_once('/').ok_or(NoNetwork)?;
        let (address, bits) = (address.parse::<IpAddr>().map_err(|_| NoNetwork)?, bits.parse().map_err(|_| NoNetwork)?);
        let network = Self { address, bits };
        // What does not count is zero: 10.1.2.3/8 is a slip of the pen.
        let most = if address.is_ipv4() { 32 } else { 128 };
        let is_plain = number(address) & !mask(bits, most) & ones(most) == 0;
        if bits <= most && is_plain { Ok(network) } else { Err(NoNetwork) }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}
fn ones(most: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(128_u8.saturating_sub(most))).unwrap_or(0)
}
fn mask(bits: u8, most: u8) -> u128 {
    let behind = 128_u32.saturating_sub(u32::from(most)).saturating_add(u32::from(bits));
    ones(most) & !u128::MAX.checked_shr(behind).unwrap_or(0)
}

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        let mask = mask(self.bits, most);
        self.address.is_ipv4() == address.is_ipv4() && number(self.address) & mask == number(address) & mask
    }
}

/// Networks that are nobody's on the internet, or the box's own neighbours. Source: the IANA registries of special-purpose addresses (RFC 6890).
const V4: [([u8; 4], u8); 14] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
];

/// Whether an address is somebody's on the internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |(network, bits): &([u8; 4], u8)| {
        Network { address: Ipv4Addr::from(*network).into(), bits: *bits }.has(address.into())
    };
    !V4.iter().any(is_in)
}

/// Only what is given out (2000::/3), without what stands for an address of IPv4 that is not public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    // 2001:db8::/32, 3fff::/20, and 2001::/23 with Teredo in it.
    let is_special = (first == 0x2001 && (second == 0xdb8 || second < 0x200)) || (first == 0x3fff && second < 0x1000);
    // 2002::/16 has an address of IPv4 behind it.
    let [a, b] = second.to_be_bytes();
    let [c, d] = third.to_be_bytes();
    let is_hidden = first == 0x2002 && !is_public_v4(Ipv4Addr::new(a, b, c, d));
    is_global && !is_special && !is_hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(addresses: &[&str], expected: bool) {
        for address in addresses {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn what_is_somebodys() {
        check(
            &["8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0", "100.63.0.1", "193.0.0.1", "223.255.255.255"],
            true,
        );
        check(&["2606:4700::1", "2a00::1", "2001:4860:4860::8888", "2002:808:808::1"], true);
    }
    #[test]
    fn what_is_nobodys_or_a_neighbours() {
        check(&["127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"], false);
        check(&["169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.19.0.1"], false);
        check(&["::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "3fff::1"], false);
        check(&["::ffff:8.8.8.8", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2002:a00:1::"], false);
    }
    #[test]
    fn networks_have_what_they_say() {
        let has = |network: &str, address: &str| network.parse::<Network>().unwrap().has(address.parse().unwrap());
        assert!(has("127.0.0.0/8", "127.9.9.9") && !has("127.0.0.0/8", "128.0.0.0"));
        assert!(has("10.1.2.3/32", "10.1.2.3") && !has("10.1.2.3/32", "10.1.2.4"));
        assert!(has("0.0.0.0/0", "8.8.8.8") && !has("0.0.0.0/0", "::1"));
        assert!(has("fd00::/8", "fd12::1") && !has("fd00::/8", "fc00::1") && has("::1/128", "::1"));
        for text in ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1", ""] {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
        assert_eq!("fd00::/8".parse::<Network>().unwrap().to_string(), "fd00::/8");
    }
}
