//! The power goes at every step that changes the disk: a device follows before, then, and after; and the next command goes on.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;

use common::{Device, Keyring, NOW, Shop, key, signer, to};
use repository::{Before, Fault, Leave, OldKeys, Repository, Rotation};
use std::cell::Cell;
use std::io::{self, Cursor};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use update::Threshold;
use update::tuf::write::SuccinctBins;

/// Power for so many steps.
fn until(steps: usize, done: &Rc<Cell<usize>>) -> Box<Before> {
    let done = Rc::clone(done);
    Box::new(move |_: &Path| {
        done.set(done.get() + 1);
        if done.get() > steps { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    })
}

fn copied(of: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let done = Command::new("cp").arg("-a").arg(format!("{}/.", of.display())).arg(copy.path()).status().unwrap();
    assert!(done.success());
    copy
}

/// What somebody does with a repository, to the end or to the cut. Done once more, it must come to the same end.
type Act<'a> = dyn Fn(&mut Repository) -> Result<(), Fault> + 'a;

/// Cuts the power at each step of `act`. Gives how many there are.
#[track_caller]
fn every_cut(shop: &Shop, act: &Act<'_>, is_new: &dyn Fn(&mut Device, &Path) -> bool) -> usize {
    let mut before = shop.device();
    before.refresh(shop.dir.path(), NOW).unwrap();
    assert!(!is_new(&mut before.clone(), shop.dir.path()), "it is not so yet");
    let mut seen_new = 0;
    for steps in 0.. {
        let copy = copied(shop.dir.path());
        let done = Rc::new(Cell::new(0));
        let ended = Repository::open(copy.path(), until(steps, &done)).and_then(|mut opened| act(&mut opened));
        // The device has followed before, follows now, and gets all of the old or all of the new.
        let mut device = before.clone();
        assert_eq!(device.refresh(copy.path(), NOW), Ok(()), "a cut at step {steps}");
        let new = is_new(&mut device, copy.path());
        assert!(device.get(copy.path(), "image", NOW).is_ok(), "a cut at step {steps}");
        assert!(before.clone().get(copy.path(), "image", NOW).is_ok(), "a cut at step {steps}");
        if ended.is_ok() {
            assert!(new, "it was done");
            assert!(seen_new < done.get(), "some cuts were before");
            return done.get();
        }
        seen_new += usize::from(new);
        // The next command goes on, whatever was left.
        let mut again = Repository::open(copy.path(), common::always()).unwrap();
        act(&mut again).unwrap_or_else(|fault| panic!("after a cut at step {steps}: {fault}"));
        let found = again.verify(NOW).unwrap();
        assert!(found.is_empty(), "after a cut at step {steps}: {found:?}");
        drop(again);
        assert_eq!(device.refresh(copy.path(), NOW), Ok(()), "after a cut at step {steps}");
        assert!(is_new(&mut device, copy.path()), "after a cut at step {steps}");
        let left = Repository::open(copy.path(), common::always()).unwrap();
        assert_eq!(left.repaired(), [""; 0], "nothing is left to repair");
    }
    unreachable!("it ends")
}

fn publish(repository: &mut Repository, keys: &Keyring) -> Result<(), Fault> {
    let done = repository.publish(keys, NOW, OldKeys::Sign)?;
    assert_eq!(done.waiting, []);
    Ok(())
}
fn gets(name: &'static str, octets: &'static [u8]) -> impl Fn(&mut Device, &Path) -> bool {
    move |device, dir| device.get(dir, name, NOW).is_ok_and(|got| got == octets)
}

#[test]
fn while_an_image_is_published() {
    let shop = Shop::open_to_all();
    let keys = shop.keyring();
    let act = |repository: &mut Repository| {
        repository.add("dir/other", &mut Cursor::new(b"second"), None, None, NOW)?;
        publish(repository, &keys)
    };
    let steps = every_cut(&shop, &act, &gets("dir/other", b"second"));
    assert_eq!(steps, 36);
}
#[test]
fn while_an_image_takes_the_place_of_another() {
    let shop = Shop::open_to_all();
    let keys = shop.keyring();
    let act = |repository: &mut Repository| {
        repository.add("image", &mut Cursor::new(b"second"), None, None, NOW)?;
        publish(repository, &keys)
    };
    every_cut(&shop, &act, &gets("image", b"second"));
}
#[test]
fn while_every_role_gets_other_keys() {
    let shop = Shop::open_to_all();
    let new = [signer(), signer(), signer(), signer()];
    let keys: Keyring = shop.keyring().into_iter().chain(new.iter().cloned()).collect();
    let act = |repository: &mut Repository| {
        for ((role, old), new) in ["root", "timestamp", "snapshot", "targets"].into_iter().zip(&shop.by).zip(&new) {
            let rotation = Rotation { add: vec![key(new)], remove: vec![key(old).id().to_owned()], threshold: None };
            repository.rotate(role, &rotation, NOW)?;
        }
        publish(repository, &keys)
    };
    every_cut(&shop, &act, &|device, _| device.version("root") > 1);
}
#[test]
fn while_a_supplier_is_led_to() {
    let shop = Shop::open_to_all();
    let supplier = signer();
    let keys: Keyring = shop.keyring().into_iter().chain([supplier.clone()]).collect();
    let act = |repository: &mut Repository| {
        let leave =
            Leave { from: "targets".into(), to: to("supplier", std::slice::from_ref(&supplier), &["supplier/*"]) };
        repository.delegate(&leave, NOW)?;
        repository.add("supplier/modem", &mut Cursor::new(b"modem"), None, Some("supplier"), NOW)?;
        publish(repository, &keys)
    };
    every_cut(&shop, &act, &gets("supplier/modem", b"modem"));
}
#[test]
fn while_all_goes_into_bins() {
    for succinct in [true, false] {
        let shop = Shop::open_to_all();
        let bin = signer();
        let keys: Keyring = shop.keyring().into_iter().chain([bin.clone()]).collect();
        let act = |repository: &mut Repository| {
            let bins = SuccinctBins { prefix: "bin".into(), bits: 1, keys: vec![key(&bin)], threshold: Threshold::ONE };
            match repository.put_into_bins(&bins, succinct, NOW) {
                // A cut after the last step of it.
                Ok(_) | Err(Fault::AlreadyDelegated) => publish(repository, &keys),
                Err(fault) => Err(fault),
            }
        };
        let led = |device: &mut Device, dir: &Path| {
            device.get(dir, "image", NOW).is_ok() && device.kept.keys().any(|file| file.starts_with("bin-"))
        };
        every_cut(&shop, &act, &led);
    }
}
#[test]
fn while_it_is_published_first() {
    let shop = Shop::begun();
    shop.add("image", b"first");
    let keys = shop.keyring();
    for steps in 0.. {
        let copy = copied(shop.dir.path());
        let done = Rc::new(Cell::new(0));
        let ended = Repository::open(copy.path(), until(steps, &done)).and_then(|mut one| publish(&mut one, &keys));
        let is_there = copy.path().join("metadata/1.root.json").exists();
        if ended.is_ok() {
            assert!(is_there && steps > 30);
            return;
        }
        if !is_there {
            publish(&mut Repository::open(copy.path(), common::always()).unwrap(), &keys).unwrap();
        }
        let root = std::fs::read(copy.path().join("metadata/1.root.json")).unwrap();
        let mut device = Device { kept: [("root.json".to_owned(), root)].into() };
        assert_eq!(device.get(copy.path(), "image", NOW), Ok(b"first".to_vec()), "a cut at step {steps}");
    }
}
#[test]
fn while_it_is_begun() {
    let shop = Shop::begun();
    let start = repository::Start {
        roles: update::tuf::write::Top::ALL
            .into_iter()
            .zip(&shop.by)
            .map(|(role, by)| (role, (vec![key(by)], Threshold::ONE)))
            .collect(),
        lifetimes: repository::Lifetimes::DEFAULT,
    };
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let done = Rc::new(Cell::new(0));
        if Repository::begin(dir.path(), &start, NOW, until(steps, &done)).is_ok() {
            assert!(steps > 15);
            return;
        }
        match Repository::begin(dir.path(), &start, NOW, common::always()) {
            Ok(_) | Err(Fault::Exists) => {}
            Err(fault) => panic!("after a cut at step {steps}: {fault}"),
        }
        publish(&mut Repository::open(dir.path(), common::always()).unwrap(), &shop.keyring()).unwrap();
    }
}
#[test]
fn while_old_versions_go() {
    let shop = Shop::open_to_all();
    for octets in [b"second", b"third "] {
        shop.add("image", octets);
        shop.publish();
    }
    let act = |repository: &mut Repository| repository.prune(0).map(|_| ());
    for steps in 0.. {
        let copy = copied(shop.dir.path());
        let done = Rc::new(Cell::new(0));
        let ended = Repository::open(copy.path(), until(steps, &done)).and_then(|mut one| act(&mut one));
        let mut device = shop.device();
        assert_eq!(device.get(copy.path(), "image", NOW), Ok(b"third ".to_vec()), "a cut at step {steps}");
        if ended.is_ok() {
            assert!(steps > 8);
            return;
        }
        let mut again = Repository::open(copy.path(), common::always()).unwrap();
        act(&mut again).unwrap();
        assert_eq!(again.verify(NOW).unwrap(), []);
        assert_eq!(std::fs::read_dir(copy.path().join("targets")).unwrap().count(), 1);
    }
}
