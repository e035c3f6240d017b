//! PKCS #11 modules: one of each in a process, started once, shared by all who use it.
//!
//! `C_Initialize`, `C_Finalize` and the login belong to the process, not to a keystore. So a module is kept in one place
//! for the process, and is never unloaded: its threads may outlive it.

use crate::keystore::pkcs11::fault::TokenFault;
use crate::keystore::pkcs11::uri::Pkcs11Uri;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The modules of this process by their real path. Bounded by the configuration, which names them.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// How often a module has been started. Sessions and handles of one run mean something else in the next.
pub(crate) type Run = u64;

/// A module that is loaded.
pub(crate) struct Module {
    path: PathBuf,
    /// Held for each call of a module that must not be called twice at a time.
    alone: Option<Mutex<()>>,
    /// Calls hold it shared, a restart alone: `C_Finalize` while others call is undefined (PKCS #11 §5.4).
    state: RwLock<State>,
}

/// p11-kit's client carries all calls over one connection. If that breaks while a thread waits for the answer of another,
/// it waits for ever (seen with 0.24.1): so one call at a time.
const ONE_AT_A_TIME: &str = "p11-kit-client";

fn takes_one_at_a_time(module: &Path) -> bool {
    module.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ONE_AT_A_TIME))
}

struct State {
    pkcs11: Pkcs11,
    /// Zero before the first start.
    run: Run,
    started: bool,
}

/// The right to call a module until it is dropped.
pub(crate) struct Calling<'a> {
    state: RwLockReadGuard<'a, State>,
    _alone: Option<MutexGuard<'a, ()>>,
}

impl Calling<'_> {
    pub(crate) fn pkcs11(&self) -> &Pkcs11 {
        &self.state.pkcs11
    }
    pub(crate) fn run(&self) -> Run {
        self.state.run
    }
}

impl Module {
    /// Loads a module, or finds it loaded.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, TokenFault> {
        // A name without directory would be looked for where LD_LIBRARY_PATH says.
        if !path.is_absolute() {
            return Err(TokenFault::ModuleMissing);
        }
        let real = path.canonicalize().map_err(|_| TokenFault::ModuleMissing)?;
        if !real.is_file() {
            return Err(TokenFault::ModuleNoFile);
        }
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&real) {
            return Ok(module.clone());
        }
        let pkcs11 = Pkcs11::new(&real)?;
        let state = RwLock::new(State { pkcs11, run: 0, started: false });
        let alone = takes_one_at_a_time(&real).then(Mutex::default);
        let module = Arc::new(Self { path: real.clone(), alone, state });
        modules.insert(real, module.clone());
        Ok(module)
    }

    /// Whether this is the module that a URI asks for, or it asks for none.
    pub(crate) fn is_named_by(&self, uri: &Pkcs11Uri) -> bool {
        let same = |path: &String| Path::new(path).canonicalize().is_ok_and(|real| real == self.path);
        uri.module_path.as_ref().is_none_or(same) && self.path.to_str().is_some_and(|path| uri.may_mean(path))
    }

    /// Enters the module for some calls, and starts it if it is not.
    pub(crate) fn call(&self) -> Result<Calling<'_>, TokenFault> {
        let alone = self.alone.as_ref().map(|alone| alone.lock().unwrap_or_else(PoisonError::into_inner));
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.started {
                return Ok(Calling { state, _alone: alone });
            }
        }
        self.restart(0)?;
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        // Another one may have tried to restart it in between, in vain.
        if state.started {
            Ok(Calling { state, _alone: alone })
        } else {
            Err(TokenFault::Returned(RvError::CryptokiNotInitialized))
        }
    }

    /// Starts the module anew, unless somebody did since `run`. Waits until nobody is in it.
    pub(crate) fn restart(&self, run: Run) -> Result<(), TokenFault> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.started && state.run != run {
            return Ok(());
        }
        if state.started {
            // A module that cannot be stopped may still be started: the next line says.
            drop(state.pkcs11.clone().finalize());
        }
        state.started = false;
        match state.pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error.into()),
        }
        state.run = state.run.wrapping_add(1);
        state.started = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(path: &str, fault: TokenFault) {
        assert_eq!(Module::load(Path::new(path)).err(), Some(fault));
    }

    #[test]
    fn p11_kits_client_is_called_by_one_at_a_time() {
        assert!(takes_one_at_a_time(Path::new("/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so")));
    }
    #[test]
    fn a_token_is_called_by_many() {
        assert!(!takes_one_at_a_time(Path::new("/usr/lib/softhsm/libsofthsm2.so")));
    }
    #[test]
    fn a_module_that_is_not_there_is_missing() {
        refused("/nowhere/module.so", TokenFault::ModuleMissing);
    }
    #[test]
    fn a_name_without_directory_is_not_looked_for() {
        refused("libsofthsm2.so", TokenFault::ModuleMissing);
    }
    #[test]
    fn a_directory_is_no_module() {
        refused("/usr", TokenFault::ModuleNoFile);
    }
    #[test]
    fn a_text_is_no_module() {
        refused(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), TokenFault::ModuleNotLoaded);
    }
}
