//! The roots to which everything must lead: those that came with the device, and those that followed them.
//!
//! Prevents: a root that is believed because somebody wrote it where it is kept. What is kept is octets: whenever they are read, each is
//! proved again, from those that came with the device on.

use super::setting::Setting;
use crate::fault::{Failure, Result};
use adapters::files;
use model::{Base64, UnixTime};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wire::cmp::client::{BadRoot, NewRoot, RootKeyUpdate};
use x509::Certificate;

const FILE: &str = "roots.json";
/// Longest file of roots that followed, in octets.
const FILE_LEN_MAX: u64 = 2 * 1024 * 1024;
/// How many roots may follow in a device's life: one each few years.
const FOLLOWED_MAX: usize = 16;
/// How often it is asked for the next root at one time. Who was away for longer goes on the next time.
const ASKED_MAX: usize = 4;

/// A root that followed another, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    new_with_new: Base64,
    new_with_old: Base64,
    /// When it was taken up: then it was proved, and then it is proved again.
    since_s: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct File {
    followed: Vec<Kept>,
}

/// A root.
pub(crate) struct Root {
    pub(crate) certificate: Certificate,
    /// Since when it is one; `None` if it came with the device.
    pub(crate) since: Option<UnixTime>,
    /// Whether another one followed it.
    pub(crate) is_followed: bool,
}

/// The roots of a device.
pub(crate) struct Roots {
    path: PathBuf,
    all: Vec<Root>,
    file: File,
    /// Why a root was not taken up: the first reason.
    failure: Option<Failure>,
}

impl Roots {
    /// Those that came with the device, and those that followed them, as far as they can be proved.
    ///
    /// # Errors
    /// If those that came with the device cannot be used. What is wrong with the others is said by [`Roots::failure`].
    pub(crate) fn load(setting: &Setting) -> Result<Self> {
        Ok(Self::of(setting.roots()?, setting.directory()))
    }

    fn of(came: Vec<Certificate>, directory: &Path) -> Self {
        let all = came.into_iter().map(|certificate| Root { certificate, since: None, is_followed: false });
        let path = directory.join(FILE);
        let mut roots = Self { all: all.collect(), file: File::default(), failure: None, path };
        match read(&roots.path) {
            Ok(file) => {
                let is_proved = file.followed.into_iter().take(FOLLOWED_MAX).all(|kept| roots.prove(kept).is_some());
                if !is_proved {
                    roots.fail(unusable(
                        &roots.path,
                        "a root in it does not follow from those that came with the device",
                    ));
                }
            }
            Err(why) => roots.fail(unusable(&roots.path, why)),
        }
        roots
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Root] {
        &self.all
    }

    /// Why one was not taken up, or what is wrong with those that are kept.
    pub(crate) const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Those to which something may lead: one that was followed until it has expired.
    pub(crate) fn believed(&self, now: UnixTime) -> Vec<Certificate> {
        let is_over = |root: &&Root| root.is_followed && now.whole_second() > root.certificate.tbs().not_after;
        self.all.iter().filter(|root| !is_over(root)).map(|root| root.certificate.clone()).collect()
    }

    /// Asks for what follows each root that nothing followed, and takes up what that root vouches for: durably, before it is believed. What
    /// is wrong is said by [`Roots::failure`], and changes nothing.
    pub(crate) fn follow(
        &mut self,
        mut ask: impl FnMut(&Certificate) -> Result<Vec<RootKeyUpdate>>,
        now: impl Fn() -> UnixTime,
    ) {
        let (mut at, mut asked) = (0, 0);
        // One that is taken up stands at the end, and is asked for in its turn.
        while let Some(root) = self.all.get(at)
            && asked < ASKED_MAX
        {
            at += 1;
            if root.is_followed || now().whole_second() > root.certificate.tbs().not_after {
                continue;
            }
            asked += 1;
            let told = ask(&root.certificate).unwrap_or_else(|failure| {
                self.fail(failure);
                Vec::new()
            });
            // One that is refused does not keep back another.
            for update in told {
                if let Err(failure) = self.take(update, now()) {
                    self.fail(failure);
                }
            }
        }
    }

    /// Takes up a root, if it is new and one that nothing followed vouches for it.
    fn take(&mut self, update: RootKeyUpdate, now: UnixTime) -> Result {
        if self.all.iter().any(|root| root.certificate == update.new_with_new) {
            return Ok(());
        }
        let refused = |why: String| {
            Failure::new("root-refused", "the new root that the server names was not taken up")
                .because(why)
                .next("the roots that there are go on; tell who runs the server")
        };
        if self.file.followed.len() == FOLLOWED_MAX {
            return Err(refused(format!("{FOLLOWED_MAX} roots have followed already")));
        }
        let (at, new) = self.vouched(&update, now).map_err(|bad| refused(bad.to_string()))?;
        let kept = Kept {
            new_with_new: new.new_with_new().der().to_vec().into(),
            new_with_old: new.new_with_old().der().to_vec().into(),
            since_s: now.s(),
        };
        let followed = self.file.followed.iter().cloned().chain([kept]).collect();
        let file = File { followed };
        let octets = serde_json::to_vec(&file).map_err(|e| unusable(&self.path, e))?;
        files::replace(&self.path, &octets).map_err(|e| Failure::file(&self.path, &e))?;
        self.file = file;
        self.add(at, &new, now);
        Ok(())
    }

    // One that is kept, at the time when it was taken up: it may have expired since, and vouch for another.
    fn prove(&mut self, kept: Kept) -> Option<()> {
        let since = UnixTime::from_s(kept.since_s);
        let new_with_new = Certificate::decode(kept.new_with_new.as_ref()).ok()?;
        let new_with_old = Certificate::decode(kept.new_with_old.as_ref()).ok()?;
        let update = RootKeyUpdate { new_with_new, new_with_old: Some(new_with_old), old_with_new: None };
        let (at, new) = self.vouched(&update, since).ok()?;
        self.add(at, &new, since);
        self.file.followed.push(kept);
        Some(())
    }

    // Which root vouches for it. One that was followed does not any more: its key may be why.
    fn vouched(&self, update: &RootKeyUpdate, now: UnixTime) -> std::result::Result<(usize, NewRoot), BadRoot> {
        let mut why = None;
        for (at, root) in self.all.iter().enumerate().filter(|(_, root)| !root.is_followed) {
            match update.clone().verify(&root.certificate, now) {
                Ok(new) => return Ok((at, new)),
                Err(bad) => _ = why.get_or_insert(bad),
            }
        }
        Err(why.unwrap_or(BadRoot::NoNewWithOld))
    }

    fn add(&mut self, old: usize, new: &NewRoot, since: UnixTime) {
        if let Some(old) = self.all.get_mut(old) {
            old.is_followed = true;
        }
        let certificate = new.new_with_new().clone();
        self.all.push(Root { certificate, since: Some(since), is_followed: false });
    }

    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }
}

fn read(path: &Path) -> std::result::Result<File, String> {
    match files::read_bounded(path, FILE_LEN_MAX) {
        Ok(octets) => serde_json::from_slice(&octets).map_err(|e| e.to_string()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(File::default()),
        Err(e) => Err(e.to_string()),
    }
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new("roots", format!("{} cannot be used", path.display())).because(why).next(
        "the roots that can be proved go on, and the next renewal asks again; if `root` was replaced, remove the file",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use adapters::keystore::memory::MemoryKey;
    use ports::Signer;
    use x509::certificate::TbsCertificate;
    use x509::extension::{BasicConstraints, KeyUsage};
    use x509::name::Attribute;
    use x509::{KeyType, Name, SerialNumber, csr, oids};

    const NOW: UnixTime = UnixTime::from_s(1_790_000_000);
    const DAY: u64 = 86_400;

    /// A root; all have one name.
    struct Made {
        key: MemoryKey,
        certificate: Certificate,
    }
    fn certified(by: &MemoryKey, key: &MemoryKey, begin: UnixTime, end: UnixTime) -> Certificate {
        let name = Name::write(&[Attribute { oid: oids::COMMON_NAME, text: "root".into() }]);
        let tbs = TbsCertificate {
            serial_number: SerialNumber::from_hex("01").unwrap(),
            signature: by.algorithm(),
            issuer: name.clone(),
            not_before: begin,
            not_after: end,
            subject: name,
            subject_public_key: key.public_key().clone(),
            extensions: vec![
                BasicConstraints { ca: true, path_len: None }.extension(),
                KeyUsage::KEY_CERT_SIGN.extension(),
            ],
        };
        let der = tbs.write();
        Certificate::decode(&csr::write_signed(&der, by.algorithm(), &by.sign(&der).unwrap())).unwrap()
    }
    fn root_from(begin: UnixTime, end: UnixTime) -> Made {
        let key = MemoryKey::generate(KeyType::P256);
        let certificate = certified(&key, &key, begin, end);
        Made { key, certificate }
    }
    fn root((from, to): (u64, u64)) -> Made {
        let days = |n: u64| NOW.minus_s(9 * DAY).plus_s(n * DAY);
        root_from(days(from), days(to))
    }
    fn update(old: &Made, new: &Made) -> RootKeyUpdate {
        let link = certified(&old.key, &new.key, NOW.minus_s(DAY), NOW.plus_s(DAY));
        RootKeyUpdate { new_with_new: new.certificate.clone(), new_with_old: Some(link), old_with_new: None }
    }

    /// A device's directory, and the root that came with it.
    struct Device {
        dir: tempfile::TempDir,
        came: Vec<Certificate>,
    }
    impl Device {
        fn new(came: &[&Made]) -> Self {
            let came = came.iter().map(|root| root.certificate.clone()).collect();
            Self { dir: tempfile::tempdir().unwrap(), came }
        }
        fn roots(&self) -> Roots {
            Roots::of(self.came.clone(), self.dir.path())
        }
        /// Is told these, whatever it asks. Gives why not all was taken up.
        fn told(&self, updates: &[RootKeyUpdate]) -> Option<&'static str> {
            let mut roots = self.roots();
            roots.follow(|_| Ok(updates.to_vec()), || NOW);
            roots.failure().map(|failure| failure.code)
        }
        #[track_caller]
        fn believes(&self, now: UnixTime, expected: &[&Made]) {
            let expected: Vec<_> = expected.iter().map(|root| root.certificate.clone()).collect();
            assert!(self.roots().believed(now) == expected, "others are believed");
        }
    }

    #[test]
    fn a_root_that_follows_stays_and_the_old_one_until_it_ends() {
        let (old, new) = (root((0, 10)), root((1, 30)));
        let device = Device::new(&[&old]);
        device.believes(NOW, &[&old]);
        assert_eq!(device.told(&[update(&old, &new)]), None);
        device.believes(NOW.plus_s(DAY), &[&old, &new]);
        device.believes(NOW.plus_s(DAY + 1), &[&new]);
        let roots = device.roots();
        let since: Vec<_> = roots.all().iter().map(|root| (root.since, root.is_followed)).collect();
        assert_eq!((since, roots.failure()), (vec![(None, true), (Some(NOW), false)], None));
        // It is said again each time.
        assert_eq!(device.told(&[update(&old, &new)]), None);
        device.believes(NOW, &[&old, &new]);
    }
    #[test]
    fn one_that_nothing_followed_stays_after_its_end() {
        let old = root((0, 1));
        Device::new(&[&old]).believes(NOW, &[&old]);
    }
    #[test]
    fn one_after_another() {
        let all = [0, 1, 2, 3, 4, 5].map(|n| root((n, 30)));
        let device = Device::new(&[&all[0]]);
        let next = |root: &Certificate| all.iter().position(|one| one.certificate == *root).unwrap() + 1;
        let mut asked = 0;
        let mut ask = |old: &Certificate| {
            asked += 1;
            let at = next(old);
            Ok(all.get(at).map(|new| update(&all[at - 1], new)).into_iter().collect())
        };
        device.roots().follow(&mut ask, || NOW);
        // So much at one time; the next time goes on.
        device.believes(NOW, &all.each_ref()[..=ASKED_MAX]);
        device.roots().follow(&mut ask, || NOW);
        assert_eq!(asked, ASKED_MAX + 2);
        device.believes(NOW, &all.each_ref());
    }
    #[test]
    fn what_is_not_vouched_for_changes_nothing() {
        let (old, new, other) = (root((0, 30)), root((1, 30)), root((0, 30)));
        let device = Device::new(&[&old]);
        assert_eq!(device.told(&[update(&other, &new)]), Some("root-refused"));
        assert!(device.roots().failure().is_none() && !device.dir.path().join(FILE).exists());
        device.believes(NOW, &[&old]);
    }
    #[test]
    fn one_that_is_refused_does_not_keep_back_another() {
        let (old, new, other) = (root((0, 30)), root((1, 30)), root((0, 30)));
        let device = Device::new(&[&old]);
        assert_eq!(device.told(&[update(&other, &root((1, 30))), update(&old, &new)]), Some("root-refused"));
        device.believes(NOW, &[&old, &new]);
    }
    #[test]
    fn one_that_was_followed_vouches_for_no_other() {
        let (old, new, other) = (root((0, 30)), root((1, 30)), root((2, 30)));
        let device = Device::new(&[&old]);
        assert_eq!(device.told(&[update(&old, &new)]), None);
        assert_eq!(device.told(&[update(&old, &other)]), Some("root-refused"));
        device.believes(NOW, &[&old, &new]);
    }
    #[test]
    fn any_of_several_may_be_followed() {
        let (one, other, new) = (root((0, 30)), root((0, 30)), root((1, 30)));
        let device = Device::new(&[&one, &other]);
        assert_eq!(device.told(&[update(&other, &new)]), None);
        device.believes(NOW, &[&one, &other, &new]);
    }
    #[test]
    fn one_that_has_ended_is_not_asked_for() {
        let old = root((0, 1));
        let mut asked = 0;
        let mut ask = |_: &Certificate| {
            asked += 1;
            Ok(Vec::new())
        };
        Device::new(&[&old]).roots().follow(&mut ask, || NOW);
        assert_eq!(asked, 0);
    }
    #[test]
    fn so_many_in_a_life_and_no_more() {
        let hours = |n: u64| NOW.minus_s(9 * DAY).plus_s(n * 3600);
        let all: Vec<_> = (0..20).map(|n| root_from(hours(n), NOW.plus_s(DAY))).collect();
        let device = Device::new(&[&all[0]]);
        let told: Vec<_> = all.windows(2).map(|pair| update(&pair[0], &pair[1])).collect();
        assert_eq!(device.told(&told), Some("root-refused"));
        device.believes(NOW, &all.iter().collect::<Vec<_>>()[..=FOLLOWED_MAX]);
    }
    #[test]
    fn what_others_wrote_is_not_believed() {
        let (old, new, other) = (root((0, 30)), root((1, 30)), root((0, 30)));
        // Kept by a device that had another root.
        let device = Device::new(&[&other]);
        assert_eq!(device.told(&[update(&other, &new)]), None);
        let device = Device { came: vec![old.certificate.clone()], ..device };
        device.believes(NOW, &[&old]);
        assert_eq!(device.roots().failure().map(|failure| failure.code), Some("roots"));
        // It is said, and gets well by what is told next.
        assert_eq!(device.told(&[update(&old, &new)]), Some("roots"));
        device.believes(NOW, &[&old, &new]);
        assert_eq!(device.told(&[]), None);
    }
    #[test]
    fn a_file_that_is_damaged_leaves_those_that_came() {
        let (old, new) = (root((0, 30)), root((1, 30)));
        let device = Device::new(&[&old]);
        for text in ["", "{", "[]", "{\"followed\": [{}]}"] {
            std::fs::write(device.dir.path().join(FILE), text).unwrap();
            device.believes(NOW, &[&old]);
            assert_eq!(device.roots().failure().map(|failure| failure.code), Some("roots"), "{text}");
        }
        assert_eq!(device.told(&[update(&old, &new)]), Some("roots"));
        device.believes(NOW, &[&old, &new]);
    }
    #[test]
    fn what_cannot_be_kept_is_not_believed() {
        let (old, new) = (root((0, 30)), root((1, 30)));
        let device = Device::new(&[&old]);
        let mut roots = Roots::of(device.came.clone(), &device.dir.path().join("nowhere"));
        roots.follow(|_| Ok(vec![update(&old, &new)]), || NOW);
        assert!(roots.believed(NOW) == [old.certificate]);
        assert_eq!(roots.failure().map(|failure| failure.code), Some("file"));
    }
}
