//! What is asked and answered over HTTP/2.

use crate::frames::{
    CONTINUATION, Came, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Line, PING, PREFACE, RST_STREAM, fields, head,
};
use crate::line::{Tls, house, open, shaken, speaking, usual};
use crate::support::{House, limits, rest, status};
use crate::tls::Papers;
use adapters::http::serve::{Clients, Limits};
use std::io::Write;

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;

/// Whether the body of a request comes behind its head.
fn asked(line: &mut Line<Tls>, stream: u32, said: &[u8], body: Option<&[u8]>) -> Came {
    let end = if body.is_none() { END_STREAM } else { 0 };
    line.send(HEADERS, END_HEADERS | end, stream, said);
    if let Some(body) = body {
        line.send(DATA, END_STREAM, stream, body);
    }
    line.answer(stream)
}
#[track_caller]
fn check(limits: Limits, said: &[u8], body: Option<&[u8]>, expected: u16) -> Vec<u8> {
    let (house, config) = house(limits);
    asked(&mut open(&house, &config), 1, said, body).body(expected)
}
#[test]
fn it_is_spoken_by_agreement_only() {
    let papers = Papers::new();
    let agreed = |house: &House, protocols: &[&[u8]]| {
        let stream = shaken(house, &speaking(&papers.client(None), protocols));
        stream.conn.alpn_protocol().map(<[u8]>::to_vec)
    };
    let (both, old): ([&[u8]; 2], [&[u8]; 1]) = ([b"h2", b"http/1.1"], [b"http/1.1"]);
    let house = House::of(usual(), Some(papers.identity(Clients::Nobody)));
    assert_eq!(agreed(&house, &both), Some(b"h2".to_vec()));
    assert_eq!(agreed(&house, &old), Some(b"http/1.1".to_vec()));
    assert_eq!(agreed(&house, &[]), None);
    // Whoever agreed on nothing speaks the older one, and nothing else.
    let mut stream = shaken(&house, &papers.client(None));
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    status(&rest(&mut stream), 200);
    let mut stream = shaken(&house, &papers.client(None));
    stream.write_all(PREFACE).unwrap();
    status(&rest(&mut stream), 400);
    let house = House::of(limits(), Some(papers.identity(Clients::Nobody)));
    assert_eq!(agreed(&house, &both), Some(b"http/1.1".to_vec()));
}
#[test]
fn it_is_not_spoken_in_the_clear() {
    let house = House::new(usual());
    status(&house.say(std::str::from_utf8(PREFACE).unwrap()), 400);
    let upgrade =
        "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    status(&house.say(&format!("GET /x HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n")), 200);
}
#[test]
fn a_request_with_and_without_a_body() {
    assert_eq!(check(usual(), &head("GET", "/x?y", &[]), None, 200), b"GET /x \n");
    assert_eq!(check(usual(), &head("POST", "/whole", &[]), Some(b"abc"), 200), b"POST /whole abc\n");
    assert_eq!(check(usual(), &head("POST", "/whole", &[("content-length", "3")]), Some(b"abc"), 200).len(), 16);
}
#[test]
fn several_at_once() {
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    line.get(1, "/wait");
    assert_eq!(house.event(), "waits");
    assert_eq!(line.ask(3, "/x").body(200), b"GET /x \n");
    house.go.send(()).unwrap();
    assert_eq!(line.answer(1).body(200), b"done\n");
}
#[test]
fn no_more_than_so_many_at_once() {
    let (house, config) = house(Limits { streams_max: 2, ..usual() });
    let mut line = open(&house, &config);
    line.ask(1, "/x").body(200);
    for stream in [3, 5, 7] {
        line.get(stream, "/wait");
    }
    assert_eq!(line.answer(7), Came::Reset(REFUSED_STREAM));
    assert_eq!((house.event(), house.event(), house.event()), ("read true".into(), "waits".into(), "waits".into()));
    for _ in 0..2 {
        house.go.send(()).unwrap();
    }
    line.answer(3);
    line.ask(9, "/x").body(200);
}
#[test]
fn no_more_in_all_than_there_may_be_connections() {
    let (house, config) = house(Limits { connections_max: 1, ..usual() });
    let mut line = open(&house, &config);
    line.send(HEADERS, END_HEADERS, 1, &head("POST", "/piecewise", &[]));
    line.send(DATA, 0, 1, b"abc");
    assert_eq!(house.event(), "abc");
    line.ask(3, "/x").body(503);
    line.send(DATA, END_STREAM, 1, b"de");
    assert_eq!(line.answer(1).body(200), b"2\n");
}
#[test]
fn one_request_more_than_there_are_hands() {
    let (house, config) = house(Limits { handlers_max: 1, ..usual() });
    let mut line = open(&house, &config);
    line.get(1, "/wait");
    assert_eq!(house.event(), "waits");
    // Whoever goes away does not take its work along.
    line.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    line.ask(3, "/x").body(503);
    house.go.send(()).unwrap();
}
#[test]
fn a_body_is_no_longer_than_its_route_takes() {
    let long = head("POST", "/whole", &[("content-length", "11")]);
    check(usual(), &long, Some(b"12345678901"), 413);
    check(usual(), &head("POST", "/whole", &[]), Some(b"12345678901"), 413);
    check(usual(), &head("POST", "/whole", &[]), Some(b"1234567890"), 200);
    check(usual(), &head("GET", "/x", &[]), Some(b"1"), 413);
}
#[test]
fn who_still_sends_what_is_too_long_is_answered_all_the_same() {
    let (house, config) = house(Limits { requests_per_second: 0, requests_burst: 2, ..usual() });
    // Said beforehand, found out, and not asked for at all.
    for (length, expected) in [(Some("40000"), 413), (None, 413), (None, 429)] {
        let mut line = open(&house, &config);
        let length: Vec<_> = length.iter().map(|length| ("content-length", *length)).collect();
        line.send(HEADERS, END_HEADERS, 1, &head("POST", "/whole", &length));
        for n in 0..4 {
            // Each piece once the one before has been heard.
            line.send(DATA, u8::from(n == 3) * END_STREAM, 1, &[b'x'; 10_000]);
            if n < 3 {
                line.send(PING, 0, 0, &[0; 8]);
                while line.next().unwrap().kind != PING {}
            }
        }
        line.answer(1).body(expected);
        assert_eq!(line.goaway, None);
        // The request was over: there was nothing to reset, and GOAWAY comes behind the answer.
        let behind: Vec<u8> = std::iter::from_fn(|| line.next()).map(|frame| frame.kind).collect();
        assert!(!behind.contains(&RST_STREAM) && behind.contains(&GOAWAY), "{behind:?}");
    }
}
#[test]
fn a_body_comes_in_time() {
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    line.send(HEADERS, END_HEADERS, 1, &head("POST", "/whole", &[]));
    line.send(DATA, 0, 1, b"a");
    line.answer(1).body(408);
    assert_eq!(line.rest(), Some(0));
}
#[test]
fn who_gives_up_a_request_goes_on_with_others() {
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    // As often as it may happen to a client that is well.
    for n in 0..30 {
        line.send(HEADERS, END_HEADERS, 4 * n + 1, &head("POST", "/slowly", &[]));
        line.send(PING, 0, 0, &[0; 8]);
        while line.next().unwrap().kind != PING {}
        line.send(RST_STREAM, 0, 4 * n + 1, &[0, 0, 0, 8]);
        line.ask(4 * n + 3, "/x").body(200);
    }
    assert_eq!(line.goaway, None);
}
#[test]
fn a_head_is_no_longer_than_it_may_be() {
    // The library answers before anybody of ours is asked.
    let long = "x".repeat(7000);
    let said = head("GET", "/x", &[("a", &long), ("b", &long), ("c", &long)]);
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    line.send(HEADERS, END_STREAM, 1, &said[..16_000]);
    line.send(CONTINUATION, END_HEADERS, 1, &said[16_000..]);
    line.answer(1).body(431);
    assert!(house.events.try_recv().is_err());
}
#[test]
fn there_are_no_more_fields_than_there_may_be() {
    let many: Vec<String> = (0..=64).map(|n| format!("x-{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    check(usual(), &head("GET", "/x", &many), None, 431);
    check(usual(), &head("GET", "/x", &many[1..]), None, 200);
}
#[test]
fn so_many_requests_of_one_address_and_then_the_end() {
    let (house, config) = house(Limits { requests_per_second: 0, requests_burst: 3, ..usual() });
    let mut line = open(&house, &config);
    for stream in [1, 3, 5] {
        line.ask(stream, "/x").body(200);
    }
    line.ask(7, "/x").body(429);
    assert_eq!(line.rest(), Some(0));
    // Another connection of the same address has no more.
    open(&house, &config).ask(1, "/x").body(429);
}
#[test]
fn a_handler_that_panics() {
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    line.ask(1, "/panic").body(500);
    assert_eq!(line.rest(), Some(0));
}
#[test]
fn only_the_head_is_sent_to_who_asks_for_it() {
    let (house, config) = house(usual());
    let mut line = open(&house, &config);
    let Came::Answer(200, whole, body) = line.ask(1, "/x") else { panic!() };
    let Came::Answer(200, only, nothing) = asked(&mut line, 3, &head("HEAD", "/x", &[]), None) else { panic!() };
    // `content-length: 7` and `8`: the method is in the text.
    assert_eq!((body.len(), nothing.len()), (8, 0));
    // One octet more in each answer would be seen; the first one says the size of the table, too.
    let without_table = |head: &[u8]| head.len() - usize::from(head[0] == 0x20);
    assert_eq!(without_table(&whole), without_table(&only));
}
#[test]
fn it_is_clear_who_is_asked() {
    let said = |more: &[(&str, &str)]| {
        fields(&[&[(":method", "GET"), (":scheme", "https"), (":path", "/x")][..], more].concat())
    };
    for (more, expected) in [
        (&[(":authority", "h")][..], 200),
        (&[("host", "h")], 200),
        (&[(":authority", "h"), ("host", "h")], 200),
        (&[(":authority", "h"), ("host", "other")], 400),
        (&[("host", "h"), ("host", "h")], 400),
        (&[(":authority", "a@h")], 400),
        (&[], 400),
    ] {
        check(usual(), &said(more), None, expected);
    }
    let plain = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "h")];
    check(usual(), &fields(&plain), None, 400);
}
#[test]
fn a_path_begins_with_a_slash() {
    check(usual(), &head("OPTIONS", "*", &[]), None, 400);
    check(usual(), &fields(&[(":method", "CONNECT"), (":authority", "h:443")]), None, 400);
}
#[test]
fn what_means_something_else_to_who_passes_it_on_is_reset() {
    let (house, config) = house(usual());
    let check = |said: &[u8]| {
        let mut line = open(&house, &config);
        let came = asked(&mut line, 1, said, None);
        assert!(matches!(came, Came::Reset(PROTOCOL_ERROR) | Came::Ended(Some(_))), "{said:?}: {came:?}");
        assert!(house.events.try_recv().is_err(), "{said:?}: somebody was asked");
    };
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("keep-alive", "x"),
        ("proxy-connection", "x"),
        ("te", "gzip"),
        ("X-Upper", "x"),
        ("a b", "x"),
        ("a:b", "x"),
        ("x", "a\r\nb: c"),
        ("x", "a\nb: c"),
        ("x", "a\0"),
    ] {
        check(&head("GET", "/x", &[(name, value)]));
    }
    for (method, path) in [("GET", "/x HTTP/1.1\r\nHost: h\r\n\r\n"), ("GET", ""), ("GET /y", "/x"), ("", "/x")] {
        check(&head(method, path, &[]));
    }
    check(&[head("GET", "/x", &[]), fields(&[(":path", "/y")])].concat());
    check(&[fields(&[("x", "y")]), head("GET", "/x", &[])].concat());
    check(&head("GET", "/x", &[(":status", "200")]));
    check(&head("GET", "/x", &[(":other", "x")]));
}
#[test]
fn a_body_is_as_long_as_it_says() {
    let (house, config) = house(usual());
    let check = |lengths: &[&str], body: &[u8]| {
        let lengths: Vec<_> = lengths.iter().map(|len| ("content-length", *len)).collect();
        let came = asked(&mut open(&house, &config), 1, &head("POST", "/whole", &lengths), Some(body));
        assert!(matches!(came, Came::Reset(PROTOCOL_ERROR) | Came::Answer(400, ..)), "{lengths:?}: {came:?}");
        assert!(house.events.try_recv().is_err());
    };
    for len in ["2", "4", "0", "-3", "+3", "3,3", " 3", "99999999999999999999999999"] {
        check(&[len], b"abc");
    }
    check(&["3"], b"");
    check(&["3", "4"], b"abc");
}
#[test]
fn each_connection_has_its_own_name_and_its_requests_have_the_same() {
    let (house, config) = house(usual());
    let mut names = Vec::new();
    for _ in 0..2 {
        let mut line = open(&house, &config);
        let (first, second) = (line.ask(1, "/channel").body(200), line.ask(3, "/channel").body(200));
        let own = line.stream.0.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap();
        assert!(first == own && second == own);
        names.push(first);
    }
    assert_ne!(names[0], names[1]);
}
#[test]
fn who_asks_is_known_at_each_request() {
    let papers = Papers::new();
    let (house, _) = crate::tls::believing_with(usual(), &papers);
    let config = speaking(&papers.client(Some("client")), &[b"h2"]);
    let mut line = open(&house, &config);
    for stream in [1, 3] {
        assert_eq!(line.ask(stream, "/who").body(200), papers.read("client.der"));
    }
}
