//! A box whose modules run in processes of their own, asked by a foreign client whether it may be given work.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// What the scripts have in common: an installation, its broker, and questions of curl. `say NAME COMMAND` keeps what a
/// command printed; `until_ready URL` asks again as long as it is refused.
const PRELUDE: &str = r#"
    set -u
    trap 'kill -CONT $(jobs -p) 2>/dev/null; kill $(jobs -p) 2>/dev/null; wait' EXIT
    nats=$(command -v nats-server || echo /usr/sbin/nats-server)
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    say() { local name=$1; shift; printf '%s\t%s\n' "$name" "$("$@" 2>&1 | tr '\n' ' ')"; }
    checked() { "$CRADLE" -o json up --check --listen "${1#http://}"; echo " $?"; }
    asked() { curl -sS -w ' %{http_code}' "$1"; }
    until_ready() { curl -sS -w ' %{http_code}' --retry 60 --retry-delay 1 --retry-all-errors -o body "$1"; }
    $CRADLE --data data init --yes --store "$CRADLE_TEST_POSTGRES" --bus "nats://127.0.0.1:$port" >/dev/null 2>&1 || exit 9
    $nats -c data/bus/nats-server.conf >nats.log 2>&1 &
    broker=$!
    until (: </dev/tcp/127.0.0.1/$port) 2>/dev/null; do kill -0 $broker || exit 7; done
    # up: starts the box, and waits for the line that it says.
    up() {
      mkfifo said
      "$CRADLE" --data data -o json up --listen 127.0.0.1:0 >said 2>up.log &
      box=$!
      read -r line <said
      url=$(printf %s "$line" | python3 -c 'import json, sys; print(json.load(sys.stdin)["url"])')
    }
"#;

/// Runs a script, and gives what it said, by name: a body of JSON and the status.
#[track_caller]
fn said(name: &str, script: &str) -> BTreeMap<String, (Value, String)> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let dir = format!("{}/up-{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::create_dir_all(&dir).unwrap();
    let script = format!("cd {dir}\nCRADLE={}\n{PRELUDE}\n{script}", env!("CARGO_BIN_EXE_cradle"));
    let ran = Command::new(format!("{root}/rigs/with-postgres")).args(["bash", "-c", &script]).output().unwrap();
    let log = std::fs::read_to_string(format!("{dir}/up.log")).unwrap_or_default();
    let _left_for_the_next_run = std::fs::remove_dir_all(&dir);
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{out}{}{log}", String::from_utf8_lossy(&ran.stderr));
    let lines = out.lines().filter_map(|line| line.split_once('\t')).map(|(name, said)| {
        let (body, status) = said.trim().rsplit_once(' ').unwrap_or(("", said.trim()));
        (name.to_owned(), (serde_json::from_str(body.trim()).unwrap_or_default(), status.to_owned()))
    });
    lines.collect()
}

/// Which modules are to run, and what is down, by code and module.
#[track_caller]
fn check(said: &BTreeMap<String, (Value, String)>, name: &str, status: &str, modules: &[&str], down: &[(&str, &str)]) {
    let (body, found) = &said[name];
    let texts = |list: &Value, key: &str| -> Vec<String> {
        let text = |entry: &Value| entry.get(key).unwrap_or(entry).as_str().unwrap_or("-").to_owned();
        list.as_array().unwrap_or(&Vec::new()).iter().map(text).collect()
    };
    let names = |entry: &Value| entry.get("module").and_then(Value::as_str).unwrap_or("-").to_owned();
    let of: Vec<_> = body["down"].as_array().unwrap_or(&Vec::new()).iter().map(names).collect();
    let codes = texts(&body["down"], "code");
    let seen: Vec<_> = codes.iter().map(String::as_str).zip(of.iter().map(String::as_str)).collect();
    assert_eq!((found.as_str(), seen), (status, down.to_vec()), "{name}: {body}");
    assert_eq!(texts(&body["modules"], "-"), modules, "{name}: {body}");
    assert_eq!(body["ready"], status == "200", "{name}: {body}");
}

#[test]
fn a_box_is_ready_when_all_that_its_mode_has_on_runs_and_the_broker_is_there() {
    let said = said(
        "box",
        r#"up
        say live asked "$url/live"
        say ready asked "$url/ready"
        say health asked "$url/health"
        say check-ready checked "$url"
        kill -STOP $broker
        say frozen asked "$url/ready"
        say check-frozen checked "$url"
        say live-then asked "$url/live"
        kill -CONT $broker
        say thawed until_ready "$url/ready"
        say sealed-mode "$CRADLE" --data data -o json mode set sealed
        say sealed asked "$url/ready"
        say ceremony-mode "$CRADLE" --data data -o json mode set ceremony
        say ceremony asked "$url/ready"
        # A process that cannot come back: its key is away.
        mv data/keys data/keys-away
        kill -KILL $(pgrep -P $box -f -- '--modules identity')
        # The box hears of it when the process has ended, which is not when it is killed.
        until asked "$url/ready" | grep -q ' 503$'; do kill -0 $box || exit 6; done
        say crippled asked "$url/ready"
        mv data/keys-away data/keys
        say whole until_ready "$url/ready"
        kill -TERM $box
        wait $box
        say ended echo "{} $?"
        say check-gone checked "$url"
        "#,
    );
    check(&said, "ready", "200", &["identity", "provisioning"], &[]);
    check(&said, "frozen", "503", &["identity", "provisioning"], &[("bus", "supervisor")]);
    check(&said, "sealed", "200", &[], &[]);
    check(&said, "ceremony", "200", &["identity", "authority"], &[]);
    for name in ["live", "live-then", "health", "thawed", "whole"] {
        assert_eq!(said[name].1, "200", "{name}: {said:?}");
    }
    // Whether it is just being started again, or was found not to come up.
    let (body, status) = &said["crippled"];
    assert_eq!(status, "503", "{body}");
    assert_eq!(said["ended"].1, "0");
    for (name, status) in [("check-ready", "0"), ("check-frozen", "3"), ("check-gone", "3")] {
        assert_eq!(said[name].1, status, "{name}: {said:?}");
    }
    let why = said["check-frozen"].0["error"]["why"].as_str().unwrap_or_default();
    assert_eq!(why, "the bus cannot be used: the broker does not answer supervisor", "{said:?}");
}

#[test]
fn a_process_of_a_module_is_ready_while_it_holds_a_lease() {
    let said = said(
        "process",
        r#""$CRADLE" --data data serve --modules identity --number 2 --listen 127.0.0.1:0 >serving 2>own.log &
        own=$!
        # It says where it listens before it begins to work.
        until at=$(grep -om1 'http://127.0.0.1:[0-9]*' own.log); do kill -0 $own || exit 8; done
        say live asked "$at/live"
        until grep -q serving serving; do kill -0 $own || exit 8; done
        say unleased asked "$at/ready"
        up
        say leased until_ready "$at/ready"
        say ready asked "$at/ready"
        kill -STOP $broker
        say frozen asked "$at/ready"
        kill -CONT $broker
        say thawed until_ready "$url/ready"
        say sealed-mode "$CRADLE" --data data -o json mode set sealed
        wait $own
        say ended echo "{} $?"
        "#,
    );
    check(&said, "unleased", "503", &["identity"], &[("no-lease", "identity")]);
    check(&said, "ready", "200", &["identity"], &[]);
    check(&said, "frozen", "503", &["identity"], &[("bus", "identity")]);
    assert_eq!(said["live"].1, "200");
    assert_eq!(said["leased"].1, "200");
    assert_eq!(said["ended"].1, "0", "it ends with its lease: {said:?}");
}

#[test]
fn the_gateway_of_a_box_is_open_while_its_mode_lets_it() {
    let said = said(
        "gateway",
        r#"at=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        printf '\n[gateway]\nhttp = "127.0.0.1:%s"\n' $at >>data/cradle.toml
        up
        crl="http://127.0.0.1:$at/crl/factory.crl"
        # got: the status, or 000 if nobody listens.
        got() { curl -s -o /dev/null -w '%{http_code}' "$1"; }
        mode() { "$CRADLE" --data data mode set $1 >/dev/null || exit 5; }
        say before echo "{} $(got $crl)"
        mode certificate-management
        say uncertified asked "$url/ready"
        "$CRADLE" --data data module add gateway >/dev/null || exit 4
        until [ "$(got $crl)" = 200 ]; do kill -0 $box || exit 3; done
        say open echo "{} $(got $crl)"
        say ready until_ready "$url/ready"
        # The mode is changed when its sockets are proved to be gone, not before.
        mode ceremony
        say closed echo "{} $(got $crl)"
        mode certificate-management
        until [ "$(got $crl)" = 200 ]; do kill -0 $box || exit 2; done
        say again echo "{} $(got $crl)"
        kill -TERM $box
        wait $box
        say ended echo "{} $(got $crl)"
        "#,
    );
    for (name, status) in [("before", "000"), ("open", "200"), ("closed", "000"), ("again", "200"), ("ended", "000")] {
        assert_eq!(said[name].1, status, "{name}: {said:?}");
    }
    check(&said, "uncertified", "503", &["identity", "authority", "gateway"], &[("not-certified", "gateway")]);
    assert_eq!(said["ready"].1, "200", "{said:?}");
}

#[test]
fn what_other_machines_could_reach_is_not_listened_on() {
    let ran = Command::new(env!("CARGO_BIN_EXE_cradle"))
        .args(["--data", "/nowhere", "--passphrase-file", "/dev/null", "up", "--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(!ran.status.success() && said.contains("not-loopback"), "{said}");
}

/// Modules apart follow by themselves, and hear notices that come to the gateway's process.
#[test]
fn a_box_in_processes_follows_by_itself_and_looks_again_when_it_is_told() {
    let said = said(
        "following",
        r#"free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
        at=$(free)
        repo() { "$CRADLE" repo --repository repository "$@" >/dev/null || exit 5; }
        cradle() { "$CRADLE" --data data "$@" >/dev/null || exit 4; }
        # soon COMMAND...: waits until it is so; a test that waits for ever says nothing.
        soon() { for _ in $(seq 600); do "$@" && return; sleep 0.1; done; echo "not soon: $*" >&2; exit 2; }
        publish() { echo "octets $1" >app-$1; repo add app-$1 --for sensor --counter $1; repo publish; }
        repo init
        publish 1
        python3 -u -c 'import functools, http.server as h
s = h.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(h.SimpleHTTPRequestHandler, directory="repository"))
print(s.server_port, flush=True)
s.serve_forever()' >served 2>/dev/null &
        until [ -s served ]; do kill -0 $! || exit 3; done
        printf 'description = "a test"\nprofile = "idevid"\nkey_type = "p256"\n[flasher]\nadapter = "simulated"\ndevice_type = "sensor"\ndirectory = "../boards"\nkey_offer = "csr"\ncount = 1\n' >data/device-types/sensor.toml
        cradle release follow --images repository/metadata/1.root.json
        (umask 077; openssl rand -base64 32 >secret; openssl rand -base64 32 >other)
        printf '\n[software]\nimages = "http://127.0.0.1:%s"\nevery_s = 86400\n[software.notices]\nlisten = "127.0.0.1:%s"\nsecret_file = "%s"\n' $(cat served) $at $PWD/secret >>data/cradle.toml
        up
        cradle mode set certificate-management
        cradle module add gateway
        cradle mode set software-management
        status() { "$CRADLE" --data data -o json status; }
        list() { "$CRADLE" --data data -o json release list; }
        of() { python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }
        followed() { [ "$(status | of '["following"]["last_success"] is not None')" = True ]; }
        soon followed
        say first echo "$(list) 0"
        hook="http://127.0.0.1:$at/.well-known/cradle/notice"
        repo notice add stranger $hook --secret-file other
        open() { [ "$(curl -s -o /dev/null -w '%{http_code}' $hook)" = 405 ]; }
        soon open
        publish 2
        "$CRADLE" -o json repo --repository repository notice send --within 3 >/dev/null 2>refused
        say refused echo "{} $(grep -o 'answered 401' refused | sort -u | wc -l)"
        say deaf echo "$(status | of '["following"]["last_notice"]' | sed s/None/null/) 0"
        repo notice remove stranger
        repo notice add box $hook --secret-file secret
        publish 3
        repo notice send --within 60
        heard() { list | grep -q '"counter": *3'; }
        soon heard
        noticed() { [ "$(status | of '["following"]["last_notice"] is not None')" = True ]; }
        soon noticed
        say noticed echo "{} 0"
        # Another mode: no socket, and no network.
        cradle mode set certificate-management
        closed() { [ "$(curl -s -o /dev/null -w '%{http_code}' $hook)" = 000 ]; }
        soon closed
        say closed echo "{} 0"
        kill -TERM $box
        wait $box
        say ended echo "{} $?"
        "#,
    );
    assert_eq!(said["first"].0[0]["counter"], 1, "{said:?}");
    assert_eq!(said["noticed"].1, "0", "{said:?}");
    assert_eq!((said["refused"].1.as_str(), &said["deaf"].0), ("1", &Value::Null), "{said:?}");
    assert_eq!(said["closed"].1, "0", "{said:?}");
    assert_eq!(said["ended"].1, "0", "{said:?}");
}

#[test]
fn a_box_apart_answers_programs_of_operators() {
    let said = said(
        "api",
        r#"printf '\n[api]\n' >>data/cradle.toml
        up
        say ready until_ready "$url/ready"
        api() { curl -sS -w ' %{http_code}' --unix-socket data/api.sock -H 'Content-Type: application/json' "$@"; }
        say before api http://localhost/v1/mode
        order='{"mode": "certificate-management"}'
        say ordered api -H 'Idempotency-Key: a' -d "$order" http://localhost/v1/mode
        say again api -H 'Idempotency-Key: a' -d "$order" http://localhost/v1/mode
        say after api http://localhost/v1/mode
        say refused api -d '{}' http://localhost/v1/devices/NOBODY/stolen
        kill -TERM $box
        wait $box
        say ended echo "{} $?"
        say gone ls data/api.sock
        "#,
    );
    let (before, after) = (&said["before"].0, &said["after"].0);
    assert_eq!(said["ordered"], said["again"], "the order is obeyed once");
    assert_eq!(said["ordered"], (after.clone(), "200".to_owned()));
    assert_eq!((&after["mode"], &before["order"]), (&"certificate-management".into(), &"provision".into()));
    assert_eq!((said["refused"].1.as_str(), &said["refused"].0["code"]), ("404", &"not-on-list".into()));
    assert_eq!(said["ended"].1, "0");
    assert!(said["gone"].1.ends_with("directory"), "{:?}", said["gone"]);
}
