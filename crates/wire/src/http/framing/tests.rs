use super::*;

const HEAD: &str = "POST /x HTTP/1.1\r\nHost: h\r\n";

/// Where the first offence is, however the octets are divided; nothing if there is none.
#[track_caller]
fn offence(said: &str) -> Option<(usize, Part, &'static str)> {
    let at_once = Framing::default().decode_next(said.as_bytes()).err();
    let mut framing = Framing::default();
    let one_by_one = said.bytes().enumerate().find_map(|(at, octet)| {
        framing.decode_next(&[octet]).err().map(|offence| Offence { after: at + offence.after, ..offence })
    });
    assert_eq!(at_once, one_by_one, "{said:?}");
    if at_once.is_some() {
        assert!(framing.decode_next(b"G").is_err(), "it goes on after an offence");
    }
    at_once.map(|Offence { after, part, why }| (after, part, why))
}
/// A request that ends, with the next one behind it.
#[track_caller]
fn whole(said: &str) {
    let mut framing = Framing::default();
    assert_eq!(offence(said), None, "{said:?}");
    assert_eq!(framing.decode_next(said.as_bytes()), Ok(()));
    assert!(framing.is_between(), "{said:?} goes on");
    assert_eq!(offence(&format!("{said}{said}\r\n{said}")), None, "{said:?}");
}
#[track_caller]
fn refused(said: &str, part: Part) {
    let Some((after, seen, why)) = offence(said) else { panic!("{said:?} was taken") };
    assert!(seen == part && after < said.len() && !why.is_empty(), "{said:?}: {why}");
}
#[track_caller]
fn no_head(fields: &str) {
    refused(&format!("{HEAD}{fields}\r\n"), Part::Head);
}
#[track_caller]
fn chunks(body: &str) {
    whole(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{body}"));
}
#[track_caller]
fn no_chunks(body: &str) {
    refused(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{body}"), Part::Body);
}

#[test]
fn requests_with_and_without_bodies() {
    whole("GET / HTTP/1.1\r\n\r\n");
    whole("GET /a?b=c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    whole("OPTIONS * HTTP/1.1\r\nHost: h\r\nX:\r\nY: \t \r\nZ: a \t\"b\",\u{e9}\r\n\r\n");
    whole(&format!("{HEAD}Content-Length: 3\r\n\r\na\rb"));
    whole(&format!("{HEAD}Content-Length:0\r\n\r\n"));
    whole(&format!("{HEAD}CONTENT-LENGTH: \t003\t \r\n\r\nabc"));
}
#[test]
fn bodies_in_chunks() {
    chunks("0\r\n\r\n");
    chunks("3\r\nabc\r\n0\r\n\r\n");
    chunks("00a\r\n0\r\n\r\n01234\r\nB\r\n\r\n\r\n\r\n\r\nabc\r\n0\r\nX: y\r\nZ:\r\n\r\n");
    chunks("3;a=b\r\nabc\r\n1 \t; c = \"d;e\" ;f\r\nx\r\n0;last\r\n\r\n");
    whole(&format!("{HEAD}TRANSFER-ENCODING:Chunked\t\r\n\r\n0\r\n\r\n"));
}
#[test]
fn one_empty_line_may_stand_before_a_request_and_no_second_one() {
    assert_eq!(offence("\r\nGET / HTTP/1.1\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"), None);
    refused("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Part::Head);
    refused("\nGET / HTTP/1.1\r\n\r\n", Part::Head);
    refused("\rGET / HTTP/1.1\r\n\r\n", Part::Head);
}
#[test]
fn the_first_line() {
    for line in [
        "G(T / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /\x00 HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/1.1 ",
        "GET / http/1.1",
        "GET /",
        "PRI * HTTP/2.0",
    ] {
        refused(&format!("{line}\r\nHost: h\r\n\r\n"), Part::Head);
    }
}
#[test]
fn lines_end_with_cr_lf() {
    refused("GET / HTTP/1.1\nHost: h\r\n\r\n", Part::Head);
    refused("GET / HTTP/1.1\r\nHost: h\n\r\n", Part::Head);
    refused("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", Part::Head);
    refused("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", Part::Head);
    refused("GET / HTTP/1.1\r\nHost: h\r\n\n", Part::Head);
}
#[test]
fn names_and_values() {
    for field in
        ["Host : h", " Host: h", "Ho st: h", ": h", "Host", "X: a\r\n b", "X: a\r\n\tb", "X: a\x00b", "X\u{e9}: a"]
    {
        no_head(&format!("{field}\r\n"));
    }
}
#[test]
fn one_length_in_one_way() {
    let two = ["Content-Length: 5", "Transfer-Encoding: chunked"];
    for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        no_head(&format!("{}\r\n{}\r\n", two[a], two[b]));
    }
    no_head("Content-Length: 5\r\nX: y\r\ncontent-length: 6\r\n");
}
#[test]
fn lengths_are_numbers() {
    for length in [
        "",
        " ",
        "+5",
        "-1",
        "0x5",
        "5,5",
        "5, 5",
        "5 5",
        "5.0",
        "\u{665}",
        "9223372036854775808",
        "18446744073709551621",
    ] {
        no_head(&format!("Content-Length: {length}\r\n"));
    }
    no_head(&format!("Content-Length: {}5\r\n", "0".repeat(40)));
    assert_eq!(offence(&format!("{HEAD}Content-Length: 9223372036854775807\r\n\r\nabc")), None);
}
#[test]
fn one_coding_in_its_own_letters() {
    for coding in [
        "",
        "gzip",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "chunked;q=1",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "chunked,",
        ", chunked",
        "\u{b}chunked",
        "chunked\u{a0}",
        "chun ked",
    ] {
        no_head(&format!("Transfer-Encoding: {coding}\r\n"));
    }
    no_head("Transfer-Encoding : chunked\r\n");
    no_head("Transfer-Encoding\r\n : chunked\r\n");
    no_head("Transfer-Encoding:\r\n chunked\r\n");
    no_head("X: y\nTransfer-Encoding: chunked\r\n");
    refused("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Part::Head);
    // Not that field, and no way to say a length.
    whole(&format!("{HEAD}Transfer_Encoding: gzip\r\nX-Content-Length: a\r\nContent-Lengthy: b\r\n\r\n"));
}
#[test]
fn sizes_of_chunks_are_numbers() {
    for body in ["", "+1", "-1", "0x1", "g", " 1", "1 ", "1\t", "_1", "1_0"] {
        no_chunks(&format!("{body}\r\na\r\n0\r\n\r\n"));
    }
    no_chunks("1000000000000000\r\na");
    no_chunks("0000000000000001\r\na\r\n0\r\n\r\n");
    assert_eq!(offence(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nabc")), None);
}
#[test]
fn chunks_end_where_they_say() {
    for body in [
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\r\na\r0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\r\na\r\n",
    ] {
        no_chunks(body);
    }
}
#[test]
fn extensions_are_in_one_line_and_short() {
    for body in ["1;a\nb\r\na\r\n", "1;a\rb\r\na\r\n", "1;\x00\r\na\r\n", "1 a\r\na\r\n", "1;\u{e9}\r\na\r\n"] {
        no_chunks(body);
    }
    // In all chunks together.
    let chunk = |len: usize| format!("1;{}\r\nx\r\n", "a".repeat(len - 1));
    chunks(&format!("{}{}0\r\n\r\n", chunk(EXTENSIONS_LEN_MAX - 100), chunk(100)));
    no_chunks(&format!("{}{}0\r\n\r\n", chunk(EXTENSIONS_LEN_MAX - 100), chunk(101)));
}
#[test]
fn fields_behind_a_body_are_few_and_say_no_length() {
    for field in ["Content-Length: 1", "transfer-encoding: chunked", "X : y", " x: y", "X", "X: y\nZ: y"] {
        no_chunks(&format!("0\r\n{field}\r\n\r\n"));
    }
    let field = |len: usize| format!("X: {}\r\n", "a".repeat(len - 5));
    chunks(&format!("0\r\n{}\r\n", field(TRAILERS_LEN_MAX - 2)));
    no_chunks(&format!("0\r\n{}\r\n", field(TRAILERS_LEN_MAX - 1)));
}
#[test]
fn each_request_says_for_itself_how_long_it_is() {
    let three = format!("{HEAD}Content-Length: 3\r\n\r\nabc");
    let chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n");
    whole(&format!("{three}{chunked}{three}GET / HTTP/1.1\r\n\r\n"));
    whole(&chunked.repeat(EXTENSIONS_LEN_MAX));
}
