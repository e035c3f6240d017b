//! What is written is what a client follows; what others have written stays as it was.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod support;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as aws, KeyPair};
use model::UnixTime;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use update::tuf::write::{
    Body, Custom, Delegation, Draft, Key, NotSigned, Part, Signers, SuccinctBins, Top, hash_bins,
};
use update::tuf::{Answer, BadMetadata, Client, Limits, NotDone, Outside, Role, Root, Snapshot, Targets, Timestamp};
use update::{BadRelease, Image, Threshold};
use x509::{KeyType, PublicKey, sha256};

const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

fn later() -> UnixTime {
    NOW.plus_s(86_400)
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key of a type that metadata is signed with.
struct Maker {
    sign: Sign,
    key: Key,
}

impl Maker {
    fn ed25519(n: u8) -> Self {
        let pair = aws::Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap();
        let key = public(KeyType::Ed25519, pair.public_key().as_ref());
        Self { key, sign: Box::new(move |octets| pair.sign(octets).as_ref().to_vec()) }
    }
    fn ecdsa(key_type: KeyType, algorithm: &'static aws::EcdsaSigningAlgorithm) -> Self {
        let pair = aws::EcdsaKeyPair::generate(algorithm).unwrap();
        let key = public(key_type, pair.public_key().as_ref());
        Self { key, sign: Box::new(move |octets| pair.sign(&SystemRandom::new(), octets).unwrap().as_ref().to_vec()) }
    }
    fn ml_dsa(key_type: KeyType, algorithm: &'static aws::PqdsaSigningAlgorithm) -> Self {
        let pair = aws::PqdsaKeyPair::generate(algorithm).unwrap();
        let key = public(key_type, pair.public_key().as_ref());
        let sign = move |octets: &[u8]| {
            let mut signature = vec![0; algorithm.signature_len()];
            let len = pair.sign(octets, &mut signature).unwrap();
            signature.truncate(len);
            signature
        };
        Self { key, sign: Box::new(sign) }
    }
    fn sign<R: Role>(&self, draft: &mut Draft<R>) -> Result<(), NotSigned<Infallible>> {
        draft.sign(&self.key, |octets| Ok((self.sign)(octets)))
    }
}

fn public(key_type: KeyType, bits: &[u8]) -> Key {
    Key::new(&PublicKey::from_bits(key_type, bits).unwrap()).unwrap()
}

const ONE: Threshold = Threshold::ONE;
fn two() -> Threshold {
    Threshold::new(2).unwrap()
}
fn image(octets: &[u8]) -> Image {
    Image::measure(&mut &*octets).unwrap()
}

/// One key for all roles: who delegates and who signs what is another matter than what is written.
struct Publisher {
    by: Vec<Maker>,
    files: BTreeMap<String, Vec<u8>>,
    kept: BTreeMap<String, Vec<u8>>,
    roles: BTreeMap<String, u64>,
    round: u64,
}

impl Publisher {
    fn new(by: Vec<Maker>) -> Self {
        let mut root = Body::<Root>::new(later());
        let keys: Vec<Key> = by.iter().map(|maker| maker.key.clone()).collect();
        let all = Threshold::new(u8::try_from(keys.len()).unwrap()).unwrap();
        Top::ALL.into_iter().for_each(|role| root.assign(role, &keys, all));
        let (files, kept, roles) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut publisher = Self { by, files, kept, roles, round: 0 };
        let root = publisher.signed(root);
        publisher.kept.insert("root.json".into(), root);
        publisher
    }
    fn signed<R: Role>(&self, body: Body<R>) -> Vec<u8> {
        let mut draft = body.draft().unwrap();
        self.by.iter().for_each(|maker| maker.sign(&mut draft).unwrap());
        draft.write()
    }
    fn keys(&self) -> Vec<Key> {
        self.by.iter().map(|maker| maker.key.clone()).collect()
    }
    fn put(&mut self, role: &str, body: Body<Targets>) {
        let version = body.version();
        let octets = self.signed(body);
        self.files.insert(format!("{version}.{role}.json"), octets);
        self.roles.insert(role.into(), version);
    }
    fn publish(&mut self) {
        self.round += 1;
        let mut snapshot = Body::<Snapshot>::new(later()).in_version(self.round);
        for (role, version) in &self.roles {
            snapshot.set(role, *version, Some(&self.files[&format!("{version}.{role}.json")]));
        }
        let octets = self.signed(snapshot);
        let timestamp = Body::<Timestamp>::new(later(), self.round, &octets).in_version(self.round);
        self.files.insert("timestamp.json".into(), self.signed(timestamp));
        self.files.insert(format!("{}.snapshot.json", self.round), octets);
    }
    fn find(&mut self, target: &str) -> Result<u64, BadMetadata> {
        match Client::new(Limits::DEFAULT, NOW).look_for(target, self) {
            Ok(found) => Ok(found.length()),
            Err(NotDone::Refused(refused)) => Err(refused.bad),
            Err(NotDone::Outside(never)) => match never {},
        }
    }
}

impl Outside for Publisher {
    type Fault = Infallible;
    fn load(&mut self, file: &str) -> Result<Answer, Infallible> {
        Ok(self.kept.get(file).map_or(Answer::NotThere, |octets| Answer::Octets(octets.clone())))
    }
    fn fetch(&mut self, file: &str, _len_max: u64) -> Answer {
        self.files.get(file).map_or(Answer::NotThere, |octets| Answer::Octets(octets.clone()))
    }
    fn forget(&mut self, file: &str) -> Result<(), Infallible> {
        self.kept.remove(file);
        Ok(())
    }
    fn persist(&mut self, file: &str, octets: &[u8]) -> Result<(), Infallible> {
        self.kept.insert(file.to_owned(), octets.to_vec());
        Ok(())
    }
}

#[track_caller]
fn followed(by: Vec<Maker>) {
    let mut publisher = Publisher::new(by);
    let mut targets = Body::<Targets>::new(later());
    targets.set_target("dir/image", image(b"octets"), None).unwrap();
    publisher.put("targets", targets);
    publisher.publish();
    assert_eq!(publisher.find("dir/image"), Ok(6));
    assert_eq!(publisher.find("dir/other"), Err(BadMetadata::NoTarget));
}

#[test]
fn under_ed25519() {
    followed(vec![Maker::ed25519(1)]);
}
#[test]
fn under_ecdsa() {
    followed(vec![Maker::ecdsa(KeyType::P256, &aws::ECDSA_P256_SHA256_ASN1_SIGNING)]);
    followed(vec![Maker::ecdsa(KeyType::P384, &aws::ECDSA_P384_SHA384_ASN1_SIGNING)]);
}
#[test]
fn under_ml_dsa() {
    followed(vec![Maker::ml_dsa(KeyType::MlDsa44, &aws::ML_DSA_44_SIGNING)]);
    followed(vec![Maker::ml_dsa(KeyType::MlDsa65, &aws::ML_DSA_65_SIGNING)]);
    followed(vec![Maker::ml_dsa(KeyType::MlDsa87, &aws::ML_DSA_87_SIGNING)]);
}
#[test]
fn under_three_at_once() {
    followed(vec![
        Maker::ed25519(1),
        Maker::ecdsa(KeyType::P256, &aws::ECDSA_P256_SHA256_ASN1_SIGNING),
        Maker::ml_dsa(KeyType::MlDsa65, &aws::ML_DSA_65_SIGNING),
    ]);
}
#[test]
fn types_without_a_scheme() {
    let pair = aws::EcdsaKeyPair::generate(&aws::ECDSA_P521_SHA512_ASN1_SIGNING).unwrap();
    let public = PublicKey::from_bits(KeyType::P521, pair.public_key().as_ref()).unwrap();
    assert_eq!(Key::new(&public), None);
}

/// What `delegate` says is left to roles, each of which announces all three, and a client asks only the right one.
#[track_caller]
fn left(delegate: impl FnOnce(&mut Body<Targets>, &[Key]), expected: [Result<u64, BadMetadata>; 3]) {
    let mut publisher = Publisher::new(vec![Maker::ed25519(1)]);
    let mut targets = Body::<Targets>::new(later());
    delegate(&mut targets, &publisher.keys());
    let roles = targets.clone().draft().unwrap().delegated();
    for (n, role) in (1..).zip(&roles) {
        let mut said = Body::<Targets>::new(later());
        for target in ["a/image", "b/image", "image"] {
            said.set_target(target, image(&vec![0; n]), None).unwrap();
        }
        publisher.put(&role.name, said);
    }
    publisher.put("targets", targets);
    publisher.publish();
    assert_eq!(["a/image", "b/image", "image"].map(|target| publisher.find(target)), expected);
}
fn to(name: &str, keys: &[Key], part: Part) -> Delegation {
    Delegation { name: name.into(), keys: keys.to_vec(), threshold: ONE, part, terminating: false }
}
fn patterns(of: &[&str]) -> Part {
    Part::Patterns(of.iter().map(|text| (*text).to_owned()).collect())
}
const NONE: Result<u64, BadMetadata> = Err(BadMetadata::NoTarget);

#[test]
fn by_patterns_in_order() {
    left(
        |targets, keys| {
            targets.delegate(&to("one", keys, patterns(&["a/*"]))).unwrap();
            targets.delegate(&to("two", keys, patterns(&["a/*", "b/*"]))).unwrap();
        },
        [Ok(1), Ok(2), NONE],
    );
}
#[test]
fn a_delegation_is_changed_in_its_place() {
    left(
        |targets, keys| {
            targets.delegate(&to("one", keys, patterns(&["x"]))).unwrap();
            targets.delegate(&to("two", keys, patterns(&["a/*", "b/*"]))).unwrap();
            targets.delegate(&to("one", keys, patterns(&["a/*"]))).unwrap();
        },
        [Ok(1), Ok(2), NONE],
    );
}
#[test]
fn a_delegation_is_withdrawn() {
    left(
        |targets, keys| {
            targets.delegate(&to("one", keys, patterns(&["a/*"]))).unwrap();
            targets.delegate(&to("two", keys, patterns(&["b/*"]))).unwrap();
            assert!(targets.withdraw("one") && !targets.withdraw("one"));
        },
        [NONE, Ok(1), NONE],
    );
}
#[test]
fn by_hash_prefixes() {
    let first = |target: &str| sha256(target.as_bytes()).to_string()[..2].to_owned();
    left(
        |targets, keys| {
            let part = Part::HashPrefixes(vec![first("a/image"), first("image")]);
            targets.delegate(&to("one", keys, part)).unwrap();
        },
        [Ok(1), NONE, Ok(1)],
    );
}
#[test]
fn every_hash_bin_is_somebodys() {
    for bits in [1, 4, 5, 8] {
        let keys = [Maker::ed25519(1).key];
        let bins = hash_bins("bin", bits, &keys, ONE).unwrap();
        assert_eq!(bins.len(), 1 << bits);
        let prefixes: Vec<String> = bins
            .into_iter()
            .flat_map(|bin| match bin.part {
                Part::HashPrefixes(prefixes) => prefixes,
                Part::Patterns(_) => panic!("bins have no patterns"),
            })
            .collect();
        let digits = if bits > 4 { 2 } else { 1 };
        assert_eq!(prefixes.len(), 16_usize.pow(digits), "each prefix once");
        assert_eq!(prefixes.iter().collect::<BTreeSet<_>>().len(), prefixes.len());
    }
}
#[test]
fn by_hash_bins() {
    let expected = ["a/image", "b/image", "image"].map(|target| {
        let first = sha256(target.as_bytes()).octets()[0];
        Ok(u64::from(first >> 3) + 1)
    });
    left(
        |targets, keys| {
            hash_bins("bin", 5, keys, ONE).unwrap().iter().for_each(|bin| targets.delegate(bin).unwrap());
        },
        expected,
    );
}
#[test]
fn by_succinct_bins() {
    let expected = ["a/image", "b/image", "image"].map(|target| {
        let first = sha256(target.as_bytes()).octets()[0];
        Ok(u64::from(first >> 3) + 1)
    });
    left(|targets, keys| targets.leave_to_bins(&succinct(keys, 5)).unwrap(), expected);
}
fn succinct(keys: &[Key], bits: u32) -> SuccinctBins {
    SuccinctBins { prefix: "bin".into(), bits, keys: keys.to_vec(), threshold: ONE }
}
#[test]
fn bins_are_not_too_many() {
    let keys = [Maker::ed25519(1).key];
    for bits in [0, 13] {
        assert_eq!(hash_bins("bin", bits, &keys, ONE).unwrap_err(), BadMetadata::TooMany);
    }
    for bits in [0, 15] {
        let mut targets = Body::<Targets>::new(later());
        assert_eq!(targets.leave_to_bins(&succinct(&keys, bits)), Err(BadMetadata::TooMany));
    }
    hash_bins("bin", 12, &keys, ONE).unwrap();
}
#[test]
fn one_file_delegates_in_one_way() {
    let keys = [Maker::ed25519(1).key];
    let role = to("one", &keys, patterns(&["a/*"]));
    let mut targets = Body::<Targets>::new(later());
    targets.delegate(&role).unwrap();
    assert_eq!(targets.leave_to_bins(&succinct(&keys, 1)), Err(BadMetadata::BadDelegation));
    assert!(targets.withdraw("one"));
    targets.leave_to_bins(&succinct(&keys, 1)).unwrap();
    assert_eq!(targets.delegate(&role), Err(BadMetadata::BadDelegation));
    targets.draft().unwrap();
}
#[test]
fn a_role_that_nobody_may_be_called_is_not_written() {
    let keys = [Maker::ed25519(1).key];
    for name in ["", "root", "targets"] {
        let mut targets = Body::<Targets>::new(later());
        targets.delegate(&to(name, &keys, patterns(&["a/*"]))).unwrap();
        assert_eq!(targets.draft().unwrap_err(), BadMetadata::BadRoleName, "{name:?}");
    }
}
#[test]
fn names_that_no_target_has() {
    for name in ["", "/a", "a/../b", "a\\b"] {
        let mut targets = Body::<Targets>::new(later());
        assert_eq!(targets.set_target(name, image(b"x"), None), Err(BadMetadata::BadTargetName), "{name:?}");
    }
}

#[test]
fn keys_that_nobody_names_go() {
    let [a, b] = [1, 2].map(|n| Maker::ed25519(n).key);
    let mut root = Body::<Root>::new(later());
    Top::ALL.into_iter().for_each(|role| root.assign(role, &[a.clone(), b.clone()], ONE));
    Top::ALL.into_iter().for_each(|role| root.assign(role, std::slice::from_ref(&b), ONE));
    assert!(!written(root).contains(a.id()));
    let mut targets = Body::<Targets>::new(later());
    targets.delegate(&to("one", std::slice::from_ref(&a), patterns(&["a"]))).unwrap();
    targets.delegate(&to("two", std::slice::from_ref(&b), patterns(&["b"]))).unwrap();
    assert!(targets.withdraw("one"));
    let text = written(targets.clone());
    assert!(!text.contains(a.id()) && text.contains(b.id()));
    assert!(targets.withdraw("two") && !written(targets).contains("delegations"));
}
fn written<R: Role>(body: Body<R>) -> String {
    String::from_utf8(body.draft().unwrap().write()).unwrap()
}
#[test]
fn a_root_that_leaves_a_role_to_nobody_is_not_written() {
    let mut root = Body::<Root>::new(later());
    root.assign(Top::Root, &[Maker::ed25519(1).key], ONE);
    assert_eq!(root.draft().unwrap_err(), BadMetadata::Shape(BadRelease::Field("timestamp")));
}

fn draft() -> Draft<Targets> {
    Body::<Targets>::new(later()).draft().unwrap()
}
#[test]
fn one_key_signs_once() {
    let (mut draft, maker) = (draft(), Maker::ed25519(1));
    maker.sign(&mut draft).unwrap();
    let before = draft.write();
    assert_eq!(maker.sign(&mut draft), Err(NotSigned::Metadata(BadMetadata::SignedTwice)));
    assert_eq!(draft.write(), before);
}
#[test]
fn a_false_signature_is_not_added() {
    let mut draft = draft();
    let before = draft.write();
    let signed = draft.sign(&Maker::ed25519(1).key, |octets| Ok::<_, Infallible>((Maker::ed25519(2).sign)(octets)));
    assert_eq!(signed, Err(NotSigned::FalseSignature));
    assert_eq!(draft.write(), before);
}
#[test]
fn a_signer_that_cannot_sign_adds_nothing() {
    let mut draft = draft();
    assert_eq!(draft.sign(&Maker::ed25519(1).key, |_| Err("gone")), Err(NotSigned::Signer("gone")));
    assert_eq!(draft.write(), self::draft().write());
}
#[test]
fn a_place_that_was_left_is_taken() {
    let maker = Maker::ed25519(1);
    let text = String::from_utf8(draft().write()).unwrap();
    let place = format!(r#""signatures":[{{"keyid":"{}","sig":""}}]"#, maker.key.id());
    let text = text.replace(r#""signatures":[]"#, &place);
    let mut left = Draft::<Targets>::decode(text.as_bytes()).unwrap();
    maker.sign(&mut left).unwrap();
    let mut plain = draft();
    maker.sign(&mut plain).unwrap();
    assert_eq!(left.write(), plain.write());
}

fn signers(keys: &[Key], threshold: Threshold) -> Signers {
    let mut root = Body::<Root>::new(later());
    Top::ALL.into_iter().for_each(|role| root.assign(role, keys, threshold));
    Signers::of_top(&root.draft().unwrap(), Top::Targets)
}
#[test]
fn two_sign_two_copies() {
    let makers = [1, 2].map(Maker::ed25519);
    let both = signers(&[makers[0].key.clone(), makers[1].key.clone()], two());
    let (mut one, mut other) = (draft(), draft());
    makers[0].sign(&mut one).unwrap();
    makers[1].sign(&mut other).unwrap();
    assert_eq!((both.missing(&one), both.suffice(&one)), (1, Err(BadMetadata::TooFewSignatures)));
    assert_eq!(one.merge(&other), Ok(1));
    assert_eq!((both.missing(&one), both.suffice(&one)), (0, Ok(())));
    assert_eq!(both.signed(&one).len(), 2);
    assert_eq!(one.merge(&other), Ok(0), "nothing is new any more");
}
#[test]
fn strangers_do_not_count() {
    let [a, b, c] = [1, 2, 3].map(Maker::ed25519);
    let both = signers(&[a.key.clone(), b.key.clone()], two());
    let mut draft = draft();
    a.sign(&mut draft).unwrap();
    c.sign(&mut draft).unwrap();
    assert_eq!(both.missing(&draft), 1);
    assert_eq!(both.signed(&draft), [a.key.id()]);
    assert!(both.key(a.key.public()).is_some() && both.key(c.key.public()).is_none());
}
#[test]
fn another_file_is_not_merged() {
    let maker = Maker::ed25519(1);
    let mut other = Body::<Targets>::new(later().plus_s(1)).draft().unwrap();
    maker.sign(&mut other).unwrap();
    let mut one = draft();
    assert_eq!(one.merge(&other), Err(BadMetadata::OtherOctets));
    assert_eq!(one.write(), draft().write());
}
#[test]
fn a_key_that_is_named_twice_is_one() {
    let maker = Maker::ed25519(1);
    let both = signers(&[maker.key.clone(), maker.key.clone()], two());
    let mut draft = draft();
    maker.sign(&mut draft).unwrap();
    assert_eq!((both.key_ids().len(), both.missing(&draft)), (1, 1));
}

#[test]
fn versions_rise_to_the_last() {
    let body = Body::<Targets>::new(later());
    assert_eq!(body.clone().next(later()).unwrap().version(), 2);
    let last = body.in_version((1 << 53) - 1);
    assert_eq!(last.clone().draft().unwrap().version(), (1 << 53) - 1);
    assert_eq!(last.next(later()).unwrap_err(), BadMetadata::Shape(BadRelease::Field("version")));
}
#[test]
fn an_end_is_a_whole_second() {
    let draft = Body::<Targets>::new(later().plus_ms(999)).draft().unwrap();
    assert_eq!(draft.expires(), later());
}

#[test]
fn what_a_maker_says_besides_is_kept() {
    let custom = Custom::of_json(br#"{"release_counter": 7, "notes": "a \"b\" \n"}"#).unwrap();
    let mut targets = Body::<Targets>::new(later());
    targets.set_target("image", image(b"x"), Some(&custom)).unwrap();
    let draft = Draft::<Targets>::decode(&targets.draft().unwrap().write()).unwrap();
    assert_eq!(draft.targets().next().unwrap().custom, Some(custom));
}
#[test]
fn what_has_no_canonical_form_is_not_said() {
    for text in ["[]", r#"{"a":1.5}"#, r#"{"a":1,"a":2}"#, ""] {
        assert!(Custom::of_json(text.as_bytes()).is_err(), "{text}");
    }
}

/// Files of the reference implementation: what they say, and who signed, stays so when another one signs.
#[track_caller]
fn foreign<R: Role>(name: &str) -> Draft<R> {
    let mut draft = Draft::<R>::decode(&support::golden(&format!("repository/{name}"))).unwrap();
    let before = Draft::<R>::decode(&support::golden(&format!("repository/{name}"))).unwrap();
    Maker::ed25519(9).sign(&mut draft).unwrap();
    let after = Draft::<R>::decode(&draft.write()).unwrap();
    assert!(after.says_the_same(&before) && before.body().draft().unwrap().says_the_same(&before));
    after
}
#[test]
fn a_foreign_root_is_signed_besides() {
    let root = foreign::<Root>("3.root.json");
    Signers::of_top(&root, Top::Root).suffice(&root).unwrap();
    let targets = foreign::<Targets>("5.targets.json");
    Signers::of_top(&root, Top::Targets).suffice(&targets).unwrap();
    for role in targets.delegated() {
        if role.name == "supplier" {
            role.signers.suffice(&foreign::<Targets>("3.supplier.json")).unwrap();
        }
    }
    Signers::of_top(&root, Top::Snapshot).suffice(&foreign::<Snapshot>("7.snapshot.json")).unwrap();
    Signers::of_top(&root, Top::Timestamp).suffice(&foreign::<Timestamp>("timestamp.json")).unwrap();
}
#[test]
fn keys_are_called_as_the_reference_implementation_calls_them() {
    let root = foreign::<Root>("3.root.json");
    let mut same = 0;
    for key in Top::ALL.into_iter().flat_map(|role| Signers::of_top(&root, role).keys()) {
        let Some(ours) = Key::new(key.public()) else { continue };
        assert_eq!(ours.id(), key.id());
        same += 1;
    }
    assert!(same > 1, "there are keys to compare");
}
#[test]
fn what_is_not_understood_stays_when_something_changes() {
    let text = String::from_utf8(draft().write()).unwrap();
    let text = text.replace(
        r#""targets":{}"#,
        r#""targets":{"old":{"length":1,"hashes":{"sha256":"00"},"x":[true]}},"x":{"y":null}"#,
    );
    let text = text.replace(r#""00""#, &format!("{:?}", sha256(b"x").to_string()));
    let mut body = Draft::<Targets>::decode(text.as_bytes()).unwrap().body().next(later()).unwrap();
    body.set_target("new", image(b"x"), None).unwrap();
    let text = written(body.clone());
    assert!(text.contains(r#""x":[true]"#) && text.contains(r#""x":{"y":null}"#));
    assert!(body.remove_target("old") && !body.remove_target("old"));
    assert!(!written(body).contains(r#""x":[true]"#));
}
