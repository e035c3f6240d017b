//! Stands between a store and its server, and breaks the connection at a commit: before the server hears of it, or before
//! the store hears what became of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

pub(crate) const CARRY: u8 = 0;
pub(crate) const CUT_BEFORE: u8 = 1;
pub(crate) const CUT_AFTER: u8 = 2;
pub(crate) const STALL: u8 = 3;
const STALLED: u8 = 4;
/// As `CUT_AFTER`, and nobody gets through behind it until something else is said.
pub(crate) const CUT_OFF: u8 = 5;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    what: Arc<AtomicU8>,
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let what = Arc::new(AtomicU8::new(CARRY));
        let shared = Arc::clone(&what);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                while shared.load(Ordering::SeqCst) == STALLED {
                    std::thread::yield_now();
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                carry(client.unwrap(), server, Arc::clone(&shared));
            }
        });
        Self { port: own, what }
    }

    /// What is done at the next commit.
    pub(crate) fn at_commit(&self, what: u8) {
        self.what.store(what, Ordering::SeqCst);
    }

    /// Waits until a commit is held back.
    pub(crate) fn is_stalled(&self) {
        while self.what.load(Ordering::SeqCst) != STALLED {
            std::thread::yield_now();
        }
    }
}

fn carry(client: TcpStream, server: TcpStream, what: Arc<AtomicU8>) {
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let cut = Arc::new(AtomicU8::new(CARRY));
    let is_cut = Arc::clone(&cut);
    std::thread::spawn(move || {
        let mut octets = [0; 65536];
        while let Ok(count @ 1..) = from_server.read(&mut octets) {
            if is_cut.load(Ordering::SeqCst) != CARRY {
                // The server has answered, so it has done it; nobody hears.
                break;
            }
            let _gone = to_client.write_all(&octets[..count]);
        }
        let _gone = to_client.shutdown(Shutdown::Both);
    });
    let (mut from_client, mut to_server) = (client, server);
    std::thread::spawn(move || {
        let mut octets = [0; 65536];
        while let Ok(count @ 1..) = from_client.read(&mut octets) {
            if octets[..count].windows(7).any(|word| word == b"COMMIT\0") {
                match what.swap(CARRY, Ordering::SeqCst) {
                    CUT_BEFORE => break,
                    STALL => {
                        what.store(STALLED, Ordering::SeqCst);
                        while what.load(Ordering::SeqCst) == STALLED {
                            std::thread::yield_now();
                        }
                    }
                    CUT_OFF => {
                        cut.store(CUT_AFTER, Ordering::SeqCst);
                        what.store(STALLED, Ordering::SeqCst);
                    }
                    other => cut.store(other, Ordering::SeqCst),
                }
            }
            let _gone = to_server.write_all(&octets[..count]);
        }
        let _gone = to_server.shutdown(Shutdown::Both);
        let _gone = from_client.shutdown(Shutdown::Both);
    });
}
