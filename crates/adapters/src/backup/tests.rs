//! What goes in comes out; what was touched does not.

use super::*;
use crate::keystore::memory::MemoryKey;
use crate::testing::Temporary;
use x509::KeyType;

fn manifest() -> Manifest {
    Manifest {
        version: 0,
        log: "log".into(),
        created: UnixTime::from_s(1_790_000_000),
        entries: 7,
        checkpoint: "note".into(),
        audit_key: String::new(),
        files: BTreeMap::new(),
    }
}
fn made(dir: &Temporary) -> PathBuf {
    let names = ["cradle.toml", RECORDS, "keys/root.p8"];
    let contents: Vec<_> = names
        .iter()
        .map(|name| {
            let path = dir.path().join(name.replace('/', "-"));
            std::fs::write(&path, format!("contents of {name}")).unwrap();
            ((*name).to_owned(), path)
        })
        .collect();
    let to = dir.path().join("backup.tar");
    let key = MemoryKey::generate(KeyType::Ed25519);
    create(&to, manifest(), &contents, &key, &mut |_| ()).unwrap();
    to
}
#[track_caller]
fn refused(from: &Path, dir: &Temporary, why: &str) {
    let to = dir.path().join("to");
    let fault = restore(from, &to, "cradle.toml", &mut |_| ()).unwrap_err().to_string();
    assert!(fault.contains(why), "{fault}");
    assert!(!to.exists(), "nothing is left");
    assert!(verify(from, &mut |_| ()).is_err());
}
type Change<'f> = &'f mut dyn FnMut(&str, Vec<u8>) -> Option<(String, Vec<u8>)>;

/// The archive with one file of it replaced by `f`.
fn altered(from: &Path, f: Change<'_>) -> PathBuf {
    let mut archive = open(from).unwrap();
    let to = from.with_extension("altered");
    let mut out = tar::Builder::new(File::create(&to).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut octets = Vec::new();
        entry.read_to_end(&mut octets).unwrap();
        if let Some((name, octets)) = f(&name, octets) {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(u64::try_from(octets.len()).unwrap());
            header.set_mode(0o600);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            out.append(&header, octets.as_slice()).unwrap();
        }
    }
    out.finish().unwrap();
    to
}

#[test]
fn what_went_in_comes_out() {
    let dir = Temporary::new();
    let from = made(&dir);
    let to = dir.path().join("to");
    let manifest = restore(&from, &to, "cradle.toml", &mut |_| ()).unwrap();
    assert_eq!(manifest.files.len(), 3);
    assert_eq!(std::fs::read(to.join("keys/root.p8")).unwrap(), b"contents of keys/root.p8");
    assert_eq!(std::fs::read(to.join("cradle.toml")).unwrap(), b"contents of cradle.toml");
    assert!(!files::open_to_others(&to.join("keys/root.p8")).unwrap());
    assert_eq!(verify(&from, &mut |_| ()).unwrap(), manifest);
    assert_eq!(inspect(&from).unwrap().0, manifest);
}
#[test]
fn an_archive_is_not_written_over() {
    let dir = Temporary::new();
    let from = made(&dir);
    let key = MemoryKey::generate(KeyType::Ed25519);
    let again = create(&from, manifest(), &[], &key, &mut |_| ());
    assert!(matches!(again, Err(BadBackup::Taken(_))));
}
#[test]
fn an_installation_is_not_written_over() {
    let dir = Temporary::new();
    let from = made(&dir);
    std::fs::create_dir(dir.path().join("to")).unwrap();
    std::fs::write(dir.path().join("to/x"), b"").unwrap();
    let fault = restore(&from, &dir.path().join("to"), "cradle.toml", &mut |_| ()).unwrap_err();
    assert!(matches!(fault, BadBackup::Taken(_)));
    assert!(dir.path().join("to/x").exists());
}
#[test]
fn a_file_that_was_altered_is_refused() {
    let dir = Temporary::new();
    let from = altered(&made(&dir), &mut |name, mut octets| {
        if name == RECORDS {
            octets[0] ^= 1;
        }
        Some((name.to_owned(), octets))
    });
    refused(&from, &dir, "cradle.db is not what was signed");
}
#[test]
fn a_list_that_was_altered_is_refused() {
    let dir = Temporary::new();
    let from = altered(&made(&dir), &mut |name, octets| {
        let text = String::from_utf8_lossy(&octets).replace("\"entries\": 7", "\"entries\": 6");
        Some((name.to_owned(), if name == MANIFEST { text.into_bytes() } else { octets }))
    });
    refused(&from, &dir, "signature does not hold");
}
#[test]
fn a_file_that_is_missing_or_too_many_is_refused() {
    let dir = Temporary::new();
    let whole = made(&dir);
    let from = altered(&whole, &mut |name, octets| (name != RECORDS).then(|| (name.to_owned(), octets)));
    refused(&from, &dir, "cradle.db is missing");
    let from = altered(&whole, &mut |name, octets| {
        let name = if name == RECORDS { "other.db" } else { name };
        Some((name.to_owned(), octets))
    });
    refused(&from, &dir, "other.db does not belong to it");
}
#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let dir = Temporary::new();
    let whole = made(&dir);
    for evil in ["../cradle.db", "/etc/passwd", "keys/../../x", ".hidden", "a/b/c", "keys/a b"] {
        let from = altered(&whole, &mut |name, octets| {
            Some((if name == RECORDS { evil.to_owned() } else { name.to_owned() }, octets))
        });
        refused(&from, &dir, "is no name of a file");
    }
}
#[test]
fn an_archive_that_was_cut_is_refused() {
    let dir = Temporary::new();
    let from = made(&dir);
    let octets = std::fs::read(&from).unwrap();
    for len in [0, 100, 600, 2000, 3600] {
        std::fs::write(&from, &octets[..len]).unwrap();
        assert!(restore(&from, &dir.path().join("to"), "cradle.toml", &mut |_| ()).is_err(), "{len}");
    }
}
#[test]
fn a_link_in_an_archive_is_refused() {
    let dir = Temporary::new();
    let whole = made(&dir);
    let from = whole.with_extension("link");
    let octets = std::fs::read(&whole).unwrap();
    let at = octets.windows(RECORDS.len()).rposition(|w| w == RECORDS.as_bytes());
    let at = octets.chunks(512).position(|block| block.starts_with(RECORDS.as_bytes())).or(at).unwrap() * 512;
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&octets[at..at + 512]);
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_cksum();
    let linked = [&octets[..at], header.as_bytes().as_slice(), &octets[at + 512..]].concat();
    std::fs::write(&from, linked).unwrap();
    refused(&from, &dir, "is no plain file");
}
