//! Who may make which call, as `contracts/callers.toml` says.

use crate::Module;
use crate::contract::Subject;
use std::collections::BTreeMap;

/// The shipped table.
pub const CALLERS_TOML: &str = include_str!("../../../contracts/callers.toml");

/// Which modules may make which call. What is not named is refused.
#[derive(Clone, Debug)]
pub struct Callers {
    by_subject: BTreeMap<Subject, Vec<Module>>,
}

/// The table of callers was not well written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadCallers {
    /// Not TOML of the right shape, or an unknown subject or module.
    Unreadable(String),
    /// This subject has no line.
    Missing(Subject),
}

impl Callers {
    /// Reads a table.
    ///
    /// # Errors
    /// [`BadCallers`] if it is not TOML, names a subject or module that does not exist, or leaves a subject out.
    pub fn read(toml: &str) -> Result<Self, BadCallers> {
        let by_subject: BTreeMap<Subject, Vec<Module>> =
            toml::from_str(toml).map_err(|e| BadCallers::Unreadable(e.to_string()))?;
        match Subject::ALL.iter().find(|subject| !by_subject.contains_key(subject)) {
            Some(subject) => Err(BadCallers::Missing(*subject)),
            None => Ok(Self { by_subject }),
        }
    }

    /// Whether `caller` may call `subject`.
    #[must_use]
    pub fn permit(&self, caller: Module, subject: Subject) -> bool {
        self.by_subject.get(&subject).is_some_and(|callers| callers.contains(&caller))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_is_whole() {
        Callers::read(CALLERS_TOML).unwrap();
    }
    #[test]
    fn the_authority_calls_nobody() {
        let callers = Callers::read(CALLERS_TOML).unwrap();
        assert!(Subject::ALL.iter().all(|subject| !callers.permit(Module::Authority, *subject)));
    }
    #[test]
    fn only_the_supervisor_gives_leases() {
        let callers = Callers::read(CALLERS_TOML).unwrap();
        let may: Vec<_> = Module::ALL.into_iter().filter(|m| callers.permit(*m, Subject::ModeLease)).collect();
        assert_eq!(may, [Module::Supervisor]);
    }
    #[test]
    fn a_table_with_a_missing_subject_is_refused() {
        assert!(matches!(Callers::read(""), Err(BadCallers::Missing(_))));
    }
    #[test]
    fn a_table_with_an_unknown_subject_is_refused() {
        let toml = format!("{CALLERS_TOML}\n\"authority.rule\" = []\n");
        assert!(matches!(Callers::read(&toml), Err(BadCallers::Unreadable(_))));
    }
    #[test]
    fn a_table_with_an_unknown_module_is_refused() {
        let toml = CALLERS_TOML.replace("[\"identity\"]", "[\"mallory\"]");
        assert!(matches!(Callers::read(&toml), Err(BadCallers::Unreadable(_))));
    }
}
