//! Sessions under load, tokens that go away and come back, PINs that are wrong.

use crate::common::{PIN, World, client, module, pin};
use adapters::keystore::pkcs11::{Pin, PinOctets, Pkcs11Keystore, Pkcs11Uri, TokenFault};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use ports::keystore::{KeyFault, KeyUri};
use ports::{Keystore, SignFault, Signer};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use x509::KeyType;
use zeroize::Zeroizing;

const THREADS: usize = 4;
/// Calls that a test waits for at most. None comes near it.
const CALLS_MAX: usize = 200_000;

type Signed = (usize, Result<(), SignFault>);

/// Reads results until each thread had one that is wanted. Returns the causes of those that were refusals.
fn until(results: &Receiver<Signed>, wanted: fn(&Result<(), SignFault>) -> bool) -> BTreeSet<&'static str> {
    let mut threads = BTreeSet::new();
    let mut causes = BTreeSet::new();
    for (thread, result) in results.iter().take(CALLS_MAX) {
        if wanted(&result) {
            threads.insert(thread);
        }
        causes.extend(result.err().map(|SignFault(what)| what));
        if threads.len() == THREADS {
            return causes;
        }
    }
    panic!("only {threads:?} of the threads came so far; refusals: {causes:?}");
}

/// Four threads sign while the token is taken away and brought back.
fn taken_away_and_back(key: &dyn Signer, away: impl FnOnce(), back: impl FnOnce()) -> BTreeSet<&'static str> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // No room: a thread goes on when its last result was read.
        let (report, results) = sync_channel(0);
        for thread in 0..THREADS {
            let (report, stop) = (report.clone(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && report.send((thread, key.sign(b"message").map(drop))).is_ok() {}
            });
        }
        drop(report);
        assert!(until(&results, Result::is_ok).is_empty());
        away();
        let causes = until(&results, Result::is_err);
        back();
        // What began before the token was back may still fail.
        until(&results, Result::is_ok);
        let late = until(&results, Result::is_ok);
        assert!(late.is_empty(), "{late:?}");
        stop.store(true, Ordering::Relaxed);
        causes
    })
}

fn named(label: &str) -> Pkcs11Uri {
    Pkcs11Uri::parse(&format!("pkcs11:object={label}")).unwrap()
}
/// The security officer can log in only where there is no session that reads only (PKCS #11 §5.6.8).
fn assert_no_session_is_open(world: &World) {
    let session = world.session("one");
    session.logout().unwrap();
    session.login(UserType::So, Some(&AuthPin::from("5678"))).unwrap();
}
fn eight_threads_sign(keystore: &Pkcs11Keystore) {
    let key = keystore.open_key(&named("key")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| drop(key.sign(b"message").unwrap())));
        }
    });
}
fn octets(pin: &str) -> PinOctets {
    Zeroizing::new(pin.as_bytes().to_vec())
}
/// The security officer gives the token another PIN.
fn set_pin(world: &World, pin: &str) {
    let session = world.session("one");
    session.logout().unwrap();
    session.login(UserType::So, Some(&AuthPin::from("5678"))).unwrap();
    session.init_pin(&AuthPin::from(pin)).unwrap();
}
fn cause(fault: TokenFault) -> KeyFault {
    KeyFault::Medium(fault.text())
}
fn open(keystore: &Pkcs11Keystore) -> Option<KeyFault> {
    keystore.open(&KeyUri("pkcs11:object=key".to_owned())).err()
}

tests! {
    eight_threads_share_four_sessions = |world| {
        let keystore = world.keystore("one", 4);
        keystore.generate("key", KeyType::P256).unwrap();
        eight_threads_sign(&keystore);
        assert!((2..=4).contains(&keystore.sessions()), "{}", keystore.sessions());
    };
    one_session_is_enough = |world| {
        let keystore = world.keystore("one", 1);
        keystore.generate("key", KeyType::P256).unwrap();
        eight_threads_sign(&keystore);
        assert_eq!(keystore.sessions(), 1);
    };
    sessions_end_with_the_keystore = |world| {
        let keystore = world.keystore("one", 4);
        let (_, key) = keystore.generate("key", KeyType::P256).unwrap();
        drop(keystore);
        key.sign(b"a key holds its keystore").unwrap();
        drop(key);
        assert_no_session_is_open(world);
    };
    two_keystores_of_a_token_live_side_by_side = |world| {
        let first = world.keystore("one", 1);
        let (uri, key) = first.generate("key", KeyType::P256).unwrap();
        let second = world.keystore("one", 1).open(&uri).unwrap();
        drop((first, key));
        second.sign(b"message").unwrap();
    };
    two_tokens_of_a_module_live_side_by_side = |world| {
        let (one, two) = (world.keystore("one", 1), world.keystore("two", 1));
        let first = one.generate("key", KeyType::P256).unwrap().1;
        let second = two.generate("key", KeyType::P256).unwrap().1;
        assert_ne!(first.public_key(), second.public_key());
        first.sign(b"message").unwrap();
        second.sign(b"message").unwrap();
    };
    a_restart_for_one_token_does_not_disturb_another = |world| {
        let key = world.keystore("two", 2).generate("key", KeyType::P256).unwrap().1;
        let missing = world.keystore("three", 1);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(open(&missing), Some(cause(TokenFault::TokenMissing)))));
            scope.spawn(|| (0..200).for_each(|_| match key.sign(b"message") {
                // Said when a call was overtaken three times.
                Ok(_) | Err(SignFault("the PKCS #11 module was started anew; nothing was signed")) => {}
                Err(fault) => panic!("{fault}"),
            }));
        });
        key.sign(b"message").unwrap();
    };
    a_token_that_is_not_there_is_missing = |world| {
        assert_eq!(open(&world.keystore("three", 1)), Some(cause(TokenFault::TokenMissing)));
    };
    a_token_that_is_made_later_is_found = |world| {
        let keystore = world.keystore("three", 1);
        assert_eq!(open(&keystore), Some(cause(TokenFault::TokenMissing)));
        world.util(&["--init-token", "--free", "--label", "three", "--pin", PIN, "--so-pin", "5678"]);
        keystore.generate("key", KeyType::P256).unwrap();
    };
    two_tokens_of_a_label_are_ambiguous = |world| {
        world.util(&["--init-token", "--free", "--label", "one", "--pin", PIN, "--so-pin", "5678"]);
        assert_eq!(open(&world.keystore("one", 1)), Some(cause(TokenFault::TokenAmbiguous)));
    };
    a_wrong_pin_is_tried_once = |world| {
        world.keystore("one", 1).generate("key", KeyType::P256).unwrap();
        let keystore = world.keystore_at(&module(), "one", pin("9999"), 4);
        assert_eq!(open(&keystore), Some(cause(TokenFault::PinRefused)));
        // Now it is the right one. Who tries it again gets in.
        set_pin(world, "9999");
        for _ in 0..20 {
            assert_eq!(open(&keystore), Some(cause(TokenFault::PinRefused)));
        }
        assert_eq!(open(&world.keystore_at(&module(), "one", pin("9999"), 4)), None);
    };
    threads_with_a_wrong_pin_try_it_once = |world| {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let wrong = Pin::asked(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Some(octets("9999"))
        });
        let keystore = world.keystore_at(&module(), "one", wrong, 4);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(open(&keystore), Some(cause(TokenFault::PinRefused))));
            }
        });
        set_pin(world, "9999");
        assert_eq!(open(&keystore), Some(cause(TokenFault::PinRefused)));
        assert!(asked.load(Ordering::Relaxed) >= 9);
    };
    a_pin_that_changed_is_tried = |world| {
        world.keystore("one", 1).generate("key", KeyType::P256).unwrap();
        let source = Arc::new(Mutex::new("9999"));
        let asked = source.clone();
        let keystore = world.keystore_at(&module(), "one", Pin::asked(move || Some(octets(*asked.lock().unwrap()))), 1);
        assert_eq!(open(&keystore), Some(cause(TokenFault::PinRefused)));
        *source.lock().unwrap() = PIN;
        assert_eq!(open(&keystore), None);
    };
    three_wrong_pins_are_enough = |world| {
        let next = AtomicUsize::new(0);
        let pins = ["0000", "0001", "0002", PIN];
        let source = Pin::asked(move || pins.get(next.fetch_add(1, Ordering::Relaxed)).map(|pin| octets(pin)));
        let keystore = world.keystore_at(&module(), "one", source, 1);
        for _ in 0..4 {
            assert_eq!(open(&keystore), Some(cause(TokenFault::PinRefused)));
        }
    };
    a_pin_that_nobody_gives_is_said = |world| {
        let keystore = world.keystore_at(&module(), "one", Pin::asked(|| None), 1);
        assert_eq!(open(&keystore), Some(cause(TokenFault::PinNotFound)));
    };
    a_logout_by_others_is_survived = |world| {
        let keystore = world.keystore("one", 2);
        let key = keystore.generate("key", KeyType::P256).unwrap().1;
        world.session("one").logout().unwrap();
        let SignFault(what) = key.sign(b"message").unwrap_err();
        assert!(what.contains("CKR_"), "{what}");
        key.sign(b"message").unwrap();
    };
    sessions_closed_by_others_are_survived = |world| {
        let keystore = world.keystore("one", 2);
        let key = keystore.generate("key", KeyType::P256).unwrap().1;
        // Ends all sessions of this process, and the login.
        cryptoki::context::Pkcs11::new(module()).unwrap().finalize().unwrap();
        let SignFault(what) = key.sign(b"message").unwrap_err();
        assert!(what.contains("CKR_CRYPTOKI_NOT_INITIALIZED"), "{what}");
        key.sign(b"message").unwrap();
    };
    a_keystore_that_ends_closes_nobody_elses_session = |world| {
        let stale = world.keystore("one", 1);
        stale.generate("key", KeyType::P256).unwrap();
        cryptoki::context::Pkcs11::new(module()).unwrap().finalize().unwrap();
        // The module begins to count sessions anew, so this one has the number of the other.
        let key = world.keystore("two", 1).generate("key", KeyType::P256).unwrap().1;
        drop(stale);
        key.sign(b"message").unwrap();
    };
    a_key_that_is_removed_is_said = |world| {
        let keystore = world.keystore("one", 2);
        let key = keystore.generate("key", KeyType::P256).unwrap().1;
        let session = world.session("one");
        for object in session.find_objects(&[]).unwrap() {
            session.destroy_object(object).unwrap();
        }
        for _ in 0..3 {
            key.sign(b"message").unwrap_err();
        }
        assert_eq!(key.sign(b"message"), Err(SignFault(TokenFault::KeyMissing.text())));
        let other = keystore.generate("key", KeyType::P256).unwrap().1;
        // Another key of the same label is not the same key.
        assert_eq!(key.sign(b"message"), Err(SignFault(TokenFault::KeyMissing.text())));
        other.sign(b"message").unwrap();
    };
    a_served_token_is_taken_away_under_load = |world| {
        let mut server = world.server();
        let again = Mutex::new(None);
        let key = world.keystore_at(&client(), "one", pin(PIN), 4).generate("key", KeyType::P256).unwrap().1;
        let causes = taken_away_and_back(key.as_ref(), || server.kill(), || *again.lock().unwrap() = Some(world.server()));
        eprintln!("refused because {causes:?}");
        assert!(!causes.is_empty() && causes.iter().all(|cause| cause.starts_with("the ")), "{causes:?}");
    };
    a_token_directory_is_taken_away_under_load = |world| {
        let (tokens, elsewhere) = (world.dir.join("tokens"), world.dir.join("elsewhere"));
        let key = world.keystore("one", 4).generate("key", KeyType::P256).unwrap().1;
        let away = || std::fs::rename(&tokens, &elsewhere).unwrap();
        let back = || std::fs::rename(&elsewhere, &tokens).unwrap();
        let causes = taken_away_and_back(key.as_ref(), away, back);
        eprintln!("refused because {causes:?}");
    };
    a_keystore_outlives_many_losses = |world| {
        let keystore = world.keystore_at(&client(), "one", pin(PIN), 2);
        let mut server = world.server();
        let key = keystore.generate("key", KeyType::P256).unwrap().1;
        for _ in 0..5 {
            server.kill();
            key.sign(b"message").unwrap_err();
            server = world.server();
            key.sign(b"message").unwrap();
        }
    };
}
