//! `cradle init`: a new installation.

use super::Common;
use crate::compose::{self, MODULE_AUTHORITY, Workshop, module_entity, module_label, operator_label, vault_label};
use crate::config::{
    BusConfig, Config, GatewayConfig, Places, StationConfig, StoreConfig, VaultConfig, check_organization,
};
use crate::enrol;
use crate::fault::{Exit, Failure, Result, While};
use crate::mode::{record_order, sign_order};
use adapters::clock::SystemEntropy;
use adapters::files;
use adapters::keystore::FileKeystore;
use adapters::store::SqlStore;
use adapters::store::sql::OpenFault;
use adapters::vault::VaultPrivateKey;
use authority::Authority;
use model::contract::hierarchy::CreateAuthority;
use model::mode::{Binding, Order};
use model::{Digest, Entity, Mode, Module, OperatorName, StationName};
use ports::Keystore;
use ports::directory::Caller;
use ports::store::ModeStore;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use x509::{KeyType, pem};
use zeroize::Zeroizing;

/// Make a new installation: keys, modules, authorities.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The maker's name, as certificates say it.
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// The maker's IANA private enterprise number; 32473 is the one for examples.
    #[arg(long, value_name = "NUMBER")]
    maker_pen: Option<u32>,
    /// The name of this box.
    #[arg(long, default_value = "line-1")]
    name: StationName,
    /// Who operates it.
    #[arg(long, value_name = "NAME")]
    operator: Option<OperatorName>,
    /// The key type of the device authorities: p256, p384, ed25519, rsa3072.
    #[arg(long, default_value = "p256", value_name = "TYPE")]
    key_type: String,
    /// Keep the keys of authorities in this PKCS #11 token: `pkcs11:token=...?module-path=...&pin-source=file:...`.
    #[arg(long, env = "CRADLE_TOKEN", value_name = "URI")]
    token: Option<String>,
    /// Keep the records at this PostgreSQL server: `postgres://USER@HOST/DATABASE`, without the password.
    #[arg(long, env = "CRADLE_STORE", value_name = "URL")]
    store: Option<String>,
    /// The file that holds its password.
    #[arg(long, env = "CRADLE_STORE_PASSWORD_FILE", value_name = "FILE", requires = "store")]
    store_password_file: Option<PathBuf>,
    /// The certificates by which it proves its name, PEM: with them, the connection is encrypted.
    #[arg(long, env = "CRADLE_STORE_TRUST", value_name = "FILE", requires = "store")]
    store_trust: Option<PathBuf>,
    /// Run modules in processes of their own, which meet over this nats-server: `nats://HOST:PORT`. Its configuration is
    /// written into the data directory.
    #[arg(long, env = "CRADLE_BUS", value_name = "URL", requires = "store")]
    bus: Option<String>,
    /// Make no root and no factory authority; make them later with `cradle ca create`.
    #[arg(long)]
    bare: bool,
    /// Take the defaults without asking.
    #[arg(short, long)]
    yes: bool,
}

/// What a new installation is made of.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) operator: OperatorName,
    pub(crate) key_type: String,
    pub(crate) bare: bool,
    /// The token that keeps the keys of authorities; in files if absent.
    pub(crate) token: Option<String>,
    /// The passphrase; without one, a random one is made and kept beside the keys.
    pub(crate) passphrase: Option<Zeroizing<Vec<u8>>>,
}

/// What is asked for; the rest of the settings is made.
pub(crate) struct Settings {
    pub(crate) organization: String,
    pub(crate) maker_pen: u32,
    pub(crate) name: StationName,
    pub(crate) demo: bool,
    /// The server that keeps the records; in a file if absent.
    pub(crate) store: Option<StoreConfig>,
    /// The broker over which modules meet; in one process if absent.
    pub(crate) bus: Option<BusConfig>,
    /// What it has a gateway for, if it has one.
    pub(crate) gateway: Option<GatewayConfig>,
}

impl Settings {
    fn config(&self, vault: VaultConfig) -> Config {
        let Self { organization, maker_pen, name, demo, store, bus, gateway } = self;
        let (organization, name, station) = (organization.clone(), name.clone(), StationConfig::default());
        Config {
            organization,
            maker_pen: *maker_pen,
            name,
            log: None,
            demo: *demo,
            marks: None,
            limits: Default::default(),
            token: Default::default(),
            signed_lists_only: false,
            retention: None,
            operators_needed: 1,
            store: store.clone(),
            bus: bus.clone(),
            station,
            follow: None,
            gateway: gateway.clone(),
            api: None,
            software: None,
            vault,
        }
    }
}

#[derive(Serialize)]
struct Made {
    data: String,
    organization: String,
    operator: String,
    authorities: Vec<String>,
    mode: String,
    passphrase: Option<String>,
}

/// The private enterprise number that is kept for examples. Source: RFC 5612.
const EXAMPLE_PEN: u32 = 32473;

/// The modules that get a key always. The gateway gets one if there is to be one.
const MODULES: [Module; 6] =
    [Module::Provisioning, Module::Authority, Module::Software, Module::Identity, Module::Console, Module::Supervisor];

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let places = Places::of(&common.data);
    refuse_existing(&places)?;
    let plan = plan(common, arguments)?;
    refuse_used(&plan.settings)?;
    let out = common.out();
    make(&places, &plan)?;
    let made = Made {
        data: places.data().display().to_string(),
        organization: plan.settings.organization.clone(),
        operator: plan.operator.to_string(),
        authorities: if plan.bare { Vec::new() } else { vec!["root".into(), "factory".into()] },
        mode: Order::Provision.name().into(),
        passphrase: plan.passphrase.is_none().then(|| places.passphrase().display().to_string()),
    };
    out.one(&made, || {
        let mut text = format!("{} is ready: {}\n", made.data, made.organization);
        if let Some(path) = &made.passphrase {
            text.push_str(&format!(
                "Whoever has this directory has its keys: their passphrase is in {path}.\n\
                 In earnest keep it elsewhere, and name it with --passphrase-file.\n"
            ));
        }
        text
    })?;
    if plan.settings.bus.is_some() {
        let configuration = places.data().join("bus").join("nats-server.conf");
        out.next(&format!("\n  nats-server -c {}\n  cradle up", configuration.display()));
        return Ok(());
    }
    out.next(
        "\n  cradle list import devices.csv     the devices that you expect\n  \
           cradle mode set software-import    then cradle release follow, cradle release import\n  \
           cradle mode set provision          then cradle station run TYPE",
    );
    Ok(())
}

fn refuse_existing(places: &Places) -> Result {
    let used = std::fs::read_dir(places.data()).is_ok_and(|mut entries| entries.next().is_some());
    if !used {
        return Ok(());
    }
    if let Err(failure) = Config::read(places.data())
        && failure.code == "half-made"
    {
        return Err(failure);
    }
    let what = format!("{} is not empty", places.data().display());
    Err(Failure::new(Exit::Conflict, "exists", what)
        .because("an installation is made in a directory of its own")
        .next("name another one with --data"))
}

fn plan(common: &Common, arguments: &Arguments) -> Result<Plan> {
    let ask = !arguments.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let organization = match &arguments.organization {
        Some(name) => name.clone(),
        None if ask => question("Your organization, as certificates will say it", "Example Devices")?,
        None => "Example Devices".to_owned(),
    };
    check_organization(&organization)
        .map_err(|why| Failure::new(Exit::Usage, "organization", "this name cannot be used").because(why))?;
    let operator = match &arguments.operator {
        Some(name) => name.clone(),
        None => {
            let text =
                if ask { question("Your name, as the records will say it", "operator")? } else { "operator".into() };
            text.parse().map_err(|e| Failure::new(Exit::Usage, "operator", "this name cannot be used").because(e))?
        }
    };
    let passphrase = match &common.passphrase_file {
        Some(path) => Some(compose::passphrase(&Places::of(&common.data), Some(path))?),
        None if ask
            && question("Type a passphrase for the keys each time? (no: it is kept beside them)", "no")? == "yes" =>
        {
            Some(compose::passphrase(&Places::of(&common.data), None)?)
        }
        None => None,
    };
    let maker_pen = match arguments.maker_pen {
        Some(number) => number,
        None if ask => {
            question("Your private enterprise number (IANA); device names begin with it", "32473")?.parse().map_err(
                |e| Failure::new(Exit::Usage, "name", "this is no enterprise number").because(e).next("it is digits"),
            )?
        }
        None => EXAMPLE_PEN,
    };
    if maker_pen == EXAMPLE_PEN {
        common.out().say("32473 is the enterprise number for examples. Device certificates are for ever, and name it: use --maker-pen.");
    }
    let Arguments { name, key_type, bare, token, .. } = arguments;
    let store = arguments.store.clone();
    let store = store
        .map(|url| StoreConfig::at(url, arguments.store_password_file.as_deref(), arguments.store_trust.as_deref()));
    let bus = arguments.bus.clone().map(BusConfig::at);
    let settings = Settings { organization, maker_pen, name: name.clone(), demo: false, store, bus, gateway: None };
    Ok(Plan { settings, operator, key_type: key_type.clone(), bare: *bare, token: token.clone(), passphrase })
}

/// A database that holds records already is somebody's.
fn refuse_used(settings: &Settings) -> Result {
    let Some(store) = &settings.store else { return Ok(()) };
    let server = store.server(settings.name.as_str())?;
    match SqlStore::open_server_to_read(&server) {
        Err(OpenFault::Missing) => Ok(()),
        Err(other) => Err(other.into()),
        Ok(_) => Err(Failure::new(Exit::Usage, "database-used", "the database holds the records of an installation")
            .because("a new installation begins with an empty one")
            .next("name another database with --store, or drop the schema `cradle` in it if nobody needs it")),
    }
}

fn question(text: &str, default: &str) -> Result<String> {
    let failed = |e: std::io::Error| Failure::new(Exit::Failed, "terminal", "the terminal was closed").because(e);
    let mut terminal = std::io::stderr();
    write!(terminal, "{text} [{default}]: ").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(failed)?;
    let line = line.trim();
    Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
}

/// Makes an installation. What an interruption leaves is refused by every command, and removed by hand.
pub(crate) fn make(places: &Places, plan: &Plan) -> Result<Workshop> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |e: std::io::Error| Failure::file(&path, &e)
    };
    for directory in [places.data().to_owned(), places.keys(), places.profiles(), places.device_types(), places.vault()]
    {
        files::private_directory(&directory).map_err(failed(&directory))?;
    }
    shipped(&places.profiles(), &PROFILES)?;
    let keystore = compose::keystore(places, compose::new_passphrase(places, plan.passphrase.as_ref())?);
    let vault = VaultConfig {
        software: vault_key(&keystore, Module::Software)?,
        provisioning: vault_key(&keystore, Module::Provisioning)?,
    };
    let config = plan.settings.config(vault);
    Workshop::make_audit_key(&keystore)?;
    let audit = compose_public(&keystore)?;
    files::write_new(&places.data().join("audit.pub"), audit.as_bytes()).map_err(failed(places.data()))?;
    let workshop = Workshop::make(places.clone(), config.clone(), keystore)?;
    let km = Authority::start(workshop.authority_setting()?).or_fail("starting the authority")?;
    create(&km, &workshop, MODULE_AUTHORITY, "module-root", None, "ed25519", plan.token.as_deref())?;
    let gateway = config.gateway.as_ref().map(|_| Module::Gateway);
    for module in MODULES.into_iter().chain(gateway) {
        enrol(&km, &workshop, module_entity(module, &config), "module", &module_label(module))?;
    }
    let operator = Entity::Operator(plan.operator.clone());
    enrol(&km, &workshop, operator, "operator", &operator_label(&plan.operator))?;
    if !plan.bare {
        create(&km, &workshop, "root", "root", None, &plan.key_type, plan.token.as_deref())?;
        create(&km, &workshop, "factory", "factory", Some("root"), &plan.key_type, plan.token.as_deref())?;
    }
    drop(km);
    if let Some(bus) = &config.bus {
        broker(places, &config, bus)?;
    }
    first_mode(&workshop, &plan.operator)?;
    // The settings are written last: without them this is no installation.
    config.write(places.data())?;
    Ok(workshop)
}

/// The shipped profiles.
const PROFILES: [(&str, &str); 19] = [
    ("root", include_str!("../../../../profiles/root.toml")),
    ("issuing", include_str!("../../../../profiles/issuing.toml")),
    ("factory", include_str!("../../../../profiles/factory.toml")),
    ("idevid", include_str!("../../../../profiles/idevid.toml")),
    ("ldevid", include_str!("../../../../profiles/ldevid.toml")),
    ("tls-server", include_str!("../../../../profiles/tls-server.toml")),
    ("tls-client", include_str!("../../../../profiles/tls-client.toml")),
    ("service", include_str!("../../../../profiles/service.toml")),
    ("ocsp", include_str!("../../../../profiles/ocsp.toml")),
    ("cmp", include_str!("../../../../profiles/cmp.toml")),
    ("gateway", include_str!("../../../../profiles/gateway.toml")),
    ("scep-ra", include_str!("../../../../profiles/scep-ra.toml")),
    ("ra", include_str!("../../../../profiles/ra.toml")),
    ("module-root", include_str!("../../../../profiles/module-root.toml")),
    ("module", include_str!("../../../../profiles/module.toml")),
    ("operator", include_str!("../../../../profiles/operator.toml")),
    ("code-signing", include_str!("../../../../profiles/code-signing.toml")),
    ("opcua-application", include_str!("../../../../profiles/opcua-application.toml")),
    ("matter-dac", include_str!("../../../../profiles/matter-dac.toml")),
];

fn shipped(directory: &Path, contents: &[(&str, &str)]) -> Result {
    for (name, text) in contents {
        let path = directory.join(format!("{name}.toml"));
        files::write_new(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))?;
    }
    Ok(())
}

/// Makes the key with which a module reads the vault. Gives its public half.
pub(crate) fn vault_key(keystore: &FileKeystore, module: Module) -> Result<Digest> {
    let key = VaultPrivateKey::generate(&SystemEntropy::default())
        .map_err(|e| Failure::new(Exit::Unavailable, "vault", "the vault's keys cannot be made").because(e))?;
    keystore.keep(&vault_label(module), &key.to_pkcs8())?;
    Ok(Digest::new(*key.public_key().octets()))
}

fn compose_public(keystore: &FileKeystore) -> Result<String> {
    let key = keystore.open(&ports::keystore::KeyUri("file:audit".into()))?;
    Ok(pem::encode("PUBLIC KEY", key.public_key().spki()))
}

fn ourselves(workshop: &Workshop) -> Caller {
    Caller { module: Module::Console, instance: workshop.config.name.clone() }
}

fn name<T: std::str::FromStr<Err = model::text::BadName>>(text: &str) -> Result<T> {
    text.parse().map_err(|e| Failure::new(Exit::Usage, "name", "this name cannot be used").because(e))
}

/// The URI of a key in a token.
fn in_token(token: &str, label: &str) -> String {
    match token.split_once('?') {
        Some((path, query)) => format!("{path};object={label}?{query}"),
        None => format!("{token};object={label}"),
    }
}

fn create(
    km: &Authority,
    workshop: &Workshop,
    authority: &str,
    profile: &str,
    issuer: Option<&str>,
    key_type: &str,
    token: Option<&str>,
) -> Result {
    let call = CreateAuthority {
        name: name(authority)?,
        profile: name(profile)?,
        issuer: issuer.map(name).transpose()?,
        key_type: key_type.to_owned(),
        key: token.map(|token| in_token(token, authority)),
    };
    km.create(&ourselves(workshop), &call).or_fail(&format!("making the authority {authority}"))?;
    Ok(())
}

/// Makes a key and has it certified, through the same door as any device.
fn enrol(km: &Authority, workshop: &Workshop, subject: Entity, profile: &str, label: &str) -> Result {
    let doing = format!("certifying {subject}");
    let (_, signer) = workshop.keystore.generate(label, KeyType::Ed25519)?;
    let batch = enrol::request(workshop, "init", subject, profile, signer.as_ref())?;
    let mut certified = km.ra().admit(&ourselves(workshop), &batch).or_fail(&doing)?;
    enrol::taken(certified.answers.pop(), &doing).map(|_| ())
}

/// The configuration of the broker, and what this box's modules sign in with.
fn broker(places: &Places, config: &Config, bus: &BusConfig) -> Result {
    let bad = |why: &str| {
        Failure::new(Exit::Usage, "bus", "this broker cannot be used").because(why).next("name nats://HOST:PORT")
    };
    let server = bus.servers.first().map(String::as_str).unwrap_or_default();
    let listen = server.strip_prefix("nats://").ok_or_else(|| bad("its address is no nats://HOST:PORT"))?;
    let domain = bus.domain.parse().map_err(|_| bad("its domain is no name"))?;
    super::bus::write(&places.bus(bus), &domain, std::slice::from_ref(&config.name), listen, None).map(drop)
}

/// The mode in which a new box begins.
pub(crate) fn first_mode(workshop: &Workshop, operator: &OperatorName) -> Result {
    let modes = workshop.make_box_records()?;
    let (statement, jws) = sign_order(workshop, Order::Provision, 1, operator, "first mode of a new installation")?;
    record_order(&modes, &statement, None, &jws, workshop.clock.now())?;
    modes.bind(Binding::settled(Mode::ProvisionSoftware), workshop.clock.now())?;
    Ok(())
}
