use super::*;
use crate::clock::SystemEntropy;
use crate::testing::Temporary;
use proptest::prelude::*;

fn names(of: usize) -> Vec<OperatorName> {
    (1..=of).map(|n| format!("custodian-{n}").parse().unwrap()).collect()
}
fn about(label: &str) -> About {
    About { ceremony: "root-2026".into(), organization: "Example Devices".into(), label: label.into() }
}
fn divided(label: &str, need: u8, of: usize) -> Divided {
    Divided::make(&about(label), KeyType::P256, need, &names(of), &SystemEntropy::default()).unwrap()
}
fn keystore(dir: &Temporary) -> SplitKeystore {
    SplitKeystore::new(dir.path().to_owned(), Arc::new(SystemEntropy::default()))
}
fn uri(label: &str, need: u8, of: usize) -> KeyUri {
    KeyUri(format!("file:{label}?shares={need}of{of}"))
}
/// A divided key in a directory. Gives its shares as their files say them.
fn made(dir: &Temporary, label: &str, need: u8, of: usize) -> Vec<Share> {
    let divided = divided(label, need, of);
    let texts: Vec<_> = divided.shares().iter().map(Share::encode).collect();
    keystore(dir).keep(label, divided).unwrap();
    texts.iter().map(|text| Share::decode(text.as_bytes()).unwrap()).collect()
}
fn open(dir: &Temporary, uri: &KeyUri, shares: Vec<Share>) -> Result<Arc<dyn Signer>, KeyFault> {
    let keystore = keystore(dir);
    keystore.give(shares).unwrap();
    keystore.open(uri)
}

#[test]
fn a_key_is_there_as_soon_as_it_is_divided() {
    let dir = Temporary::new();
    let keystore = keystore(&dir);
    let divided = divided("root", 3, 5);
    let key = divided.key().unwrap();
    keystore.keep("root", divided).unwrap();
    assert_eq!(keystore.open(&uri("root", 3, 5)).unwrap().public_key().digest(), key);
    assert_eq!(keystore.count("root"), 5);
    keystore.forget("root");
    assert_eq!(keystore.open(&uri("root", 3, 5)).err(), Some(KeyFault::Divided));
}
#[test]
fn the_file_is_one_that_openssl_reads_with_the_secret() {
    let dir = Temporary::new();
    let shares = made(&dir, "root", 2, 3);
    let keystore = keystore(&dir);
    keystore.give(shares).unwrap();
    let (secret, _) = keystore.secret("root", 2, 3).unwrap();
    let secret = String::from_utf8(secret.to_vec()).unwrap();
    let read = std::process::Command::new("openssl")
        .args(["pkey", "-in", "root.p8", "-noout", "-passin", &format!("pass:{secret}")])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}
#[test]
fn the_passphrase_of_the_installation_does_not_open_it() {
    let dir = Temporary::new();
    made(&dir, "root", 2, 3);
    let files = FileKeystore::new(
        dir.path().to_owned(),
        Zeroizing::new(b"secret".to_vec()),
        Arc::new(SystemEntropy::default()),
    );
    assert_eq!(files.open(&KeyUri("file:root".into())).err(), Some(KeyFault::Locked));
}
#[test]
fn too_few_shares_open_nothing() {
    let dir = Temporary::new();
    let shares = made(&dir, "root", 3, 5);
    for n in 0..3 {
        let given = shares.iter().take(n).cloned().collect();
        assert_eq!(open(&dir, &uri("root", 3, 5), given).err(), Some(KeyFault::Divided), "{n}");
    }
    open(&dir, &uri("root", 3, 5), shares.into_iter().take(3).collect()).unwrap();
}
#[test]
fn a_share_that_says_less_are_needed_opens_nothing() {
    let dir = Temporary::new();
    let mut shares = made(&dir, "root", 3, 5);
    shares.truncate(2);
    shares.iter_mut().for_each(|share| share.need = 2);
    assert!(matches!(open(&dir, &uri("root", 3, 5), shares.clone()).err(), Some(KeyFault::Medium(_))));
    // And if the records said so too: two points are on other curves as well.
    assert!(matches!(open(&dir, &uri("root", 2, 5), shares).err(), Some(KeyFault::Medium(_))));
}
#[test]
fn shares_of_another_key_of_the_same_name_are_told_apart() {
    let (dir, other) = (Temporary::new(), Temporary::new());
    let (ours, theirs) = (made(&dir, "root", 2, 3), made(&other, "root", 2, 3));
    assert!(matches!(open(&dir, &uri("root", 2, 3), theirs.clone()).err(), Some(KeyFault::Medium(_))));
    let mixed = vec![ours[0].clone(), theirs[1].clone()];
    assert_eq!(keystore(&dir).give(mixed), Err(BadShare::Mixed("root".into())));
}
#[test]
fn a_share_counts_once() {
    let dir = Temporary::new();
    let shares = made(&dir, "root", 2, 3);
    let twice = vec![shares[1].clone(), shares[1].clone()];
    let keystore = keystore(&dir);
    assert_eq!(keystore.give(twice), Err(BadShare::Twice("root".into(), 2)));
    assert_eq!(keystore.count("root"), 0, "none of them was taken");
}
#[test]
fn what_is_added_again_counts_once() {
    let dir = Temporary::new();
    let shares = made(&dir, "root", 2, 3);
    let keystore = keystore(&dir);
    keystore.give(vec![shares[1].clone()]).unwrap();
    keystore.add(shares).unwrap();
    assert_eq!(keystore.count("root"), 3);
}
#[test]
fn shares_of_several_keys_go_together() {
    let dir = Temporary::new();
    let (root, policy) = (made(&dir, "root", 2, 3), made(&dir, "policy", 2, 2));
    let keystore = keystore(&dir);
    keystore.give(root.into_iter().skip(1).chain(policy).collect()).unwrap();
    keystore.open(&uri("root", 2, 3)).unwrap();
    keystore.open(&uri("policy", 2, 2)).unwrap();
}
#[test]
fn a_key_is_not_divided_by_asking_for_it() {
    let dir = Temporary::new();
    let wanted = uri("root", 2, 3);
    assert!(matches!(keystore(&dir).generate_at(&wanted, KeyType::P256).err(), Some(KeyFault::Medium(_))));
    made(&dir, "root", 2, 3);
    assert_eq!(keystore(&dir).generate_at(&wanted, KeyType::P256).err(), Some(KeyFault::Exists));
}
#[test]
fn a_number_of_shares_that_cannot_be_is_refused() {
    for (need, of) in [(1, 3), (4, 3), (0, 0), (2, 1)] {
        let made = Divided::make(&about("a"), KeyType::P256, need, &names(of), &SystemEntropy::default());
        assert_eq!(made.err(), Some(KeyFault::BadName), "{need} of {of}");
    }
}
#[test]
fn nothing_of_a_share_is_in_what_is_logged() {
    let divided = divided("root", 2, 3);
    let share = &divided.shares()[0];
    let secret = hex(share.octets.as_slice());
    assert!(share.encode().contains(&secret), "it is in the file");
    assert!(!format!("{share:?}").contains(&secret) && !format!("{share:?}").contains("octets"));
}

/// A share's text with something replaced.
#[track_caller]
fn check_text(from: &str, to: &str, expected: BadShare) {
    let text = divided("root", 2, 3).shares()[0].encode().to_string();
    assert!(text.contains(from), "{text}");
    assert_eq!(Share::decode(text.replacen(from, to, 1).as_bytes()).unwrap_err(), expected);
}
#[test]
fn a_damaged_share_is_noticed() {
    check_text("need: 2", "need: 1", BadShare::Checksum);
    check_text("index: 1", "index: 2", BadShare::Checksum);
    check_text("custodian-1", "custodian-2", BadShare::Checksum);
    check_text("share: ", "share: 0", BadShare::Checksum);
    check_text("checksum: ", "checksum: 0", BadShare::Checksum);
    check_text("need: 2\n", "", BadShare::NoShare);
    check_text("checksum: ", "sum: ", BadShare::NoShare);
    check_text("cradle share", "Cradle share", BadShare::NoShare);
    check_text("key: root", "key: root\nkey: root", BadShare::NoShare);
}
#[test]
fn octets_that_are_no_share() {
    for octets in [&b""[..], b"\xff", b"checksum: ", TITLE.as_bytes()] {
        assert_eq!(Share::decode(octets).unwrap_err(), BadShare::NoShare);
    }
}
#[test]
fn line_ends_of_another_system_do_no_harm() {
    let text = divided("root", 2, 3).shares()[0].encode().replace('\n', "\r\n");
    Share::decode(text.as_bytes()).unwrap();
}
#[test]
fn a_share_with_a_fitting_checksum_and_impossible_numbers_is_refused() {
    let text = divided("root", 2, 3).shares()[0].encode().to_string();
    for (from, to) in [("index: 1", "index: 0"), ("index: 1", "index: 4"), ("need: 2", "need: 4"), ("of: 3", "of: 300")]
    {
        let changed = text.replacen(from, to, 1);
        let (body, _) = changed.rsplit_once("checksum: ").unwrap();
        let changed = format!("{body}checksum: {}\n", checksum(body));
        assert!(matches!(Share::decode(changed.as_bytes()), Err(BadShare::Line(_))), "{to}");
    }
}

/// The secret from some of the parts, as [`SplitKeystore::secret`] puts it together, whatever is needed.
fn combined(shares: &[&Share]) -> Vec<u8> {
    let parts: Vec<_> = shares.iter().map(|s| [&[s.index], s.octets.as_slice()].concat()).collect();
    Gf256::combine_bytes(&parts).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_subset_of_enough_shares_opens_and_none_of_less(of in 2_usize..=6, need in 2_u8..=6) {
        let need = need.min(u8::try_from(of).unwrap());
        let divided = divided("root", need, of);
        let secret = from_hex(std::str::from_utf8(&divided.passphrase).unwrap()).unwrap();
        for chosen in 0_u32..1 << of {
            let shares: Vec<_> = divided.shares().iter().enumerate().filter(|(n, _)| chosen >> n & 1 == 1).map(|(_, s)| s).collect();
            if shares.len() >= usize::from(need) {
                prop_assert_eq!(combined(&shares), secret.clone());
            } else if shares.len() >= 2 {
                prop_assert_ne!(combined(&shares), secret.clone());
            }
        }
    }
}
