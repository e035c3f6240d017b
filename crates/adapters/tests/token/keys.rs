//! Keys in a token: made, found again, refused, and what they sign.

use crate::common::{PIN, World, client, module, pin};
use adapters::keystore::pkcs11::{Hash, Pkcs11Uri, Scheme, TokenFault};
use adapters::keystore::{FileKeystore, Keystores, Tokens};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use ports::keystore::{KeyFault, KeyUri};
use ports::{Keystore, Signer};
use std::path::Path;
use x509::{KeyType, SignatureAlgorithm};

fn signs(world: &World, key_type: KeyType) {
    let (uri, made) = world.keystore("one", 2).generate("key", key_type).unwrap();
    let opened = world.keystore("one", 2).open(&uri).unwrap();
    assert_eq!(opened.public_key(), made.public_key());
    assert_eq!(opened.public_key().key_type(), key_type);
    for key in [made, opened] {
        let signature = key.sign(b"message").unwrap();
        x509::signature::verify(key.public_key(), key.algorithm(), b"message", &signature).unwrap();
        assert!(x509::signature::verify(key.public_key(), key.algorithm(), b"massage", &signature).is_err());
    }
}

fn other_algorithm(world: &World, key_type: KeyType, algorithm: SignatureAlgorithm) {
    let keystore = world.keystore("one", 2);
    keystore.generate("key", key_type).unwrap();
    let key = keystore.open_key(&named("key")).unwrap().with_algorithm(algorithm).unwrap();
    assert_eq!(key.algorithm(), algorithm);
    let signature = key.sign(b"message").unwrap();
    x509::signature::verify(key.public_key(), algorithm, b"message", &signature).unwrap();
    let other = keystore.open_key(&named("key")).unwrap().with_algorithm(SignatureAlgorithm::Ed25519);
    assert_eq!(other.err(), Some(TokenFault::KeyUnsupported));
}

/// All keys of an installation: what a scheme says is where they are.
fn by_scheme(world: &World) {
    let pin_file = world.dir.join("pin");
    std::fs::write(&pin_file, PIN).unwrap();
    std::fs::set_permissions(&pin_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let random = std::sync::Arc::new(crate::common::Random);
    let files = FileKeystore::new(world.dir.clone(), b"secret".to_vec().into(), random.clone());
    let tokens = Tokens { module: Some(module()), pin_file: Some(pin_file), sessions_max: None };
    let keys = Keystores::new(std::sync::Arc::new(files), tokens, random);
    for wanted in ["file:a", "pkcs11:token=one;object=a", "pkcs11:token=two;object=a?signature=RSASSA-PSS-SHA256"] {
        let (uri, made) = keys.generate_at(&KeyUri(wanted.to_owned()), KeyType::Rsa(2048)).unwrap();
        let opened = keys.open(&uri).unwrap();
        assert_eq!(opened.public_key(), made.public_key(), "{uri}");
        assert_eq!(opened.algorithm(), uri.signature().unwrap().unwrap_or(SignatureAlgorithm::RsaSha256));
        let signature = opened.sign(b"octets").unwrap();
        x509::signature::verify(made.public_key(), opened.algorithm(), b"octets", &signature).unwrap();
    }
    let again = keys.generate_at(&KeyUri("pkcs11:token=one;object=a".into()), KeyType::P256);
    assert_eq!(again.err(), Some(KeyFault::Exists));
}

fn named(label: &str) -> Pkcs11Uri {
    Pkcs11Uri::parse(&format!("pkcs11:object={label}")).unwrap()
}

const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Makes a pair as others do: what is not said is as the token likes it.
fn foreign(session: &Session, public: &[Attribute], private: &[Attribute]) -> (ObjectHandle, ObjectHandle) {
    let public = [&[Attribute::Token(true), Attribute::EcParams(P256.to_vec())], public].concat();
    let private = [&[Attribute::Token(true), Attribute::Private(true), Attribute::Sign(true)], private].concat();
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap()
}
fn label(label: &str) -> Attribute {
    Attribute::Label(label.as_bytes().to_vec())
}

fn refused(world: &World, private: &[Attribute], fault: TokenFault) {
    let private = [&[label("key")], private].concat();
    foreign(&world.session("one"), &[label("key")], &private);
    assert_eq!(world.keystore("one", 1).open_key(&named("key")).err(), Some(fault));
}

tests! {
    a_uri_is_opened_where_its_scheme_says = by_scheme;
    p256 = |world| signs(world, KeyType::P256);
    p384 = |world| signs(world, KeyType::P384);
    ed25519 = |world| signs(world, KeyType::Ed25519);
    rsa2048 = |world| signs(world, KeyType::Rsa(2048));
    rsa3072 = |world| signs(world, KeyType::Rsa(3072));
    rsa4096 = |world| signs(world, KeyType::Rsa(4096));
    rsa1024_is_not_made = |world| {
        let made = world.keystore("one", 1).generate("key", KeyType::Rsa(1024));
        assert_eq!(made.err(), Some(KeyFault::Unsupported));
    };
    p256_signs_with_sha384 = |world| other_algorithm(world, KeyType::P256, SignatureAlgorithm::EcdsaSha384);
    p384_signs_with_sha512 = |world| other_algorithm(world, KeyType::P384, SignatureAlgorithm::EcdsaSha512);
    rsa_signs_with_sha384 = |world| other_algorithm(world, KeyType::Rsa(2048), SignatureAlgorithm::RsaSha384);
    rsa_signs_with_sha512 = |world| other_algorithm(world, KeyType::Rsa(2048), SignatureAlgorithm::RsaSha512);
    rsa_signs_with_pss = |world| {
        use aws_lc_rs::signature as aws;
        let keystore = world.keystore("one", 1);
        keystore.generate("key", KeyType::Rsa(2048)).unwrap();
        let key = keystore.open_key(&named("key")).unwrap();
        let schemes = [
            (Hash::Sha256, &aws::RSA_PSS_2048_8192_SHA256),
            (Hash::Sha384, &aws::RSA_PSS_2048_8192_SHA384),
            (Hash::Sha512, &aws::RSA_PSS_2048_8192_SHA512),
        ];
        for (hash, algorithm) in schemes {
            let signature = key.sign_by(Scheme::RsaPss(hash), b"message").unwrap();
            aws::UnparsedPublicKey::new(algorithm, key.public_key().bits()).verify(b"message", &signature).unwrap();
        }
    };
    a_long_message_is_signed = |world| {
        let keystore = world.keystore("one", 1);
        for key_type in [KeyType::P256, KeyType::Ed25519] {
            let (_, key) = keystore.generate(&key_type.to_string(), key_type).unwrap();
            key.sign(&vec![7; 1 << 20]).unwrap();
        }
    };
    a_key_that_is_made_never_leaves = |world| {
        let (_, _key) = world.keystore("one", 1).generate("key", KeyType::P256).unwrap();
        let session = world.session("one");
        let private = Attribute::Class(cryptoki::object::ObjectClass::PRIVATE_KEY);
        let found = session.find_objects(&[private, label("key")]).unwrap();
        use cryptoki::object::AttributeType as T;
        let wanted = [T::Token, T::Private, T::Sensitive, T::Extractable, T::NeverExtractable, T::AlwaysSensitive];
        let facts = session.get_attributes(found[0], &wanted).unwrap();
        let expected = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::NeverExtractable(true),
            Attribute::AlwaysSensitive(true),
        ];
        assert_eq!(facts, expected);
        assert!(session.get_attributes(found[0], &[T::Value]).unwrap().is_empty());
    };
    a_label_is_used_once = |world| {
        let keystore = world.keystore("one", 1);
        keystore.generate("key", KeyType::P256).unwrap();
        assert_eq!(keystore.generate("key", KeyType::Ed25519).err(), Some(KeyFault::Exists));
        assert_eq!(world.keystore("one", 1).generate("key", KeyType::P256).err(), Some(KeyFault::Exists));
    };
    labels_that_are_no_names_are_refused = |world| {
        let keystore = world.keystore("one", 1);
        for label in ["", "a/b", ".a", "a\0", "a b", &"a".repeat(129)] {
            assert_eq!(keystore.generate(label, KeyType::P256).err(), Some(KeyFault::BadName), "{label:?}");
        }
    };
    a_key_that_is_not_there_is_missing = |world| {
        let opened = world.keystore("one", 1).open(&KeyUri("pkcs11:object=key".to_owned()));
        assert_eq!(opened.err(), Some(KeyFault::Missing));
    };
    what_is_no_uri_is_no_name = |world| {
        let opened = world.keystore("one", 1).open(&KeyUri("file:key".to_owned()));
        assert_eq!(opened.err(), Some(KeyFault::BadName));
    };
    a_key_of_another_token_is_not_taken = |world| {
        world.keystore("two", 1).generate("key", KeyType::P256).unwrap();
        let keystore = world.keystore("one", 1);
        assert_eq!(keystore.open_key(&named("key")).err(), Some(TokenFault::KeyMissing));
        let uri = Pkcs11Uri::parse("pkcs11:token=two;object=key").unwrap();
        assert_eq!(keystore.open_key(&uri).err(), Some(TokenFault::TokenMissing));
    };
    two_keys_of_a_label_are_told_apart_by_id = |world| {
        let session = world.session("one");
        for id in [1, 2] {
            let name = [label("key"), Attribute::Id(vec![id]), Attribute::Sensitive(true), Attribute::Extractable(false)];
            foreign(&session, &name[..2], &name);
        }
        let keystore = world.keystore("one", 1);
        assert_eq!(keystore.open_key(&named("key")).err(), Some(TokenFault::KeyAmbiguous));
        let by_id = |id: &str| keystore.open_key(&Pkcs11Uri::parse(&format!("pkcs11:id={id}")).unwrap()).unwrap();
        assert_ne!(by_id("%01").public_key(), by_id("%02").public_key());
    };
    a_key_without_id_is_found_by_its_label = |world| {
        let session = world.session("one");
        let safe = [Attribute::Sensitive(true), Attribute::Extractable(false)];
        foreign(&session, &[label("key")], &[&[label("key")], &safe[..]].concat());
        foreign(&session, &[label("other")], &[&[label("other")], &safe[..]].concat());
        world.keystore("one", 1).open_key(&named("key")).unwrap().sign(b"message").unwrap();
    };
    a_key_without_public_half_is_refused = |world| {
        let session = world.session("one");
        let name = [label("key"), Attribute::Sensitive(true), Attribute::Extractable(false)];
        let (public, _) = foreign(&session, &name[..1], &name);
        session.destroy_object(public).unwrap();
        assert_eq!(world.keystore("one", 1).open_key(&named("key")).err(), Some(TokenFault::PublicKeyMissing));
    };
    a_public_half_of_another_key_is_refused = |world| {
        let session = world.session("one");
        let name = [label("key"), Attribute::Sensitive(true), Attribute::Extractable(false)];
        let (public, _) = foreign(&session, &name[..1], &name);
        session.destroy_object(public).unwrap();
        let (_, private) = foreign(&session, &name[..1], &name);
        session.destroy_object(private).unwrap();
        assert_eq!(world.keystore("one", 1).open_key(&named("key")).err(), Some(TokenFault::PublicKeyDiffers));
    };
    an_extractable_key_is_refused = |world| {
        refused(world, &[Attribute::Sensitive(true), Attribute::Extractable(true)], TokenFault::KeyExtractable);
    };
    a_readable_key_is_refused = |world| {
        refused(world, &[Attribute::Sensitive(false), Attribute::Extractable(false)], TokenFault::KeyNotSensitive);
    };
    a_public_key_is_no_signer = |world| {
        let keystore = world.keystore("one", 1);
        keystore.generate("key", KeyType::P256).unwrap();
        let uri = Pkcs11Uri::parse("pkcs11:object=key;type=public").unwrap();
        assert_eq!(keystore.open_key(&uri).err(), Some(TokenFault::KeyBadName));
    };
    the_uri_may_name_the_module = |world| {
        let keystore = world.keystore("one", 1);
        keystore.generate("key", KeyType::P256).unwrap();
        let open = |query: &str| keystore.open_key(&Pkcs11Uri::parse(&format!("pkcs11:object=key?{query}")).unwrap()).err();
        assert_eq!(open("module-name=softhsm2"), None);
        assert_eq!(open(&format!("module-path={}", module().display())), None);
        assert_eq!(open("module-name=other"), Some(TokenFault::ModuleDiffers));
        assert_eq!(open("module-path=/other.so"), Some(TokenFault::ModuleDiffers));
    };
    a_uri_may_say_all_but_the_pin = |world| {
        use std::os::unix::fs::PermissionsExt;
        world.keystore("one", 1).generate("key", KeyType::P256).unwrap();
        let file = world.dir.join("pin");
        std::fs::write(&file, "1234\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let open = |query: String| {
            let uri = Pkcs11Uri::parse(&format!("pkcs11:token=one;object=key?{query}")).unwrap();
            let random = std::sync::Arc::new(crate::common::Random);
            let keystore = adapters::keystore::pkcs11::Pkcs11Keystore::from_uri(&uri, None, std::num::NonZeroUsize::MIN, random);
            keystore.and_then(|keystore| keystore.open_key(&uri)).map(|key| key.sign(b"message").unwrap())
        };
        let (module, file) = (module().display().to_string(), file.display().to_string());
        assert!(open(format!("module-path={module}&pin-source=file:{file}")).is_ok());
        assert_eq!(open(format!("module-path={module}")), Err(TokenFault::PinNotFound));
        assert_eq!(open(format!("pin-source=file:{file}")), Err(TokenFault::ModuleMissing));
    };
    a_library_that_is_no_module_is_refused = |world| {
        let libc = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = libc.split_whitespace().find(|word| word.contains("libc.so")).unwrap().to_owned();
        let uri = Pkcs11Uri::default();
        let sessions = std::num::NonZeroUsize::MIN;
        let random = std::sync::Arc::new(crate::common::Random);
        let opened = adapters::keystore::pkcs11::Pkcs11Keystore::new(Path::new(&libc), &uri, pin("1234"), sessions, random);
        assert_eq!(opened.err(), Some(TokenFault::ModuleNotPkcs11));
        assert!(world.dir.exists());
    };
    another_module_serves_the_same_token = |world| {
        let (uri, key) = world.keystore("one", 1).generate("key", KeyType::P256).unwrap();
        let _server = world.server();
        let remote = world.keystore_at(&client(), "one", pin("1234"), 2);
        let opened = remote.open(&uri).unwrap();
        assert_eq!(opened.public_key(), key.public_key());
        opened.sign(b"message").unwrap();
    };
}
