//! Connections over TLS that agree on HTTP/2.

use crate::frames::Line;
use crate::support::{House, PATIENCE, limits};
use crate::tls::Papers;
use adapters::http::serve::{Clients, Limits};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// The client's side. Reading does not write: whoever cannot write any more can still read what was said before.
pub(crate) struct Tls(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Read for Tls {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let StreamOwned { conn, sock } = &mut self.0;
        loop {
            match conn.reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            if conn.read_tls(sock)? == 0 {
                return Ok(0);
            }
            conn.process_new_packets().map_err(|_| ErrorKind::InvalidData)?;
        }
    }
}
impl Write for Tls {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.write(octets)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A house that speaks HTTP/2, to clients that show nothing.
pub(crate) fn house(limits: Limits) -> (House, Arc<ClientConfig>) {
    let papers = Papers::new();
    let house = House::of(limits, Some(papers.identity(Clients::Nobody)));
    (house, speaking(&papers.client(None), &[b"h2"]))
}

/// The usual limits, with so many requests at a time.
pub(crate) fn usual() -> Limits {
    Limits { streams_max: 8, ..limits() }
}

pub(crate) fn speaking(config: &Arc<ClientConfig>, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = (**config).clone();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

pub(crate) fn shaken(house: &House, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let session = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, house.connect());
    stream.sock.set_write_timeout(Some(PATIENCE)).unwrap();
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}

pub(crate) fn open(house: &House, config: &Arc<ClientConfig>) -> Line<Tls> {
    open_with(house, config, 1 << 20)
}
/// One whose answers may be so long before more is asked for.
pub(crate) fn open_with(house: &House, config: &Arc<ClientConfig>, window: u32) -> Line<Tls> {
    Line::begin(Tls(shaken(house, config)), window)
}
