//! Following repositories of software, and what comes of it: bundles.

use super::super::{Common, tuf};
use super::Row;
use crate::compose::{Installation, Workshop, followed, module_off};
use crate::config::FollowConfig;
use crate::fault::{Exit, Failure, Result, While, exit_of};
use adapters::http::Incoming;
use model::contract::software::{Source, Update, Updated};
use model::{Fault, Mode, Module, Reason};
use ports::store::SoftwareStore;
use ports::store::software::{BundleRow, BundledRow};
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use update::bundle::{BUNDLE_LEN_MAX, BadBundle, Bundle};

#[derive(clap::Args)]
pub(super) struct Follow {
    /// The first root of the image repository: its root.json, by a way that you trust.
    #[arg(long, value_name = "ROOT")]
    images: PathBuf,
    /// The first root of the director, if this box follows one. Without, it gets the newest release for each of its device types.
    #[arg(long, value_name = "ROOT")]
    director: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Import {
    /// A directory with `images/` and `director/`, or an image repository itself with `metadata/` and `targets/`; or the address of an
    /// image repository, http or https.
    source: String,
    /// Where the director has `metadata/` for this box, if SOURCE is an address.
    #[arg(long, value_name = "URL")]
    director: Option<String>,
    /// Certificates in PEM, by one of which an https server's must be issued.
    #[arg(long, value_name = "FILE")]
    tls_anchors: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Export {
    /// The directory, which is made. It must not be there yet.
    directory: PathBuf,
}

pub(super) fn follow(common: &Common, arguments: &Follow) -> Result {
    let images = followed::read_root(&arguments.images)?;
    let director = arguments.director.as_deref().map(followed::read_root).transpose()?;
    if director.as_ref() == Some(&images) {
        return Err(Failure::new(Exit::Usage, "root", "the director is the image repository")
            .because("both have the same first root, and what one says would be checked against itself")
            .next("give the first root of the director, or leave --director out"));
    }
    let workshop = Workshop::open(&common.data, common.passphrase_file.as_deref())?;
    let FollowConfig { images: images_digest, director: director_digest } =
        followed::begin(&workshop, &images, director.as_deref())?;
    let device = followed::device(&workshop.config)?;
    let said = json!({"images": images_digest, "director": director_digest, "device": device});
    common.out().one(&said, || {
        let director = director_digest.map_or_else(
            || "no director: the newest release for each device type is taken\n".to_owned(),
            |digest| format!("director           root {digest}\n"),
        );
        format!("images             root {images_digest}\n{director}this box is        {device}\n")
    })?;
    common.out().next("compare these with whoever publishes, then `cradle release import SOURCE`; processes that run already begin anew first");
    Ok(())
}

pub(super) fn import(common: &Common, arguments: &Import) -> Result {
    let is_address = arguments.source.contains("://");
    let source = if is_address { servers(arguments)? } else { directory(arguments)? };
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let doing = format!("importing from {}", arguments.source);
    let binding = installation.supervisor.row().binding;
    if is_address && binding.current != Mode::SoftwareManagement {
        return Err(Failure::new(Exit::Unavailable, Reason::WrongMode.code(), format!("{doing} was refused"))
            .because(format!("no network is reached in {}", binding.current))
            .next("`cradle mode set software-management`, then repeat the command"));
    }
    match installation.ask(&Update { source }, &doing)? {
        Updated::Refused { reason, what } => {
            Err(Failure::new(exit_of(reason), reason.code(), format!("{doing} was refused"))
                .because(what)
                .next(format!("{}; what was imported before stands, and nothing is to be repaired", reason.next())))
        }
        Updated::Kept { bundle, releases } => {
            let said = json!({"bundle": bundle, "releases": releases});
            common.out().one(&said, || {
                let mut text = String::new();
                for release in &releases {
                    let types: Vec<_> = release.device_types.iter().map(ToString::to_string).collect();
                    let came = if release.fetched { "fetched" } else { "was there already" };
                    text.push_str(&format!(
                        "{} (counter {}) for {}: {} octets, {came}\n",
                        release.release,
                        release.counter,
                        types.join(", "),
                        release.length,
                    ));
                }
                if releases.is_empty() {
                    text.push_str("the repositories have nothing for this box\n");
                }
                format!("{text}bundle {bundle}: verified, countersigned, kept encrypted\n")
            })
        }
    }
}

fn directory(arguments: &Import) -> Result<Source> {
    if arguments.director.is_some() || arguments.tls_anchors.is_some() {
        return Err(Failure::new(Exit::Usage, "usage", "--director and --tls-anchors are for servers")
            .because(format!("{} is a directory: the director is in it", arguments.source))
            .next("leave them out, or give the address of a server"));
    }
    let path = std::fs::canonicalize(&arguments.source).map_err(|e| Failure::file(&arguments.source, &e))?;
    if !path.is_dir() {
        return Err(Failure::new(Exit::Usage, "usage", format!("{} is no directory", path.display()))
            .because("a source is the directory of a repository, or an address: single releases are not taken")
            .next("publish the release with `cradle repo`, and give the directory"));
    }
    Ok(Source::Directory(path.display().to_string()))
}

fn servers(arguments: &Import) -> Result<Source> {
    let tls_anchors = match &arguments.tls_anchors {
        Some(path) => tuf::certificates(path)?.into_iter().map(Into::into).collect(),
        None => Vec::new(),
    };
    Ok(Source::Servers { images: arguments.source.clone(), director: arguments.director.clone(), tls_anchors })
}

/// Releases of bundles, for a list.
pub(super) fn rows(bundles: &[BundleRow]) -> Vec<Row> {
    let row = |bundle: &BundleRow, release: &BundledRow| Row {
        release: release.release.clone(),
        device_type: release.device_type.to_string(),
        counter: release.counter,
        image: release.image_digest.to_string(),
        length: release.length,
        stored_at: bundle.at.to_string(),
        bundle: bundle.digest,
    };
    bundles.iter().flat_map(|bundle| bundle.releases.iter().map(move |release| row(bundle, release))).collect()
}

pub(super) fn scrub(common: &Common) -> Result {
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let binding = installation.supervisor.row().binding;
    if !binding.permits(Module::Software) {
        return Err(module_off(Module::Software, binding, "verifying what is kept"));
    }
    let damaged = installation.workshop.software()?.scrub().or_fail("verifying what is kept")?;
    if damaged.is_empty() {
        return common.out().one(&json!({"damaged": damaged}), || "all that is kept is whole\n".to_owned());
    }
    Err(Failure::new(Exit::Failed, "damaged", "not all that is kept is whole")
        .because(damaged.join("; "))
        .next("import it again from where it came: what is damaged is replaced"))
}

/// Writes the last bundle as a source for another box.
pub(super) fn export(common: &Common, arguments: &Export) -> Result {
    let workshop = Workshop::open(&common.data, common.passphrase_file.as_deref())?;
    let row = workshop.store.last_bundle()?.ok_or_else(|| {
        Failure::new(Exit::NotFound, "release-unknown", "there is no bundle to be exported")
            .because("nothing was imported from repositories yet")
            .next("`cradle release follow`, then `cradle release import SOURCE`")
    })?;
    let vault = workshop.vault(Module::Software)?;
    let mut octets = Vec::new();
    let broken = |e: std::io::Error| Failure::new(Exit::Failed, "damaged", "the bundle cannot be read").because(e);
    let blob = vault.open(&row.blob).map_err(Fault::from).or_fail("opening the bundle")?;
    blob.take(BUNDLE_LEN_MAX + 1).read_to_end(&mut octets).map_err(broken)?;
    let bundle = Bundle::decode(&octets).map_err(damaged)?;
    let to = &arguments.directory;
    std::fs::create_dir(to).map_err(|e| Failure::file(to, &e))?;
    for (name, octets) in bundle.files() {
        let (repository, file) = name.split_once('/').ok_or_else(|| damaged(BadBundle::ExtraFile(name.clone())))?;
        write(&to.join(repository).join("metadata"), file, &mut octets.as_slice())?;
    }
    for image in &bundle.manifest().images {
        let kept = row.releases.iter().find(|release| release.image_digest == image.sha256);
        let kept = kept.ok_or_else(|| damaged(BadBundle::OtherImages))?;
        let mut source = vault.open(&kept.image).map_err(Fault::from).or_fail("opening an image")?;
        write(&to.join("images").join("targets"), &image.path, &mut source)?;
    }
    // For who looks at the stick; nobody believes it.
    let manifest = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    write(to, "bundle.json", &mut &*manifest)?;
    let said = json!({"bundle": bundle.digest(), "directory": to, "images": bundle.manifest().images.len()});
    common.out().one(&said, || format!("bundle {} is in {}\n", bundle.digest(), to.display()))?;
    common.out().next("on the other box, which follows the same repositories: `cradle release import DIRECTORY`");
    Ok(())
}

fn damaged(bad: BadBundle) -> Failure {
    Failure::new(Exit::Failed, "damaged", "the bundle is damaged")
        .because(bad)
        .next("import it again from where it came: what is damaged is replaced")
}

// Below the directory: no name of a repository leads elsewhere, and this is where it is looked at last.
fn write(below: &Path, name: &str, source: &mut dyn Read) -> Result {
    let leads_away = |part: &str| matches!(part, "" | "." | "..") || part.contains('\\');
    if name.split('/').any(leads_away) {
        return Err(damaged(BadBundle::ExtraFile(name.to_owned())));
    }
    let path = below.join(name);
    let file = |e: std::io::Error| Failure::file(&path, &e);
    std::fs::create_dir_all(path.parent().unwrap_or(below)).map_err(file)?;
    let mut incoming = Incoming::begin(&path).map_err(file)?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        match source.read(&mut piece).map_err(file)? {
            0 => return incoming.publish().map_err(file),
            read => incoming.write(piece.get(..read).unwrap_or_default()).map_err(file)?,
        }
    }
}
