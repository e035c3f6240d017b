//! Records at a PostgreSQL server, as an operator meets them: what `init` takes, and what it refuses.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::process::Command;

/// Runs lines of a shell beside a server of their own; `$SERVER` is where it is. Gives what they printed.
#[track_caller]
fn beside_a_server(name: &str, lines: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let dir = format!("{}/server-{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::create_dir_all(&dir).unwrap();
    let cradle = env!("CARGO_BIN_EXE_cradle");
    let script = format!("cd {dir}; SERVER=$CRADLE_TEST_POSTGRES; cradle() {{ {cradle} \"$@\" 2>&1; }}; {lines}");
    let ran = Command::new(format!("{root}/rigs/with-postgres")).args(["bash", "-c", &script]).output().unwrap();
    let _left_for_the_next_run = std::fs::remove_dir_all(&dir);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    said
}

#[test]
fn a_database_is_one_installations() {
    let said = beside_a_server(
        "used",
        "cradle init --yes --store \"$SERVER\" --data one && cradle verify --deep --data one || exit 1
         cradle init --yes --store \"$SERVER\" --data two; echo status $?; ls two 2>&1
         cradle backup create x.backup --data one; echo status $?",
    );
    for line in [
        "cradle: the database holds the records of an installation",
        "next: name another database with --store",
        "code: database-used",
        "status 2",
        "No such file or directory",
        "why:  a server is backed up by its own tools: see pg_basebackup",
        "status 3",
    ] {
        assert!(said.contains(line), "{line:?} is not said:\n{said}");
    }
}

#[test]
fn what_cannot_be_a_server_is_named() {
    let said = beside_a_server(
        "refused",
        "cradle init --yes --store \"$SERVER password=geheim\" --data one; echo status $?
         cradle init --yes --store 'postgres://cradle@127.0.0.1:1/cradle' --data one
         cradle init --yes --store 'cradle' --data one
         cradle init --yes --store \"$SERVER\" --store-password-file nowhere --data one
         cradle init --yes --store 'postgres://cradle@records.example/cradle' --data one; echo status $?
         cradle init --yes --store \"$SERVER\" --store-trust nowhere.pem --data one
         echo nothing >no.pem; cradle init --yes --store \"$SERVER\" --store-trust no.pem --data one; ls one 2>&1; true",
    );
    for line in [
        "its url holds a password",
        "the server cannot be reached",
        "url is no address of a server",
        "the file of its password cannot be read",
        "status 2",
        "--store-trust",
        "nowhere.pem: No such file",
        "no.pem: it holds no certificates in PEM",
        "No such file or directory",
    ] {
        assert!(said.contains(line), "{line:?} is not said:\n{said}");
    }
    assert!(!said.contains("geheim"), "{said}");
}

#[test]
fn a_server_that_was_put_back_is_not_believed_until_an_operator_says_so() {
    let said = beside_a_server(
        "back",
        "copy() { for what in \"DROP DATABASE IF EXISTS $2\" \"CREATE DATABASE $2 TEMPLATE $1\"; do
           psql --quiet \"$SERVER\" --command \"$what\" || exit 9; done; }
         psql --quiet \"$SERVER\" --command 'CREATE DATABASE today' || exit 9
         cradle init --yes --store \"${SERVER/dbname=postgres/dbname=today}\" --data one || exit 8
         cradle backup read-back --yes --data one; echo early $?
         cradle mode set certificate-management --data one && cradle crl issue factory --data one || exit 7
         copy today yesterday
         cradle crl issue factory --data one || exit 6
         copy yesterday today
         cradle status --data one; echo status $?
         cradle verify --deep --data one; echo verify $?
         cradle crl issue factory --data one; echo issue $?
         cradle backup read-back --data one; echo unconfirmed $?
         cradle -o json backup read-back --yes --data one || exit 5
         cradle backup confirm --yes --data one || exit 4
         cradle crl issue factory --to list.crl --data one || exit 3
         openssl crl -in list.crl -noout -crlnumber
         cradle verify --deep --data one && echo sound",
    );
    for line in [
        "code: not-behind",
        "early 6",
        "cradle: the server was put back, and nothing is read or written there",
        "next: bring back the server that has them",
        "code: records-behind",
        "status 1",
        "verify 1",
        "issue 1",
        "unconfirmed 2",
        "\"lists\": 1",
        "crlNumber=0x03",
        "sound",
    ] {
        assert!(said.contains(line), "{line:?} is not said:\n{said}");
    }
}
