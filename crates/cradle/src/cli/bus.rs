//! `cradle bus`: the broker over which modules meet that do not share a process.

use super::Common;
use crate::compose::bus_failure;
use crate::config::Config;
use crate::fault::{Exit, Failure, Result};
use adapters::bus::NatsBus;
use adapters::bus::nats::configuration::{Known, configuration};
use adapters::bus::nats::credentials::Login;
use adapters::bus::nats::{Age, Domain, Permission, Setting, Site};
use adapters::clock::{Stopwatch, SystemClock, SystemEntropy};
use adapters::files;
use model::callers::{CALLERS_TOML, Callers};
use model::{Module, StationName};
use serde::Serialize;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The broker between modules.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Write a configuration for nats-server, and a secret seed for each module with which it signs in.
    Config(ConfigArguments),
    /// Connect as a module, and show how the broker is.
    Check(CheckArguments),
}

#[derive(clap::Args)]
struct ConfigArguments {
    /// A new directory for all of it; seeds are secret and go to their boxes. With --again the one that is there: that
    /// of this box, if nothing is said.
    #[arg(required_unless_present = "again")]
    directory: Option<PathBuf>,
    /// Write the users of a configuration again, and leave all else in it: the seeds beside it stay, boxes that were
    /// admitted come in, modules whose certificates were revoked go.
    #[arg(long, conflicts_with_all = ["boxes", "listen", "store"])]
    again: bool,
    /// The name of all that shall hear of each other over this broker.
    #[arg(long, default_value = "cradle", value_name = "NAME")]
    domain: Domain,
    /// A box whose modules shall sign in, once for each: this one, if nobody is named.
    #[arg(long = "box", value_name = "NAME")]
    boxes: Vec<StationName>,
    /// Where the server listens.
    #[arg(long, default_value = "127.0.0.1:4222", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where the server keeps events: `jetstream` in the same directory, if nothing is said.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

#[derive(clap::Args)]
struct CheckArguments {
    /// The server.
    #[arg(long, default_value = "nats://127.0.0.1:4222", value_name = "URL")]
    server: String,
    /// The name of all that hear of each other over this broker.
    #[arg(long, default_value = "cradle", value_name = "NAME")]
    domain: Domain,
    /// The box: this one, if nobody is named.
    #[arg(long = "box", value_name = "NAME")]
    instance: Option<StationName>,
    /// As which module.
    #[arg(long, default_value = "console", value_parser = module, value_name = "MODULE")]
    module: Module,
    /// The seed of that module.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Certificates to trust, in PEM; with them, only over TLS.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

fn module(name: &str) -> std::result::Result<Module, String> {
    let known = || Module::ALL.map(|module| module.to_string()).join(", ");
    Module::ALL.into_iter().find(|module| module.name() == name).ok_or_else(|| format!("modules are {}", known()))
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Config(arguments) => config(common, &arguments),
        Verb::Check(arguments) => check(common, arguments),
    }
}

/// What was written for one module of one box.
#[derive(Serialize)]
struct User {
    #[serde(rename = "box")]
    instance: StationName,
    module: Module,
    seed: PathBuf,
    public_key: String,
    #[serde(skip)]
    known: Known,
}

fn config(common: &Common, arguments: &ConfigArguments) -> Result {
    if arguments.again {
        return super::bus_again::run(common, arguments.directory.as_deref());
    }
    let Some(directory) = &arguments.directory else {
        return Err(Failure::new(Exit::Usage, "usage", "a directory is needed").next("see `cradle bus config --help`"));
    };
    let mut boxes = arguments.boxes.clone();
    if boxes.is_empty() {
        boxes.push(Config::read(&common.data)?.name);
    }
    boxes.sort();
    boxes.dedup();
    if directory.exists() {
        // Seeds of a broker that runs are not overwritten, and none is left beside others.
        return Err(Failure::file(directory, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let written =
        write(directory, &arguments.domain, &boxes, &arguments.listen.to_string(), arguments.store.as_deref())?;
    let Written { path, users } = &written;
    let said = json!({
        "configuration": path, "listen": arguments.listen, "domain": arguments.domain.to_string(), "users": users,
    });
    common.out().one(&said, || format!("{}\n{} seeds beside it\n", path.display(), users.len()))?;
    common.out().next(&format!("nats-server -c {}", path.display()));
    if !arguments.listen.ip().is_loopback() {
        common.out().next(
            "add a `tls` section to the configuration: others on the network read and alter what is not encrypted",
        );
    }
    Ok(())
}

/// What a server and its users are given.
pub(crate) struct Written {
    pub(crate) path: PathBuf,
    users: Vec<User>,
}

/// Writes the configuration of a server, and a seed for each module of these boxes, into a new directory.
pub(crate) fn write(
    directory: &Path,
    domain: &Domain,
    boxes: &[StationName],
    listen: &str,
    store: Option<&Path>,
) -> Result<Written> {
    files::private_directory(directory).map_err(|e| Failure::file(directory, &e))?;
    let directory = &directory.canonicalize().map_err(|e| Failure::file(directory, &e))?;
    let callers = callers()?;
    let mut users = Vec::new();
    for instance in boxes {
        let site = Site { domain: domain.clone(), instance: instance.clone() };
        for module in Module::ALL {
            users.push(user(directory, module, &site, &callers)?);
        }
    }
    let store = store.map_or_else(|| directory.join("jetstream"), Path::to_owned);
    let path = directory.join("nats-server.conf");
    let known: Vec<_> = users.iter().map(|user| &user.known).collect();
    let text = configuration(listen, &store, &known);
    files::write_new(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    Ok(Written { path, users })
}

pub(super) fn callers() -> Result<Callers> {
    Callers::read(CALLERS_TOML).map_err(|_| {
        Failure::new(Exit::Unavailable, "bus", "the table of callers cannot be read").next("install cradle again")
    })
}

/// Writes a new seed for a module. Gives its public key.
pub(crate) fn write_seed(directory: &Path, instance: &StationName, module: Module) -> Result<String> {
    let login = Login::make(&SystemEntropy::default()).map_err(|fault| bus_failure(&fault))?;
    let seed = seed_of(directory, instance, module);
    files::write_new(&seed, format!("{}\n", login.seed.as_str()).as_bytes()).map_err(|e| Failure::file(&seed, &e))?;
    Ok(login.public_key)
}

pub(super) fn seed_of(directory: &Path, instance: &StationName, module: Module) -> PathBuf {
    directory.join(format!("{instance}.{module}.seed"))
}

pub(super) fn known(module: Module, site: &Site, callers: &Callers, public_key: String) -> Known {
    Known { module, site: site.clone(), public_key, permission: Permission::of(module, site, callers) }
}

fn user(directory: &Path, module: Module, site: &Site, callers: &Callers) -> Result<User> {
    let public_key = write_seed(directory, &site.instance, module)?;
    let seed = seed_of(directory, &site.instance, module);
    let known = known(module, site, callers, public_key.clone());
    Ok(User { instance: site.instance.clone(), module, seed, public_key, known })
}

fn check(common: &Common, arguments: CheckArguments) -> Result {
    let CheckArguments { server, domain, instance, module, seed, trust } = arguments;
    let instance = match instance {
        Some(instance) => instance,
        None => Config::read(&common.data)?.name,
    };
    let setting = Setting { servers: vec![server], site: Site { domain, instance }, module, seed, trust };
    let bus = NatsBus::open(&setting, Arc::new(SystemClock)).map_err(|fault| bus_failure(&fault))?;
    let watch = Stopwatch::start();
    bus.round_trip().map_err(|_| {
        Failure::new(Exit::Unavailable, "bus", "the broker does not answer any more")
            .because("it took the connection, and then no message came back")
            .next("look at what the server logs")
    })?;
    let (us, standing) = (watch.ns() / 1000, bus.standing());
    let age = match standing.age {
        Age::Supported => "supported",
        Age::Old => "old",
    };
    let said = json!({
        "version": standing.version, "age": age, "payload_len_max": standing.payload_len_max, "round_trip_us": us,
    });
    common.out().one(&said, || {
        let (version, payload) = (&standing.version, standing.payload_len_max);
        format!("nats-server  {version}, {age}\nlongest      {payload} octets\nround trip   {us} µs\n")
    })?;
    if standing.age == Age::Old {
        common.out().next("install nats-server 2.10 or newer: its makers do not correct older ones any more");
    }
    Ok(())
}
