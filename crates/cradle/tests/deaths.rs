//! A process of a module that dies is said in the supervisor's log: once, and how; one that ends as it was told to is not.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::process::Command;

/// A box with a broker of its own, brought up; what it logs is in `up.log`.
const SCRIPT: &str = r#"
    set -u
    trap 'kill -CONT $(jobs -p) 2>/dev/null; kill $(jobs -p) 2>/dev/null; wait' EXIT
    nats=$(command -v nats-server || echo /usr/sbin/nats-server)
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    $CRADLE --data data init --yes --store "$CRADLE_TEST_POSTGRES" --bus "nats://127.0.0.1:$port" >/dev/null 2>&1 || exit 9
    $nats -c data/bus/nats-server.conf >nats.log 2>&1 &
    broker=$!
    until (: </dev/tcp/127.0.0.1/$port) 2>/dev/null; do kill -0 $broker || exit 7; done
    mkfifo said
    "$CRADLE" --data data -o json up --listen 127.0.0.1:0 >said 2>up.log &
    box=$!
    read -r line <said
    url=$(printf %s "$line" | python3 -c 'import json, sys; print(json.load(sys.stdin)["url"])')
    ready() { curl -sS --retry 60 --retry-delay 1 --retry-all-errors -f -o body "$url/ready"; }
    of() { pgrep -P $box -f -- "--modules $1"; }
    ready || exit 5

    # Another mode, and the one before: processes end as they are told to, and others begin.
    "$CRADLE" --data data mode set ceremony >/dev/null || exit 4
    "$CRADLE" --data data mode set provision >/dev/null || exit 4
    ready || exit 5
    echo "in order: $(grep -c 'a process ended' up.log)"

    # One is killed. It is started again.
    kill -KILL $(of identity)
    until grep -q 'a process ended' up.log; do kill -0 $box || exit 6; done
    ready || exit 5
    # It has looked again since, and says no more of it.
    "$CRADLE" --data data mode set ceremony >/dev/null || exit 4
    ready || exit 5
    echo "killed: $(grep 'a process ended that should run' up.log | grep 'identity-1' | grep -c 'signal: 9')"
    echo "killed, all: $(grep -c 'a process ended' up.log)"

    # One is killed while it ends what it has begun: it stands still, is told to end, and is killed then.
    pid=$(of identity)
    kill -STOP $pid
    line=$(readlink /proc/$pid/fd/0)
    kill -TERM $box
    while ls -l /proc/$box/fd 2>/dev/null | grep -qF "$line"; do :; done
    kill -KILL $pid
    wait $box
    echo "draining: $(grep 'a process ended otherwise than it was told to' up.log | grep 'identity-1' | grep -c 'signal: 9')"
    echo "draining, all: $(grep -c 'a process ended' up.log)"
"#;

#[test]
fn each_death_is_said_once_and_no_end_in_order() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let dir = format!("{}/deaths-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::create_dir_all(&dir).unwrap();
    let script = format!("cd {dir}\nCRADLE={}\n{SCRIPT}", env!("CARGO_BIN_EXE_cradle"));
    let ran = Command::new(format!("{root}/rigs/with-postgres")).args(["bash", "-c", &script]).output().unwrap();
    let log = std::fs::read_to_string(format!("{dir}/up.log")).unwrap_or_default();
    let _left_for_the_next_run = std::fs::remove_dir_all(&dir);
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{}: {out}{err}{log}", ran.status);
    let said: Vec<_> = out.lines().collect();
    let expected = ["in order: 0", "killed: 1", "killed, all: 1", "draining: 1", "draining, all: 2"];
    assert_eq!(said, expected, "{log}");
}
