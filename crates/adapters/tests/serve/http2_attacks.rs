//! Connections of HTTP/2 that cost more than they ask. A test here fails when its defence is taken out.

use crate::frames::{
    ACK, CONTINUATION, Came, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame, head,
};
use crate::line::{house, open, open_with, shaken, usual};
use crate::support::{House, PATIENCE, SOON};
use adapters::http::serve::Limits;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;
/// More than any budget here has.
const MANY: u32 = 20_000;

/// That the connection is ended with GOAWAY while it sends this.
#[track_caller]
fn ends((house, config): &(House, Arc<rustls::ClientConfig>), round: impl Fn(u32) -> Vec<u8>) {
    assert_eq!(open(house, config).flood(MANY, round), Some(PROTOCOL_ERROR));
    // The next one is served as ever.
    open(house, config).ask(1, "/x").body(200);
}

#[test]
fn requests_that_are_reset_at_once() {
    let (house, config) = house(usual());
    let rapid = |n: u32| {
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head("GET", "/x", &[]));
        [request, frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()
    };
    let said = open(&house, &config).flood(MANY, rapid);
    assert!(matches!(said, Some(PROTOCOL_ERROR | ENHANCE_YOUR_CALM)), "{said:?}");
    open(&house, &config).ask(1, "/x").body(200);
    let asked = std::iter::from_fn(|| house.events.try_recv().ok()).count();
    assert!(asked < 64, "{asked} requests were worked on");
}
#[test]
fn requests_that_are_reset_once_they_were_taken() {
    // Slower than the library counts: each has been taken when it is reset.
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    let lasted = (0..1000_u32).find(|n| {
        let stream = 2 * n + 1;
        let request = frame(HEADERS, END_HEADERS, stream, &head("POST", "/slowly", &[]));
        if line.stream.write_all(&[request, frame(PING, 0, 0, &[1; 8])].concat()).is_err() {
            return true;
        }
        let is_answered = std::iter::from_fn(|| line.next()).any(|frame| frame.kind == PING);
        !is_answered || line.stream.write_all(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])).is_err()
    });
    assert!(lasted.is_some_and(|n| n < 70), "{lasted:?}");
    assert_eq!(line.rest(), Some(PROTOCOL_ERROR));
}
#[test]
fn requests_beyond_those_at_a_time() {
    let (house, config) = house(Limits { streams_max: 1, ..usual() });
    let mut line = open(&house, &config);
    line.ask(1, "/x").body(200);
    line.get(3, "/wait");
    let mut refused = 0;
    let ended = (2..1000).find_map(|n| match line.ask(2 * n + 1, "/x") {
        Came::Reset(_) => {
            refused += 1;
            None
        }
        other => Some(other),
    });
    assert!(matches!(ended, Some(Came::Ended(Some(ENHANCE_YOUR_CALM)))), "{ended:?}");
    assert!((1..30).contains(&refused), "{refused}");
    house.go.send(()).unwrap();
}
#[test]
fn frames_that_ask_nothing() {
    let house = house(usual());
    ends(&house, |_| frame(PING, 0, 0, &[0; 8]));
    ends(&house, |_| frame(PING, ACK, 0, &[0; 8]));
    ends(&house, |_| frame(SETTINGS, 0, 0, &[]));
    ends(&house, |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]));
    ends(&house, |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
    ends(&house, |_| frame(0xee, 0, 0, &[0; 64]));
}
#[test]
fn a_body_of_nothing() {
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    line.send(HEADERS, END_HEADERS, 1, &head("POST", "/piecewise", &[]));
    let said = line.flood(MANY, |_| frame(DATA, 0, 1, &[]));
    assert!(matches!(said, Some(PROTOCOL_ERROR | ENHANCE_YOUR_CALM)), "{said:?}");
}
#[test]
fn a_head_without_end() {
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    line.send(HEADERS, END_STREAM, 1, &head("GET", "/x", &[]));
    assert_eq!(line.flood(MANY, |_| frame(CONTINUATION, 0, 1, &[])), Some(ENHANCE_YOUR_CALM));
}
#[test]
fn a_head_that_is_small_until_it_is_read() {
    // RFC 7541 §6.1: one octet, `accept-encoding: gzip, deflate`, sixteen thousand times.
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    line.send(HEADERS, END_HEADERS | END_STREAM, 1, &[head("GET", "/x", &[]), vec![0x90; 16_000]].concat());
    assert!(matches!(line.answer(1), Came::Answer(431, ..) | Came::Ended(Some(ENHANCE_YOUR_CALM))));
    assert!(house.events.try_recv().is_err());
}
#[test]
fn who_was_told_to_go_and_goes_on_asking() {
    let (house, config) = house(Limits { requests_per_second: 0, requests_burst: 1, ..usual() });
    let mut line = open(&house, &config);
    // It does not say that it heard it, so that its further requests might still be meant.
    line.is_polite = false;
    line.send(SETTINGS, ACK, 0, &[]);
    line.send(WINDOW_UPDATE, 0, 0, &[0x3f, 0xff, 0xff, 0xff]);
    line.ask(1, "/x").body(200);
    let mut refused = 0;
    let ended = (1..MANY).find_map(|n| {
        match line.stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head("GET", "/x", &[]))) {
            Ok(()) => match line.answer(2 * n + 1) {
                Came::Answer(429, ..) => {
                    refused += 1;
                    None
                }
                other => Some(other),
            },
            Err(_) => Some(Came::Ended(None)),
        }
    });
    assert!(matches!(ended, Some(Came::Ended(_))), "{ended:?}");
    // What it had, and what the answers brought in.
    assert!((1..2000).contains(&refused), "{refused}");
}
#[test]
fn who_does_not_read_is_let_go() {
    let (house, config) = house(Limits { pace_within: SOON, ..usual() });
    let mut line = open(&house, &config);
    // Larger than what the kernel keeps for it; each is asked for, and none is read.
    let ended = (0..4).any(|n| {
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head("GET", "/endless", &[]));
        let windows = frame(WINDOW_UPDATE, 0, 0, &[0x3f, 0xff, 0xff, 0xff]);
        let windows = if n == 0 { windows } else { Vec::new() };
        let stream = frame(WINDOW_UPDATE, 0, 2 * n + 1, &[0x3f, 0xff, 0xff, 0xff]);
        line.stream.write_all(&[windows, request, stream].concat()).is_err()
    });
    // Nobody reads the source of the answer any more.
    assert!(!ended);
    for _ in 0..4 {
        assert_eq!(house.event(), "dropped");
    }
}

#[test]
fn who_says_nothing_is_let_go() {
    let (house, config) = house(Limits { head_within: SOON, ..usual() });
    let opened = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    // Nothing, half a greeting, a whole one, half a frame, and half a head.
    let half = frame(HEADERS, END_STREAM, 1, &head("GET", "/x", &[]));
    let said = [&[], &PREFACE[..10], &opened, &[&opened[..], &half[..4]].concat(), &[&opened[..], &half].concat()];
    let open: Vec<_> = said
        .iter()
        .map(|said| {
            let mut stream = shaken(&house, &config);
            stream.write_all(said).unwrap();
            stream
        })
        .collect();
    for mut stream in open {
        crate::support::rest(&mut stream);
    }
    assert!(house.events.try_recv().is_err(), "somebody was asked");
}
#[test]
fn who_has_been_answered_and_asks_no_more_is_let_go() {
    let (house, config) = house(Limits { head_within: Duration::from_secs(1), ..usual() });
    let mut line = open(&house, &config);
    line.ask(1, "/x");
    assert_eq!(line.rest(), Some(0));
}
#[test]
fn who_takes_nothing_of_what_it_asked_for_is_let_go() {
    let (house, config) = house(Limits { head_within: Duration::from_secs(1), ..usual() });
    // A short answer, which waits in the library, and one that is still read. Again if it was let go before it asked.
    let is_answered = |path| {
        let mut line = open_with(&house, &config, 0);
        line.is_polite = false;
        line.send(SETTINGS, ACK, 0, &[]);
        line.get(1, path);
        let mut bodies = 0;
        while let Some(frame) = line.next() {
            bodies += frame.payload.len() * usize::from(frame.kind == DATA);
        }
        assert_eq!(bodies, 0);
        house.events.recv_timeout(PATIENCE / 10).is_ok()
    };
    for path in ["/x", "/endless"] {
        assert!((0..10).any(|_| is_answered(path)), "{path}");
    }
}
#[test]
fn who_takes_it_at_a_crawl_is_let_go() {
    let (house, config) = house(Limits { head_within: Duration::from_secs(1), ..usual() });
    let mut line = open_with(&house, &config, 0);
    line.is_polite = false;
    line.get(1, "/endless");
    // An octet at a time, for as long as it lasts: each is asked for when the one before has come.
    let mut bodies = 0_u32;
    line.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    while let Some(frame) = line.next() {
        if frame.kind == DATA {
            bodies += 1;
            let is_read_no_more = house.events.recv_timeout(SOON).is_ok();
            if is_read_no_more
                || line.stream.write_all(&crate::frames::frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).is_err()
            {
                break;
            }
        }
    }
    assert!(bodies < 200, "{bodies}");
}
#[test]
fn who_is_being_answered_is_answered_when_the_server_stops() {
    let (mut house, config) = house(Limits { drain_within: PATIENCE * 100, ..usual() });
    let mut idle = open(&house, &config);
    idle.ask(1, "/x").body(200);
    let mut deaf = open(&house, &config);
    deaf.is_polite = false;
    deaf.ask(1, "/x").body(200);
    let mut line = open(&house, &config);
    line.get(1, "/wait");
    while house.event() != "waits" {}
    let server = std::mem::replace(&mut house.server, House::new(usual()).server);
    let stopping = std::thread::spawn(move || server.stop());
    // It is told at once; who asks nothing ends, and who does not hear it is not waited for.
    assert_eq!(idle.rest(), Some(0));
    assert_eq!(deaf.rest(), Some(0));
    loop {
        let frame = line.next().unwrap();
        if frame.kind == GOAWAY {
            break;
        }
    }
    house.go.send(()).unwrap();
    assert_eq!(line.answer(1).body(200), b"done\n");
    line.rest();
    stopping.join().unwrap();
}
