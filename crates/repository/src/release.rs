//! Staging an image with what goes with it: developers' signatures, bill of materials, statements on vulnerabilities, provenance, a delta.
//!
//! Each of these is a target of its own, called as the image with an ending, so that it is served, announced by hash and
//! verified as images are. The image's `custom` refers to them:
//!
//! ```json
//! {"class": "security", "support_end": "2031-12-31T23:59:59Z",
//!  "developers": [{"who": "CN=Alice", "form": "cms", "key": "SHA-256"}],
//!  "attached": {"sbom": {"target": "app.img.sbom.json", "format": "CycloneDX 1.6", "length": 1, "sha256": "..."}}}
//! ```
//!
//! All of it is looked at before anything is written: what is refused changes nothing.

use crate::change::check_image_name;
use crate::fault::Fault;
use crate::state::{Repository, STAGED_IMAGES, image_file};
use model::UnixTime;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Seek};
use update::Image;
use update::developer::{Form, ImageHashes, Vouched, count, verify};
use update::papers::{self, BadPaper, Class};
use update::tuf::write::{Custom, Draft};

/// Most signatures of developers over one image.
const SIGNATURES_MAX: usize = 16;
const DEVELOPERS: &str = "developers";
const ATTACHED: &str = "attached";
const CLASS: &str = "class";
const SUPPORT_END: &str = "support_end";

/// Octets that are read twice: to be measured, and to be taken in.
pub trait Source: Read + Seek {}
impl<S: Read + Seek> Source for S {}

/// What goes with an image.
#[derive(Default)]
pub struct Release<'a> {
    /// What is said besides.
    pub custom: Option<&'a Custom>,
    /// Which role announces it; the bin of its name, or `targets`, if nothing is said.
    pub role: Option<&'a str>,
    /// Developers' signatures, each as its file.
    pub signatures: Vec<Vec<u8>>,
    /// A bill of materials.
    pub sbom: Option<Vec<u8>>,
    /// Which vulnerabilities matter.
    pub vex: Option<Vec<u8>>,
    /// Where it comes from.
    pub provenance: Option<Vec<u8>>,
    /// A shorter way to it.
    pub delta: Option<Delta<'a>>,
    /// Why there is this release.
    pub class: Option<Class>,
    /// Until when it is cared for.
    pub support_end: Option<UnixTime>,
}

/// What `zstd --patch-from` makes of an image and the one before.
pub struct Delta<'a> {
    /// Its octets.
    pub source: &'a mut dyn Source,
    /// The image that it is applied to.
    pub base: Image,
}

/// What was staged.
#[derive(Clone, Debug)]
pub struct Added {
    /// The role that will announce it.
    pub role: String,
    /// The image.
    pub image: Image,
    /// Developers who have signed it, and in which forms.
    pub developers: Vec<(String, Form)>,
    /// What goes with it: kinds, and the names of the targets.
    pub attached: Vec<(String, String)>,
}

/// A target, as it will be announced.
#[derive(Clone, Debug)]
pub struct Announced {
    /// What it is called.
    pub name: String,
    /// The role that announces it.
    pub role: String,
    /// How many octets it has.
    pub length: u64,
    /// The hash in the name of its file.
    pub hash: String,
    /// What is said besides, as JSON.
    pub custom: Value,
    /// Whether it is staged, or announced already.
    pub staged: bool,
}

// A target that goes with an image.
struct Piece<'a> {
    kind: String,
    target: String,
    format: String,
    image: Image,
    base: Option<Image>,
    source: Octets<'a>,
}

enum Octets<'a> {
    Here(Cursor<Vec<u8>>),
    There(&'a mut dyn Source),
}

impl Repository {
    /// Stages an image under a name, and what goes with it.
    ///
    /// What went with an image of this name before and does not any longer is announced no longer.
    /// # Errors
    /// [`Fault`]: above all [`Fault::NotSigned`], [`Fault::TooFewDevelopers`], [`Fault::BadPaper`], and [`Fault::NotAsked`] if clients would not
    /// find it there. Nothing was staged then.
    pub fn add_release<S: Read + Seek>(
        &mut self,
        name: &str,
        source: &mut S,
        release: Release<'_>,
        now: UnixTime,
    ) -> Result<Added, Fault> {
        check_image_name(name)?;
        let (role_named, custom) = (release.role, release.custom);
        let role = self.role_for(name, role_named)?;
        self.check_free(name)?;
        let hashes = ImageHashes::measure(source).map_err(Fault::BadImage)?;
        let vouched = self.vouched(&release.signatures, &hashes, now)?;
        let (class, support_end) = (release.class, release.support_end);
        let mut pieces = self.pieces(name, release, &vouched, &hashes)?;
        let before = self.attached_to(name);
        let mut roles: BTreeMap<String, Vec<(String, Image)>> = BTreeMap::new();
        for piece in &pieces {
            check_image_name(&piece.target)?;
            if !before.contains(&piece.target) && self.is_announced(&piece.target) {
                return Err(Fault::NameTaken(piece.target.clone()));
            }
            let role = self.role_for(&piece.target, role_named)?;
            roles.entry(role).or_default().push((piece.target.clone(), piece.image));
        }
        let custom = said(custom, class, support_end, &vouched, &pieces)?;
        if let Some(custom) = &custom {
            self.check_asked_together(&role, &serde_json::from_str(&custom.json()).unwrap_or_default())?;
        }
        let image = hashes.image();
        self.take_in(name, image, source)?;
        for piece in &mut pieces {
            match &mut piece.source {
                Octets::Here(octets) => self.take_in(&piece.target, piece.image, octets)?,
                Octets::There(source) => self.take_in(&piece.target, piece.image, source)?,
            }
        }
        let stale: BTreeSet<String> =
            before.into_iter().filter(|target| !pieces.iter().any(|piece| piece.target == *target)).collect();
        for role in self.announcing(&stale) {
            roles.entry(role).or_default();
        }
        roles.entry(role.clone()).or_default();
        for (one, targets) in roles {
            self.edit(&one, now, |body| {
                for target in &stale {
                    body.remove_target(target);
                }
                for (target, image) in targets {
                    body.set_target(&target, image, None).map_err(Fault::metadata(&target))?;
                }
                if one == role {
                    body.set_target(name, image, custom.as_ref()).map_err(Fault::metadata(name))?;
                }
                Ok(())
            })?;
        }
        let developers =
            vouched.iter().flat_map(|one| one.developers().map(|d| (d.who().to_owned(), one.form()))).collect();
        let attached = pieces.into_iter().map(|piece| (piece.kind, piece.target)).collect();
        Ok(Added { role, image, developers, attached })
    }

    /// All targets as they will be announced, by name and role.
    #[must_use]
    pub fn announced(&self) -> Vec<Announced> {
        let mut all = Vec::new();
        for role in self.role_names() {
            let staged = self.staged.roles.contains_key(&role);
            for listed in self.role(&role).into_iter().flat_map(Draft::targets) {
                let custom = listed.custom.and_then(|custom| serde_json::from_str(&custom.json()).ok());
                all.push(Announced {
                    name: listed.name.to_owned(),
                    role: role.clone(),
                    length: listed.length,
                    hash: listed.hashes.naming(),
                    custom: custom.unwrap_or_default(),
                    staged,
                });
            }
        }
        all.sort_by(|a, b| (&a.name, &a.role).cmp(&(&b.name, &b.role)));
        all
    }

    fn take_in<S: Source + ?Sized>(&self, name: &str, image: Image, mut source: &mut S) -> Result<(), Fault> {
        let file = image_file(STAGED_IMAGES, name, &image.digest.to_string());
        let rewound = source.rewind();
        rewound.map_err(|error| Fault::Disk { path: self.disk.path(&file), error })?;
        self.disk.copy_in(&file, &mut source)
    }

    fn vouched(&self, signatures: &[Vec<u8>], image: &ImageHashes, now: UnixTime) -> Result<Vec<Vouched>, Fault> {
        let registered = self.registered()?;
        let mut vouched = Vec::new();
        for (number, octets) in (1..).zip(signatures) {
            if number > SIGNATURES_MAX {
                return Err(Fault::NotSigned { number, why: update::developer::NotSigned::TooLong });
            }
            vouched.push(verify(octets, image, &registered, now).map_err(|why| Fault::NotSigned { number, why })?);
        }
        let (signed, required) = (count(&vouched), self.signatures_required()?);
        if signed < usize::from(required) {
            return Err(Fault::TooFewDevelopers { signed, required });
        }
        Ok(vouched)
    }

    // What goes with it, each looked at.
    fn pieces<'a>(
        &self,
        name: &str,
        release: Release<'a>,
        vouched: &[Vouched],
        hashes: &ImageHashes,
    ) -> Result<Vec<Piece<'a>>, Fault> {
        let digest = hashes.image().digest;
        let bad = |paper| move |bad| Fault::BadPaper { paper, bad };
        let mut pieces = Vec::new();
        for (n, (octets, one)) in (1..).zip(release.signatures.into_iter().zip(vouched)) {
            let (kind, ending) = (format!("signature-{n}"), format!("signature-{n}.{}", one.form().ending()));
            pieces.push(Piece::here(name, &kind, &ending, one.form().name(), octets));
        }
        if let Some(octets) = release.sbom {
            let format = papers::check_bill(&octets, &digest).map_err(bad("bill of materials"))?;
            pieces.push(Piece::here(name, "sbom", "sbom.json", &format, octets));
        }
        if let Some(octets) = release.vex {
            let format =
                papers::check_vulnerabilities(&octets, &digest).map_err(bad("statement on vulnerabilities"))?;
            pieces.push(Piece::here(name, "vex", "vex.json", &format, octets));
        }
        if let Some(octets) = release.provenance {
            let checked = papers::check_provenance(&octets, hashes, &self.registered()?);
            let (format, _) = checked.map_err(bad("provenance"))?;
            pieces.push(Piece::here(name, "provenance", "provenance.json", &format, octets));
        }
        if let Some(Delta { source, base }) = release.delta {
            let mut first = [0; 4];
            let read = source.rewind().and_then(|()| source.read_exact(&mut first));
            read.map_err(|_| bad("delta")(BadPaper::NoDelta))?;
            papers::check_delta(&first).map_err(bad("delta"))?;
            source.rewind().map_err(|_| bad("delta")(BadPaper::NoDelta))?;
            let image = Image::measure(source).map_err(Fault::BadImage)?;
            pieces.push(Piece {
                kind: "delta".to_owned(),
                target: format!("{name}.delta.zst"),
                format: "zstd --patch-from".to_owned(),
                image,
                base: Some(base),
                source: Octets::There(source),
            });
        }
        Ok(pieces)
    }

    /// The targets that go with an image, as it is announced now: those that are called as it is, with an ending.
    pub(crate) fn attached_to(&self, name: &str) -> BTreeSet<String> {
        let custom = |role: &String| {
            let listed = self.role(role)?.targets().find(|listed| listed.name == name)?;
            serde_json::from_str::<Value>(&listed.custom?.json()).ok()
        };
        let mut found = BTreeSet::new();
        for custom in self.role_names().iter().filter_map(custom) {
            let attached = custom.get(ATTACHED).and_then(Value::as_object).cloned().unwrap_or_default();
            let targets = attached.values().filter_map(|one| one.get("target")?.as_str());
            // Somebody else may have written it: what is called otherwise is not his.
            found.extend(targets.filter(|target| is_below(name, target)).map(str::to_owned));
        }
        found
    }

    // Refuses the name of what goes with another image.
    fn check_free(&self, name: &str) -> Result<(), Fault> {
        let names = self.role_names();
        let all = names.iter().filter_map(|role| self.role(role)).flat_map(Draft::targets);
        let mut above = all.map(|listed| listed.name).filter(|other| is_below(other, name));
        if above.any(|other| self.attached_to(other).contains(name)) {
            return Err(Fault::NameTaken(name.to_owned()));
        }
        Ok(())
    }

    fn is_announced(&self, name: &str) -> bool {
        !self.announcing(&BTreeSet::from([name.to_owned()])).is_empty()
    }

    fn announcing(&self, names: &BTreeSet<String>) -> Vec<String> {
        let announces = |role: &String| {
            let draft = self.role(role);
            draft.is_some_and(|draft| draft.targets().any(|listed| names.contains(listed.name)))
        };
        self.role_names().into_iter().filter(announces).collect()
    }
}

fn is_below(name: &str, target: &str) -> bool {
    target.strip_prefix(name).is_some_and(|ending| ending.starts_with('.'))
}

impl Piece<'_> {
    fn here(name: &str, kind: &str, ending: &str, format: &str, octets: Vec<u8>) -> Self {
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        Self {
            kind: kind.to_owned(),
            target: format!("{name}.{ending}"),
            format: format.to_owned(),
            image: Image { digest: x509::sha256(&octets), length },
            base: None,
            source: Octets::Here(Cursor::new(octets)),
        }
    }

    fn said(&self) -> Value {
        let Image { digest, length } = self.image;
        let mut said = json!({"target": self.target, "format": self.format, "length": length, "sha256": digest});
        if let (Some(members), Some(base)) = (said.as_object_mut(), self.base) {
            members.insert("base".to_owned(), json!({"length": base.length, "sha256": base.digest}));
        }
        said
    }
}

// What is said of the image: what its maker says, and what was found here.
fn said(
    custom: Option<&Custom>,
    class: Option<Class>,
    support_end: Option<UnixTime>,
    vouched: &[Vouched],
    pieces: &[Piece<'_>],
) -> Result<Option<Custom>, Fault> {
    let mut said: Map<String, Value> = match custom {
        Some(custom) => serde_json::from_str(&custom.json()).unwrap_or_default(),
        None => Map::new(),
    };
    if let Some(member) = [DEVELOPERS, ATTACHED, CLASS, SUPPORT_END].into_iter().find(|one| said.contains_key(*one)) {
        return Err(Fault::Reserved(member));
    }
    if !vouched.is_empty() {
        let of = |one: &Vouched| {
            let form = one.form().name();
            let each = one.developers().map(|d| json!({"who": d.who(), "form": form, "key": d.key()}));
            each.collect::<Vec<_>>()
        };
        said.insert(DEVELOPERS.to_owned(), vouched.iter().flat_map(of).collect());
    }
    if !pieces.is_empty() {
        let attached: Map<String, Value> = pieces.iter().map(|piece| (piece.kind.clone(), piece.said())).collect();
        said.insert(ATTACHED.to_owned(), Value::Object(attached));
    }
    said.extend(class.map(|class| (CLASS.to_owned(), json!(class.name()))));
    said.extend(support_end.map(|end| (SUPPORT_END.to_owned(), json!(end.whole_second().to_string()))));
    if said.is_empty() {
        return Ok(custom.cloned());
    }
    let text = Value::Object(said).to_string();
    Custom::of_json(text.as_bytes()).map(Some).map_err(|bad| Fault::metadata("custom")(bad.into()))
}
