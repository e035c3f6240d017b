//! What was received by one process is known to all.

use crate::support::*;
use model::{Module, Nonce, UnixTime};
use ports::directory::Caller;
use ports::replay::Received;

fn caller(module: Module) -> Caller {
    Caller { module, instance: "box".parse().unwrap() }
}

#[test]
fn a_message_is_new_once() {
    let b = Box_::new();
    let store = b.open();
    let note =
        |caller: &Caller, n: u8, until_s| store.note(caller, Nonce::new([n; 16]), UnixTime::from_s(until_s)).unwrap();
    let (pm, console) = (caller(Module::Provisioning), caller(Module::Console));
    assert!(note(&pm, 1, 1000));
    assert!(!note(&pm, 1, 1000));
    assert!(note(&pm, 2, 1000));
    // Nobody uses up the nonces of another.
    assert!(note(&console, 1, 1000));
    let elsewhere = Caller { instance: "other".parse().unwrap(), ..pm.clone() };
    assert!(note(&elsewhere, 1, 1000));
    // Long after, it may be forgotten: its message is out of time.
    assert!(note(&pm, 3, 1000 + 601));
    assert!(note(&pm, 1, 1000));
}
