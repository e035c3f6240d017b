//! `cradle explain`: what the code of an error means, and why a certificate or device is as it is.

mod api;
mod decided;
mod director;
mod history;
mod updates;

use super::Common;
use crate::fault::{Exit, Result, exit_of};
use crate::survey::FINDINGS;
pub(crate) use api::{Explanation, explain, title};
use model::Reason;
use serde::Serialize;
use utoipa::ToSchema;

/// Explain the code of an error; or a certificate, a transaction or a device: who asked, what was decided, how it stands.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The code; or a serial number, a transaction, or a device. All codes if nothing is given.
    code: Option<String>,
}

/// Codes that no rule of [`Reason`] is behind: what they mean, and what to do.
const CODES: [(&str, Exit, &str, &str); 49] = [
    (
        "ocsp",
        Exit::Failed,
        "the answer to an OCSP request cannot be believed",
        "see `cradle doctor`: clock, keys, and the profile `ocsp`",
    ),
    (
        "attention",
        Exit::Failed,
        "the installation works, or not, and somebody should look after it",
        "each finding is printed with its own code and what to do",
    ),
    (
        "audit-broken",
        Exit::Failed,
        "the audit log was changed, or is damaged",
        "keep the data directory as it is; restore from a backup of before",
    ),
    ("bench", Exit::Failed, "a measurement could not be made", "look at what is said beside it"),
    (
        "bus",
        Exit::Unavailable,
        "the broker between modules cannot be used",
        "what is said beside it names the cause; docs/bus.md says how to run over NATS",
    ),
    (
        "checkpoint",
        Exit::Failed,
        "a checkpoint that was kept elsewhere cannot be used",
        "take another one: the log was not looked at",
    ),
    (
        "code-unknown",
        Exit::NotFound,
        "there is no such code, certificate, transaction or device",
        "list codes with `cradle explain`",
    ),
    ("config", Exit::Usage, "cradle.toml cannot be used", "correct the place that is named"),
    ("corrupt", Exit::Failed, "a record does not make sense", "run `cradle verify --deep`"),
    ("demo", Exit::Failed, "the demonstration met with something that must not be", "report it: SECURITY.md says how"),
    (
        "site",
        Exit::Failed,
        "a device of a demonstration or a measurement asked for a certificate and got none",
        "read the reason; `cradle explain IDENTIFIER` in its data directory says more",
    ),
    (
        "device",
        Exit::Usage,
        "these words name no device",
        "give its serial number, or its name that begins with urn:dev:ops:",
    ),
    (
        "device-type",
        Exit::Usage,
        "a device type's file, or its fixture, cannot be used",
        "correct the place that is named; docs/boards.md has the form",
    ),
    ("device-type-unknown", Exit::NotFound, "there is no such device type", "list them with `cradle station types`"),
    (
        "doctor",
        Exit::Failed,
        "something is wrong with the installation or its machine",
        "each check that fails is printed with its cause and what to do",
    ),
    ("exists", Exit::Conflict, "something is there already", "name another place: nothing is overwritten"),
    (
        "file",
        Exit::Failed,
        "a file could not be read or written",
        "check its path and permissions, and the room on the disk",
    ),
    (
        "foreign",
        Exit::Failed,
        "a foreign authority cannot be used, or what comes from it",
        "what is said beside it names the cause; docs/foreign-ca.md has the rest",
    ),
    (
        "half-made",
        Exit::Failed,
        "an installation was not finished",
        "remove the data directory and run `cradle init` again",
    ),
    ("database-used", Exit::Usage, "the database holds the records of an installation already", "name an empty one"),
    ("in-use", Exit::TryAgain, "another command holds the data directory", "wait until it has ended"),
    ("key", Exit::Usage, "a key cannot be opened or used", "check the passphrase, and the file's form"),
    ("listen", Exit::Unavailable, "an address cannot be listened on", "name another port, or 0 for any"),
    ("malformed", Exit::Failed, "octets are not what they should be", "look at them with `cradle inspect FILE`"),
    ("mode", Exit::Usage, "there is no such mode", "see `cradle mode table`"),
    ("module", Exit::Failed, "a module cannot be started here", "look at what is said beside it"),
    ("name", Exit::Usage, "a name cannot be used", "keep to the form that is said beside it"),
    ("newer-data", Exit::Failed, "a newer version wrote the data", "use that version, or a newer one"),
    ("no-boards", Exit::NotFound, "the fixture is empty", "put a board in"),
    ("no-crl", Exit::NotFound, "no list of revoked certificates was signed yet", "`cradle crl issue AUTHORITY`"),
    (
        "no-data",
        Exit::NotFound,
        "there is no installation",
        "run `cradle init`, or name the data directory with --data",
    ),
    (
        "no-retention",
        Exit::Usage,
        "the settings keep what has expired for ever",
        "write how long it is kept into cradle.toml: `[retention]`, `days_after_expiry`",
    ),
    (
        "no-gateway",
        Exit::Usage,
        "this box has no door to other networks",
        "write the section [gateway] into cradle.toml: docs/gateway.md has the form",
    ),
    ("no-mode", Exit::NotFound, "no mode was ever ordered", "remove the data directory and run `cradle init` again"),
    (
        "not-certified",
        Exit::NotAuthorised,
        "a module's certificate was revoked or has expired",
        "see `cradle cert list`; what does not need it goes on",
    ),
    (
        "not-confirmed",
        Exit::Usage,
        "nobody confirmed it, so nothing was done",
        "repeat the command with --yes if you mean it",
    ),
    (
        "not-off",
        Exit::Unavailable,
        "something that the new mode forbids still runs",
        "end it, then order the mode again",
    ),
    (
        "not-ordered",
        Exit::NotAuthorised,
        "the operator who ordered the mode is not certified any more",
        "records can still be read; make a new installation to go on",
    ),
    ("not-loopback", Exit::Usage, "only loopback addresses are listened on", "name 127.0.0.1:PORT or [::1]:PORT"),
    ("not-signed", Exit::Failed, "a release was not signed", "look at what is said beside it"),
    ("operator", Exit::Usage, "it is not clear who orders this", "name an operator with --operator"),
    (
        "organization",
        Exit::Usage,
        "a maker's name cannot be used",
        "give one that certificates can carry, at most 64 characters",
    ),
    ("output", Exit::Failed, "what was found out could not be printed", "nothing else went wrong; repeat the command"),
    ("passphrase", Exit::NotAuthorised, "there is no passphrase, or it is wrong", "name a file with --passphrase-file"),
    ("profile", Exit::Usage, "a profile's file cannot be used", "correct it, then run `cradle profile check`"),
    ("reason", Exit::Usage, "there is no such reason", "`cradle cert revoke --help` names them"),
    (
        "records-gone",
        Exit::Failed,
        "the records of an installation are gone",
        "put cradle.db back from a backup; keep the rest of the directory",
    ),
    (
        "records-disagree",
        Exit::Failed,
        "the records contradict each other",
        "keep the data directory as it is; restore from a backup of before",
    ),
    ("serial", Exit::Usage, "this is no serial number", "write it as `cradle cert list` shows it"),
];
/// Those of lists that are published.
const PUBLISHED: [(&str, Exit, &str, &str); 4] = [
    (
        "no-shards",
        Exit::NotFound,
        "the certificates of an authority are not divided among several lists",
        "sign one list of all of them: `cradle crl issue AUTHORITY`",
    ),
    (
        "published-differs",
        Exit::Conflict,
        "a list of the same number is published, and says something else",
        "find out where it was signed: two installations with one key count against each other",
    ),
    (
        "published-foreign",
        Exit::Conflict,
        "a published list is not one of this authority",
        "publish into a directory of this installation's own",
    ),
    (
        "published-newer",
        Exit::Conflict,
        "a published list has a higher number than the records know",
        "the records are older than what was published: restore with `cradle backup restore --crl FILE`",
    ),
];
/// Those of backups, operators and modules.
const BACKUPS: [(&str, Exit, &str, &str); 13] = [
    ("backup-altered", Exit::Failed, "a backup is damaged, was altered, or is none", "take another one"),
    (
        "marks-damaged",
        Exit::Failed,
        "the high-water marks cannot be read",
        "look at the line that is named; if it cannot be mended, two operators can restore without marks",
    ),
    (
        "marks-missing",
        Exit::Refused,
        "nobody knows what was used up after the backup",
        "name the directory of the high-water marks; if they are lost, two operators can restore without them",
    ),
    (
        "not-expired",
        Exit::Conflict,
        "a certificate that has not expired is renewed in a mode for it",
        "`cradle mode set certificate-management`, then without --expired",
    ),
    ("not-behind", Exit::Conflict, "the server has all that this box has seen", "go on"),
    ("not-quarantined", Exit::Conflict, "the installation was not restored, or was let go already", "go on"),
    (
        "older-data",
        Exit::Failed,
        "an older version wrote the data",
        "run `cradle migrate` once: it brings the records up to date and loses nothing",
    ),
    (
        "records-behind",
        Exit::Failed,
        "the server was put back: it does not have, or has otherwise, what this box has seen there",
        "bring back the server that has it; if it is lost: `cradle backup read-back`",
    ),
    ("module-unknown", Exit::NotFound, "no module of that name is certified", "see `cradle module list`"),
    (
        "operator-in-force",
        Exit::Conflict,
        "the operator ordered the mode of this box, and nobody would stand behind it",
        "have another operator order the mode first",
    ),
    ("operator-unknown", Exit::NotFound, "nobody of that name is an operator", "see `cradle operator list`"),
    ("token", Exit::Failed, "a token, or its URI, cannot be used", "each finding is printed with what to do"),
    (
        "operators-needed",
        Exit::NotAuthorised,
        "more operators must say so",
        "name each with --operator; `cradle operator add` makes another",
    ),
];
/// Those of boxes that join.
const JOINING: [(&str, Exit, &str, &str); 12] = [
    (
        "answer-refused",
        Exit::Refused,
        "an answer is not the one to what this box asked",
        "take it again as the first box wrote it",
    ),
    (
        "box-known",
        Exit::Conflict,
        "modules of a box of that name are certified already",
        "choose another name, or revoke the certificates of a box that is gone",
    ),
    ("box-unknown", Exit::NotFound, "no box of that name was admitted", "see `cradle module invitations`"),
    ("invitation-ended", Exit::Refused, "the time of a token is over", "invite the box again"),
    ("invitation-open", Exit::Conflict, "the box is invited already", "give it its token, or take that back"),
    (
        "invitation-taken-back",
        Exit::Refused,
        "an operator took the invitation back",
        "invite the box again if it may come",
    ),
    ("invitation-unknown", Exit::NotFound, "no such invitation was made here", "`cradle module invite`"),
    (
        "invitation-used",
        Exit::Refused,
        "a box was admitted with this token already",
        "if it was not the box that you know, revoke its certificates",
    ),
    ("join-file", Exit::Usage, "a file between two boxes is not what it should be", "take it again as it was written"),
    (
        "join-refused",
        Exit::Refused,
        "what a box asks is not what it was invited for, or was altered on its way",
        "take the request again as the new box wrote it; if it stays so, take the invitation back",
    ),
    (
        "key-revoked",
        Exit::Refused,
        "a certificate of this key was revoked, so somebody else may have the key",
        "`cradle module renew MODULE --new-key`",
    ),
    ("not-joining", Exit::NotFound, "this box has not asked to join", "`cradle module join TOKEN --out REQUEST` first"),
];
/// Those of key ceremonies, divided keys and exports.
const CEREMONIES: [(&str, Exit, &str, &str); 10] = [
    (
        "anchor",
        Exit::Usage,
        "a file is nothing that a transcript could be believed by",
        "name the certificate of the authority `modules`, or audit.pub",
    ),
    (
        "ceremony-needed",
        Exit::NotAuthorised,
        "operators_needed in cradle.toml says that one person alone does not do this",
        "write a plan, have it approved, and carry it out: docs/ceremony.md",
    ),
    ("ceremony-unknown", Exit::NotFound, "there is no such ceremony here", "see `cradle ceremony list`"),
    (
        "journal",
        Exit::Failed,
        "the journal of a ceremony does not hang together",
        "keep it as it is: what was made stands in the audit log; put it back from a backup",
    ),
    ("password", Exit::Usage, "the password of a file cannot be used", "give one with at least 12 characters"),
    (
        "plan",
        Exit::Usage,
        "the plan of a ceremony cannot be carried out",
        "`cradle ceremony check PLAN` names everything that is wrong with it",
    ),
    (
        "share",
        Exit::NotAuthorised,
        "a share of a divided key is damaged, given twice, or of another key",
        "give each share once, from the file that its custodian got",
    ),
    (
        "shares-needed",
        Exit::NotAuthorised,
        "a key is divided, and too few of its shares were given",
        "name the file of each share with --share",
    ),
    ("transcript", Exit::Failed, "a transcript cannot be written", "look at the directory of the ceremony"),
    (
        "transcript-altered",
        Exit::Failed,
        "a transcript, or a file beside it, is not what was signed",
        "compare it with the one that was kept elsewhere",
    ),
];
/// Those of what a command needs from its surroundings.
const SURROUNDINGS: [(&str, Exit, &str, &str); 14] = [
    (
        "disk-full",
        Exit::Unavailable,
        "there is no room for what would be recorded",
        "make room on the disk that is named, then repeat the command; nothing is to be repaired",
    ),
    (
        "store",
        Exit::Unavailable,
        "the records cannot be opened",
        "check the disk and the permissions of the data directory",
    ),
    ("terminal", Exit::Failed, "the terminal was closed", "repeat the command"),
    ("thread", Exit::Unavailable, "the system starts no more threads", "look at its limits"),
    (
        "unavailable",
        Exit::Unavailable,
        "something of ours, or the fixture, does not answer",
        "mend what is named beside it, then repeat the command: nothing was changed by halves",
    ),
    ("usage", Exit::Usage, "the command was not understood", "see its --help"),
    (
        "line",
        Exit::Failed,
        "the station's process broke down in the middle of a run",
        "run the station again: what is recorded stands; report what it logged",
    ),
    (
        "listens",
        Exit::Failed,
        "a process of a module ended, because other machines could have reached it in a mode without the gateway",
        "report it",
    ),
    (
        "no-bus",
        Exit::Usage,
        "modules of this installation share one process: `cradle.toml` names no broker",
        "leave `cradle up` and `--modules` away, or make an installation with `cradle init --bus`",
    ),
    (
        "no-lease",
        Exit::Unavailable,
        "a process of a module ended, because nobody let it run",
        "start it with `cradle up`, which keeps the mode of the box",
    ),
    (
        "not-up",
        Exit::Unavailable,
        "nobody keeps the mode of this box now",
        "start it with `cradle up`, and see whether the broker runs: `cradle bus check`",
    ),
    (
        "process",
        Exit::Unavailable,
        "a process of a module, or a server of a demonstration, does not run",
        "see what it logged; modules are started again by themselves",
    ),
    (
        "program-missing",
        Exit::NotFound,
        "a program that a demonstration apart needs is not installed",
        "`./run --apart` installs it",
    ),
    ("vault", Exit::Unavailable, "the vault cannot be opened", "check its folder and its permissions"),
];

/// What a code means.
#[derive(Serialize, ToSchema)]
#[schema(as = Code)]
pub(crate) struct Row {
    code: &'static str,
    exit: u8,
    what: &'static str,
    next: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    let ours = CODES
        .iter()
        .chain(&PUBLISHED)
        .chain(&BACKUPS)
        .chain(&CEREMONIES)
        .chain(&JOINING)
        .chain(&updates::UPDATES)
        .chain(&director::CODES)
        .chain(&api::CODES)
        .chain(&SURROUNDINGS)
        .map(|&(code, exit, what, next)| Row { code, exit: exit.status(), what, next });
    let rules = Reason::ALL.iter().map(|reason| Row {
        code: reason.code(),
        exit: exit_of(*reason).status(),
        what: reason.what(),
        next: reason.next(),
    });
    let findings = FINDINGS.iter().map(|&(code, what, next)| Row { code, exit: Exit::Failed.status(), what, next });
    rules.chain(ours).chain(findings)
}

/// A code that is known here, and the exit status behind it.
pub(crate) fn known_code(code: &str) -> Option<(&'static str, Exit)> {
    let ours = CODES
        .iter()
        .chain(&PUBLISHED)
        .chain(&BACKUPS)
        .chain(&CEREMONIES)
        .chain(&JOINING)
        .chain(&updates::UPDATES)
        .chain(&director::CODES)
        .chain(&api::CODES)
        .chain(&SURROUNDINGS);
    let ours = ours.map(|&(code, exit, ..)| (code, exit));
    let rules = Reason::ALL.iter().map(|reason| (reason.code(), exit_of(*reason)));
    let findings = FINDINGS.iter().map(|&(code, ..)| (code, Exit::Failed));
    rules.chain(ours).chain(findings).find(|(known, _)| *known == code)
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let Some(code) = &arguments.code else {
        return common.out().rows(&["code", "exit", "what", "next"], &rows().collect::<Vec<_>>());
    };
    let Some(row) = rows().find(|row| row.code == code) else { return history::run(common, code) };
    common.out().one(&row, || format!("{code}\n  what: {}\n  next: {}\n  exit: {}\n", row.what, row.next, row.exit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn sources(directory: &Path, all: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_code_that_a_command_prints_is_explained() {
        let mut all = String::new();
        sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut all);
        let known: Vec<_> = rows().map(|row| row.code).collect();
        let mut found = 0;
        for place in all.split("Failure::new(").chain(all.split("Self::new(")).skip(1) {
            let Some(rest) = place.trim_start().strip_prefix("Exit::") else { continue };
            // Its second argument; where that is a name, whoever has the name is looked at.
            let Some((_, rest)) = rest.split_once(',') else { continue };
            let Some(rest) = rest.trim_start().strip_prefix('"') else { continue };
            let code = rest.split('"').next().unwrap();
            if !code.bytes().all(|c| c.is_ascii_lowercase() || c == b'-') {
                continue;
            }
            assert!(known.contains(&code), "{code}");
            found += 1;
        }
        assert!(found > 60, "{found}");
    }
    #[test]
    fn no_code_is_explained_twice() {
        let mut known: Vec<_> = rows().map(|row| row.code).collect();
        known.sort_unstable();
        let before = known.len();
        known.dedup();
        assert_eq!(known.len(), before);
    }
}
