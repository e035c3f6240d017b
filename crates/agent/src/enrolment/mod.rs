//! How a device comes to a certificate, and keeps one: a key of its own for each, made here, which never leaves.
//!
//! The new key is durable before a certificate is asked for it, because a server may have answered what was never heard; and key and
//! certificate take the place of those before them in one step. So whoever cuts the agent off anywhere finds a pair that can be
//! used, and the next run goes on.

mod cmp;
mod note;
mod pair;
mod roots;
mod server;
mod setting;
mod status;

use setting::Protocol;
pub(crate) use setting::Setting;
pub(crate) use status::{Identity, identity};

use crate::fault::{Failure, Result};
use crate::keys::Keys;
use adapters::files::{self, DirectoryLock};
use adapters::process;
use model::UnixTime;
use note::{Failed, Note, Slot};
use pair::{Next, Pair};
use ports::Clock;
use roots::Roots;
use serde::Serialize;
use server::{Certified, Denied, Proof, Secret, Server};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;
use x509::sha256;
use zeroize::Zeroizing;

/// Longest secret, in octets.
const SECRET_LEN_MAX: u64 = 256;
/// How long the hook may take.
const HOOK_WITHIN: Duration = Duration::from_secs(300);
/// Where a secret is read from that is in no file.
const STANDARD_INPUT: &str = "-";

/// Whether a certificate that need not be replaced is, and a server asked that wants to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Due,
    Now,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Became {
    /// It has its first certificate, or one that has nothing to do with the one before.
    Enrolled,
    /// It has another one in the place of the one before.
    Renewed,
    /// It keeps what it has: that is not due, or was not asked to be replaced.
    Kept,
}

/// What became of the certificate, and what was not done beside it.
pub(crate) struct Done {
    pub(crate) became: Became,
    pub(crate) identity: Identity,
    pub(crate) failure: Option<Failure>,
}

impl Done {
    fn with(self, failure: Option<Failure>) -> Self {
        Self { failure: self.failure.or(failure), ..self }
    }
}

/// Has the device certified for the secret in a file, or on standard input.
pub(crate) fn enrol(setting: &Setting, secret: &Path, when: When, clock: &dyn Clock) -> Result<Done> {
    let mut place = Place::take(setting)?;
    let old = match Pair::load(setting.directory()) {
        // What cannot be used is replaced.
        Err(_) if when == When::Now => None,
        read => read?,
    };
    if old.is_some() && when == When::Due {
        return place.done(Became::Kept, clock.now());
    }
    place.may_ask(when, clock.now())?;
    let proof = Proof::Secret(Secret { user: setting.user(), octets: read_secret(secret)? });
    let (keys, mut roots) = (setting.keys()?, Roots::load(setting)?);
    let next = Next::take(setting.directory(), &keys, setting.key_type()?, old.as_ref(), None)?;
    let certified = certify(setting, &keys, &next, &proof, &mut roots, clock);
    let left = place.switch(&keys, next, certified, roots.failure(), clock.now())?;
    place.done(Became::Enrolled, clock.now()).map(|done| done.with(left).with(roots.failure().cloned()))
}

/// Has the certificate renewed, if it is due.
pub(crate) fn renew(setting: &Setting, when: When, clock: &dyn Clock) -> Result<Done> {
    let mut place = Place::take(setting)?;
    let Some(old) = Pair::load(setting.directory())? else {
        return Err(Failure::new("no-identity", "there is no certificate to renew")
            .because("the device was never enrolled, or its data are gone")
            .next("cradle-agent enrol, with a one-time secret"));
    };
    if when == When::Due && clock.now() < old.due(place.note.slot) {
        return place.done(Became::Kept, clock.now());
    }
    place.may_ask(when, clock.now())?;
    let (keys, mut roots) = (setting.keys()?, Roots::load(setting)?);
    let next = Next::take(setting.directory(), &keys, setting.key_type()?, Some(&old), Some(&old))?;
    let certified = certify(setting, &keys, &next, &Proof::Certificate(&old), &mut roots, clock);
    let certified =
        certified.map_err(|denied| Denied { failure: with_old(denied.failure, &old, clock.now()), ..denied });
    let left = place.switch(&keys, next, certified, roots.failure(), clock.now())?;
    place.done(Became::Renewed, clock.now()).map(|done| done.with(left).with(roots.failure().cloned()))
}

fn certify(
    setting: &Setting,
    keys: &Keys,
    next: &Next,
    proof: &Proof<'_>,
    roots: &mut Roots,
    clock: &dyn Clock,
) -> std::result::Result<Certified, Denied> {
    if setting.protocol() == Protocol::Cmp {
        return cmp::certify(setting, keys, next, proof, roots, clock);
    }
    let shown = match proof {
        Proof::Certificate(pair) => Some(*pair),
        Proof::Secret(_) => None,
    };
    Server::ask(setting, keys, shown, roots, clock)?.certify(next.key.as_ref(), proof, clock)
}

/// What it means for the certificate that there is.
fn with_old(failure: Failure, old: &Pair, now: UnixTime) -> Failure {
    let until = old.until();
    let (why, is_refused) = (failure.why.clone(), failure.code == crate::fault::REFUSED);
    match (now > until, is_refused) {
        (false, _) => failure.because(format!("{why}; the certificate that there is holds until {until}")),
        (true, false) => failure.because(format!("{why}; the certificate that there is has expired at {until}")),
        (true, true) => Failure { code: "expired", what: format!("the certificate has expired at {until}: {}", failure.what), ..failure }
            .next("let it enrol anew (cradle device allow SERIAL --secret), and run: cradle-agent enrol --force --secret FILE"),
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |e: std::io::Error| Failure::file(path, &e);
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(SECRET_LEN_MAX).unwrap_or(0) + 1));
    if path == Path::new(STANDARD_INPUT) {
        std::io::stdin().lock().take(SECRET_LEN_MAX + 1).read_to_end(&mut octets).map_err(failed)?;
    } else {
        // What a shell hands over is nobody else's; of a file it is looked at.
        if path.is_file() && files::open_to_others(path).map_err(failed)? {
            return Err(Failure::file(path, &ErrorKind::PermissionDenied.into())
                .because("others than its owner can read it")
                .next("chmod 600"));
        }
        files::open_regular(path)
            .and_then(|file| file.take(SECRET_LEN_MAX + 1).read_to_end(&mut octets))
            .map_err(failed)?;
    }
    let len = octets.trim_ascii_end().len();
    octets.truncate(len);
    if octets.is_empty() || u64::try_from(len).is_ok_and(|len| len > SECRET_LEN_MAX) {
        return Err(Failure::usage(format!("{} has no secret", path.display()))
            .because(format!("a secret has 1 to {SECRET_LEN_MAX} octets"))
            .next("the line that cradle device allow SERIAL --secret said"));
    }
    Ok(octets)
}

/// Where key, certificate and note are, for one process at a time.
struct Place<'a> {
    setting: &'a Setting,
    lock: DirectoryLock,
    note: Note,
}

impl<'a> Place<'a> {
    fn take(setting: &'a Setting) -> Result<Self> {
        let directory = setting.directory();
        files::private_directory(directory).map_err(|e| Failure::file(directory, &e))?;
        let lock = DirectoryLock::take(directory).map_err(|e| match e.kind() {
            ErrorKind::WouldBlock => Failure::new("in-use", format!("{} is in use", directory.display()))
                .because("another agent works with it, or the hook of one")
                .next("wait until it has ended"),
            _ => Failure::file(directory, &e),
        })?;
        Ok(Self { setting, lock, note: Note::load(directory)? })
    }

    fn may_ask(&self, when: When, now: UnixTime) -> Result {
        match self.note.waits_until(now) {
            Some(until) if when == When::Due => Err(Failure::new("waits", "the server was not asked")
                .because(format!("it wants to be asked again at {until}"))
                .next("the next run after that time asks again; --force asks now")),
            _ => Ok(()),
        }
    }

    /// Has the new key and its certificate take the place of those before, or remembers why not; and what is wrong with a new root. Gives
    /// what was not done beside it.
    fn switch(
        &mut self,
        keys: &Keys,
        next: Next,
        certified: std::result::Result<Certified, Denied>,
        root: Option<&Failure>,
        now: UnixTime,
    ) -> Result<Option<Failure>> {
        let directory = self.setting.directory();
        let root = root.map(|failure| Failed::of(failure, now));
        let Certified { leaf, above, renew_after_s } = match certified {
            Ok(certified) => certified,
            Err(Denied { failure, after_s }) => {
                self.note.root = root;
                self.note.fail(&failure, after_s, now);
                self.note.save(directory)?;
                return Err(failure);
            }
        };
        let pair = Pair::of(next.private, leaf, above);
        let pair = pair.ok_or_else(|| Failure::new("key", "the new key is not that of its certificate"))?;
        // Noted before: whoever is cut off in between runs the hook once more than it need be, and never once less.
        let of = sha256(pair.leaf().der());
        let slot = renew_after_s.map(|after_s| Slot { of, at_s: now.plus_s(after_s).s() });
        self.note = Note { hook_is_due: self.setting.hook().is_some(), slot, root, ..Note::default() };
        self.note.save(directory)?;
        pair.save(directory)?;
        Next::forget(directory)?;
        // Who is cut off before this has them gone with the next certificate.
        let left = keys.destroy_others(&[pair.key()]).err();
        Ok(left.map(|why| {
            Failure::new("token", "a key that is not needed any more is still in the token")
                .because(why)
                .next("nothing: it goes when the certificate is renewed")
        }))
    }

    /// Runs the hook, if it is due, and says what there is.
    fn done(mut self, became: Became, now: UnixTime) -> Result<Done> {
        let failure = self.run_hook().err();
        let identity = identity(self.setting, now);
        Ok(Done { became, identity, failure })
    }

    fn run_hook(&mut self) -> Result {
        if !self.note.hook_is_due {
            return Ok(());
        }
        if let Some((program, arguments)) = self.setting.hook().and_then(<[String]>::split_first) {
            let identity = Pair::path(self.setting.directory()).to_string_lossy().into_owned();
            let arguments: Vec<_> = arguments.iter().map(|one| one.replace("{identity}", &identity)).collect();
            let failed = |why: String| {
                Failure::new("hook", format!("the certificate has changed, and {program} failed"))
                    .because(why)
                    .next("see what it says when it is run by hand; the next run of the agent runs it again")
            };
            let ended = process::run(Path::new(program), &arguments, &self.lock, HOOK_WITHIN);
            let ended = ended.map_err(|e| failed(e.to_string()))?;
            if !ended.status.success() {
                let words = String::from_utf8_lossy(&ended.last_words).trim().to_owned();
                return Err(failed(format!("{}; it said: {words}", ended.status)));
            }
        }
        self.note.hook_is_due = false;
        self.note.save(self.setting.directory())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], mode: u32, expected: std::result::Result<&[u8], &str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let read = read_secret(&path);
        match expected {
            Ok(secret) => assert_eq!(read.unwrap().as_slice(), secret),
            Err(why) => assert!(read.err().is_some_and(|failure| failure.to_string().contains(why))),
        }
    }
    #[test]
    fn a_secret_is_a_line() {
        check(b"abc-def\n", 0o600, Ok(b"abc-def"));
        check(b"abc-def\r\n", 0o600, Ok(b"abc-def"));
        check(b"abc-def", 0o400, Ok(b"abc-def"));
    }
    #[test]
    fn a_secret_that_others_read_is_none() {
        check(b"abc-def", 0o644, Err("others than its owner"));
    }
    #[test]
    fn so_long_and_no_longer() {
        check(b"\n", 0o600, Err("1 to 256 octets"));
        check(&[b'x'; 256], 0o600, Ok(&[b'x'; 256]));
        check(&[b'x'; 257], 0o600, Err("1 to 256 octets"));
    }
}
