//! What the decoders of `update` must keep to: no octets make them panic, and what they read is written the same again.

use ::update::bundle::{self, Bundle};
use ::update::delta::{self, Medium};
use ::update::developer::{self, ImageHashes, OpenPgpKey, OpenPgpSignature, Registered};
use ::update::tuf::write::Draft as RoleDraft;
use ::update::tuf::{Answer, Client, Envelope, Limits, Role, Root, Snapshot, Targets, Timestamp, Want};
use ::update::uptane::{Manifest, SealedManifest};

/// Metadata of the four roles: as a client reads it, as who publishes goes on to sign it; and a client that is given
/// nothing else.
pub fn tuf_metadata(octets: &[u8]) {
    let read = [
        Envelope::<Root>::decode(octets).is_ok(),
        Envelope::<Timestamp>::decode(octets).is_ok(),
        Envelope::<Snapshot>::decode(octets).is_ok(),
        Envelope::<Targets>::decode(octets).is_ok(),
    ];
    assert!(read.iter().filter(|read| **read).count() <= 1, "one file was read as two roles");
    go_on_to_sign::<Root>(octets);
    go_on_to_sign::<Timestamp>(octets);
    go_on_to_sign::<Snapshot>(octets);
    go_on_to_sign::<Targets>(octets);
    let mut client = Client::new(Limits::DEFAULT, model::UnixTime::from_s(1_790_000_000));
    // No file is its own successor, so this ends.
    for _ in 0..1000 {
        let answer = match client.want() {
            Want::Nothing => return,
            Want::Load(_) | Want::Fetch { .. } => Answer::Octets(octets.to_vec()),
            Want::Forget(_) | Want::Persist { .. } => Answer::Done,
        };
        if client.answer(answer).is_err() {
            return;
        }
    }
    panic!("a client was led on without end");
}

fn go_on_to_sign<R: Role>(octets: &[u8]) {
    let Ok(read) = RoleDraft::<R>::decode(octets) else { return };
    let written = read.write();
    let again = RoleDraft::<R>::decode(&written).expect("what we write, we read");
    assert!(again.write() == written && again.says_the_same(&read));
    let body = read.body().draft().expect("what was read can be signed anew");
    assert!(body.says_the_same(&read));
}

/// Bundles, their manifests and what sm states of them.
pub fn bundle(octets: &[u8]) {
    if let Some(statement) = bundle::Statement::decode(octets) {
        assert_eq!(bundle::Statement::decode(&statement.encode()), Some(statement));
    }
    if let Ok(read) = bundle::Manifest::decode(octets) {
        assert!(read.files.is_sorted_by(|a, b| a.name < b.name));
    }
    let Ok(read) = Bundle::decode(octets) else { return };
    let length: usize = read.files().values().map(Vec::len).sum();
    assert!(length < octets.len(), "files were read that are not there");
    assert_eq!(read.files().len(), read.manifest().files.len());
}

/// Developers' signatures and keys, in the forms that they are made in.
pub fn developer(octets: &[u8]) {
    let Ok(image) = ImageHashes::measure(&mut &b"an image"[..]) else { unreachable!("it has octets") };
    let now = model::UnixTime::from_s(1_790_000_000);
    let mut registered = Registered::default();
    let is_key = registered.add("it", octets).is_ok();
    let vouched = developer::verify(octets, &image, &registered, now);
    assert!(vouched.is_err(), "nobody has signed this image");
    let signed = OpenPgpSignature::decode(octets).is_ok();
    let enveloped = developer::Envelope::decode(octets).is_ok();
    assert!([is_key, signed, enveloped].iter().filter(|read| **read).count() <= 1, "one file was read as two things");
    let _read_or_refused = OpenPgpKey::decode(octets);
}

/// Deltas, from an image before that is short and known.
pub fn delta(octets: &[u8]) {
    const LENGTH: u64 = 6000;
    struct Memory(Vec<u8>);
    impl Medium for Memory {
        fn read_base(&mut self, at: u64, into: &mut [u8]) -> std::io::Result<()> {
            assert!(at + u64::try_from(into.len()).unwrap_or(u64::MAX) <= LENGTH, "more was read than there is");
            into.fill(7);
            Ok(())
        }
        fn read_made(&mut self, at: u64, into: &mut [u8]) -> std::io::Result<()> {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            into.copy_from_slice(self.0.get(at..at + into.len()).expect("it was written"));
            Ok(())
        }
        fn write(&mut self, octets: &[u8]) -> std::io::Result<()> {
            self.0.extend_from_slice(octets);
            Ok(())
        }
    }
    for length in [LENGTH, 2_000_000] {
        let mut memory = Memory(Vec::new());
        let made = delta::apply(&mut { octets }, LENGTH, length, &mut memory);
        let written = u64::try_from(memory.0.len()).unwrap_or(u64::MAX);
        assert!(written <= length && (made.is_err() || written == length), "something else was written");
    }
}

/// Manifests of devices.
pub fn manifest(octets: &[u8]) {
    // Read or refused: what it says is told only to whoever has the keys.
    let _read_or_refused = Manifest::decode(octets);
}

/// Manifests on their way, sealed.
pub fn sealed_manifest(octets: &[u8]) {
    let Some(read) = SealedManifest::decode(octets) else { return };
    assert_eq!(read.encode(), octets);
    assert!(Manifest::decode(octets).is_err(), "one file was read as both");
}
