//! `cradle director`: what each device gets. Another party's process, with a data directory of its own.

mod files;
mod notices;
mod privacy;
mod serve;
mod shown;

use super::Common;
use super::tuf::{Side, alone, begin_with};
use crate::compose::passphrase;
use crate::config::Places;
use crate::fault::{Exit, Failure, Result};
use adapters::clock::{SystemClock, SystemEntropy};
use adapters::files as disk;
use adapters::keystore::FileKeystore;
use director::{Assignment, Begun, Director, DirectorFault, Interface, Name, Plan, Rollout, Scope, Standing};
use model::{DeviceId, DeviceType};
use ports::keystore::{KeyFault, KeyUri};
use ports::{Clock, Keystore, Signer};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use update::tuf::{Client, Limits};
use update::uptane::Offer;
use x509::KeyType;

/// What each device gets, and what it has: the director of Uptane, in a data directory of its own.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Begin a director: make its key, and a root that names it.
    Init {
        /// Where the key of the root is kept: it is made there if there is none. Keep it elsewhere afterwards.
        #[arg(long, value_name = "DIR")]
        root_keys: PathBuf,
        /// The root of the image repository that is trusted, whose targets are given.
        #[arg(long, value_name = "FILE")]
        images_root: PathBuf,
        /// Where the director's root is written, for devices to begin with.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// For how many days the root holds.
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
    },
    /// Take the next version of the root, which was signed elsewhere.
    Root {
        /// The file.
        file: PathBuf,
    },
    /// Devices.
    #[command(subcommand)]
    Device(DeviceVerb),
    /// Say how devices of a type are served: by Uptane, or also over hawkBit's interface (DDI), where nothing they report is signed.
    Type {
        /// The type of the devices.
        device_type: DeviceType,
        /// Over which interface.
        #[arg(long)]
        over: Over,
    },
    /// Demand that several roles of the image repository sign what is for some hardware: supplier and integrator (TAP 3).
    Demand {
        /// The hardware.
        hardware: DeviceType,
        /// How many roles.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=8))]
        signing_roles: u64,
    },
    /// Take targets of the image repository, as they are verified there, so that they can be given.
    Take {
        /// The names of the targets.
        #[arg(required = true)]
        images: Vec<String>,
        /// The directory of the image repository, with `metadata` in it.
        #[arg(long = "images", value_name = "DIR")]
        from: PathBuf,
    },
    /// Give a target to a component of one device, or of all devices of a group or type.
    Assign {
        /// The name of the target.
        image: String,
        /// For which component.
        #[arg(long)]
        component: Name,
        #[command(flatten)]
        to: To,
    },
    /// Roll-outs in stages.
    #[command(subcommand)]
    Rollout(RolloutVerb),
    /// Give a target no longer to devices that do not have it.
    Deprecate {
        /// The name of the target.
        image: String,
    },
    /// Give a target to nobody any more, for good, and list the devices that have it.
    Recall {
        /// The name of the target.
        image: String,
    },
    /// List the devices that have a target, as they reported last.
    WhoHas {
        /// The name of the target.
        image: String,
    },
    /// Say how many devices there are, how many have reported, what is missing, and how roll-outs stand.
    Status,
    /// Show the key to which devices seal what they report.
    ManifestKey {
        /// Make another one first. What is sealed to the one before is still opened, until there is the next.
        #[arg(long)]
        renew: bool,
    },
    /// Tell others that something has changed for some device, by webhooks that are signed. `serve` does it by itself.
    #[command(subcommand)]
    Notice(super::notices::Verb),
    /// Answer devices over TLS: directions, nonces and manifests, and the files of the image repository.
    Serve(serve::Arguments),
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Over {
    /// Signed directions and signed manifests.
    Uptane,
    /// hawkBit's interface for devices, besides.
    Ddi,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct To {
    /// This device.
    #[arg(long)]
    device: Option<DeviceId>,
    /// The devices of this group.
    #[arg(long)]
    group: Option<Name>,
    /// The devices of this type.
    #[arg(long = "type")]
    device_type: Option<DeviceType>,
}

#[derive(clap::Subcommand)]
enum DeviceVerb {
    /// Register a device, or change what is known of it.
    Add {
        /// A TOML file: `device`, `key`, `groups`, and `[components.NAME]` with `hardware_id` and `key`.
        file: PathBuf,
    },
    /// Show a device, what is assigned to it, and which of its manifests did not come.
    Show {
        /// The device.
        device: DeviceId,
    },
}

#[derive(clap::Subcommand)]
enum RolloutVerb {
    /// Begin a roll-out.
    Start {
        /// A TOML file: docs/director.md has one.
        file: PathBuf,
    },
    /// Stop a roll-out. Who has the target keeps it.
    Pause {
        /// The roll-out.
        name: Name,
    },
    /// Go on with a roll-out that was paused, or has halted by itself.
    Resume {
        /// The roll-out.
        name: Name,
    },
    /// List roll-outs.
    List,
}

#[derive(Serialize)]
struct RolloutRow {
    name: String,
    image: String,
    component: String,
    state: director::State,
    stage: usize,
    stages: usize,
    installed: u64,
    failed: u64,
    unsigned: u64,
}

impl RolloutRow {
    const COLUMNS: [&str; 9] =
        ["name", "image", "component", "state", "stage", "stages", "installed", "failed", "unsigned"];

    fn of(rollout: &Rollout) -> Self {
        let (plan, all) = (rollout.plan(), rollout.all());
        Self {
            name: plan.name.to_string(),
            image: plan.image.clone(),
            component: plan.component.to_string(),
            state: rollout.state(),
            // For people stages begin with one; a roll-out that is over is at its last one.
            stage: (rollout.stage() + 1).min(plan.stages.len()),
            stages: plan.stages.len(),
            installed: all.installed,
            failed: all.failed,
            unsigned: rollout.unsigned(),
        }
    }
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Init { root_keys, images_root, root, days } => init(common, &root_keys, &images_root, &root, days),
        Verb::Root { file } => {
            let octets =
                disk::read_bounded(&file, Limits::DEFAULT.root_len_max).map_err(|e| Failure::file(&file, &e))?;
            let version = open(common)?.take_root(&octets).map_err(failed("the root was not taken"))?;
            common.out().one(&json!({ "root": version }), || format!("root {version} was taken\n"))
        }
        Verb::Device(DeviceVerb::Add { file }) => {
            let (device, reporters) = files::read_device(&file)?;
            let director = open(common)?;
            let done = director.register(&device).and_then(|()| director.register_reporters(&device.id, &reporters));
            done.map_err(failed("the device was not registered"))?;
            let id = device.id.to_string();
            common.out().one(&json!({ "device": id }), || format!("{id} is registered\n"))
        }
        Verb::Device(DeviceVerb::Show { device }) => shown::device(common, &device),
        Verb::Type { device_type, over } => serve_type(common, &device_type, over),
        Verb::Demand { hardware, signing_roles } => {
            let done = open(common)?.demand(&hardware, signing_roles);
            done.map_err(failed(format!("what is for {hardware} is taken as before")))?;
            let shown = json!({ "hardware": hardware, "signing_roles": signing_roles });
            common.out().one(&shown, || format!("what is for {hardware} must be signed by {signing_roles} roles\n"))
        }
        Verb::Take { images, from } => take(common, &images, &from),
        Verb::Assign { image, component, to } => assign(common, image, component, to),
        Verb::Rollout(verb) => rollout(common, verb),
        Verb::Deprecate { image } => stand(common, &image, Standing::Deprecated),
        Verb::Recall { image } => stand(common, &image, Standing::Recalled),
        Verb::WhoHas { image } => shown::who_has(common, &open(common)?, &image),
        Verb::Status => shown::status(common),
        Verb::Notice(verb) => notices::run(common, verb),
        Verb::ManifestKey { renew } => privacy::manifest_key(common, renew),
        Verb::Serve(arguments) => serve::run(common, &arguments),
    }
}

/// What is made of a fault of the director.
fn failed(what: impl Into<String>) -> impl FnOnce(DirectorFault) -> Failure {
    let what = what.into();
    move |fault| {
        let (exit, code, next) = match &fault {
            DirectorFault::NotBegun => (Exit::NotFound, "director-unknown", "begin it with `cradle director init`"),
            DirectorFault::NotFound(_) => (Exit::NotFound, "director-unknown", "check the name"),
            DirectorFault::Begun | DirectorFault::Refused(_) | DirectorFault::Root(_) | DirectorFault::Uptane(_) => {
                (Exit::Refused, "director-refused", "nothing was changed; correct it and try again")
            }
            DirectorFault::Corrupt(_)
            | DirectorFault::Documents(_)
            | DirectorFault::Key(_)
            | DirectorFault::Image(_) => {
                (Exit::Failed, "director-failed", "check the data directory, its disk, and the passphrase of its key")
            }
        };
        Failure::new(exit, code, what).because(fault).next(next)
    }
}

fn key_failed(fault: KeyFault) -> Failure {
    failed("the key cannot be used")(DirectorFault::Refused(fault.to_string()))
}

const LABEL: &str = "director";
const ROOT_LABEL: &str = "root";

fn keystore(common: &Common, directory: &Path) -> Result<FileKeystore> {
    let passphrase = passphrase(&Places::of(&common.data), common.passphrase_file.as_deref())?;
    disk::private_directory(directory).map_err(|e| Failure::file(directory, &e))?;
    Ok(FileKeystore::new(directory.to_owned(), passphrase, Arc::new(SystemEntropy::default())))
}

fn records(common: &Common) -> PathBuf {
    common.data.join("director.db")
}
fn images(common: &Common) -> PathBuf {
    common.data.join("images")
}

fn open(common: &Common) -> Result<Director> {
    let path = records(common);
    if !path.exists() {
        return Err(failed("there is no director here")(DirectorFault::NotBegun));
    }
    let signer = keystore(common, &common.data.join("keys"))?.open(&KeyUri(format!("file:{LABEL}")));
    Director::open(&path, signer.map_err(key_failed)?).map_err(failed("the director cannot be opened"))
}

fn init(common: &Common, root_keys: &Path, images_root: &Path, root: &Path, days: u64) -> Result {
    disk::private_directory(&common.data).map_err(|e| Failure::file(&common.data, &e))?;
    if records(common).exists() {
        return Err(failed("the director was not begun")(DirectorFault::Begun));
    }
    begin_with(&images(common), images_root)?;
    let elsewhere = keystore(common, root_keys)?;
    let root_signer: Arc<dyn Signer> = match elsewhere.open(&KeyUri(format!("file:{ROOT_LABEL}"))) {
        Ok(signer) => signer,
        Err(KeyFault::Missing) => elsewhere.generate(ROOT_LABEL, KeyType::Ed25519).map_err(key_failed)?.1,
        Err(fault) => return Err(key_failed(fault)),
    };
    let own = keystore(common, &common.data.join("keys"))?;
    let (_, signer) = own.generate(LABEL, KeyType::Ed25519).map_err(key_failed)?;
    privacy::make(&own)?;
    let expires = SystemClock.now().plus_s(days.saturating_mul(86_400));
    let begun = Begun { root_keys: &[root_signer], expires };
    let director = Director::begin(&records(common), signer, &begun).map_err(failed("the director was not begun"))?;
    let roots = director.roots().map_err(failed("the root cannot be read"))?;
    if let Some((_, octets)) = roots.first() {
        disk::publish(root, octets).map_err(|e| Failure::file(root, &e))?;
    }
    let shown = json!({ "data": common.data, "root": root, "expires": expires.to_string() });
    common
        .out()
        .one(&shown, || format!("a director is in {}, its root in {}\n", common.data.display(), root.display()))?;
    common.out().next(&format!("keep {} elsewhere: only the next root needs it", root_keys.display()));
    Ok(())
}

fn take(common: &Common, names: &[String], from: &Path) -> Result {
    let director = open(common)?;
    let kept = images(common);
    let _alone = alone(&kept)?;
    let mut side = Side::of_folder(&kept, &from.join("metadata"));
    let mut offers = Vec::new();
    for name in names {
        let target = Client::new(Limits::DEFAULT, SystemClock.now()).look_for(name, &mut side);
        let target = target.map_err(|why| side.failed(why))?;
        let refused = format!("{name} was not taken");
        offers.push(Offer::of(&target).map_err(|bad| failed(refused)(DirectorFault::Uptane(bad)))?);
    }
    for offer in offers {
        let refused = format!("{} was not taken", offer.name());
        director.take(offer).map_err(failed(refused))?;
    }
    common.out().one(&json!({ "taken": names }), || format!("can be given: {}\n", names.join(", ")))
}

fn serve_type(common: &Common, device_type: &DeviceType, over: Over) -> Result {
    let (interface, how) = match over {
        Over::Uptane => (Interface::Uptane, "by Uptane alone"),
        Over::Ddi => (Interface::Ddi, "over DDI too: what they report there is not signed"),
    };
    let done = open(common)?.serve_type(device_type, interface);
    done.map_err(failed(format!("devices of type {device_type} are served as before")))?;
    let shown = json!({ "type": device_type, "over": interface });
    common.out().one(&shown, || format!("devices of type {device_type} are served {how}\n"))
}

fn assign(common: &Common, image: String, component: Name, to: To) -> Result {
    let director = open(common)?;
    let scope = match (to.device, to.group, to.device_type) {
        (Some(device), ..) => {
            let done = director.assign_to(&device, &component, &image);
            done.map_err(failed(format!("{image} was not assigned")))?;
            return assigned(common, &image, &component, &device.to_string());
        }
        (None, Some(group), _) => Scope::Group(group),
        (None, None, Some(device_type)) => Scope::Type(device_type),
        (None, None, None) => unreachable!("the command line demands one of them"),
    };
    let to = match &scope {
        Scope::Group(group) => format!("group {group}"),
        Scope::Type(device_type) => format!("type {device_type}"),
    };
    let assignment = Assignment { scope, component, image };
    director.assign(&assignment).map_err(failed(format!("{} was not assigned", assignment.image)))?;
    assigned(common, &assignment.image, &assignment.component, &to)
}

fn assigned(common: &Common, image: &str, component: &Name, to: &str) -> Result {
    let shown = json!({ "image": image, "component": component, "to": to });
    common.out().one(&shown, || format!("{image} is for {component} of {to}\n"))
}

fn rollout(common: &Common, verb: RolloutVerb) -> Result {
    let director = open(common)?;
    let steer = |name: &Name, how: fn(&mut Rollout) -> std::result::Result<(), director::State>| {
        director.steer(name, how).map_err(failed(format!("roll-out {name} was left as it is")))
    };
    let rollouts = match verb {
        RolloutVerb::Start { file } => {
            let plan: Plan = files::read_toml(&file)?;
            let name = plan.name.clone();
            director.roll_out(plan).map_err(failed(format!("roll-out {name} was not begun")))?;
            listed(&director)?.into_iter().filter(|rollout| rollout.plan().name == name).collect()
        }
        RolloutVerb::Pause { name } => vec![steer(&name, Rollout::pause)?],
        RolloutVerb::Resume { name } => vec![steer(&name, Rollout::resume)?],
        RolloutVerb::List => listed(&director)?,
    };
    let rows: Vec<_> = rollouts.iter().map(RolloutRow::of).collect();
    common.out().rows(&RolloutRow::COLUMNS, &rows)
}

fn listed(director: &Director) -> Result<Vec<Rollout>> {
    Ok(director.overview().map_err(failed("the roll-outs cannot be read"))?.rollouts)
}

fn stand(common: &Common, image: &str, standing: Standing) -> Result {
    let director = open(common)?;
    director.stand(image, standing).map_err(failed(format!("{image} stands as it did")))?;
    shown::who_has(common, &director, image)
}
