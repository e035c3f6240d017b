//! Monitoring over HTTP, asked by foreign clients.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;
use common::{Box_, foreign, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server that runs. It is told to end when it is dropped.
struct Served<'a> {
    b: &'a Box_,
    child: Child,
    url: String,
}

impl<'a> Served<'a> {
    fn new(b: &'a Box_, more: &[&str]) -> Self {
        let arguments = [&["serve", "-o", "json"], more].concat();
        let mut child = b.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let url = said["url"].as_str().unwrap().to_owned();
        Self { b, child, url }
    }
    fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }
    /// What curl gets: the status and the body.
    fn curl(&self, path: &str, more: &[&str]) -> (u16, String) {
        let url = format!("{}{path}", self.url);
        let out = foreign(&self.b.dir, "curl", &[&["-sS", "-w", "\n%{http_code}", &url], more].concat());
        let (body, status) = out.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
    /// What is answered to these octets, and then the connection closed.
    fn raw(&self, octets: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let _cut_off = stream.write_all(octets);
        let mut answer = Vec::new();
        let _cut_off = stream.read_to_end(&mut answer);
        text(&answer)
    }
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
    /// Ends it. Gives its exit status and what it logged.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        let mut logged = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
        (self.child.wait().unwrap().code(), logged)
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// Reads OpenMetrics text by its rules, strictly. Gives each sample.
///
/// Source: OpenMetrics 1.0, "Text format".
#[track_caller]
fn samples(metrics: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut types = BTreeMap::new();
    let mut current = String::new();
    let body = metrics.strip_suffix("# EOF\n").expect("the end is marked");
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
            && !name.as_bytes()[0].is_ascii_digit()
    };
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (kind, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(is_name(name), "{line}");
            if kind == "TYPE" {
                assert!(["gauge", "counter", "info"].contains(&rest), "{line}");
                assert!(types.insert(name.to_owned(), rest.to_owned()).is_none(), "{name} is described twice");
            }
            current = name.to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let suffix = match types[&current].as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert_eq!(name, format!("{current}{suffix}"), "{line} stands below its own description");
        if let Some((_, labels)) = series.split_once('{') {
            for label in labels.strip_suffix('}').unwrap().split_terminator("\",") {
                let (key, value) = label.split_once("=\"").unwrap();
                assert!(is_name(key) && !value.contains('\n'), "{line}");
            }
        }
        let series = series.strip_suffix("{}").unwrap_or(series);
        assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} stands there twice");
    }
    samples
}

#[test]
fn monitoring_sees_what_the_records_say() {
    let b = Box_::with_software("serve-metrics");
    b.station("sensor");
    b.ok(&["mode", "set", "certificate-management"]);
    let served = Served::new(&b, &[]);
    let (status, metrics) = served.curl("/metrics", &[]);
    assert_eq!(status, 200);
    let before = samples(&metrics);
    assert_eq!(before["cradle_certificates{authority=\"factory\",state=\"confirmed\"}"], 6.0);
    assert_eq!(before["cradle_devices{custody=\"provisioned\"}"], 6.0);
    assert_eq!(before["cradle_scrape_errors_total"], 0.0);
    assert!(before.contains_key("x509_cert_not_after{kind=\"authority\",name=\"root\"}"));
    assert!(before["cradle_disk_free_bytes"] > 0.0 && before["cradle_database_size_bytes"] > 0.0);

    // Commands that write go on beside it, and what they did is seen.
    b.ok(&["cert", "revoke", "--device", "SN000001", "--yes"]);
    let (status, health) = served.curl("/health", &[]);
    assert_eq!((status, health.trim()), (503, r#"{"failing":["crl-missing"],"health":"failing"}"#));
    b.ok(&["crl", "issue", "factory"]);
    let (status, health) = served.curl("/health", &[]);
    assert_eq!((status, health.trim()), (200, r#"{"failing":[],"health":"ok"}"#));
    let after = samples(&served.curl("/metrics", &[]).1);
    assert_eq!(after["cradle_certificates{authority=\"factory\",state=\"revoked\"}"], 1.0);
    assert_eq!(after["cradle_certificates{authority=\"factory\",state=\"confirmed\"}"], 5.0);
    assert_eq!(after["cradle_revocations_total"], before["cradle_revocations_total"] + 1.0);
    assert_eq!(after["cradle_crl_number{authority=\"factory\"}"], 1.0);
    assert!(after["cradle_audit_entries_total"] > before["cradle_audit_entries_total"]);

    let (status, shown) = served.curl("/status", &[]);
    let (shown, ours): (Value, Value) = (serde_json::from_str(&shown).unwrap(), b.json(&["status"]));
    assert_eq!((status, &shown["authorities"], &shown["audit"]), (200, &ours["authorities"], &ours["audit"]));
    let (code, logged) = served.end("TERM");
    assert_eq!(code, Some(0), "{logged}");
    assert!(!logged.contains("WARN"), "{logged}");
}

#[test]
fn python_reads_the_metrics() {
    let b = Box_::new("serve-python");
    let served = Served::new(&b, &[]);
    let script = "import sys,urllib.request as u\nr=u.urlopen(sys.argv[1]+'/metrics')\n\
        assert r.headers['Content-Type'].startswith('application/openmetrics-text; version=1.0.0'),r.headers\n\
        assert r.headers['Cache-Control']=='no-store' and r.headers['X-Content-Type-Options']=='nosniff'\n\
        print(len(r.read()))";
    let length: usize = foreign(&b.dir, "python3", &["-c", script, &served.url]).trim().parse().unwrap();
    assert!(length > 1000, "{length}");
}

#[test]
fn other_machines_cannot_reach_it() {
    let b = Box_::new("serve-loopback");
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "localhost:80", "host.example:80", "9100"] {
        let said = b.fails(&["serve", "--listen", address], 2, "not-loopback");
        assert!(said.contains(address), "{said}");
    }
    let served = Served::new(&b, &[]);
    assert!(served.address().ip().is_loopback());
    let port = served.address().port().to_string();
    b.fails(&["serve", "--listen", &format!("127.0.0.1:{port}")], 3, "listen");
    // A page in a browser that has a foreign name lead here.
    assert_eq!(served.curl("/status", &["-H", "Host: evil.example"]).0, 421);
    assert_eq!(served.curl("/status", &["-H", &format!("Host: localhost:{port}")]).0, 200);
    b.fails(&["serve", "--data", "nothing"], 5, "no-data");
}

#[test]
fn only_what_is_there_is_answered() {
    let b = Box_::new("serve-methods");
    let served = Served::new(&b, &[]);
    assert_eq!(served.curl("/", &[]).0, 200);
    assert_eq!(served.curl("/nothing", &[]).0, 404);
    assert_eq!(served.curl("/metrics", &["-X", "POST", "-d", "x"]).0, 405);
    assert_eq!(served.curl("/metrics", &["-X", "DELETE"]).0, 405);
    assert_eq!(served.curl("/health", &["-I"]).0, 200);
    let long = format!("X-Long: {}", "x".repeat(20_000));
    assert_eq!(served.curl("/health", &["-H", &long]).0, 431);
    let many: String = (0..80).map(|n| format!("X-{n}: x\r\n")).collect();
    let answer = served.raw(format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = served.raw(b"nonsense\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(served.curl("/health", &[]).0, 200, "and it goes on");
}

#[test]
fn who_says_nothing_is_turned_out_and_does_not_keep_others_out() {
    let b = Box_::new("serve-slow");
    let served = Served::new(&b, &[]);
    let mut silent: Vec<_> = (0..63).map(|_| TcpStream::connect(served.address()).unwrap()).collect();
    for stream in &mut silent {
        stream.write_all(b"GET /health HT").unwrap();
    }
    assert_eq!(served.curl("/health", &["--max-time", "9"]).0, 200, "one slot is left");
    // The rest of the slots: nobody is let in until the silent ones are turned out.
    silent.extend((0..2).map(|_| TcpStream::connect(served.address()).unwrap()));
    assert_eq!(served.curl("/health", &["--max-time", "60"]).0, 200, "they are turned out");
    let mut answer = Vec::new();
    silent[0].read_to_end(&mut answer).unwrap();
    assert_eq!(text(&answer).split("\r\n").next().unwrap_or_default().trim_end(), "", "nothing is said to them");
}

#[test]
fn an_installation_that_vanishes_is_unavailable_until_it_is_back() {
    let b = Box_::new("serve-vanish");
    let served = Served::new(&b, &[]);
    assert_eq!(served.curl("/health", &[]).0, 200);
    std::fs::rename(b.data(), b.dir.join("away")).unwrap();
    for path in ["/metrics", "/status", "/health"] {
        let (status, body) = served.curl(path, &[]);
        let said: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, said["error"]["code"].as_str()), (503, Some("no-data")), "{path}");
    }
    std::fs::rename(b.dir.join("away"), b.data()).unwrap();
    std::fs::rename(b.data().join("cradle.db"), b.dir.join("db")).unwrap();
    let (status, body) = served.curl("/health", &[]);
    assert!(status == 503 && body.contains("records-gone"), "{body}");
    std::fs::rename(b.dir.join("db"), b.data().join("cradle.db")).unwrap();
    assert_eq!(served.curl("/health", &[]).0, 200);
    assert_eq!(samples(&served.curl("/metrics", &[]).1)["cradle_scrape_errors_total"], 4.0);
}

#[test]
fn it_ends_in_order() {
    let b = Box_::new("serve-end");
    for signal in ["TERM", "INT"] {
        let served = Served::new(&b, &[]);
        // One that is kept alive and idle does not hold it up.
        let mut idle = TcpStream::connect(served.address()).unwrap();
        idle.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(idle.read(&mut [0; 15]).unwrap() > 0);
        let address = served.address();
        let (code, logged) = served.end(signal);
        assert_eq!(code, Some(0), "{logged}");
        assert!(!logged.contains("cut off"), "{logged}");
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}
