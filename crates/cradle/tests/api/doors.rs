//! Who may ask, and where.

use crate::common::{Box_, foreign, port_of_its_own};
use crate::desk::Desk;
use serde_json::Value;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Whether the tests run as root.
fn is_root(b: &Box_) -> bool {
    std::fs::metadata(&b.dir).unwrap().uid() == 0
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_socket_is_its_owners_and_nothing_else_listens() {
    let mut desk = Desk::new("api-socket");
    let data = desk.b.data();
    assert_eq!(desk.said["url"], Value::Null);
    assert_eq!((mode(&data.join("api.sock")), mode(&data.join("api"))), (0o600, 0o700));
    assert!(!data.join("api/token").exists(), "there is no token where nobody shows one");
    // A second one does not take the first one's place.
    desk.b.fails(&["api"], 75, "in-use");
    desk.get("/v1/mode").is(200);
    desk.stop();
    assert!(!data.join("api.sock").exists());
    // What a process left that was killed is no hindrance.
    std::fs::write(data.join("api.sock"), "").unwrap();
    desk.start(&["api"]);
    desk.get("/v1/mode").is(200);
}

/// Has the permissions of the socket, and of what it is in, keep nobody away.
pub fn open_to_others(b: &Box_) {
    let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    open(&b.data(), 0o711);
    open(&b.data().join("api.sock"), 0o666);
}

/// The words that run a command as root.
fn root(b: &Box_) -> &'static [&'static str] {
    if is_root(b) { &[] } else { &["sudo", "-n"] }
}

/// The words that run a command as another user.
pub fn other_user(b: &Box_) -> Vec<&'static str> {
    [root(b), &["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]].concat()
}

#[test]
fn another_user_is_refused_whatever_the_permissions() {
    let desk = Desk::new("api-user");
    open_to_others(&desk.b);
    // The socket is opened from within its directory, so those above may be closed to that user.
    let ask = ["--unix-socket", "api.sock", "http://localhost/v1/mode"];
    desk.curl(&other_user(&desk.b), &ask).fails(403, "api-not-allowed");
    desk.curl(root(&desk.b), &ask).is(200);
}

#[test]
fn over_tcp_the_token_is_shown() {
    let mut desk = Desk::new("api-tcp");
    desk.start(&["api", "--listen", "127.0.0.1:0"]);
    let url = format!("{}/v1/mode", desk.said["url"].as_str().unwrap());
    let path = desk.b.data().join("api/token");
    assert_eq!(mode(&path), 0o600);
    let token = std::fs::read_to_string(&path).unwrap();
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let refused = desk.curl(&[], &[&url]);
    assert_eq!(refused.field("www-authenticate"), Some("Bearer"));
    refused.fails(401, "api-not-allowed");
    desk.curl(&[], &["--header", &bearer("x"), &url]).fails(401, "api-not-allowed");
    desk.curl(&[], &["--header", &bearer(""), &url]).fails(401, "api-not-allowed");
    desk.curl(&[], &["--header", &format!("Authorization: {token}"), &url]).fails(401, "api-not-allowed");
    desk.curl(&[], &[&format!("{url}?token={token}")]).fails(401, "api-not-allowed");
    desk.curl(&[], &["--header", &bearer(&token), &url]).is(200);
    let other_host = ["--header", &bearer(&token), "--header", "Host: evil.example", &url];
    desk.curl(&[], &other_host).fails(421, "api-not-allowed");
    // Each start has its own.
    desk.start(&["api", "--listen", "127.0.0.1:0"]);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), token);
    assert!(!desk.log().contains(&token), "{}", desk.log());
    desk.b.fails(&["api", "--listen", "0.0.0.0:0"], 2, "not-loopback");
}

#[test]
fn a_box_that_runs_answers_itself_if_it_is_told_to() {
    let b = Box_::new("api-up");
    b.ok(&["mode", "set", "certificate-management"]);
    let path = b.data().join("cradle.toml");
    let settings = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{settings}\n[api]\nlisten = \"192.0.2.1:0\"\n")).unwrap();
    b.fails(&["up"], 2, "config");
    std::fs::write(&path, format!("{settings}\n[api]\n")).unwrap();
    let mut desk = Desk::of(b, &["up"]);
    assert_eq!(desk.said["api"]["url"], Value::Null, "{}", desk.said);
    desk.get("/v1/mode").is(200);
    // It has the installation, so a command that writes waits; the API does not.
    desk.b.fails(&["mode", "set", "provision"], 75, "in-use");
    assert_eq!(desk.post("/v1/mode", "{\"mode\": \"provision\"}").is(200)["order"], "provision");
    assert_eq!(desk.b.json(&["mode", "show"])["order"], "provision");
    desk.stop();
    assert!(!desk.b.data().join("api.sock").exists());
    desk.b.sound();
}

#[test]
fn a_box_that_runs_closes_its_doors_with_the_mode_and_opens_them_again() {
    let b = Box_::new("api-doors");
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["module", "add", "gateway"]);
    let (path, port) = (b.data().join("cradle.toml"), port_of_its_own());
    let settings = std::fs::read_to_string(&path).unwrap();
    // Who is elsewhere can reach it: while he can, no mode is entered that has the gateway off.
    let gateway = format!("[gateway]\nhttp = \"0.0.0.0:{port}\"\nlabel = \"devices\"\n[gateway.est.devices]\n");
    std::fs::write(&path, format!("{settings}\n{gateway}profile = \"ldevid\"\n[api]\n")).unwrap();
    let mut desk = Desk::of(b, &["up"]);
    let is_open = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    for _ in 0..2 {
        assert!((0..1000).any(|_| desk.get("/v1/mode").is(200)["order"].is_string() && is_open()), "it stays closed");
        desk.post("/v1/mode", "{\"mode\": \"provision\"}").is(200);
        assert!(!is_open(), "it listens in a mode that has the gateway off");
        desk.post("/v1/mode", "{\"mode\": \"certificate-management\"}").is(200);
    }
    desk.stop();
    desk.b.sound();
}

#[test]
fn what_is_described_is_what_is_checked_in() {
    let desk = Desk::new("api-document");
    let printed: Value = serde_json::from_str(&desk.b.ok(&["api", "openapi"])).unwrap();
    assert_eq!(printed["openapi"], "3.1.0");
    assert!(desk.get("/v1/openapi.json").is(200) == printed, "it answers another one");
    let kept = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/openapi.json")).unwrap();
    assert!(serde_json::from_slice::<Value>(&kept).unwrap() == printed, "run the ignored test of api::document");
}

#[test]
fn what_the_api_keeps_is_in_no_backup() {
    let mut desk = Desk::new("api-backup");
    desk.start(&["api", "--listen", "127.0.0.1:0"]);
    desk.post_once("a-key", "/v1/devices/SN1/stolen", "{}").is(200);
    desk.b.ok(&["backup", "create", "a.backup"]);
    let listed = foreign(&desk.b.dir, "tar", &["-tf", "a.backup"]);
    assert!(listed.contains("cradle.toml") && !listed.contains("api"), "{listed}");
}
