//! Requests: what they may say, how long, how slowly.

use crate::support::{House, PATIENCE, SOON, limits, rest, status};
use adapters::http::serve::Limits;
use std::io::{Read, Write};

#[test]
fn a_request_is_answered_and_the_next_one_too() {
    let house = House::new(limits());
    let said = house.say(
        "POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
         GET /x?q=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    status(&said, 200);
    assert!(said.contains("POST /whole abc\n") && said.contains("GET /x \n"), "{said}");
}

// Each says more after what is refused: if that is answered too, two readers can have understood two things.
#[track_caller]
fn only_once(said: &str, expected: u16) {
    let house = House::new(limits());
    let answers = house.say(&format!("{said}GET /smuggled HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    status(&answers, expected);
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(house.events.try_recv().is_err(), "a handler was asked");
}
#[test]
fn two_ways_to_say_the_length_are_refused() {
    let (length, chunks) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for fields in [[length, chunks], [chunks, length], [chunks, chunks], [length, length]] {
        only_once(&format!("POST /whole HTTP/1.1\r\nHost: h\r\n{}\r\n0\r\n\r\n", fields.concat()), 400);
    }
    only_once("POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400);
    only_once("POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400);
    only_once("POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400);
}
#[test]
fn lines_that_do_not_end_with_cr_lf_are_refused() {
    only_once("POST /whole HTTP/1.1\nHost: h\nContent-Length: 0\n\n", 400);
    only_once("POST /whole HTTP/1.1\r\nHost: h\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    only_once("POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\n", 400);
    only_once("\r\n\r\nPOST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 400);
}
#[test]
fn what_was_well_said_before_is_answered_first() {
    let house = House::new(limits());
    let said = house.say("GET /x HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.1\r\nHost: h\n\r\n");
    status(&said, 200);
    assert!(said.contains("HTTP/1.1 400 ") && !said.contains("GET /y"), "{said}");
}

#[test]
fn bodies_come_in_chunks_too() {
    let house = House::new(limits());
    let chunked = "POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n";
    let said = house.say(&format!(
        "{chunked}\r\n3;x=y\r\nabc\r\n002\r\n\r\n\r\n0\r\nX: y\r\n\r\n{chunked}\r\n0\r\n\r\n{chunked}Connection: close\r\n\r\n1\r\nz\r\n0\r\n\r\n"
    ));
    assert!(said.contains("POST /whole abc\r\n\n") && said.contains("POST /whole \n"), "{said}");
    assert!(said.contains("POST /whole z\n") && said.matches("HTTP/1.1 200").count() == 3, "{said}");
    // Octet by octet, and for a handler that reads while it comes.
    for path in ["/whole", "/piecewise"] {
        let mut stream = house.connect();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        for octet in b"4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n" {
            stream.write_all(&[*octet]).unwrap();
        }
        let said = rest(&mut stream);
        status(&said, 200);
        assert!(said.ends_with("abcde\n") || said.ends_with("\r\n\r\n2\n"), "{said}");
    }
}
#[test]
fn chunks_are_no_longer_than_a_body_may_be() {
    let house = House::new(limits());
    let ask = |path: &str, body: &str| {
        house.say(&format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))
    };
    status(&ask("/whole", "5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n"), 413);
    status(&ask("/whole", "b\r\n0123456789a"), 413);
    status(&ask("/whole", "5\r\n01234\r\n"), 408);
    // Where no body may be, there is none.
    status(&ask("/x", "0\r\n\r\n"), 413);
    assert!(house.events.try_recv().is_err(), "a handler was asked");
}
#[test]
fn chunks_that_could_be_read_otherwise_are_refused() {
    for body in [
        "1\r\nab\r\n0\r\n\r\n",
        "1;a\nx\r\na\r\n0\r\n\r\n",
        "1\na\n0\n\n",
        "+1\r\na\r\n0\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
    ] {
        only_once(&format!("POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), 400);
    }
    // Half a body is no body, whatever a handler has made of it.
    let house = House::new(limits());
    let said = house.ask("POST /streamed", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nab\r\n");
    status(&said, 400);
    assert_eq!(house.event(), "read false");
}
#[test]
fn codings_that_are_not_understood_are_refused() {
    only_once("POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400);
    only_once("POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400);
    only_once("POST /whole HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}
#[test]
fn two_lengths_are_refused() {
    only_once("POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400);
    only_once("POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 6\r\n\r\n", 400);
}
#[test]
fn lengths_that_are_no_numbers_are_refused() {
    for length in ["+5", "-1", "0x5", "", "99999999999999999999999999"] {
        only_once(&format!("POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"), 400);
    }
}
#[test]
fn fields_that_are_written_otherwise_are_refused() {
    only_once("GET /x HTTP/1.1\r\nHost : h\r\n\r\n", 400);
    only_once("GET /x HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400);
    only_once("GET /x HTTP/1.1\r\nHost: h\r\nX: \u{e9}\r\n\r\n", 400);
    only_once("GET /x\x00 HTTP/1.1\r\nHost: h\r\n\r\n", 400);
}
#[test]
fn one_host_no_more_no_less() {
    only_once("GET /x HTTP/1.1\r\n\r\n", 400);
    only_once("GET /x HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400);
}
#[test]
fn paths_begin_with_a_slash() {
    only_once("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400);
    only_once("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400);
}
#[test]
fn what_is_no_http_is_refused() {
    only_once("\x16\x03\x01\x02\r\n\r\n", 400);
    only_once("GET /x HTTP/3.0\r\n\r\n", 400);
}

#[test]
fn a_head_has_a_length() {
    let house = House::new(Limits { head_len_max: 8192, ..limits() });
    status(&house.ask("GET /x", &format!("X: {}\r\n", "a".repeat(4000))), 200);
    status(&house.ask("GET /x", &format!("X: {}\r\n", "a".repeat(9000))), 431);
    status(&house.say(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(70_000))), 431);
}
#[test]
fn a_head_has_so_many_fields() {
    let house = House::new(Limits { fields_max: 10, ..limits() });
    status(&house.ask("GET /x", &"X: a\r\n".repeat(8)), 200);
    status(&house.ask("GET /x", &"X: a\r\n".repeat(9)), 431);
}
#[test]
fn a_head_has_to_come_in_time() {
    let house = House::new(Limits { head_within: SOON, ..limits() });
    for begun in ["", "G", "GET /x HTTP/1.1\r\nHost: h\r\n"] {
        let said = house.say(begun);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    assert!(house.events.try_recv().is_err(), "a handler was asked");
}
#[test]
fn a_connection_is_not_idle_for_ever() {
    let house = House::new(Limits { head_within: SOON, ..limits() });
    let said = house.say("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    status(&said, 200);
    assert_eq!(said.matches("HTTP/1.1 200").count(), 1, "{said}");
}

#[test]
fn ten_octets_and_eleven() {
    let house = House::new(limits());
    status(&house.ask("POST /whole", "Content-Length: 10\r\n\r\n0123456789"), 200);
    assert_eq!(house.event(), "read true");
    // It is refused before any of it has come.
    status(&house.ask("POST /whole", "Content-Length: 11\r\n"), 413);
    status(&house.ask("GET /x", "Content-Length: 1\r\n"), 413);
    assert!(house.events.try_recv().is_err(), "a handler was asked");
}
#[test]
fn who_still_sends_what_is_refused_reads_why() {
    let house = House::new(limits());
    let mut stream = house.connect();
    stream.write_all(b"POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 600000\r\n\r\n").unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 413");
    // It is answered, and told the end; a socket that is closed would be reset by the first octet more.
    let mut last = Vec::new();
    stream.read_to_end(&mut last).unwrap();
    (0..60).for_each(|_| stream.write_all(&[b'x'; 10_000]).unwrap());
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // It does not go on for ever.
    let mut stream = house.connect();
    stream.write_all(b"POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000\r\n\r\n").unwrap();
    let failed = (0..6_000).any(|_| stream.write_all(&[b'x'; 10_000]).is_err());
    assert!(failed, "sixty million octets were taken");
}
#[test]
fn who_was_told_the_end_and_stays_is_let_go() {
    let house = House::new(Limits { connections_per_address_max: 1, ..limits() });
    let mut stays = house.connect();
    stays.write_all(b"POST /whole HTTP/1.1\r\nHost: h\r\nContent-Length: 600000\r\n\r\n").unwrap();
    status(&rest(&mut stays), 413);
    // It may send what it had begun to send; it takes the one place of its address until then, and not for ever.
    let begun = adapters::clock::Stopwatch::start();
    let answer = std::iter::repeat_with(|| house.ask("GET /x", ""))
        .find(|answer| !answer.is_empty() || begun.ms() > 20_000)
        .unwrap();
    status(&answer, 200);
    assert!(begun.ms() > 80, "it was not waited for at all");
    drop(stays);
}
#[test]
fn a_body_has_to_come_in_time() {
    let house = House::new(limits());
    status(&house.ask("POST /whole", "Content-Length: 5\r\n\r\nab"), 408);
    assert!(house.events.try_recv().is_err(), "a handler was asked");
    // Whatever the handler makes of half a body, the client does not hear it.
    status(&house.ask("POST /streamed", "Content-Length: 5\r\n\r\nab"), 408);
    assert_eq!(house.event(), "read false");
}
#[test]
fn a_body_that_is_broken_off_is_no_body() {
    let house = House::new(limits());
    for path in ["/whole", "/piecewise"] {
        let mut stream = house.connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let said = rest(&mut stream);
        assert!(!said.starts_with("HTTP/1.1 200"), "{path}: {said}");
    }
}
#[test]
fn a_handler_reads_what_has_come() {
    let house = House::new(limits());
    let mut stream = house.connect();
    let rest_len = 1_000_000;
    let head = format!(
        "POST /piecewise HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\nabc",
        3 + rest_len
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(house.event(), "abc");
    stream.write_all(&vec![0; rest_len]).unwrap();
    assert!(rest(&mut stream).ends_with("\r\n\r\n1000000\n"));
}
#[test]
fn who_waits_to_be_told_to_send_is_told() {
    let house = House::new(limits());
    let mut stream = house.connect();
    let head =
        "POST /whole HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").unwrap();
    status(&rest(&mut stream), 200);
}

#[test]
fn an_answer_is_sent_while_it_is_read_and_let_go_when_nobody_takes_it() {
    let house = House::new(limits());
    let mut stream = house.connect();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut some = vec![0; 3_000_000];
    stream.read_exact(&mut some).unwrap();
    assert!(house.events.try_recv().is_err(), "it was let go too early");
    drop(stream);
    assert_eq!(house.event(), "dropped");
}
#[test]
fn who_does_not_take_what_was_asked_for_is_not_waited_for() {
    for path in ["/endless", "/announced"] {
        let house = House::new(Limits { pace_within: SOON, ..limits() });
        let mut stream = house.connect();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(house.event(), "dropped");
        drop(stream);
    }
}
#[test]
fn a_connection_ends_however_busy() {
    let house = House::new(Limits { connection_within: SOON, pace_within: PATIENCE, ..limits() });
    let mut stream = house.connect();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    // However fast it is read: this much does not come in so short a time.
    let read = std::io::copy(&mut stream.take(1 << 36), &mut std::io::sink());
    assert!(!matches!(read, Ok(len) if len == 1 << 36), "it went on");
    assert!(!matches!(read, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "it neither went on nor ended");
}
#[test]
fn an_answer_that_ends_early_is_broken_off() {
    let house = House::new(limits());
    let said = house.say("GET /short HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(said.contains("content-length: 10\r\n") && said.ends_with("\r\n\r\nabc"), "{said}");
}
#[test]
fn no_more_is_sent_than_was_announced() {
    let house = House::new(limits());
    let said = house.ask("GET /long", "");
    assert!(said.contains("content-length: 3\r\n") && said.ends_with("\r\n\r\nabc"), "{said}");
}
#[test]
fn an_answer_of_unknown_length_comes_in_chunks() {
    let house = House::new(limits());
    assert!(house.ask("GET /chunks", "").ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
}
#[test]
fn a_panic_is_one_requests_own() {
    let house = House::new(Limits { handlers_max: 1, ..limits() });
    for _ in 0..3 {
        status(&house.ask("GET /panic", ""), 500);
        status(&house.ask("GET /x", ""), 200);
    }
}
