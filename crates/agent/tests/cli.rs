//! The program itself: what it says to people who ask it something that it cannot do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what cannot go on here has failed")]

use std::path::Path;
use std::process::Command;

#[track_caller]
fn check(dir: &Path, arguments: &[&str], status: i32, out: &str, err: &str) {
    let ended = Command::new(env!("CARGO_BIN_EXE_cradle-agent")).args(arguments).current_dir(dir).output().unwrap();
    let said = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
    assert_eq!(ended.status.code(), Some(status), "{said:?}");
    assert!(said.0.contains(out) && said.1.contains(err), "{said:?}");
    assert_eq!((said.0.is_empty(), said.1.is_empty()), (out.is_empty(), err.is_empty()), "{said:?}");
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

fn config(more: &str) -> String {
    format!(
        "device = 'urn:dev:ops:32473-gateway-SN1'\ndata = 'data'\nkey = 'device.key'\n\
         [director]\nurl = 'http://127.0.0.1:9/director'\nroot = 'director.json'\n\
         [images]\nmetadata = 'http://127.0.0.1:9/metadata'\ntargets = 'http://127.0.0.1:9/targets'\nroot = 'images.json'\n\
         [components.modem]\nhardware_id = 'modem.a'\n[components.modem.slots]\ninstall = ['/bin/true']\n{more}"
    )
}

#[test]
fn help_says_what_it_does() {
    let dir = tempfile::tempdir().unwrap();
    check(dir.path(), &["--help"], 0, "keeps the software of a device as its director says, and its certificate", "");
    check(dir.path(), &["--version"], 0, concat!("cradle-agent ", env!("CARGO_PKG_VERSION")), "");
}
#[test]
fn what_is_asked_wrongly_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    check(dir.path(), &[], 2, "", "it is not said what to do");
    check(dir.path(), &["update", "--every", "0"], 2, "", "--every takes 1 to 86400 seconds");
    check(dir.path(), &["status", "--config", "none.toml"], 2, "", "none.toml cannot be used");
}
#[test]
fn a_configuration_is_read_to_the_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = |text: String, why: &str| {
        std::fs::write(dir.path().join("agent.toml"), text).unwrap();
        check(dir.path(), &["status", "--config", "agent.toml"], 2, "", why);
    };
    wrong(config("confrim = ['/bin/true']"), "confrim");
    wrong(config("confirm = ['true']"), "absolute path");
    wrong(config("").replace("urn:dev:ops:", ""), "device");
    wrong(config("").replace("components.modem", "components.'../modem'"), "../modem is no name of a component");
    wrong(config("[tls]\nanchors = 'ca.pem'\nkey = 'device.key'"), "belong together");
    wrong(config("[tls]\nanchors = 'ca.pem'\npatience_s = 0"), "patience_s is 1 to 3600");
}
#[test]
fn a_device_may_have_one_of_both_only() {
    let dir = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(dir.path().join("agent.toml"), text).unwrap();
    let head = "device = 'urn:dev:ops:32473-gateway-SN1'\ndata = 'data'\n";
    let enrolment = "[enrolment]\nurl = 'https://127.0.0.1:9/.well-known/est'\nroot = 'root.pem'\n";
    write(&format!("{head}{enrolment}"));
    check(dir.path(), &["status", "--config", "agent.toml"], 0, "certificate: none yet\n", "");
    check(dir.path(), &["update", "--config", "agent.toml"], 2, "", "no [director], [images] and [components]");
    check(dir.path(), &["renew", "--config", "agent.toml"], 1, "", "there is no certificate to renew");
    check(dir.path(), &["enrol", "--secret", "none", "--config", "agent.toml"], 1, "", "none cannot be used");
    write(&config(""));
    check(dir.path(), &["renew", "--config", "agent.toml"], 2, "", "it has no [enrolment]");
    write(&(config("") + enrolment));
    check(dir.path(), &["status", "--config", "agent.toml"], 0, "certificate: none yet\nnot reported yet\n", "");
    write(head);
    check(dir.path(), &["status", "--config", "agent.toml"], 2, "", "belong together");
    write(&config("").replace("[images]", "[images_]"));
    check(dir.path(), &["status", "--config", "agent.toml"], 2, "", "images_");
}
#[test]
fn a_device_that_has_nothing_yet_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("agent.toml"), config("")).unwrap();
    check(dir.path(), &["status", "--config", "agent.toml"], 0, "nothing is known of what it carries", "");
    check(dir.path(), &["status", "--config", "agent.toml", "-o", "json"], 0, "\"installed\":null", "");
}
#[test]
fn records_that_the_medium_altered_are_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("agent.toml"), config("")).unwrap();
    std::fs::write(dir.path().join("device.key"), KEY).unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/state.json"), "{\"components\":{\"modem\":{\"floor\":").unwrap();
    for verb in ["status", "update"] {
        check(dir.path(), &[verb, "--config", "agent.toml"], 1, "", "state.json cannot be used");
    }
}
#[test]
fn without_a_root_nothing_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("agent.toml"), config("")).unwrap();
    check(dir.path(), &["update", "--config", "agent.toml"], 1, "", "director.json cannot be used");
}
