//! Key ceremonies: plans, approvals, rehearsals, interruptions, shares, transcripts.
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
use std::path::Path;

const HEAD: &str = "ceremony = \"root-2026\"\npurpose = \"A root and a factory\"\norganization = \"Example Devices\"\n\
                    approvals = 2\noperators = [\"operator\", \"bob\", \"carol\"]\n";
const SHARES: &str = "shares = { need = 3, of = 5, custodians = [\"ann\", \"ben\", \"cy\", \"dot\", \"ed\"] }\n";

/// The steps of two tiers: a divided root, a factory below it with a limit, and the list of the root.
fn two_tiers() -> String {
    format!(
        "{HEAD}\n[[step]]\ndo = \"create\"\nname = \"root\"\nprofile = \"root\"\nkey_type = \"p384\"\n{SHARES}\
         [[step]]\ndo = \"create\"\nname = \"factory\"\nprofile = \"factory\"\nissuer = \"root\"\nkey_type = \"p256\"\n\
         [[step]]\ndo = \"limit\"\nname = \"factory\"\nquota = 1000\nends = \"2099-01-01\"\n\
         [[step]]\ndo = \"crl\"\nauthority = \"root\"\nto = \"root.crl.pem\"\n"
    )
}

/// An installation without authorities for devices, with three operators, in the mode ceremony.
fn bare(name: &str) -> Box_ {
    let b = Box_::empty(&format!("ceremony-{name}"));
    b.ok(&["init", "--yes", "--bare"]);
    b.ok(&["mode", "set", "ceremony", "--operator", "operator"]);
    b.ok(&["operator", "add", "bob"]);
    b.ok(&["operator", "add", "carol"]);
    b
}
fn approved(b: &Box_, plan: &str, operators: &[&str]) {
    for operator in operators {
        b.ok(&["ceremony", "approve", plan, "--operator", operator]);
    }
}
/// A box in which the ceremony of two tiers was carried out, into `out`.
fn carried_out(name: &str) -> Box_ {
    let b = bare(name);
    b.write("plan.toml", two_tiers());
    approved(&b, "plan.toml", &["operator", "bob"]);
    b.ok(&["ceremony", "run", "plan.toml", "--to", "out"]);
    b
}
/// The directory in which the only ceremony is kept.
fn room(b: &Box_) -> std::path::PathBuf {
    let is_room = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("ceremony-");
    std::fs::read_dir(b.data()).unwrap().map(|e| e.unwrap().path()).find(is_room).unwrap()
}
/// All files below a directory, and what is in them.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
            continue;
        }
        let (name, octets) = (path.display().to_string(), std::fs::read(&path).unwrap());
        // Whoever reads the database maps these; nothing is in them.
        if !(name.ends_with("-shm") || name.ends_with("-wal") && octets.is_empty()) {
            all.insert(name, octets);
        }
    }
    all
}
/// The files in which two trees differ.
fn changed(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}
fn share(n: usize) -> String {
    let names = ["ann", "ben", "cy", "dot", "ed"];
    format!("kept/root-{n}-{}.share", names[n - 1])
}
/// Moves the shares away from where they were written, as custodians do.
fn hand_out(b: &Box_) {
    std::fs::rename(b.dir.join("out/shares"), b.dir.join("kept")).unwrap();
}
fn with_shares(arguments: &[&str], numbers: &[usize]) -> Vec<String> {
    let shares = numbers.iter().flat_map(|n| ["--share".to_owned(), share(*n)]);
    arguments.iter().map(|a| (*a).to_owned()).chain(shares).collect()
}
fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn a_plan_is_said_in_words_with_its_digest() {
    let b = bare("words");
    b.write("plan.toml", two_tiers());
    let said = b.ok(&["ceremony", "check", "plan.toml"]);
    let digest = foreign(&b.dir, "sha256sum", &["plan.toml"]);
    assert!(said.contains(digest.split(' ').next().unwrap()), "{said}");
    assert!(said.contains("2 of 3 operators must approve: operator, bob, carol"), "{said}");
    assert!(
        said.contains("1. Make the root root, which certifies itself: a p384 key") && said.contains("any 3 of 5"),
        "{said}"
    );
    assert_eq!(b.json(&["ceremony", "check", "plan.toml"])["steps"].as_array().unwrap().len(), 4);
    // Also where there is no installation.
    let elsewhere = b.command(&["ceremony", "check", "plan.toml"]).env("CRADLE_DATA", "nowhere").output().unwrap();
    assert!(elsewhere.status.success() && text(&elsewhere.stderr).contains("no installation here"));
}

/// A plan with something replaced, and what is found.
#[track_caller]
fn check_plan(b: &Box_, from: &str, to: &str, findings: &[&str]) {
    let plan = two_tiers();
    assert!(plan.contains(from), "{from}");
    b.write("plan.toml", plan.replacen(from, to, 1));
    let said = b.fails(&["ceremony", "check", "plan.toml"], 2, "plan");
    for finding in findings {
        assert!(said.contains(finding), "{finding}: {said}");
    }
}
#[test]
fn everything_that_is_wrong_with_a_plan_is_said_at_once() {
    let b = bare("findings");
    check_plan(&b, "approvals = 2", "approvals = 4", &["approvals: is a whole number from 1 to 3"]);
    check_plan(&b, "purpose = ", "porpoise = ", &["purpose: is left out", "porpoise: is not known here"]);
    check_plan(
        &b,
        "name = \"root\"\nprofile = \"root\"",
        "name = \"Root\"",
        &["step 1, name: a authority name is", "step 1, profile: is left out"],
    );
    check_plan(&b, "key_type = \"p256\"", "key_type = \"p257\"\nto = \"../x\"", &["step 2, key_type", "step 2, to"]);
    check_plan(&b, "of = 5", "of = 6", &["step 1, shares"]);
    check_plan(&b, "need = 3", "need = 1", &["step 1, shares"]);
    check_plan(&b, "do = \"limit\"", "do = \"limits\"", &["step 3, do: is create, request"]);
    check_plan(&b, "\"root.crl.pem\"", "\"root.pem\"", &["step 4, to: is written by an earlier step"]);
    check_plan(
        &b,
        "\"root.crl.pem\"",
        "\"transcript.json\"",
        &["step 4, to: is a name that the ceremony itself writes"],
    );
    check_plan(&b, "2099-01-01", "tomorrow", &["step 3, ends"]);
    check_plan(&b, "Example Devices", "Other", &["organization: is \"Example Devices\" here"]);
    check_plan(&b, "\"carol\"", "\"mallory\"", &["operators: mallory is no operator"]);
    check_plan(&b, "issuer = \"root\"", "issuer = \"rood\"", &["step 2, issuer: there is no authority rood"]);
    check_plan(
        &b,
        "issuer = \"root\"",
        "issuer = \"modules\"",
        &["step 2, issuer: the profile factory does not name modules"],
    );
    check_plan(
        &b,
        "profile = \"factory\"",
        "profile = \"idevid\"",
        &["step 2, profile: there is no profile idevid for authorities"],
    );
    check_plan(&b, "A root and", "A \u{202e}root and", &["plan: has characters in line 2 that are not shown"]);
    check_plan(&b, "approvals = 2", "approvals = ", &["line 4"]);
    b.write("plan.toml", [0xff, 0xfe]);
    b.fails(&["ceremony", "check", "plan.toml"], 2, "plan");
    b.write("plan.toml", "#".repeat(70_000));
    b.fails(&["ceremony", "check", "plan.toml"], 1, "file");
}

#[test]
fn a_rehearsal_does_everything_and_changes_nothing() {
    let b = bare("rehearsal");
    b.write("plan.toml", two_tiers());
    let before = tree(&b.data());
    let said = b.ok(&["ceremony", "rehearse", "plan.toml", "--to", "practice"]);
    assert!(said.starts_with("REHEARSAL of root-2026: all 4 steps"), "{said}");
    assert_eq!(changed(&before, &tree(&b.data())), Vec::<String>::new());
    assert!(text(&b.read("practice/shares/root-1-ann.share")).contains("ceremony: REHEARSAL of root-2026"));
    let html = text(&b.read("practice/transcript.html"));
    assert!(html.contains("<div class=\"rehearsal\">REHEARSAL") && html.contains("Nobody approved this"), "{html}");
    assert!(b.ok(&["ceremony", "verify", "practice/transcript.json"]).starts_with("REHEARSAL of"));
    let transcript: Value = serde_json::from_slice(&b.read("practice/transcript.json")).unwrap();
    assert_eq!(transcript["signatures"].as_array().unwrap().len(), 0, "a rehearsal is signed by nobody");
    // Without a directory nothing is left at all.
    let temporary = b.dir.join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let output = b.command(&["ceremony", "rehearse", "plan.toml"]).env("TMPDIR", &temporary).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(b.json(&["ca", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0);
}

#[test]
fn a_rehearsal_stands_in_for_authorities_that_the_plan_only_uses() {
    let b = carried_out("stand-in");
    hand_out(&b);
    let plan = format!(
        "{HEAD}[[step]]\ndo = \"create\"\nname = \"factory2\"\nprofile = \"factory\"\nissuer = \"root\"\nkey_type = \"p256\"\n\
         [[step]]\ndo = \"rollover\"\nname = \"root\"\nprofile = \"root\"\nkey_type = \"p384\"\nto = \"root-2.pem\"\n"
    )
    .replace("root-2026", "second");
    b.write("second.toml", plan);
    let before = tree(&b.data());
    b.ok(&["ceremony", "rehearse", "second.toml"]);
    assert_eq!(changed(&before, &tree(&b.data())), Vec::<String>::new(), "and no share was asked for");
}

#[test]
fn nothing_is_run_that_too_few_approved() {
    let b = bare("approvals");
    b.write("plan.toml", two_tiers());
    let run = ["ceremony", "run", "plan.toml", "--to", "out"];
    assert!(b.fails(&run, 4, "operators-needed").contains("0 of 2 operators"));
    b.fails(&["ceremony", "approve", "plan.toml", "--operator", "mallory"], 4, "operator");
    b.ok(&["operator", "add", "dave"]);
    b.fails(&["ceremony", "approve", "plan.toml", "--operator", "dave"], 4, "operators-needed");
    approved(&b, "plan.toml", &["operator", "operator"]);
    assert!(b.fails(&run, 4, "operators-needed").contains("1 of 2 operators"), "one person is one");
    // One word more: nothing of it is approved.
    approved(&b, "plan.toml", &["bob"]);
    b.write("plan.toml", two_tiers() + "# a comment\n");
    assert!(b.fails(&run, 4, "operators-needed").contains("0 of 2 operators"));
    b.write("plan.toml", two_tiers());
    // An approval that is laid under another plan's digest, or under another name.
    let kept = room(&b);
    std::fs::copy(kept.join("approval-bob.jws"), kept.join("approval-carol.jws")).unwrap();
    std::fs::copy(kept.join("approval-bob.pem"), kept.join("approval-carol.pem")).unwrap();
    std::fs::remove_file(kept.join("approval-bob.jws")).unwrap();
    let said = b.fails(&run, 4, "operators-needed");
    assert!(said.contains("1 of 2 operators") && said.contains("that of carol does not count"), "{said}");
    approved(&b, "plan.toml", &["bob"]);
    b.ok(&["operator", "revoke", "bob", "--yes"]);
    let said = b.fails(&run, 2, "plan");
    assert!(said.contains("bob is no operator"), "{said}");
    assert!(!b.dir.join("out").exists() && b.json(&["ca", "list"]).as_array().unwrap().len() == 1, "nothing was done");
}

#[test]
fn who_is_revoked_while_a_ceremony_is_interrupted_approves_no_more() {
    let b = carried_out("revoked-between");
    let journal = room(&b).join("journal");
    let lines = std::fs::read_to_string(&journal).unwrap();
    let opened: String = lines.lines().take(1).map(|line| format!("{line}\n")).collect();
    std::fs::write(&journal, opened).unwrap();
    b.ok(&["operator", "revoke", "bob", "--yes"]);
    let said = b.fails(&["ceremony", "run", "plan.toml", "--to", "out"], 4, "operators-needed");
    assert!(said.contains("that of bob does not count"), "{said}");
}

#[test]
fn a_file_that_is_not_the_planned_one_stops_it_before_it_begins() {
    let b = bare("inputs");
    b.write("root.pem", "anything");
    let digest = foreign(&b.dir, "sha256sum", &["root.pem"]).split(' ').next().unwrap().to_owned();
    let import = format!(
        "{HEAD}[[step]]\ndo = \"import\"\nname = \"root\"\ncertificate = \"root.pem\"\nsha256 = \"{digest}\"\n"
    );
    b.write("plan.toml", &import);
    approved(&b, "plan.toml", &["operator", "carol"]);
    b.write("root.pem", "anythinG");
    let said = b.fails(&["ceremony", "run", "plan.toml", "--to", "out"], 2, "plan");
    assert!(said.contains("step 1, certificate: root.pem is not the file that was planned"), "{said}");
    assert!(!room(&b).join("journal").exists());
    std::fs::remove_file(b.dir.join("root.pem")).unwrap();
    b.fails(&["ceremony", "check", "plan.toml"], 2, "plan");
}

#[test]
fn it_needs_its_mode_and_a_place_that_is_free() {
    let b = bare("mode");
    b.write("plan.toml", two_tiers());
    approved(&b, "plan.toml", &["operator", "bob"]);
    let run = ["ceremony", "run", "plan.toml", "--to", "out"];
    std::fs::create_dir(b.dir.join("out")).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(b.dir.join("out"), open).unwrap();
    b.write("out/root.pem", "something");
    b.fails(&run, 6, "exists");
    assert_eq!(b.read("out/root.pem"), b"something");
    std::fs::remove_file(b.dir.join("out/root.pem")).unwrap();
    b.ok(&["mode", "set", "certificate-management", "--operator", "operator"]);
    b.fails(&run, 3, "wrong-mode");
    assert!(!room(&b).join("journal").exists());
    b.ok(&["mode", "set", "ceremony", "--operator", "operator"]);
    b.ok(&run);
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &str| std::fs::metadata(b.dir.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("out"), mode("out/shares")), (0o755, 0o700), "a directory that was there is somebody's");
}

#[test]
fn two_tiers_and_a_divided_root() {
    let b = carried_out("whole");
    foreign(&b.dir, "openssl", &["verify", "-CAfile", "out/root.pem", "out/factory.pem"]);
    foreign(&b.dir, "openssl", &["crl", "-in", "out/root.crl.pem", "-noout", "-CAfile", "out/root.pem"]);
    let rows = b.json(&["ca", "list"]);
    let row = |name: &str| rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(
        (row("root")["key"].clone(), row("factory")["quota"].clone()),
        ("file:root?shares=3of5".into(), 1000.into())
    );
    assert_eq!((row("root")["state"].clone(), row("factory")["state"].clone()), ("divided".into(), "issues".into()));
    let listed = b.json(&["ceremony", "list"]);
    assert_eq!((listed[0]["state"].clone(), listed[0]["done"].clone()), ("finished".into(), 4.into()));
    assert_eq!(b.json(&["ceremony", "show", "root-2026"]).as_array().unwrap().len(), 4);
    b.fails(&["ceremony", "show", "nothing"], 5, "ceremony-unknown");
    let log = b.ok(&["audit", "list", "-o", "jsonl"]);
    for event in ["ceremony-approved", "ceremony-begun", "ceremony-finished"] {
        assert!(log.contains(event), "{event}: {log}");
    }
    // What lies where nobody else may look.
    for (path, octets) in tree(&b.dir.join("out/shares")) {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let secret = text(&octets).lines().find_map(|line| line.strip_prefix("share: ").map(str::to_owned)).unwrap();
        for (kept, octets) in tree(&b.data()) {
            assert!(!text(&octets).contains(&secret), "a share is in {kept}");
        }
        assert!(!text(&b.read("out/transcript.json")).contains(&secret));
    }
    // Again: nothing is done, and what was written is written where it is missing.
    let first = tree(&b.dir.join("out"));
    std::fs::remove_file(b.dir.join("out/root.pem")).unwrap();
    b.ok(&["ceremony", "run", "plan.toml", "--to", "out"]);
    assert_eq!(tree(&b.dir.join("out")), first);
    b.ok(&["ceremony", "run", "plan.toml", "--to", "elsewhere"]);
    assert_eq!(b.read("elsewhere/transcript.json"), b.read("out/transcript.json"));
    b.ok(&["backup", "create", "backup.tar"]);
    assert!(foreign(&b.dir, "tar", &["tf", "backup.tar"]).contains("/journal"));
    b.sound();
}

/// A factory of another installation, whose request is in factory2.csr.
fn other_factory(b: &Box_, name: &str) -> Box_ {
    let other = Box_::empty(&format!("ceremony-{name}-other"));
    other.ok(&["init", "--yes", "--bare", "--organization", "Example Devices"]);
    other.ok(&["mode", "set", "ceremony"]);
    other.write("root.pem", b.read("out/root.pem"));
    other.ok(&["ca", "import", "root", "root.pem", "--yes"]);
    let request = ["ca", "request", "factory2", "--profile", "factory", "--issuer", "root", "--to", "factory2.csr"];
    other.ok(&request);
    b.write("factory2.csr", other.read("factory2.csr"));
    other
}

#[test]
fn a_request_is_signed_with_three_of_five_shares_and_with_no_fewer() {
    let b = carried_out("shares");
    let other = other_factory(&b, "shares");
    hand_out(&b);
    let digest = foreign(&b.dir, "sha256sum", &["factory2.csr"]).split(' ').next().unwrap().to_owned();
    let plan = format!(
        "{HEAD}[[step]]\ndo = \"sign\"\nrequest = \"factory2.csr\"\nsha256 = \"{digest}\"\nname = \"factory2\"\n\
         profile = \"factory\"\nissuer = \"root\"\nto = \"factory2.pem\"\n"
    )
    .replace("root-2026", "factory-2");
    b.write("sign.toml", plan);
    approved(&b, "sign.toml", &["bob", "carol"]);
    let run = ["ceremony", "run", "sign.toml", "--to", "out2"];
    let fails = |numbers: &[usize], status: i32, code: &str| b.fails(&strs(&with_shares(&run, numbers)), status, code);
    assert!(fails(&[], 4, "shares-needed").contains("3 of 5 shares open it, and 0 were given"));
    assert!(fails(&[5, 1], 4, "shares-needed").contains("2 were given"));
    assert!(fails(&[1, 2, 2], 4, "share").contains("share 2 of the key root was given twice"));
    let good = b.read(&share(4));
    b.write(&share(4), text(&good).replace("index: 4", "index: 3"));
    assert!(fails(&[1, 2, 4], 4, "share").contains("checksum"));
    b.write(&share(4), &good);
    // Shares of another key of the same name: of a rehearsal.
    let again =
        format!("{HEAD}[[step]]\ndo = \"create\"\nname = \"r2\"\nprofile = \"root\"\nkey_type = \"p384\"\n{SHARES}");
    b.write("again.toml", again);
    b.ok(&["ceremony", "rehearse", "again.toml", "--to", "practice"]);
    let practice = |n: usize| text(&b.read(&share(n).replace("kept/root", "practice/shares/r2")));
    let forged = |n: usize| {
        let body = practice(n).replace("key: r2", "key: root");
        let (body, _) = body.rsplit_once("checksum: ").unwrap();
        let sum = foreign_sum(&b, body);
        format!("{body}checksum: {sum}\n")
    };
    b.write(&share(4), forged(4));
    assert!(fails(&[1, 2, 4], 4, "share").contains("the shares named root are not all of one key"));
    for n in 1..=3 {
        b.write(&format!("practice/{n}.share"), forged(n));
    }
    let three = [1, 2, 3].map(|n| ["--share".to_owned(), format!("practice/{n}.share")]).concat();
    let said = b.fails(&[&run[..], &strs(&three)].concat(), 4, "share");
    assert!(said.contains("the shares do not open the key"), "{said}");
    b.write(&share(4), &good);
    // Others go on all the while.
    b.ok(&["crl", "issue", "factory"]);
    b.fails(&["crl", "issue", "root"], 4, "shares-needed");
    assert!(!text(&b.run(&["status"]).stdout).contains("divided"));
    b.ok(&strs(&with_shares(&run, &[5, 2, 4])));
    foreign(&b.dir, "openssl", &["verify", "-CAfile", "out/root.pem", "out2/factory2.pem"]);
    other.write("factory2.pem", b.read("out2/factory2.pem"));
    other.ok(&["ca", "install", "factory2", "factory2.pem", "--yes"]);
    b.ok(&strs(&with_shares(&["crl", "issue", "root"], &[1, 3, 4])));
    let variable = format!("{}:{}:{}", share(1), share(3), share(5));
    let by_variable = b.command(&["crl", "issue", "root"]).env("CRADLE_SHARES", variable).output().unwrap();
    assert!(by_variable.status.success(), "{}", text(&by_variable.stderr));
    b.sound();
}

/// The checksum of a share's lines: the beginning of their SHA-256.
fn foreign_sum(b: &Box_, body: &str) -> String {
    b.write("body", body);
    foreign(&b.dir, "sha256sum", &["body"]).chars().take(16).collect()
}

#[test]
fn whatever_is_cut_off_the_journal_the_same_certificates_come_out() {
    let b = carried_out("cut");
    let (kept, out) = (room(&b), b.dir.join("out"));
    let first = tree(&out);
    let journal = std::fs::read_to_string(kept.join("journal")).unwrap();
    let lines: Vec<_> = journal.lines().collect();
    assert_eq!(lines.len(), 11, "opened, four steps, a division, the end: {journal}");
    for left in 1..lines.len() {
        let cut: String = lines.iter().take(left).map(|line| format!("{line}\n")).collect();
        std::fs::write(kept.join("journal"), cut).unwrap();
        std::fs::remove_file(kept.join("transcript.json")).unwrap();
        for name in ["transcript.json", "transcript.html"] {
            std::fs::remove_file(out.join(name)).unwrap();
        }
        b.ok(&["ceremony", "run", "plan.toml", "--to", "out"]);
        b.ok(&["ceremony", "verify", "out/transcript.json"]);
        let without = |tree: &BTreeMap<String, Vec<u8>>| {
            tree.iter()
                .filter(|(name, _)| !name.contains("transcript"))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(without(&tree(&out)), without(&first), "{left} lines were left");
    }
    assert_eq!(authorities(&b).len(), 2, "none was made twice");
    // Half a line is no line.
    std::fs::write(kept.join("journal"), &journal[..journal.len() - 7]).unwrap();
    b.fails(&["ceremony", "run", "plan.toml", "--to", "out"], 1, "journal");
    b.sound();
}

/// The certificates of the root and the factory that are not revoked.
fn authorities(b: &Box_) -> Vec<Value> {
    let of = |name: &str| b.json(&["cert", "list", "--valid", "--subject", &format!("authority:{name}")]);
    ["root", "factory"].iter().flat_map(|name| of(name).as_array().unwrap().clone()).collect()
}

/// Runs the ceremony and kills it at the n-th of these calls. Gives whether it ended by itself.
#[track_caller]
fn killed_at(b: &Box_, n: usize, calls: &str) -> bool {
    let inject = format!("inject={calls}:signal=SIGKILL:when={n}");
    let ended = std::process::Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject])
        .args([env!("CARGO_BIN_EXE_cradle"), "ceremony", "run", "plan.toml", "--to", "out"])
        .current_dir(&b.dir)
        .env_clear()
        .env("CRADLE_DATA", "data")
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("strace is not there; install it");
    assert!(ended.status.success() || !text(&ended.stderr).contains("code: "), "{}", text(&ended.stderr));
    ended.status.success()
}

#[test]
fn killed_again_and_again_it_goes_on_where_it_stopped() {
    let b = bare("killed");
    b.write("plan.toml", two_tiers());
    approved(&b, "plan.toml", &["operator", "bob"]);
    // Each line of the journal, each share and each key comes to be with a rename or a link.
    let calls = "rename,renameat,renameat2,link,linkat";
    let mut kills = 0;
    for n in 1..60 {
        if killed_at(&b, n, calls) {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 5, "{kills}");
    b.ok(&["ceremony", "verify", "out/transcript.json", "--plan", "plan.toml"]);
    assert_eq!(authorities(&b).len(), 2, "one root, one factory");
    foreign(&b.dir, "openssl", &["verify", "-CAfile", "out/root.pem", "out/factory.pem"]);
    hand_out(&b);
    b.ok(&strs(&with_shares(&["crl", "issue", "root"], &[2, 3, 5])));
    b.sound();
}

#[test]
fn a_key_whose_shares_are_lost_before_it_is_certified_is_made_anew() {
    let b = bare("lost");
    b.write("plan.toml", two_tiers());
    approved(&b, "plan.toml", &["operator", "bob"]);
    // Five shares are linked into their places, then the key.
    killed_at(&b, 6, "link,linkat");
    let key = b.data().join("keys/root.p8");
    assert!(tree(&b.dir.join("out/shares")).len() == 5 && !key.exists(), "all shares are there before the key is");
    // A line of the journal, five shares of another key, the key, and the line that tells of it.
    killed_at(&b, 7, "rename,renameat,renameat2");
    assert!(key.exists() && authorities(&b).is_empty(), "the key is there before it is certified");
    let before = tree(&b.dir.join("out/shares"));
    std::fs::remove_file(b.dir.join("out/shares/root-5-ed.share")).unwrap();
    b.ok(&["ceremony", "run", "plan.toml", "--to", "out"]);
    let after = tree(&b.dir.join("out/shares"));
    assert!(before.keys().eq(after.keys()) && before.values().zip(after.values()).all(|(a, b)| a != b), "another key");
    hand_out(&b);
    b.ok(&strs(&with_shares(&["crl", "issue", "root"], &[1, 2, 5])));
    b.sound();
}

/// The first line of the journal of the same ceremony in another box, later by so many milliseconds.
fn opening(name: &str, later_ms: u64) -> String {
    let journal = std::fs::read_to_string(room(&carried_out(name)).join("journal")).unwrap();
    let mut line: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    line["at"] = (line["at"].as_u64().unwrap() + later_ms).into();
    format!("{line}\n")
}

#[test]
fn what_was_made_before_the_ceremony_is_not_taken_for_its_own() {
    let b = carried_out("earlier");
    std::fs::write(room(&b).join("journal"), opening("earlier-other", 3_600_000)).unwrap();
    b.fails(&["ceremony", "run", "plan.toml", "--to", "out2"], 4, "shares-needed");
    assert!(!b.dir.join("out2/root.pem").exists());
    b.sound();
}

#[test]
fn a_key_that_somebody_made_meanwhile_is_not_thrown_away() {
    let b = bare("meanwhile");
    b.write("plan.toml", two_tiers());
    approved(&b, "plan.toml", &["operator", "bob"]);
    std::fs::write(room(&b).join("journal"), opening("meanwhile-other", 0)).unwrap();
    b.ok(&["ca", "create", "root", "--profile", "root", "--key-type", "p384"]);
    let said = b.fails(&["ceremony", "run", "plan.toml", "--to", "out"], 4, "shares-needed");
    assert!(said.contains("is not one that this step made"), "{said}");
    b.ok(&["crl", "issue", "root"]);
    // And before it begins, a key of that name stops it at once.
    let other =
        format!("{HEAD}[[step]]\ndo = \"create\"\nname = \"r2\"\nprofile = \"root\"\nkey_type = \"p384\"\n{SHARES}");
    b.write("other.toml", other.replace("root-2026", "other") + "key = \"file:operator.bob\"\n");
    approved(&b, "other.toml", &["operator", "bob"]);
    b.fails(&["ceremony", "run", "other.toml", "--to", "out2"], 6, "exists");
    approved(&b, "other.toml", &["bob"]);
}

/// A transcript with something replaced, and what is found.
#[track_caller]
fn check_transcript(b: &Box_, change: impl FnOnce(&mut Value), found: &[&str]) {
    let whole = b.read("out/transcript.json");
    let mut transcript: Value = serde_json::from_slice(&whole).unwrap();
    change(&mut transcript);
    b.write("out/transcript.json", serde_json::to_vec_pretty(&transcript).unwrap());
    let said = b.fails(&["ceremony", "verify", "out/transcript.json"], 1, "transcript-altered");
    b.write("out/transcript.json", whole);
    for finding in found {
        assert!(said.contains(finding), "{finding}: {said}");
    }
}
const UNSIGNED: &str = "a signature over it does not hold";

#[test]
fn what_is_changed_in_a_transcript_is_found() {
    let b = carried_out("transcript");
    let said = b.ok(&["ceremony", "verify", "out/transcript.json", "--plan", "plan.toml"]);
    assert!(
        said.contains("Approved by operator, bob; signed by the operator operator, the operator bob, the audit log"),
        "{said}"
    );
    assert!(said.contains("Those who signed are known here."), "{said}");
    let step = |t: &mut Value| t["transcript"]["steps"][1]["words"] = "Make nothing.".into();
    check_transcript(&b, step, &["step 2 is not told as the plan and the journal tell it", UNSIGNED]);
    let line = |t: &mut Value| drop(t["transcript"]["journal"].as_array_mut().unwrap().remove(4));
    check_transcript(&b, line, &["line 5 of the journal has another number", UNSIGNED]);
    let last = |t: &mut Value| drop(t["transcript"]["journal"].as_array_mut().unwrap().pop());
    check_transcript(&b, last, &["how the ceremony ended", UNSIGNED]);
    let swapped = |t: &mut Value| {
        let outputs = t["transcript"]["outputs"].as_array_mut().unwrap();
        let (root, factory) = (outputs[0]["text"].clone(), outputs[1]["text"].clone());
        (outputs[0]["text"], outputs[1]["text"]) = (factory, root);
    };
    check_transcript(&b, swapped, &["root.pem in it is not what its step wrote", "factory.pem in it", UNSIGNED]);
    check_transcript(&b, |t| t["transcript"]["purpose"] = "Another".into(), &["the heading", UNSIGNED]);
    check_transcript(&b, |t| t["transcript"]["plan"] = "x".into(), &["the plan in it is not the one of its digest"]);
    check_transcript(
        &b,
        |t| drop(t["transcript"]["approvals"].as_array_mut().unwrap().pop()),
        &["the approvals in it are not those"],
    );
    check_transcript(&b, |t| t["signatures"] = Value::Array(Vec::new()), &["nobody signed it"]);
    check_transcript(&b, |t| t["transcript"]["extra"] = 1.into(), &["cannot be read"]);
    check_transcript(
        &b,
        |t| t["transcript"]["note"] = "REHEARSAL".into(),
        &["do not agree whether it was a rehearsal"],
    );
    // Files beside it.
    let (root, factory) = (b.read("out/root.pem"), b.read("out/factory.pem"));
    b.write("out/root.pem", &factory);
    let said = b.fails(&["ceremony", "verify", "out/transcript.json"], 1, "transcript-altered");
    assert!(said.contains("root.pem beside it is not what its step wrote"), "{said}");
    std::fs::remove_file(b.dir.join("out/root.pem")).unwrap();
    let said = b.fails(&["ceremony", "verify", "out/transcript.json"], 1, "transcript-altered");
    assert!(said.contains("root.pem is not beside it"), "{said}");
    b.write("out/root.pem", root);
    b.write("other.toml", two_tiers() + "# more\n");
    b.fails(&["ceremony", "verify", "out/transcript.json", "--plan", "other.toml"], 1, "transcript-altered");
    b.write("garbage", "garbage");
    b.fails(&["ceremony", "verify", "garbage"], 1, "transcript-altered");
}

#[test]
fn a_transcript_is_believed_elsewhere_by_what_was_taken_there() {
    let b = carried_out("anchor");
    b.write("modules.pem", b.ok(&["ca", "chain", "modules"]));
    let elsewhere = |more: &[&str]| {
        let arguments = [&["ceremony", "verify", "out/transcript.json"], more].concat();
        let output = b.command(&arguments).env("CRADLE_DATA", "nowhere").output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    assert!(elsewhere(&[]).1.contains("Nothing says who those are"));
    let (status, said) = elsewhere(&["--anchor", "modules.pem", "--anchor", "data/audit.pub"]);
    assert!(status == Some(0) && said.contains("Those who signed are known here."), "{said}");
    // Somebody who makes a transcript of his own, with operators of his own.
    let forger = carried_out("forger");
    forger.write("modules.pem", b.read("modules.pem"));
    forger.write("audit.pub", std::fs::read(b.data().join("audit.pub")).unwrap());
    for (anchor, found) in
        [("modules.pem", "another authority certified"), ("audit.pub", "the audit log in it has another key")]
    {
        let arguments = ["ceremony", "verify", "out/transcript.json", "--anchor", anchor];
        let said = forger.fails(&arguments, 1, "transcript-altered");
        assert!(said.contains(found), "{said}");
    }
    b.fails(&["ceremony", "verify", "out/transcript.json", "--anchor", "plan.toml"], 2, "anchor");
}

#[test]
fn the_page_of_a_transcript_is_whole_and_runs_nothing() {
    let b = bare("page");
    b.write("plan.toml", two_tiers().replace("A root and a factory", "<script>alert(1)</script> & <b>'bold'</b>"));
    approved(&b, "plan.toml", &["operator", "carol"]);
    b.ok(&["ceremony", "run", "plan.toml", "--to", "out"]);
    let page = text(&b.read("out/transcript.html"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;&#39;bold&#39;&lt;/b&gt;"), "{page}");
    for foreign in ["<script", "http://", "https://", "src=", "href=", "<b>", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for what in [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN X509 CRL-----",
        "Witness:",
        "Auditor:",
        "carol",
        "shares/root-5-ed.share",
    ] {
        assert!(page.contains(what), "{what}");
    }
    assert!(!page.contains("REHEARSAL"));
}

#[test]
fn where_two_are_needed_nobody_makes_an_authority_alone() {
    let b = bare("two");
    let config = b.data().join("cradle.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("operators_needed = 3\n{text}")).unwrap();
    let said = b.fails(&["ca", "create", "x", "--profile", "root"], 4, "ceremony-needed");
    assert!(said.contains("which 3 operators approve"), "{said}");
    b.write("x.pem", b.ok(&["ca", "chain", "modules"]));
    b.fails(&["ca", "import", "x", "x.pem", "--yes"], 4, "ceremony-needed");
    b.fails(&["ca", "install", "x", "x.pem", "--yes"], 4, "ceremony-needed");
    b.fails(&["ca", "limit", "modules", "--quota", "1", "--yes"], 4, "ceremony-needed");
    b.fails(&["ca", "rollover", "modules", "--yes", "--profile", "module-root"], 4, "ceremony-needed");
    b.fails(
        &["ca", "request", "x", "--profile", "factory", "--issuer", "modules", "--to", "x.csr"],
        4,
        "ceremony-needed",
    );
    foreign(
        &b.dir,
        "openssl",
        &["req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", "k", "-subj", "/", "-out", "r.csr"],
    );
    let sign =
        ["ca", "sign", "r.csr", "--name", "x", "--profile", "factory", "--issuer", "modules", "--to", "y.pem", "--yes"];
    b.fails(&sign, 4, "ceremony-needed");
    assert_eq!(b.json(&["ca", "list"]).as_array().unwrap().len(), 1);
    b.write("plan.toml", two_tiers());
    let said = b.fails(&["ceremony", "approve", "plan.toml", "--operator", "bob"], 2, "plan");
    assert!(said.contains("approvals: is at least 3"), "{said}");
    b.write("plan.toml", two_tiers().replace("approvals = 2", "approvals = 3"));
    approved(&b, "plan.toml", &["operator", "bob", "carol"]);
    b.ok(&["ceremony", "run", "plan.toml", "--to", "out"]);
    std::fs::write(&config, format!("operators_needed = 0\n{text}")).unwrap();
    b.fails(&["ca", "list"], 2, "config");
}

#[test]
fn an_authority_is_requested_taken_in_and_installed_by_plans() {
    let root = carried_out("apart-root");
    let b = bare("apart");
    b.write("root.pem", root.read("out/root.pem"));
    let sum = |b: &Box_, file: &str| foreign(&b.dir, "sha256sum", &[file]).split(' ').next().unwrap().to_owned();
    let plan = format!(
        "{HEAD}[[step]]\ndo = \"import\"\nname = \"top\"\ncertificate = \"root.pem\"\nsha256 = \"{}\"\n\
         [[step]]\ndo = \"request\"\nname = \"plant\"\nprofile = \"factory\"\nissuer = \"top\"\nkey_type = \"p256\"\nto = \"plant.csr\"\n",
        sum(&b, "root.pem")
    );
    b.write("plan.toml", plan);
    b.ok(&["ceremony", "rehearse", "plan.toml"]);
    approved(&b, "plan.toml", &["bob", "carol"]);
    b.ok(&["ceremony", "run", "plan.toml", "--to", "out"]);
    root.write("plant.csr", b.read("out/plant.csr"));
    let sign = [
        "ca",
        "sign",
        "plant.csr",
        "--name",
        "plant",
        "--profile",
        "factory",
        "--issuer",
        "root",
        "--to",
        "plant.pem",
        "--yes",
    ];
    let shares = [
        "--share",
        "out/shares/root-1-ann.share",
        "--share",
        "out/shares/root-2-ben.share",
        "--share",
        "out/shares/root-4-dot.share",
    ];
    root.fails(&sign, 4, "shares-needed");
    root.ok(&[&sign[..], &shares].concat());
    b.write("plant.pem", root.read("plant.pem"));
    let second = format!(
        "{HEAD}[[step]]\ndo = \"install\"\nname = \"plant\"\ncertificate = \"plant.pem\"\nsha256 = \"{}\"\n\
         [[step]]\ndo = \"rollover\"\nname = \"own\"\nprofile = \"root\"\nkey_type = \"p384\"\nto = \"own-2.pem\"\n",
        sum(&b, "plant.pem")
    );
    b.ok(&["ca", "create", "own", "--profile", "root"]);
    b.write("second.toml", second.replace("root-2026", "second"));
    let before = tree(&b.data());
    let said = b.run(&["ceremony", "rehearse", "second.toml"]);
    assert!(said.status.success() && text(&said.stderr).contains("Only looked at"), "{}", text(&said.stderr));
    assert_eq!(changed(&before, &tree(&b.data())), Vec::<String>::new());
    approved(&b, "second.toml", &["operator", "carol"]);
    b.ok(&["ceremony", "run", "second.toml", "--to", "out2"]);
    foreign(&b.dir, "openssl", &["verify", "-CAfile", "root.pem", "plant.pem"]);
    assert_eq!(text(&b.read("out2/own-2.pem")).matches("BEGIN CERTIFICATE").count(), 3, "the new one and both links");
    // Both steps again: what is done is found so.
    let kept = room_of(&b, "second");
    let journal = std::fs::read_to_string(kept.join("journal")).unwrap();
    std::fs::write(kept.join("journal"), format!("{}\n", journal.lines().next().unwrap())).unwrap();
    std::fs::remove_file(kept.join("transcript.json")).unwrap();
    b.ok(&["ceremony", "run", "second.toml", "--to", "out3"]);
    assert_eq!(b.read("out3/own-2.pem"), b.read("out2/own-2.pem"));
    b.sound();
}

fn room_of(b: &Box_, name: &str) -> std::path::PathBuf {
    let listed = b.json(&["ceremony", "list"]);
    let row = listed.as_array().unwrap().iter().find(|row| row["ceremony"] == name).unwrap().clone();
    b.data().join(format!("ceremony-{}", row["sha256"].as_str().unwrap()))
}
