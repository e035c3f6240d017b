//! What the documents tell a newcomer to type, typed.
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
use common::{Box_, port_of_its_own, text};
use std::path::Path;
use std::process::Command;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Types the block `sh by-hand` of a document in the directory of an empty box, and gives what was printed.
fn typed(document: &str, b: &Box_) -> String {
    typed_with(document, b, str::to_owned)
}

/// The same, where a test has to put something in another's place.
fn typed_with(document: &str, b: &Box_, other: impl Fn(&str) -> String) -> String {
    let document = std::fs::read_to_string(repository().join(document)).unwrap();
    let (_, block) = document.split_once("```sh by-hand\n").unwrap();
    let (script, _) = block.split_once("\n```").unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_cradle")).parent().unwrap().display().to_string();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &other(script)])
        .current_dir(&b.dir)
        .env_clear()
        .env("PATH", format!("{binary}:/usr/bin:/bin"))
        .output()
        .unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out
}

#[test]
fn the_lines_of_the_readme_work_as_they_stand() {
    let out = typed("README.md", &Box_::empty("readme"));
    assert_eq!(out.matches(": OK").count(), 3 + 2, "OpenSSL accepts each certificate, but for the revoked one: {out}");
    assert!(out.contains("Key Compromise") && out.contains("All records agree."), "{out}");
}

#[test]
fn the_lines_of_the_chapter_on_the_authority_work_as_they_stand() {
    let out = typed("docs/authority.md", &Box_::empty("chapter"));
    assert!(out.contains("revoked (key-compromise"), "{out}");
    assert_eq!(out.matches("pem: OK").count(), 3, "two devices and the responder; the revoked one is refused: {out}");
    // The first list after the restore has the next number, though the backup knew of none.
    assert!(out.contains("crlNumber=0x02") || out.contains("crlNumber=02"), "{out}");
    assert!(out.contains("All records agree."), "{out}");
}

#[test]
fn the_lines_of_the_chapter_on_publishing_work_as_they_stand() {
    let b = Box_::empty("publishing");
    let out = typed("docs/repository.md", &b);
    assert!(out.contains("~ target sensor/firmware.bin: 19 octets"), "who signs is told what is new: {out}");
    assert!(out.contains("published modem version 1\n") && out.contains("published root version 3\n"), "{out}");
    assert_eq!(out.matches("clients find every target").count(), 2, "{out}");
    assert!(out.contains("timestamp: version 6 until"), "{out}");
    assert!(out.contains("security, until 2031-12-31T23:59:59Z, signed by erin, with sbom, signature-1\n"), "{out}");
    assert!(!b.dir.join("chapter/repository/keys/root.pem").exists(), "the root's keys are people's");
}

#[test]
fn the_lines_of_the_chapter_on_ceremonies_work_as_they_stand() {
    let b = Box_::empty("ceremonies");
    let out = typed("docs/ceremony.md", &b);
    assert!(out.contains("REHEARSAL of root-2026: all 2 steps can be carried out"), "{out}");
    assert!(
        out.contains("Approved by alice, carol; signed by the operator alice, the operator carol, the audit log"),
        "{out}"
    );
    assert!(out.contains("Approved by bob, carol") && out.contains("Those who signed are known here."), "{out}");
    assert!(out.contains("plant.pem: OK") && out.contains("the key of bob, with 2 certificates"), "{out}");
    assert!(text(&b.read("bob.txt")).contains("friendlyName: bob"));
    assert!(out.contains("All records agree."), "{out}");
}

#[test]
fn the_lines_of_the_chapter_on_the_gateway_work_as_they_stand() {
    let (https, http) = (port_of_its_own().to_string(), port_of_its_own().to_string());
    let out = typed_with("docs/gateway.md", &Box_::empty("gateway-chapter"), |script| {
        let script = script.replace("8443", &https).replace("8080", &http);
        // The box ends even if a line before that fails.
        format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}")
    });
    assert_eq!(out.matches("pem: OK").count(), 3, "{out}");
    assert!(out.contains("next.pem: good") && out.contains("which it renews"), "{out}");
    assert!(out.contains("it came over CMP") && out.contains("superseded"), "{out}");
}

#[test]
fn the_lines_of_the_chapter_on_the_operator_api_work_as_they_stand() {
    let out = typed_with("docs/api.md", &Box_::empty("api-chapter"), |script| {
        // It ends even if a line before that fails.
        format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}")
    });
    assert!(out.contains("\"awake\":[\"authority\"") && out.contains("\"user\":\"SN000001\""), "{out}");
    assert_eq!(out.matches("\"code\":\"serial-unknown\"").count(), 2, "refused, and explained: {out}");
    assert_eq!(out.matches("\"asked-over-api\":").count(), 3, "{out}");
    assert!(!out.contains("allow-1"), "a key is recorded by its digest: {out}");
}

/// The board stops even if a line before that fails.
struct Running<'a>(&'a Box_);
impl Drop for Running<'_> {
    fn drop(&mut self) {
        let board = self.0.dir.join("demo/qemu-riscv/board");
        Command::new(board).args(["stop", "demo/qemu-riscv/run"]).current_dir(&self.0.dir).status().unwrap();
    }
}

#[test]
fn a_real_bootloader_gets_its_software_and_its_certificate() {
    let b = Box_::empty("boards");
    let copied = Command::new("cp").arg("-r").arg(repository().join("demo")).arg(&b.dir).status().unwrap();
    assert!(copied.success());
    let _not_there = std::fs::remove_dir_all(b.dir.join("demo/qemu-riscv/run"));
    let running = Running(&b);
    let out = typed("docs/boards.md", &b);
    drop(running);
    assert!(
        out.contains("serialNumber = QR0\nnotBefore=") && out.contains("notAfter=Dec 31 23:59:59 9999 GMT"),
        "{out}"
    );
}
