//! `cradle hsm`: tokens that keep keys.

use super::Common;
use crate::fault::{Exit, Failure, Result};
use adapters::clock::Stopwatch;
use adapters::keystore::pkcs11::report::{PinState, Severity};
use adapters::keystore::pkcs11::{Measure, Pin, Pkcs11Uri, Report, doctor};
use model::text::printable;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509::KeyType;

/// Tokens that keep keys.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Look at a token: slots, PIN, mechanisms, keys, signatures in a second; and say what is wrong with it.
    ///
    /// Nothing in it is changed. The PIN is tried at most once. The exit status is 1 if the token or a key cannot be used;
    /// warnings alone leave it 0.
    Doctor {
        /// The token: a `pkcs11:` URI (RFC 7512) with `module-path`, or --module beside it.
        uri: String,
        /// The PKCS #11 module, a file.
        #[arg(long, value_name = "FILE")]
        module: Option<PathBuf>,
        /// A file that holds the user's PIN, closed to others. Without it only what everybody may see is looked at.
        #[arg(long, value_name = "FILE")]
        pin_file: Option<PathBuf>,
        /// Measure with keys of these types, made for it and gone afterwards.
        #[arg(long, value_delimiter = ',', default_value = "p256", value_name = "TYPES")]
        key_types: Vec<String>,
        /// Most signatures that are made to measure with; 0 measures nothing.
        #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
        signatures: u32,
    },
}

fn bad(what: impl Into<String>, why: impl std::fmt::Display, next: &str) -> Failure {
    Failure::new(Exit::Usage, "token", what).because(why).next(next)
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let Verb::Doctor { uri, module, pin_file, key_types, signatures } = arguments.verb;
    let read = Pkcs11Uri::parse(&uri);
    let uri =
        read.map_err(|e| bad("this URI names no token", e, "write it as pkcs11:token=LABEL?module-path=/FILE"))?;
    let module = module.or_else(|| uri.module_path.as_ref().map(PathBuf::from)).ok_or_else(|| {
        bad("no PKCS #11 module is named", "neither module-path in the URI nor --module", "name one with --module FILE")
    })?;
    let type_of = |name: &String| {
        let why = "it is p256, p384, ed25519, or rsa and its bits";
        KeyType::by_name(name).ok_or_else(|| bad(format!("{name:?} is no type of key"), why, "correct --key-types"))
    };
    let key_types: Vec<KeyType> = key_types.iter().map(type_of).collect::<Result<_>>()?;
    let pin_file = pin_file.or_else(|| uri.pin_file.as_ref().map(PathBuf::from));
    let pin = pin_file.map(|path| check_pin(&path).map(|()| Pin::in_file(path))).transpose()?;
    let watch = Stopwatch::start();
    let elapsed = || Duration::from_nanos(watch.ns());
    let measured = if signatures == 0 { &[][..] } else { &key_types };
    let report = doctor(&module, &uri, pin.as_ref(), &Measure { key_types: measured, signatures, elapsed: &elapsed });
    common.out().one(&report, || text(&report))?;
    if report.is_healthy() {
        return Ok(());
    }
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let codes: Vec<_> = errors.map(|finding| finding.code).collect();
    Err(Failure::new(Exit::Failed, "token", "the token, or a key in it, cannot be used")
        .because(codes.join(", "))
        .next("do what stands beside each of them"))
}

/// A PIN that cannot be read is not a PIN that is wrong.
fn check_pin(path: &Path) -> Result {
    match adapters::files::open_to_others(path) {
        Ok(false) => Ok(()),
        Ok(true) => Err(bad(
            format!("{} is open to others than its owner", path.display()),
            "its permissions let other users of this machine read the PIN",
            "run chmod go= on it",
        )),
        Err(e) => Err(Failure::file(path, &e)),
    }
}

/// Longest word that a token says of itself.
const WORD_MAX: usize = 200;

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, words: &str| {
        // Writing into a String cannot fail.
        let _always_written = writeln!(text, "{name:<12}{}", printable(words, WORD_MAX));
    };
    line("module", &report.module);
    if let Some(library) = &report.library {
        let (name, by, version) = (&library.description, &library.manufacturer, &library.version);
        line("library", &format!("{name} {version} of {by}, PKCS #11 {}", library.pkcs11));
    }
    for slot in &report.slots {
        let chosen = if slot.chosen { ", the one that is meant" } else { "" };
        let (id, label, by, model) = (slot.id, &slot.label, &slot.manufacturer, &slot.model);
        line("slot", &format!("{id}: {label} ({by} {model}, serial {}), {}{chosen}", slot.serial, pin_state(slot.pin)));
    }
    line("login", if report.logged_in { "done" } else { "none: private keys are not seen" });
    if !report.mechanisms.is_empty() {
        line("mechanisms", &report.mechanisms.join(", "));
    }
    for key in &report.keys {
        let kind = key.key_type.as_deref().unwrap_or("of another type");
        let usable = if key.usable { "usable" } else { "NOT usable" };
        let leaves = if key.extractable == Some(true) { ", CAN LEAVE THE TOKEN" } else { "" };
        line("key", &format!("{} (id {}), {kind}, {usable}{leaves}", key.label, key.id));
    }
    for speed in &report.speeds {
        let (kind, many) = (&speed.key_type, speed.signatures);
        line(
            "speed",
            &format!("{kind}: {:.0} signatures in a second, by one session ({many} made)", speed.signatures_per_s),
        );
    }
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warn",
            Severity::Error => "FAIL",
        };
        line(word, &format!("{}: {}", finding.code, finding.what));
        line("", &format!("next: {}", finding.next));
    }
    text
}

fn pin_state(pin: PinState) -> &'static str {
    match pin {
        PinState { locked: true, .. } => "PIN LOCKED",
        PinState { last_try: true, .. } => "one more wrong PIN locks it",
        PinState { count_low: true, .. } => "a wrong PIN was given last",
        PinState { set: false, .. } => "no PIN set",
        PinState { to_be_changed: true, .. } => "its PIN must be changed",
        PinState { .. } => "PIN set",
    }
}
