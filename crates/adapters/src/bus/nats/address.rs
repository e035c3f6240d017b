//! The names under which calls, answers and events go over the broker.

use model::contract::Subject;
use model::text::BadName;
use model::{Module, StationName};
use std::fmt;
use std::str::FromStr;

/// All that meets over one broker and shall hear of each other. Several domains may share a broker.
///
/// Shape: that of a [`StationName`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(StationName);

impl FromStr for Domain {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        text.parse().map(Self)
    }
}
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a module runs: in which domain, on which box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The domain.
    pub domain: Domain,
    /// The box or station.
    pub instance: StationName,
}

impl Site {
    /// Where a call of this site goes. A lease, and whatever a supervisor or a station is told, stays on its box.
    #[must_use]
    pub fn call(&self, to: Module, subject: Subject) -> String {
        format!("{}.{subject}", self.root(to, subject))
    }

    fn root(&self, to: Module, subject: Subject) -> String {
        let Self { domain, instance } = self;
        if subject == Subject::ModeLease || to == Module::Supervisor {
            format!("cradle.{domain}.box.{instance}.{to}")
        } else if to.answers_at_home() {
            // Beside leases, and not among them: who hears all of these hears none of those twice.
            format!("cradle.{domain}.station.{instance}.{to}")
        } else {
            format!("cradle.{domain}.{to}")
        }
    }

    /// The calls that any process of a module may answer, of which one does.
    #[must_use]
    pub fn calls_to(&self, module: Module) -> String {
        // Any subject but a lease.
        format!("{}.>", self.root(module, Subject::ModeSeal))
    }

    /// The leases, which every process of a module on this box takes.
    #[must_use]
    pub fn leases_to(&self, module: Module) -> String {
        self.call(module, Subject::ModeLease)
    }

    /// The subject of a call that arrived for `module` under `address`.
    #[must_use]
    pub fn subject_of(&self, module: Module, address: &str) -> Option<Subject> {
        Subject::ALL.iter().copied().find(|subject| self.call(module, *subject) == address)
    }

    /// Under what a module awaits its answers: nobody else may listen there.
    #[must_use]
    pub fn inbox(&self, module: Module) -> String {
        format!("_INBOX.{}.{}.{module}", self.domain, self.instance)
    }

    /// Where the events of this box go.
    #[must_use]
    pub fn events(&self) -> String {
        format!("cradle.{}.events.{}", self.domain, self.instance)
    }

    /// Where the events of all boxes of the domain go.
    #[must_use]
    pub fn all_events(&self) -> String {
        format!("cradle.{}.events.*", self.domain)
    }

    /// The stream that keeps the events of the domain.
    #[must_use]
    pub fn stream(&self) -> String {
        // A stream's name has no dots, and neither has a domain.
        format!("CRADLE_EVENTS_{}", self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site { domain: "plant".parse().unwrap(), instance: "line-1".parse().unwrap() }
    }
    #[track_caller]
    fn check(to: Module, subject: Subject, expected: &str) {
        let address = site().call(to, subject);
        assert_eq!(address, expected);
        assert_eq!(site().subject_of(to, &address), Some(subject));
    }
    #[test]
    fn a_call_goes_to_any_process_of_the_module() {
        check(Module::Authority, Subject::AuthorityCertify, "cradle.plant.authority.authority.certify");
        assert_eq!(site().calls_to(Module::Authority), "cradle.plant.authority.>");
    }
    #[test]
    fn a_lease_stays_on_its_box() {
        check(Module::Authority, Subject::ModeLease, "cradle.plant.box.line-1.authority.mode.lease");
    }
    #[test]
    fn what_a_supervisor_is_told_stays_on_its_box() {
        check(Module::Supervisor, Subject::ModeSeal, "cradle.plant.box.line-1.supervisor.mode.seal");
        assert_eq!(site().calls_to(Module::Supervisor), "cradle.plant.box.line-1.supervisor.>");
    }
    #[test]
    fn what_a_station_is_told_stays_on_its_box() {
        check(
            Module::Provisioning,
            Subject::ProvisioningRun,
            "cradle.plant.station.line-1.provisioning.provisioning.run",
        );
    }
    #[test]
    fn nobody_hears_a_lease_among_the_calls_that_one_process_answers() {
        for module in Module::ALL.into_iter().filter(|module| *module != Module::Supervisor) {
            let (calls, lease) = (site().calls_to(module), site().leases_to(module));
            assert!(!lease.starts_with(calls.trim_end_matches('>')), "{calls} {lease}");
        }
    }
    #[test]
    fn an_address_of_another_module_box_or_domain_is_no_subject() {
        for address in [
            "cradle.plant.identity.authority.certify",
            "cradle.other.authority.authority.certify",
            "cradle.plant.box.line-2.authority.mode.lease",
            "cradle.plant.authority.mode.lease",
            "cradle.plant.authority.authority.certify.more",
            "",
        ] {
            assert_eq!(site().subject_of(Module::Authority, address), None, "{address}");
        }
    }
    #[test]
    fn a_domain_is_one_word_of_an_address() {
        for text in ["", "a.b", "a b", "*", ">", "A", "-"] {
            assert!(text.parse::<Domain>().is_err(), "{text}");
        }
    }
}
