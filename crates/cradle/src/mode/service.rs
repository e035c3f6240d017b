//! What modules answer, wherever they run.

use super::Stay;
use crate::compose::{Following, Workshop, device_profiles};
use crate::fault::{Exit, Failure, Result, While};
use authority::Authority;
use identity::registry::{Registry, Unsigned};
use model::contract::Subject;
use model::{Fault, Module, Reason};
use ports::directory::Caller;
use ports::{Link, Service};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Starts a module: what it answers is behind its link. sm follows by itself if it stays and the settings say so, until that is dropped.
pub(crate) fn started(
    workshop: &Workshop,
    module: Module,
    link: &Arc<Link>,
    stay: Stay,
) -> Result<(Arc<dyn Service>, Option<Following>)> {
    if module == Module::Software && stay == Stay::Up && workshop.config.software.is_some() {
        let software = Arc::new(workshop.software()?);
        let following = Following::start(Arc::clone(&software), link)?;
        return Ok((software, Some(following)));
    }
    Ok((answering(workshop, module, link)?, None))
}

fn answering(workshop: &Workshop, module: Module, link: &Arc<Link>) -> Result<Arc<dyn Service>> {
    Ok(match module {
        Module::Authority => {
            let km = Authority::start_with(
                workshop.authority_setting()?,
                Some(workshop.abroad()),
                workshop.cmp()?,
                workshop.acme()?,
                workshop.scep(),
            );
            let km = km.or_fail(&format!("starting {module}"))?;
            Arc::new(km).on(link)
        }
        Module::Identity => {
            let profiles = device_profiles(&workshop.places)?;
            let registry = Registry::new(workshop.store.clone(), workshop.config.maker_pen, profiles);
            let refused = workshop.config.signed_lists_only;
            let registry = registry.with(if refused { Unsigned::Refused } else { Unsigned::Taken });
            identity::Identity::on(registry, link)
        }
        Module::Software => Arc::new(workshop.software()?),
        Module::Provisioning | Module::Gateway => Arc::new(Quiet),
        Module::Console | Module::Supervisor => {
            return Err(Failure::new(Exit::Failed, "module", format!("{module} is not started here")));
        }
    })
}

/// A module that only calls, and answers nothing but its lease.
struct Quiet;

impl Service for Quiet {
    fn answer(&self, _: &Caller, _: Subject, _: &RawValue) -> std::result::Result<Box<RawValue>, Fault> {
        Err(Reason::WrongSubject.into())
    }
}
