//! What the kernel says of this process's listening sockets.

use std::collections::HashSet;
use std::fs;

/// State `LISTEN` in the kernel's tables. Source: Linux `include/net/tcp_states.h`.
const LISTEN: &str = "0A";

/// The addresses, as the kernel writes them, on which this process listens and that are not loopback. UDP sockets that
/// are bound count too: they receive.
#[must_use]
pub fn listening_beyond_loopback() -> Vec<String> {
    let own = own_inodes();
    let tables = [("tcp", true), ("tcp6", true), ("udp", false), ("udp6", false), ("raw", false), ("raw6", false)];
    tables.iter().flat_map(|(name, only_listen)| table(name, *only_listen, &own)).collect()
}

fn own_inodes() -> HashSet<String> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return HashSet::new() };
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let names = links.filter_map(|link| {
        let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(name.to_owned())
    });
    names.collect()
}

fn table(name: &str, only_listen: bool, own: &HashSet<String>) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    let lines = text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        let counts = own.contains(inode) && (!only_listen || state == LISTEN) && !is_loopback(local);
        counts.then(|| format!("{name} {local}"))
    });
    lines.collect()
}

// Addresses are written in groups of four octets, each in the machine's byte order.
fn is_loopback(local: &str) -> bool {
    let address = local.split(':').next().unwrap_or_default();
    address.ends_with("7F") && address.len() == 8
        || address == "00000000000000000000000001000000"
        || address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn a_listening_socket_is_seen() {
        assert_eq!(listening_beyond_loopback(), [""; 0]);
        let loopback = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listening_beyond_loopback(), [""; 0], "{loopback:?}");
        let open = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = format!(":{:04X}", open.local_addr().unwrap().port());
        let seen = listening_beyond_loopback();
        assert!(seen.len() == 1 && seen[0].ends_with(&port), "{seen:?}");
        drop(open);
        let datagrams = UdpSocket::bind("0.0.0.0:0").unwrap();
        assert_eq!(listening_beyond_loopback().len(), 1, "{datagrams:?}");
    }
}
