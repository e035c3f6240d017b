//! `cradle bus config --again`: the users of a broker that runs, as they are now.

use super::Common;
use super::bus::{callers, known, seed_of};
use crate::compose::bus_failure;
use crate::config::{BusConfig, Config, Places};
use crate::enrol;
use crate::fault::{Exit, Failure, Result};
use crate::joining::admit;
use adapters::bus::nats::Site;
use adapters::bus::nats::configuration::{Known, with_users};
use adapters::bus::nats::credentials::public_key_of;
use adapters::files;
use adapters::store::SqlStore;
use model::{Entity, Module, StationName};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// Longest configuration that is read, in octets: thousands of users.
const CONFIGURATION_LEN_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn run(common: &Common, directory: Option<&Path>) -> Result {
    let config = Config::read(&common.data)?;
    let bus = config.bus.as_ref().ok_or_else(|| {
        Failure::new(Exit::Usage, "no-bus", "the modules of this installation share one process")
            .because("its cradle.toml names no broker over which they could meet")
            .next("`cradle bus config DIRECTORY --box NAME` writes a configuration for others")
    })?;
    let directory = directory.map_or_else(|| Places::of(&common.data).bus(bus), Path::to_owned);
    let path = directory.join("nats-server.conf");
    let octets = files::read_bounded(&path, CONFIGURATION_LEN_MAX).map_err(|e| Failure::file(&path, &e))?;
    let before = String::from_utf8_lossy(&octets);
    let users = users(&common.records()?, bus, &directory)?;
    let text = with_users(&before, &users.iter().collect::<Vec<_>>()).ok_or_else(|| {
        Failure::new(Exit::Usage, "bus", format!("{} was not changed", path.display()))
            .because("its users do not stand where `cradle bus config` writes them")
            .next("write another with `cradle bus config DIRECTORY`, and take over what was added by hand")
    })?;
    files::replace(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    let shown: Vec<_> = users
        .iter()
        .map(|user| json!({"box": user.site.instance, "module": user.module, "public_key": user.public_key}))
        .collect();
    let said = json!({"configuration": path, "domain": bus.domain, "users": shown});
    common.out().one(&said, || format!("{}\n{} users\n", path.display(), users.len()))?;
    common.out().next("nats-server --signal reload, which takes it without an interruption");
    Ok(())
}

/// Who may sign in: those whose seeds lie beside it, and modules of boxes that were admitted, while they are certified.
fn users(store: &SqlStore, bus: &BusConfig, directory: &Path) -> Result<Vec<Known>> {
    let callers = callers()?;
    let domain: adapters::bus::nats::Domain = bus.domain.parse().map_err(|e| {
        Failure::new(Exit::Usage, "bus", "the domain of the bus is no name").because(e).next("correct cradle.toml")
    })?;
    let site = |instance: &StationName| Site { domain: domain.clone(), instance: instance.clone() };
    let mut users = Vec::new();
    let beside = boxes_beside(directory)?;
    for instance in &beside {
        for module in Module::ALL {
            let seed = seed_of(directory, instance, module);
            if seed.exists() {
                let public_key = public_key_of(&seed).map_err(|fault| bus_failure(&fault))?;
                users.push(known(module, &site(instance), &callers, public_key));
            }
        }
    }
    let certified: BTreeSet<_> = enrol::holders(store)?.into_iter().map(|holder| holder.subject.to_string()).collect();
    for admitted in admit::admitted(store)?.into_iter().filter(|admitted| !beside.contains(&admitted.instance)) {
        for (module, login) in admitted.logins {
            let subject = Entity::Module(module, admitted.instance.clone());
            if certified.contains(&subject.to_string()) {
                users.push(known(module, &site(&admitted.instance), &callers, login));
            }
        }
    }
    Ok(users)
}

/// The boxes that have seeds in a directory.
fn boxes_beside(directory: &Path) -> Result<BTreeSet<StationName>> {
    let mut boxes = BTreeSet::new();
    for entry in std::fs::read_dir(directory).map_err(|e| Failure::file(directory, &e))? {
        let name = entry.map_err(|e| Failure::file(directory, &e))?.file_name();
        let words = name.to_str().and_then(|name| name.strip_suffix(".seed")?.rsplit_once('.'));
        if let Some((instance, _)) = words
            && let Ok(instance) = instance.parse()
        {
            boxes.insert(instance);
        }
    }
    Ok(boxes)
}
