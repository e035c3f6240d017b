//! `cradle uptane-client`: following a director and an image repository that must agree.

use super::Common;
use super::tuf::{Line, Side, alone, begin_with, failed, fetch, needed};
use crate::fault::{Exit, Failure, Result};
use adapters::clock::SystemClock;
use adapters::files;
use clap::Subcommand;
use model::UnixTime;
use ports::Clock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use update::tuf::{Client, Limits};
use update::uptane::{Agreed, BadDirections, Component, Directions, Inventory, ManifestKey};

/// Follow a director and an image repository, and download what both say that this device gets. Exit status 0 or 1.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the metadata is kept that is trusted: in `director` and in `images`.
    #[arg(long, value_name = "DIR")]
    metadata_dir: PathBuf,
    /// Where the director has its metadata for this device.
    #[arg(long, value_name = "URL")]
    director_url: Option<String>,
    /// Where the image repository has its metadata.
    #[arg(long, value_name = "URL")]
    images_url: Option<String>,
    /// Where the image repository has its targets.
    #[arg(long, value_name = "URL")]
    target_base_url: Option<String>,
    /// Where targets are kept.
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// A file that says who the device is and what it is made of.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    #[command(flatten)]
    line: Line,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Begin with two roots that are trusted already.
    Init {
        /// The director's, as it came with the device.
        director_root: PathBuf,
        /// The image repository's, as it came with the device.
        images_root: PathBuf,
    },
    /// Bring the metadata of both up to date, and say on what they agree for this device.
    Refresh,
    /// The same, and download what is for this device, unless it is there already.
    Download,
}

/// Longest file that says what a device is made of.
const INVENTORY_LEN_MAX: u64 = 256 * 1024;

/// What a device is made of, as its file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InventoryFile {
    device: String,
    #[serde(default)]
    components: BTreeMap<String, ComponentFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentFile {
    hardware_id: String,
    /// The release counter of what it carries.
    #[serde(default)]
    release_counter: u64,
}

#[derive(Serialize)]
struct Row {
    target: String,
    length: u64,
    release_counter: u64,
    components: String,
    file: Option<PathBuf>,
    fetched: Option<bool>,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let ran = match &arguments.verb {
        Verb::Init { director_root, images_root } => init(common, arguments, director_root, images_root),
        Verb::Refresh => follow(arguments).and_then(|all| show(common, all.iter().map(|agreed| row(agreed, None)))),
        Verb::Download => download(common, arguments),
    };
    // Whoever drives this knows two statuses.
    ran.map_err(|failure| Failure { exit: Exit::Failed, ..failure })
}

fn init(common: &Common, arguments: &Arguments, director_root: &Path, images_root: &Path) -> Result {
    begin_with(&arguments.metadata_dir.join("director"), director_root)?;
    begin_with(&arguments.metadata_dir.join("images"), images_root)?;
    let dir = &arguments.metadata_dir;
    common.out().one(&json!({ "metadata_dir": dir }), || format!("{} begins with these two roots\n", dir.display()))
}

fn download(common: &Common, arguments: &Arguments) -> Result {
    let targets = arguments.line.below(needed(arguments.target_base_url.as_ref(), "--target-base-url")?)?;
    let dir = needed(arguments.target_dir.as_ref(), "--target-dir")?;
    let all = follow(arguments)?;
    std::fs::create_dir_all(dir).map_err(|e| Failure::file(dir, &e))?;
    let mut rows = Vec::new();
    for agreed in &all {
        let path = dir.join(agreed.target().file());
        let fetched = fetch(agreed.target(), &targets, &path)?;
        rows.push(row(agreed, Some((path, fetched))));
    }
    show(common, rows.into_iter())
}

fn show(common: &Common, rows: impl Iterator<Item = Row>) -> Result {
    let columns = ["target", "length", "release_counter", "components", "file", "fetched"];
    common.out().rows(&columns, &rows.collect::<Vec<_>>())
}

fn row(agreed: &Agreed, kept: Option<(PathBuf, bool)>) -> Row {
    let components: Vec<_> = agreed.components().iter().map(ToString::to_string).collect();
    Row {
        target: agreed.target().name().to_owned(),
        length: agreed.target().length(),
        release_counter: agreed.counter(),
        components: components.join(" "),
        fetched: kept.as_ref().map(|(_, fetched)| *fetched),
        file: kept.map(|(path, _)| path),
    }
}

/// Brings both up to date, and gives what they agree on. One time judges all of it.
fn follow(arguments: &Arguments) -> Result<Vec<Agreed>> {
    let inventory = read_inventory(needed(arguments.inventory.as_ref(), "--inventory")?)?;
    let (director, images) = (arguments.metadata_dir.join("director"), arguments.metadata_dir.join("images"));
    let _alone = (alone(&director)?, alone(&images)?);
    let director_url = needed(arguments.director_url.as_ref(), "--director-url")?;
    let images_url = needed(arguments.images_url.as_ref(), "--images-url")?;
    let director = Side::new(&director, arguments.line.below(director_url)?);
    let images = Side::new(&images, arguments.line.below(images_url)?);
    Ok(agreed(&inventory, (director, images), SystemClock.now())?.0)
}

/// The same with two repositories wherever they are: a director and an image repository. And to which key reports are sealed.
pub(crate) fn agreed(
    inventory: &Inventory,
    (mut director, mut images): (Side, Side),
    now: UnixTime,
) -> Result<(Vec<Agreed>, Option<ManifestKey>)> {
    let directed = refreshed(now, &mut director)?;
    let key = ManifestKey::announced(&directed).map_err(|bad| disagree("the director's targets", bad))?;
    let directions = Directions::read(&directed, inventory).map_err(|bad| disagree("the director's targets", bad))?;
    let mut client = refreshed(now, &mut images)?;
    let mut all = Vec::new();
    for name in directions.targets() {
        client.find(name).map_err(|refused| failed(&refused))?;
        client.drive(&mut images).map_err(|why| images.failed(why))?;
        let target = client.found().map_err(|refused| failed(&refused))?;
        all.push(directions.agree(&target).map_err(|bad| disagree(name, bad))?);
    }
    Ok((all, key))
}

fn refreshed(now: UnixTime, side: &mut Side) -> Result<Client> {
    let mut client = Client::new(Limits::DEFAULT, now);
    client.drive(side).map_err(|why| side.failed(why))?;
    Ok(client)
}

fn disagree(what: &str, bad: BadDirections) -> Failure {
    Failure::new(Exit::Failed, "uptane-refused", format!("{what} was not taken"))
        .because(bad)
        .next("nothing of it was taken; tell who publishes: both repositories must say the same")
}

fn read_inventory(path: &Path) -> Result<Inventory> {
    let octets = files::read_bounded(path, INVENTORY_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let wrong = |why: String| {
        Failure::new(Exit::Usage, "usage", format!("{} cannot be used", path.display())).because(why).next("correct it")
    };
    let file: InventoryFile = std::str::from_utf8(&octets)
        .map_err(|e| wrong(e.to_string()))
        .and_then(|text| toml::from_str(text).map_err(|e| wrong(e.message().to_owned())))?;
    let mut components = BTreeMap::new();
    for (id, component) in file.components {
        let id = id.parse().map_err(|_| wrong(format!("{id} is no name of a component")))?;
        let hardware_id = component.hardware_id.parse().map_err(|e| wrong(format!("hardware_id of {id}: {e}")))?;
        components.insert(id, Component { hardware_id, floor: component.release_counter });
    }
    Ok(Inventory { device: file.device.parse().map_err(|e| wrong(format!("device: {e}")))?, components })
}
