use super::format::{self, CHUNK_LEN};
use super::key::{VaultPrivateKey, VaultPublicKey};
use super::{DirectoryVault, RECIPIENTS_MAX};
use ports::Entropy;
use ports::vault::{BlobName, Vault, VaultFault};
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use zeroize::Zeroizing;

struct Random;
impl Entropy for Random {
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).unwrap();
    }
}

fn key(first: u8) -> VaultPrivateKey {
    VaultPrivateKey::new(Zeroizing::new(std::array::from_fn(|n| first + u8::try_from(n).unwrap()))).unwrap()
}
fn sm() -> VaultPrivateKey {
    key(0)
}
fn pm() -> VaultPrivateKey {
    key(32)
}
fn image(len: usize) -> Vec<u8> {
    (0..len).map(|k| u8::try_from((k * k + 7 * k) % 251).unwrap()).collect()
}

type Found = Result<Vec<u8>, VaultFault>;

struct Rig(TempDir);

impl Rig {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn try_vault(&self, reader: Option<VaultPrivateKey>) -> Result<DirectoryVault, VaultFault> {
        let recipients = vec![sm().public_key(), pm().public_key()];
        DirectoryVault::open(self.0.path(), recipients, reader, Arc::new(Random))
    }
    fn vault(&self) -> DirectoryVault {
        self.try_vault(Some(sm())).unwrap()
    }
    fn put(&self, image: &[u8]) -> BlobName {
        self.vault().put(&mut &*image, u64::try_from(image.len()).unwrap()).unwrap()
    }
    fn read(&self, name: &BlobName) -> Found {
        read(&self.vault(), name)
    }
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
    /// Puts an image whose file will be changed.
    fn changes(&self, image: &[u8]) -> Changes {
        let name = self.put(image);
        let path = self.path(&name.0);
        Changes { vault: self.vault(), name, blob: fs::read(&path).unwrap(), path }
    }
}

struct Changes {
    vault: DirectoryVault,
    name: BlobName,
    path: PathBuf,
    blob: Vec<u8>,
}

impl Changes {
    /// What is read when the file, as it was put, is changed.
    fn read(&self, change: impl FnOnce(&mut Vec<u8>)) -> Found {
        let mut changed = self.blob.clone();
        change(&mut changed);
        fs::write(&self.path, changed).unwrap();
        read(&self.vault, &self.name)
    }
}

fn read(vault: &DirectoryVault, name: &BlobName) -> Found {
    let mut out = Vec::new();
    let mut blob = vault.open(name)?;
    match blob.read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(error) => {
            assert!(blob.read(&mut [0]).is_err(), "a reader that failed stays so");
            Err(*error.into_inner().unwrap().downcast::<VaultFault>().unwrap())
        }
    }
}

const HEADER_LEN: usize = 9 + 2 * 80;
const SEALED_LEN: usize = CHUNK_LEN + 16;

#[test]
fn what_was_put_in_comes_out() {
    let rig = Rig::new();
    for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN] {
        let name = rig.put(&image(len));
        assert_eq!(rig.read(&name).unwrap(), image(len));
    }
}
#[test]
fn both_recipients_read() {
    let rig = Rig::new();
    let name = rig.put(&image(10));
    for reader in [sm(), pm()] {
        assert_eq!(read(&rig.try_vault(Some(reader)).unwrap(), &name).unwrap(), image(10));
    }
}
#[test]
fn nobody_else_reads() {
    let rig = Rig::new();
    let name = rig.put(&image(10));
    assert_eq!(read(&rig.try_vault(Some(key(64))).unwrap(), &name), Err(VaultFault::Unreadable));
    assert_eq!(read(&rig.try_vault(None).unwrap(), &name), Err(VaultFault::Unreadable));
}
#[test]
fn one_who_cannot_read_writes() {
    let rig = Rig::new();
    let name = rig.try_vault(None).unwrap().put(&mut image(10).as_slice(), 10).unwrap();
    assert_eq!(rig.read(&name).unwrap(), image(10));
}
#[test]
fn one_without_recipients_only_reads() {
    let rig = Rig::new();
    let name = rig.put(&image(10));
    let station = DirectoryVault::open(rig.0.path(), vec![], Some(pm()), Arc::new(Random)).unwrap();
    assert_eq!(read(&station, &name).unwrap(), image(10));
    assert!(matches!(station.put(&mut [1].as_slice(), 1), Err(VaultFault::Medium(_))));
}

/// A blob that another program made, after the documentation. Provenance: `testdata/PROVENANCE.toml`.
fn foreign(name: &str, reader: VaultPrivateKey) -> Found {
    let blobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vault");
    let vault = DirectoryVault::open(&blobs, vec![], Some(reader), Arc::new(Random)).unwrap();
    read(&vault, &BlobName(name.into()))
}
#[test]
fn foreign_blobs() {
    let expected = [
        ("afde7639a8e0461a6be1711e355d7479", 0),
        ("3c987aca63c488a1b0489c9825c787fd", 1),
        ("842385a9ae1737c6184a5c226f403124", CHUNK_LEN),
        ("23baef35f794b0a453a573dd850a0897", CHUNK_LEN + 1),
    ];
    for (name, len) in expected {
        for reader in [sm(), pm()] {
            assert_eq!(foreign(name, reader).unwrap(), image(len));
        }
    }
}
#[test]
fn one_image_is_written_in_one_way() {
    // The same image could be a full chunk and an empty one.
    assert_eq!(foreign("84c9cfc880e7e859b44558d766ef30e1", sm()), Err(VaultFault::Unreadable));
}

#[test]
fn no_octet_may_be_changed() {
    let rig = Rig::new();
    let changed = rig.changes(&image(10));
    assert_eq!(changed.read(|blob| assert_eq!(blob.len(), HEADER_LEN + 10 + 16)).unwrap(), image(10));
    for at in 0..HEADER_LEN + 10 + 16 {
        for flip in [1, 0x80, 0xff] {
            let found = changed.read(|blob| blob[at] ^= flip);
            assert_eq!(found, Err(VaultFault::Unreadable), "octet {at}, {flip:#x}");
        }
    }
}
#[test]
fn no_cut_is_read() {
    let rig = Rig::new();
    let changed = rig.changes(&image(10));
    for len in 0..HEADER_LEN + 10 + 16 {
        assert_eq!(changed.read(|blob| blob.truncate(len)), Err(VaultFault::Unreadable), "{len}");
    }
    let changed = rig.changes(&image(2 * CHUNK_LEN + 100));
    let near = |at: usize| at - 17..at + 18;
    let (first, second) = (HEADER_LEN + SEALED_LEN, HEADER_LEN + 2 * SEALED_LEN);
    for len in near(first).chain(near(second)) {
        assert_eq!(changed.read(|blob| blob.truncate(len)), Err(VaultFault::Unreadable), "{len}");
    }
}
#[test]
fn nothing_may_be_added() {
    let rig = Rig::new();
    for len in [0, 10, CHUNK_LEN] {
        let changed = rig.changes(&image(len));
        for more in [1, 16, 17, SEALED_LEN, 2 * SEALED_LEN] {
            let found = changed.read(|blob| blob.extend(vec![0; more]));
            assert_eq!(found, Err(VaultFault::Unreadable), "{more} behind {len}");
        }
    }
}

fn chunks(blob: &mut Vec<u8>, order: &[usize]) {
    let sealed: Vec<Vec<u8>> = blob[HEADER_LEN..].chunks(SEALED_LEN).map(<[u8]>::to_vec).collect();
    blob.truncate(HEADER_LEN);
    order.iter().for_each(|n| blob.extend(&sealed[*n]));
}
#[test]
fn no_chunk_may_be_moved_repeated_or_left_out() {
    let rig = Rig::new();
    let changed = rig.changes(&image(4 * CHUNK_LEN));
    let found = |order: &[usize]| changed.read(|blob| chunks(blob, order));
    assert_eq!(found(&[0, 1, 2, 3]).unwrap(), image(4 * CHUNK_LEN));
    for order in
        [&[1, 0, 2, 3][..], &[0, 2, 1, 3], &[0, 0, 1, 2, 3], &[0, 1, 3], &[0, 1, 2], &[3], &[0, 1, 2, 3, 3], &[]]
    {
        assert_eq!(found(order), Err(VaultFault::Unreadable), "{order:?}");
    }
}
#[test]
fn no_chunk_of_another_blob() {
    let rig = Rig::new();
    let other = fs::read(rig.path(&rig.put(&image(2 * CHUNK_LEN)).0)).unwrap();
    let second = HEADER_LEN + SEALED_LEN;
    let changed = rig.changes(&image(2 * CHUNK_LEN));
    assert_eq!(changed.read(|blob| blob[second..].copy_from_slice(&other[second..])), Err(VaultFault::Unreadable));
}
#[test]
fn no_blob_under_another_name() {
    let rig = Rig::new();
    let (a, b) = (rig.put(&image(10)), rig.put(&image(11)));
    fs::rename(rig.path(&a.0), rig.path(&b.0)).unwrap();
    assert_eq!(rig.read(&b), Err(VaultFault::Unreadable));
}
#[test]
fn nothing_of_a_false_chunk_comes_out() {
    let rig = Rig::new();
    let name = rig.put(&image(2 * CHUNK_LEN));
    let mut blob = fs::read(rig.path(&name.0)).unwrap();
    *blob.last_mut().unwrap() ^= 1;
    fs::write(rig.path(&name.0), blob).unwrap();
    let mut out = Vec::new();
    rig.vault().open(&name).unwrap().read_to_end(&mut out).unwrap_err();
    assert_eq!(out, image(CHUNK_LEN));
}
#[test]
fn a_file_that_shrinks_while_it_is_read() {
    let rig = Rig::new();
    let name = rig.put(&image(3 * CHUNK_LEN));
    let mut blob = rig.vault().open(&name).unwrap();
    let half = u64::try_from(HEADER_LEN + 2 * SEALED_LEN).unwrap();
    fs::OpenOptions::new().write(true).open(rig.path(&name.0)).unwrap().set_len(half).unwrap();
    assert_eq!(blob.read_to_end(&mut Vec::new()).unwrap_err().kind(), ErrorKind::InvalidData);
}
#[test]
fn the_disk_shows_nothing_of_the_image() {
    let rig = Rig::new();
    let image = b"a secret that repeats ".repeat(5000);
    let blob = fs::read(rig.path(&rig.put(&image).0)).unwrap();
    assert!(!blob.windows(8).any(|octets| octets == b"a secret"));
    assert_ne!(rig.put(&image), rig.put(&image), "names say nothing");
}

struct Failing(ErrorKind);
impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
}

#[track_caller]
fn not_put(source: &mut dyn Read, len_max: u64, expected: VaultFault) {
    let rig = Rig::new();
    assert_eq!(rig.vault().put(source, len_max), Err(expected));
    assert_eq!(rig.names(), [""; 0]);
}

#[test]
fn as_much_as_is_allowed() {
    let rig = Rig::new();
    for len in [0, 1, CHUNK_LEN, CHUNK_LEN + 1] {
        assert!(rig.vault().put(&mut image(len).as_slice(), u64::try_from(len).unwrap()).is_ok());
    }
}
#[test]
fn more_than_is_allowed() {
    for len in [0, 1, CHUNK_LEN, CHUNK_LEN + 1] {
        not_put(&mut image(len + 1).as_slice(), u64::try_from(len).unwrap(), VaultFault::TooLong);
    }
}
#[test]
fn an_endless_source_is_read_to_one_octet_more() {
    let mut source = io::repeat(7).take(1 << 40);
    not_put(&mut source, 100_000, VaultFault::TooLong);
    assert_eq!((1 << 40) - source.limit(), 100_001);
}
#[test]
fn a_source_that_fails() {
    not_put(&mut Failing(ErrorKind::Other), 9, VaultFault::Source);
    not_put(&mut image(CHUNK_LEN * 2).chain(Failing(ErrorKind::Other)), 1 << 20, VaultFault::Source);
}
#[test]
fn a_source_that_was_interrupted_goes_on() {
    struct Once(bool);
    impl Read for Once {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) { Ok(0) } else { Err(ErrorKind::Interrupted.into()) }
        }
    }
    let rig = Rig::new();
    let name = rig.vault().put(&mut image(9).chain(Once(false)), 9).unwrap();
    assert_eq!(rig.read(&name).unwrap(), image(9));
}
#[test]
fn a_source_that_panics_leaves_nothing() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("source")
        }
    }
    let rig = Rig::new();
    let vault = rig.vault();
    let put = std::panic::AssertUnwindSafe(|| vault.put(&mut image(CHUNK_LEN * 2).chain(Panics), 1 << 20));
    assert!(std::panic::catch_unwind(put).is_err());
    assert_eq!(rig.names(), [""; 0]);
}
#[test]
fn a_directory_in_which_nothing_can_be_made() {
    // Not even by root.
    let directory = Path::new("/proc/self/fdinfo");
    let vault = DirectoryVault::open(directory, vec![sm().public_key()], None, Arc::new(Random)).unwrap();
    assert!(matches!(vault.put(&mut [1].as_slice(), 1), Err(VaultFault::Medium(_))));
}
#[test]
fn a_directory_that_is_gone() {
    let rig = Rig::new();
    let vault = rig.vault();
    fs::remove_dir(rig.0.path()).unwrap();
    assert!(matches!(vault.put(&mut [1].as_slice(), 1), Err(VaultFault::Medium(_))));
    assert!(matches!(rig.try_vault(None), Err(VaultFault::Medium(_))));
}
#[test]
fn a_full_disk_says_so() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let found = format::seal(&mut image(9).as_slice(), 9, &[sm().public_key()], &[0; 16], &Random, &mut Full);
    assert_eq!(found, Err(VaultFault::Medium("the disk is full")));
}
#[test]
fn a_medium_that_does_not_confirm_ends_it() {
    let rig = Rig::new();
    let vault = rig.vault().with_sync(|_| Err(rustix::io::Errno::IO));
    assert_eq!(vault.put(&mut [1].as_slice(), 1), Err(VaultFault::NotDurable));
    assert_eq!(rig.names(), [""; 0]);
    let vault = vault.with_sync(|_| Ok(()));
    assert_eq!(vault.put(&mut [1].as_slice(), 1), Err(VaultFault::NotDurable), "it is not tried again");
}

const LEFT: &str = "00112233445566778899aabbccddeeff.part";

#[test]
fn what_a_writer_left_behind_is_removed_and_nothing_else() {
    let rig = Rig::new();
    let BlobName(blob) = rig.put(&image(9));
    fs::write(rig.path(LEFT), "half a blob").unwrap();
    let others = ["00112233.part", "README", "x.part", "00112233445566778899AABBCCDDEEFF.part"];
    others.iter().for_each(|name| fs::write(rig.path(name), "not ours").unwrap());
    fs::create_dir(rig.path("10112233445566778899aabbccddeeff.part")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", rig.path("20112233445566778899aabbccddeeff.part")).unwrap();
    let mut expected = rig.names();
    expected.retain(|name| name != LEFT);
    rig.vault();
    assert_eq!(rig.names(), expected);
    assert_eq!(rig.vault().list().unwrap(), [BlobName(blob)]);
}
#[test]
fn a_reader_removes_nothing() {
    let rig = Rig::new();
    fs::write(rig.path(LEFT), "half a blob").unwrap();
    DirectoryVault::open(rig.0.path(), vec![], Some(pm()), Arc::new(Random)).unwrap();
    assert_eq!(rig.names(), [LEFT]);
}
#[test]
fn what_is_being_written_is_not_removed() {
    struct Meanwhile<'r>(&'r Rig);
    impl Read for Meanwhile<'_> {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            assert_eq!(self.0.names().len(), 1);
            self.0.vault();
            Ok(0)
        }
    }
    let rig = Rig::new();
    let name = rig.vault().put(&mut image(9).chain(Meanwhile(&rig)), 9).unwrap();
    assert_eq!(rig.read(&name).unwrap(), image(9));
}

#[test]
fn links_pipes_and_directories_are_not_blobs() {
    let rig = Rig::new();
    let names = ["0", "1", "2", "3"].map(|n| BlobName(n.repeat(32)));
    let real = rig.put(&image(9));
    std::os::unix::fs::symlink(rig.path(&real.0), rig.path(&names[0].0)).unwrap();
    std::os::unix::fs::symlink("/nowhere", rig.path(&names[1].0)).unwrap();
    fs::create_dir(rig.path(&names[2].0)).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, rig.path(&names[3].0), kind, mode, 0).unwrap();
    for name in &names {
        assert_eq!(rig.read(name), Err(VaultFault::Unreadable), "{name:?}");
    }
    assert_eq!(rig.vault().list().unwrap(), [real]);
}
#[test]
fn what_is_no_name_is_not_there() {
    let rig = Rig::new();
    let outside = rig.0.path().parent().unwrap().join("0".repeat(32));
    for name in ["", "..", "../x", outside.to_str().unwrap(), LEFT, &"0".repeat(31), &"A".repeat(32), &"0".repeat(32)] {
        let name = BlobName(name.to_owned());
        assert_eq!(rig.read(&name), Err(VaultFault::Missing));
        assert_eq!(rig.vault().remove(&name), Err(VaultFault::Missing));
    }
}
#[test]
fn what_was_removed_is_gone() {
    let rig = Rig::new();
    let name = rig.put(&image(9));
    rig.vault().remove(&name).unwrap();
    assert_eq!(rig.read(&name), Err(VaultFault::Missing));
    assert_eq!(rig.vault().remove(&name), Err(VaultFault::Missing));
    assert_eq!(rig.vault().list().unwrap(), []);
}
#[test]
fn keys_that_are_none_are_refused() {
    let rig = Rig::new();
    let open = |recipients| DirectoryVault::open(rig.0.path(), recipients, None, Arc::new(Random)).map(|_| ());
    let none = VaultPublicKey::new([0; 32]);
    assert!(matches!(open(vec![sm().public_key(), none]), Err(VaultFault::Medium(_))));
    assert_eq!(open(vec![sm().public_key(); RECIPIENTS_MAX]), Ok(()));
    assert!(matches!(open(vec![sm().public_key(); RECIPIENTS_MAX + 1]), Err(VaultFault::Medium(_))));
}

#[test]
fn a_copy_is_for_the_reader_of_the_other_box_alone() {
    let (here, there) = (Rig::new(), Rig::new());
    let names = [here.put(&image(100)), here.put(&image(200_000))];
    let other = key(64);
    let copy =
        |reader| DirectoryVault::open(there.0.path(), vec![other.public_key()], reader, Arc::new(Random)).unwrap();
    assert_eq!(here.vault().copy_to(&copy(None)), Ok(2));
    for (name, len) in names.iter().zip([100, 200_000]) {
        assert_eq!(read(&copy(Some(key(64))), name), Ok(image(len)));
        assert_eq!(read(&copy(Some(sm())), name), Err(VaultFault::Unreadable));
    }
    // Again: what is there stays.
    assert_eq!(here.vault().copy_to(&copy(None)), Ok(0));
}
#[test]
fn who_cannot_read_copies_nothing() {
    let (here, there) = (Rig::new(), Rig::new());
    here.put(&image(100));
    let other = || DirectoryVault::open(there.0.path(), vec![pm().public_key()], None, Arc::new(Random)).unwrap();
    assert_eq!(here.try_vault(Some(key(64))).unwrap().copy_to(&other()), Err(VaultFault::Unreadable));
    assert_eq!(there.names(), Vec::<String>::new());
}
