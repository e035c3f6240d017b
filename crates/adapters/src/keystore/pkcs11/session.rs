//! Sessions with a token: opened as they are needed, lent to one caller at a time, dropped when the token fails, and
//! opened again with the next call.

use crate::keystore::pkcs11::fault::TokenFault;
use crate::keystore::pkcs11::module::{Calling, Module, Run};
use crate::keystore::pkcs11::pin::{Pin, PinOctets};
use crate::keystore::pkcs11::report::PinState;
use crate::keystore::pkcs11::uri::Pkcs11Uri;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use model::Digest;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a call waits for a session. A token that signs ten times a second has answered 300 calls by then.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a call begins anew because others restarted the module meanwhile.
const RESTARTS_MAX: usize = 3;
/// How many different PINs are tried in the life of a keystore: who changes the PIN's source may err once or twice.
const PINS_MAX: usize = 3;

/// Counts the times that sessions were opened; handles of objects hold for one of them.
pub(crate) type Epoch = u64;

/// A token, named by a URI, and the sessions with it.
pub(crate) struct Token {
    module: Arc<Module>,
    uri: Pkcs11Uri,
    pin: Pin,
    sessions_max: usize,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    epoch: Epoch,
    /// Digests of PINs that the token refused.
    refused: Vec<Digest>,
}

struct Open {
    run: Run,
    slot: Slot,
    idle: Vec<Session>,
    lent: usize,
    sessions_max: usize,
}

/// What a caller works with.
pub(crate) struct Lane<'a> {
    pub(crate) pkcs11: &'a Pkcs11,
    pub(crate) slot: Slot,
    pub(crate) session: &'a Session,
    pub(crate) epoch: Epoch,
}

/// A session that is lent.
struct Lent {
    session: Session,
    slot: Slot,
    run: Run,
    epoch: Epoch,
}

impl Token {
    pub(crate) fn new(module: Arc<Module>, uri: Pkcs11Uri, pin: Pin, sessions_max: NonZeroUsize) -> Self {
        let sessions_max = sessions_max.get();
        Self { module, uri, pin, sessions_max, state: Mutex::default(), given_back: Condvar::new() }
    }

    pub(crate) fn module(&self) -> &Module {
        &self.module
    }
    pub(crate) fn uri(&self) -> &Pkcs11Uri {
        &self.uri
    }

    /// Works in a session with somebody logged in. After a fault of the token all sessions are dropped, and the next
    /// call opens new ones. Nothing is repeated after `work` began.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Lane<'_>) -> Result<T, TokenFault>) -> Result<T, TokenFault> {
        for _ in 0..RESTARTS_MAX {
            let lent = self.lend()?;
            let Some(calling) = self.module.call().ok().filter(|calling| calling.run() == lent.run) else {
                // The module was started anew: the session is none any more.
                self.lose(lent.epoch);
                continue;
            };
            let lane = Lane { pkcs11: calling.pkcs11(), slot: lent.slot, session: &lent.session, epoch: lent.epoch };
            let result = work(&lane);
            // Before the lock of the sessions is taken: who holds it may wait for the module to be free.
            drop(calling);
            match &result {
                Err(fault) if !fault.sessions_survive() => {
                    self.lose(lent.epoch);
                    self.close(lent.run, [lent.session]);
                }
                _ => self.give_back(lent),
            }
            return result;
        }
        Err(TokenFault::Restarted)
    }

    /// How many sessions are open, lent or not.
    pub(crate) fn sessions(&self) -> usize {
        self.state().open.as_ref().map_or(0, |open| open.idle.len() + open.lent)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lend(&self) -> Result<Lent, TokenFault> {
        let mut state = self.state();
        loop {
            if state.open.is_none() {
                self.open(&mut state)?;
            }
            let State { open: Some(open), epoch, refused } = &mut *state else { continue };
            let (run, slot, epoch) = (open.run, open.slot, *epoch);
            if let Some(session) = open.idle.pop() {
                open.lent += 1;
                return Ok(Lent { session, slot, run, epoch });
            }
            if open.lent < open.sessions_max {
                match self.session(open.run, open.slot, refused) {
                    Ok(session) => {
                        open.lent += 1;
                        return Ok(Lent { session, slot, run, epoch });
                    }
                    // The token has fewer than we may use.
                    Err(TokenFault::Returned(RvError::SessionCount)) if open.lent > 0 => open.sessions_max = open.lent,
                    Err(TokenFault::Restarted) => state.open = None,
                    Err(fault) => {
                        let idle = state.open.take().map(|open| open.idle).unwrap_or_default();
                        self.close(run, idle);
                        return Err(fault);
                    }
                }
                continue;
            }
            let (woken, waited) = self.given_back.wait_timeout(state, WAIT_MAX).unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                return Err(TokenFault::Busy);
            }
            state = woken;
        }
    }

    fn give_back(&self, lent: Lent) {
        let mut state = self.state();
        let current = state.epoch == lent.epoch;
        match &mut state.open {
            Some(open) if current => {
                open.lent = open.lent.saturating_sub(1);
                open.idle.push(lent.session);
                drop(state);
            }
            _ => {
                drop(state);
                self.close(lent.run, [lent.session]);
            }
        }
        self.given_back.notify_one();
    }

    /// Drops all sessions, unless somebody opened new ones since.
    fn lose(&self, epoch: Epoch) {
        let lost = {
            let mut state = self.state();
            if state.epoch == epoch { state.open.take() } else { None }
        };
        if let Some(open) = lost {
            self.close(open.run, open.idle);
        }
        self.given_back.notify_all();
    }

    /// Closes sessions of a run. In another one their numbers may belong to others.
    fn close(&self, run: Run, sessions: impl IntoIterator<Item = Session>) {
        let Ok(calling) = self.module.call() else { return };
        if calling.run() == run {
            // One that cannot be closed is closed already.
            sessions.into_iter().for_each(|session| drop(session.close()));
        }
    }

    fn open(&self, state: &mut State) -> Result<(), TokenFault> {
        let run = self.module.call()?.run();
        match self.open_in_this_run(state) {
            // A module may have lost its connection, or number its slots only when it starts.
            Err(fault) if fault == TokenFault::TokenMissing || !fault.sessions_survive() => {
                self.module.restart(run)?;
                self.open_in_this_run(state)
            }
            other => other,
        }
    }

    fn open_in_this_run(&self, state: &mut State) -> Result<(), TokenFault> {
        let (run, slot) = {
            let calling = self.module.call()?;
            (calling.run(), find_token(calling.pkcs11(), &self.uri)?.0)
        };
        let session = self.session(run, slot, &mut state.refused)?;
        state.epoch += 1;
        state.open = Some(Open { run, slot, idle: vec![session], lent: 0, sessions_max: self.sessions_max });
        Ok(())
    }

    /// Opens a session, and logs in if nobody is: the login belongs to all sessions of the process with the token.
    fn session(&self, run: Run, slot: Slot, refused: &mut Vec<Digest>) -> Result<Session, TokenFault> {
        let calling = self.module.call()?;
        if calling.run() != run {
            return Err(TokenFault::Restarted);
        }
        // Closed by hand, in its own run only.
        let session = calling.pkcs11().open_ro_session_no_drop(slot)?;
        if let Err(fault) = self.log_in(&calling, &session, slot, refused) {
            drop(session.close());
            return Err(fault);
        }
        Ok(session)
    }

    fn log_in(
        &self,
        calling: &Calling<'_>,
        session: &Session,
        slot: Slot,
        refused: &mut Vec<Digest>,
    ) -> Result<(), TokenFault> {
        let info = calling.pkcs11().get_token_info(slot)?;
        log_in(session, &info, || {
            let pin = self.pin.ask()?;
            let tried = refused.contains(&x509::sha256(&pin)) || refused.len() >= PINS_MAX;
            if tried { Err(TokenFault::PinRefused) } else { Ok(pin) }
        })
        .map_err(|refusal| {
            refused.extend(refusal.pin);
            refusal.fault
        })
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let epoch = self.state().epoch;
        self.lose(epoch);
    }
}

/// A login that failed.
pub(crate) struct Refusal {
    pub(crate) fault: TokenFault,
    /// The digest of the PIN, if it was the PIN that was refused.
    pin: Option<Digest>,
}

impl<F: Into<TokenFault>> From<F> for Refusal {
    fn from(fault: F) -> Self {
        Self { fault: fault.into(), pin: None }
    }
}

/// Logs in, unless somebody is. The PIN is asked for only if it is sent.
pub(crate) fn log_in(
    session: &Session,
    info: &TokenInfo,
    pin: impl FnOnce() -> Result<PinOctets, TokenFault>,
) -> Result<(), Refusal> {
    let logged_in = matches!(session.get_session_info()?.session_state(), SessionState::RoUser | SessionState::RwUser);
    if logged_in || !info.login_required() {
        return Ok(());
    }
    may_try_a_pin(pin_state(info))?;
    let pin = pin()?;
    match session.login_with_raw(UserType::User, &RawAuthPin::new(Box::new(pin.to_vec()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(error) => {
            let fault = TokenFault::from(error);
            let the_pin = matches!(
                fault,
                TokenFault::PinRefused | TokenFault::PinLocked | TokenFault::Returned(RvError::PinExpired)
            );
            Err(Refusal { fault, pin: the_pin.then(|| x509::sha256(&pin)) })
        }
    }
}

/// What a token says of the user's PIN.
pub(crate) fn pin_state(info: &TokenInfo) -> PinState {
    PinState {
        set: info.user_pin_initialized(),
        count_low: info.user_pin_count_low(),
        last_try: info.user_pin_final_try(),
        locked: info.user_pin_locked(),
        to_be_changed: info.user_pin_to_be_changed(),
    }
}

/// Whether a login may be tried. A wrong PIN at the wrong moment locks the token for everybody.
fn may_try_a_pin(pin: PinState) -> Result<(), TokenFault> {
    match pin {
        PinState { set: false, .. } => Err(TokenFault::PinUnset),
        PinState { locked: true, .. } => Err(TokenFault::PinLocked),
        PinState { last_try: true, .. } => Err(TokenFault::PinLastTry),
        _ => Ok(()),
    }
}

/// Finds the one token that fits. Slots whose token does not answer are not looked at.
pub(crate) fn find_token(pkcs11: &Pkcs11, uri: &Pkcs11Uri) -> Result<(Slot, TokenInfo), TokenFault> {
    let slots = pkcs11.get_slots_with_token()?;
    let mut fitting = slots.into_iter().filter_map(|slot| {
        let info = pkcs11.get_token_info(slot).ok().filter(TokenInfo::token_initialized)?;
        fits(uri, slot, &info).then_some((slot, info))
    });
    match (fitting.next(), fitting.next()) {
        (Some(token), None) => Ok(token),
        (None, _) => Err(TokenFault::TokenMissing),
        (Some(_), Some(_)) => Err(TokenFault::TokenAmbiguous),
    }
}

/// Whether a token is the one that a URI names.
pub(crate) fn fits(uri: &Pkcs11Uri, slot: Slot, info: &TokenInfo) -> bool {
    let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
    same(&uri.token, info.label())
        && same(&uri.manufacturer, info.manufacturer_id())
        && same(&uri.serial, info.serial_number())
        && same(&uri.model, info.model())
        && uri.slot_id.is_none_or(|wanted| wanted == slot.id())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: PinState =
        PinState { set: true, count_low: false, last_try: false, locked: false, to_be_changed: false };

    #[track_caller]
    fn check(pin: PinState, expected: Result<(), TokenFault>) {
        assert_eq!(may_try_a_pin(pin), expected);
    }

    #[test]
    fn a_pin_is_tried() {
        check(SET, Ok(()));
    }
    #[test]
    fn a_pin_is_tried_after_somebody_erred() {
        check(PinState { count_low: true, ..SET }, Ok(()));
    }
    #[test]
    fn the_last_try_is_left_to_a_person() {
        check(PinState { count_low: true, last_try: true, ..SET }, Err(TokenFault::PinLastTry));
    }
    #[test]
    fn a_locked_token_is_left_alone() {
        check(PinState { locked: true, ..SET }, Err(TokenFault::PinLocked));
    }
    #[test]
    fn a_token_without_pin_is_left_alone() {
        check(PinState { set: false, ..SET }, Err(TokenFault::PinUnset));
    }
}
