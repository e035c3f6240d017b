//! A second box joins an installation with a one-time token, and its station provisions boards through the first box.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::process::Command;

/// What the scripts have in common: a first box with its broker. `say NAME COMMAND` keeps the status and the code of a
/// failure; `show NAME COMMAND` what a command printed.
const PRELUDE: &str = r#"
    set -u
    trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
    nats=$(command -v nats-server || echo /usr/sbin/nats-server)
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    one() { "$CRADLE" --data one "$@"; }
    two() { "$CRADLE" --data two "$@"; }
    say() {
      local name=$1; shift
      "$@" >said 2>err; local status=$?
      printf '%s\t%s %s\n' "$name" $status "$(sed -n 's/^ *code: //p' err | tail -1)"
      printf -- '--- %s\n' "$name" >>log; cat said err >>log
    }
    show() { local name=$1; shift; printf '%s\t%s\n' "$name" "$("$@" 2>>log | tr '\n' ' ')"; }
    must() { "$@" >>log 2>&1 || { echo "failed: $*"; tail -30 log; exit 9; }; }
    # up BOX: starts it, and waits until all that its mode has on runs.
    up() {
      mkfifo "said-$1"
      "$CRADLE" --data "$1" -o json up --listen 127.0.0.1:0 >"said-$1" 2>>"up-$1.log" &
      read -r line <"said-$1"
      local url=$(printf %s "$line" | python3 -c 'import json, sys; print(json.load(sys.stdin)["url"])')
      curl -sS --retry 60 --retry-delay 1 --retry-all-errors --fail -o body "$url/ready" || { cat body; exit 8; }
    }
    must one init --yes --store "$CRADLE_TEST_POSTGRES" --bus "nats://127.0.0.1:$port"
"#;

/// Starts the first box, which expects sensors and has software for them.
const BOX_ONE: &str = r#"
    $nats -c one/bus/nats-server.conf >nats.log 2>&1 &
    broker=$!
    until (: </dev/tcp/127.0.0.1/$port) 2>/dev/null; do kill -0 $broker || exit 7; done
    mkdir -p one/device-types
    cat >one/device-types/sensor.toml <<'TOML'
description = "a test"
profile = "idevid"
key_type = "p256"
[flasher]
adapter = "simulated"
device_type = "sensor"
directory = "../boards-sensor"
key_offer = "csr"
count = 4
TOML
    { echo serial,type; for n in 1 2 3 4 5 6 7 8; do echo SN00000$n,sensor; done; } >devices.csv
    head -c 100000 /dev/zero >image.bin
    up one
    must one list import devices.csv
    must one repo init
    must one repo add image.bin --version 1 --counter 1 --for sensor
    must one repo publish
    must one release follow --images repository/metadata/1.root.json
    must one mode set software-import
    must one release import repository
    must one mode set certificate-management
"#;

/// The second box asks, is admitted, and comes up.
const JOIN: &str = r#"
    must one module invite --box line-2 --modules provisioning --out token
    must two module join token --out request
    must one module admit request --out answer
    must two module join --answer answer
    must one bus config --again
    kill -HUP $broker
    must one release copy two/vault --box line-2
    up two
"#;

/// Runs a script beside a server for its records. Gives what it said, by name.
#[track_caller]
fn said(name: &str, script: &[&str]) -> BTreeMap<String, String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let dir = format!("{}/joining-{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::create_dir_all(&dir).unwrap();
    let script = format!("cd {dir}\nCRADLE={}\n{PRELUDE}\n{}", env!("CARGO_BIN_EXE_cradle"), script.concat());
    let ran = Command::new(format!("{root}/rigs/with-postgres")).args(["bash", "-c", &script]).output().unwrap();
    let log = |file: &str| std::fs::read_to_string(format!("{dir}/{file}")).unwrap_or_default();
    let logs = format!("{}\n{}\n{}", log("log"), log("up-one.log"), log("up-two.log"));
    let _left_for_the_next_run = std::fs::remove_dir_all(&dir);
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{out}{}{logs}", String::from_utf8_lossy(&ran.stderr));
    out.lines().filter_map(|line| line.split_once('\t')).map(|(name, said)| (name.into(), said.trim().into())).collect()
}

#[track_caller]
fn check(said: &BTreeMap<String, String>, name: &str, expected: &str) {
    assert_eq!(said.get(name).map(String::as_str), Some(expected), "{name}: {said:#?}");
}

#[test]
fn a_second_box_provisions_through_the_first() {
    let said = said(
        "station",
        &[
            BOX_ONE,
            JOIN,
            r#"
            say doctor two doctor
            say first two station run sensor --operator operator
            show devices one device list -o jsonl
            # Its key is stolen.
            cp two/keys/module.provisioning.p8 stolen.p8
            serial=$(one module list -o json | python3 -c 'import json, sys
for row in json.load(sys.stdin):
    if (row["box"], row["name"]) == ("line-2", "provisioning"): print(row["serial"])')
            must one cert revoke "$serial" --reason key-compromise --yes
            sed -i 's/count = 4/count = 8/' two/device-types/sensor.toml
            # Other processes look up who is who within ten seconds; whoever asks before may be let in for the last time.
            timeout 60 grep -q -m1 not-certified <(tail -F -n +1 up-two.log 2>/dev/null) || exit 6
            say stolen two station run sensor --operator operator
            show left one device list -o jsonl
            must two mode set certificate-management
            say again two module renew provisioning
            say replaced two module renew provisioning --new-key
            cmp -s stolen.p8 two/keys/module.provisioning.p8; printf 'changed\t%s\n' $?
            must two mode set provision
            say second two station run sensor --operator operator
            show devices-2 one device list -o jsonl
            say verified one verify --deep
            say log one audit verify
            show audit one audit list --from 0 -o jsonl
            # A module whose certificate was revoked does not sign in any more when the configuration is written again.
            must one cert revoke "$(one module list -o json | python3 -c 'import json, sys
print([row["serial"] for row in json.load(sys.stdin) if (row["box"], row["name"]) == ("line-2", "provisioning")][0])')" --yes
            show users one -o json bus config --again
            "#,
        ],
    );
    let provisioned = |name: &str| said[name].matches("\"custody\":\"provisioned\"").count();
    check(&said, "doctor", "0");
    check(&said, "first", "0");
    assert_eq!(provisioned("devices"), 4, "{said:#?}");
    assert_eq!(said["devices"].matches("\"station\":\"line-2\"").count(), 4, "{said:#?}");
    check(&said, "stolen", "4 not-certified");
    assert_eq!(provisioned("left"), 4, "{said:#?}");
    check(&said, "again", "7 key-revoked");
    check(&said, "replaced", "0");
    check(&said, "changed", "1");
    check(&said, "second", "0");
    assert_eq!(provisioned("devices-2"), 8, "{said:#?}");
    check(&said, "verified", "0");
    check(&said, "log", "0");
    for word in ["box-invited", "box-admitted", "line-2"] {
        assert!(said["audit"].contains(word), "{word}: {said:#?}");
    }
    let users = &said["users"];
    assert!(users.contains("\"supervisor\"") && users.matches("line-2").count() == 2, "{users}");
}

#[test]
fn a_token_opens_once_for_one_box() {
    let said = said(
        "once",
        &[
            BOX_ONE,
            r#"
            must one module invite --box line-2 --modules provisioning --out token
            stat -c %a token >mode; show private cat mode
            say twice one module invite --box line-2 --modules provisioning --out token-b
            say known one module invite --box line-1 --modules provisioning --out token-b
            must two module join token --out request
            say nowhere two module join token --out request
            must two module join token --out request-again
            cmp -s request request-again; printf 'same\t%s\n' $?
            three() { "$CRADLE" --data three "$@"; }
            must three module join token --out request-3
            # Somebody on the way puts his own request under the token's name, or changes a letter.
            python3 - <<'PY'
import json
request = json.load(open("request"))
inner = json.loads(request["request"])
flip = lambda text: text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
json.dump(dict(request, request=json.dumps(dict(inner, payload=flip(inner["payload"])), separators=(",", ":"))), open("altered", "w"))
PY
            must one module invite --box line-4 --modules provisioning --out token-4
            must "$CRADLE" --data four module join token-4 --out request-4
            python3 - <<'PY'
import json
mine, theirs = json.load(open("request-4")), json.load(open("request"))
json.dump(dict(theirs, request=mine["request"]), open("swapped", "w"))
PY
            say altered one module admit altered --out answer
            say swapped one module admit swapped --out answer
            must one mode set provision
            say mode one module admit request --out answer
            must one mode set certificate-management
            # Spaces that somebody adds are nobody's business.
            python3 - <<'PY'
import json
request = json.load(open("request"))
json.dump(dict(request, request=json.dumps(json.loads(request["request"]), indent=1)), open("spaced", "w"))
PY
            say spaced one module admit spaced --out answer-spaced
            say admitted one module admit request --out answer
            say again one module admit request --out answer-again
            say other one module admit request-3 --out answer-3
            ls answer-3 2>/dev/null
            show modules one -o json module list
            # An answer is for who asked.
            say answer-of-another three module join --answer answer
            python3 - <<'PY'
import json
answer = json.load(open("answer"))
inner = json.loads(answer["answer"])
flip = lambda text: text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
json.dump(dict(answer, answer=json.dumps(dict(inner, payload=flip(inner["payload"])), separators=(",", ":"))), open("answer-altered", "w"))
PY
            say answer-altered two module join --answer answer-altered
            # One that was taken back, and one whose time is over.
            say uninvited one module uninvite --box line-4
            say taken-back one module admit request-4 --out answer-4
            say used one module uninvite --box line-2
            say unknown one module uninvite --box line-9
            must one module invite --box line-5 --modules provisioning --valid 30m --out token-5
            say ended faketime -f +31m "$CRADLE" --data five module join token-5 --out request-5
            show invitations one module invitations
            # What only the records say, nobody invited: the row is signed by operators.
            psql --quiet --dbname "$CRADLE_TEST_POSTGRES" --command "UPDATE cradle.invitation SET until = until + 99999999 WHERE box = 'line-5'"
            must "$CRADLE" --data five module join token-5 --out request-5
            say forged one module admit request-5 --out answer-5
            # Where two operators are, both invite.
            must one operator add bob
            say alone one module invite --box line-6 --modules provisioning --operator operator --out token-6
            say both one module invite --box line-6 --modules provisioning --operator operator --operator bob --out token-6
            say took two module join --answer answer
            say late two module join --answer answer
            show data ls two
            show secrets grep -c "$(python3 -c 'import json; print(json.load(open("token"))["secret"])')" request answer two/cradle.toml
            "#,
        ],
    );
    check(&said, "private", "600");
    check(&said, "twice", "6 invitation-open");
    check(&said, "known", "6 box-known");
    check(&said, "nowhere", "6 exists");
    check(&said, "same", "0");
    check(&said, "altered", "7 join-refused");
    check(&said, "swapped", "7 join-refused");
    check(&said, "mode", "3 wrong-mode");
    check(&said, "spaced", "0");
    check(&said, "admitted", "0");
    check(&said, "again", "0");
    check(&said, "other", "7 invitation-used");
    // The same request again makes no second certificate.
    assert_eq!(said["modules"].matches("line-2").count(), 3, "{said:#?}");
    check(&said, "answer-of-another", "7 answer-refused");
    check(&said, "answer-altered", "7 answer-refused");
    check(&said, "uninvited", "0");
    check(&said, "taken-back", "7 invitation-taken-back");
    check(&said, "used", "7 invitation-used");
    check(&said, "unknown", "5 invitation-unknown");
    check(&said, "ended", "7 invitation-ended");
    check(&said, "forged", "1 records-disagree");
    check(&said, "alone", "4 operators-needed");
    check(&said, "both", "0");
    check(&said, "took", "0");
    check(&said, "late", "6 exists");
    for word in ["line-2", "admitted", "line-4", "taken back", "line-5", "open", "provisioning,console,supervisor"] {
        assert!(said["invitations"].contains(word), "{word}: {said:#?}");
    }
    assert!(!said["data"].contains("joining.json"), "{said:#?}");
    check(&said, "secrets", "request:0 answer:0 two/cradle.toml:0");
}

#[test]
fn where_modules_share_a_process_nobody_joins() {
    let said = said(
        "alone",
        &[r#"
            must "$CRADLE" --data alone init --yes
            say invite "$CRADLE" --data alone module invite --box line-2 --modules provisioning --out token
            say config "$CRADLE" --data alone bus config --again
            say answer two module join --answer nothing
            say no-token two module join nothing --out request
            echo '{}' >empty
            say empty two module join empty --out request
            say module one module invite --box line-2 --modules gateway --out token
            say never one module invite --box line-2 --modules provisioning --valid 31d --out token
            ls token request two 2>/dev/null
            true
        "#],
    );
    check(&said, "invite", "2 no-bus");
    check(&said, "config", "2 no-bus");
    check(&said, "answer", "5 not-joining");
    check(&said, "no-token", "5 file");
    check(&said, "empty", "2 join-file");
    check(&said, "module", "2");
    check(&said, "never", "2");
}
