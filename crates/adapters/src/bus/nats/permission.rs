//! What the broker lets each module do: what `contracts/callers.toml` lets it call, and nothing else.
//!
//! Defence in depth only. Who may call whom is decided by the receiver, by the seal.

use super::address::Site;
use model::Module;
use model::callers::Callers;
use model::contract::Subject;

/// How many answers a module may give to one call.
pub const ANSWERS_MAX: u32 = 1;
/// How long a module may answer a call, in seconds: longer than anybody waits.
pub const ANSWER_S: u64 = 120;

/// What one module on one box may publish and hear. It may also answer each call once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Addresses to which it may publish.
    pub publish: Vec<String>,
    /// Addresses that it may hear; with a second word, only as one of that queue group.
    pub subscribe: Vec<String>,
}

impl Permission {
    /// That of `module` at `site`.
    #[must_use]
    pub fn of(module: Module, site: &Site, callers: &Callers) -> Self {
        let inbox = format!("{}.>", site.inbox(module));
        let calls = Subject::ALL.iter().filter(|subject| callers.permit(module, **subject));
        let mut publish: Vec<_> = calls.flat_map(|subject| addresses(site, *subject)).collect();
        // To itself: so it learns what the broker has done.
        publish.push(inbox.clone());
        let mut subscribe = vec![inbox, format!("{} {module}", site.calls_to(module)), site.leases_to(module)];
        let stream = site.stream();
        match module {
            Module::Supervisor => {
                publish.push(site.events());
                publish.extend(["STREAM.CREATE", "STREAM.INFO"].map(|verb| format!("$JS.API.{verb}.{stream}")));
            }
            Module::Console => {
                // The events are read from the stream, and each is acknowledged.
                publish.push(format!("$JS.API.STREAM.INFO.{stream}"));
                let verbs = ["CREATE", "DURABLE.CREATE", "INFO", "MSG.NEXT"];
                publish.extend(verbs.map(|verb| format!("$JS.API.CONSUMER.{verb}.{stream}.>")));
                publish.push(format!("$JS.ACK.{stream}.>"));
            }
            Module::Provisioning | Module::Authority | Module::Software | Module::Gateway | Module::Identity => {}
        }
        subscribe.sort();
        publish.sort();
        Self { publish, subscribe }
    }
}

/// Where a call goes: a lease to any module.
fn addresses(site: &Site, subject: Subject) -> Vec<String> {
    match subject {
        Subject::ModeLease => Module::ALL.into_iter().map(|to| site.call(to, subject)).collect(),
        _ => vec![site.call(subject.module(), subject)],
    }
}
