//! How many connections and requests there may be, and how it ends.

use crate::support::{House, SOON, limits, rest, status};
use adapters::http::serve::Limits;
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn one_request_more_than_there_are_hands() {
    let house = House::new(Limits { handlers_max: 2, ..limits() });
    let mut waiting: Vec<TcpStream> = (0..2).map(|_| house.connect()).collect();
    for stream in &mut waiting {
        stream.write_all(b"GET /wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    }
    assert_eq!((house.event(), house.event()), ("waits".into(), "waits".into()));
    let refused = house.ask("GET /x", "");
    status(&refused, 503);
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    // Whichever goes on first.
    waiting.iter().for_each(|_| house.go.send(()).unwrap());
    for stream in &mut waiting {
        status(&rest(stream), 200);
    }
    status(&house.ask("GET /x", ""), 200);
}
#[test]
fn who_sends_slowly_takes_nobodys_hands() {
    let house = House::new(Limits { handlers_max: 1, ..limits() });
    let mut slow = house.connect();
    slow.write_all(b"POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\na").unwrap();
    status(&house.ask("GET /x", ""), 200);
    status(&rest(&mut slow), 408);
}
#[test]
fn so_many_connections_of_one_address() {
    let house = House::new(Limits { connections_per_address_max: 2, ..limits() });
    let mut held: Vec<TcpStream> = (0..2).map(|_| house.connect()).collect();
    for stream in &mut held {
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 15]).unwrap();
    }
    assert_eq!(house.ask("GET /x", ""), "");
    // One that ends makes room, as soon as the server knows of it.
    let ending = held.pop().unwrap();
    ending.shutdown(std::net::Shutdown::Write).unwrap();
    rest(&mut &ending);
    drop(ending);
    let answered = (0..1000).map(|_| house.ask("GET /x", "")).find(|answer| !answer.is_empty());
    status(&answered.unwrap(), 200);
}
#[test]
fn one_connection_more_in_all_waits() {
    let house = House::new(Limits { connections_max: 1, head_within: SOON, ..limits() });
    let held = house.connect();
    // It is answered once the first one has been idle for too long.
    status(&house.ask("GET /x", ""), 200);
    drop(held);
}
#[test]
fn so_many_requests_of_one_address() {
    let house = House::new(Limits { requests_per_second: 0, requests_burst: 3, ..limits() });
    for expected in [200, 200, 200, 429, 429] {
        status(&house.ask("GET /x", ""), expected);
    }
}
#[test]
fn who_is_being_answered_is_answered_when_the_server_stops() {
    let House { server, events, go, .. } = House::new(limits());
    let at = server.address();
    let mut idle = crate::support::connect(at);
    let mut stream = crate::support::connect(at);
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(events.recv().unwrap(), "waits");
    let stopping = std::thread::spawn(move || server.stop());
    // Whoever asks nothing is let go first; then the listener is gone, too.
    assert_eq!(rest(&mut idle), "");
    assert!(TcpStream::connect(at).is_err(), "it still listens");
    go.send(()).unwrap();
    let said = rest(&mut stream);
    status(&said, 200);
    stopping.join().unwrap();
}
#[test]
fn who_is_not_answered_in_time_is_cut_off() {
    let House { server, events, go, .. } = House::new(Limits { drain_within: SOON, ..limits() });
    let mut stream = crate::support::connect(server.address());
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(events.recv().unwrap(), "waits");
    server.stop();
    assert_eq!(rest(&mut stream), "");
    go.send(()).unwrap();
}
