//! A board in the field: a director says what it gets, it verifies that for itself, and somebody plays back what was said before.

use super::maker::{FACTORY, Maker};
use super::{Demo, image, parse};
use crate::cli::tuf::{Side, begin_with, keep};
use crate::cli::uptane::agreed;
use crate::fault::{Exit, Failure, Result};
use adapters::clock::{Stopwatch, SystemEntropy};
use adapters::files;
use adapters::flasher::simulated::{Simulated, SimulatedConfig};
use adapters::keystore::memory::MemoryKey;
use adapters::sealing::seal;
use adapters::vault::VaultPrivateKey;
use director::{Assignment, Begun, Component, Device, Director, Name, Privacy, Scope, Spki};
use model::{DeviceId, DeviceType, Digest, UnixTime};
use ports::Signer;
use ports::store::identity::DeviceRow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use update::Image;
use update::tuf::{Client, HashFunction, Limits};
use update::uptane::{
    self, Agreed, Inventory, ManifestKey, Offer, Report, SealedManifest, write_manifest, write_report,
};
use x509::KeyType;
use zeroize::Zeroizing;

/// Which board.
const SERIAL: &str = "SN2000001";
/// What it is made of.
const COMPONENT: &str = "os";
/// What the newer software is called.
const NEWER: &str = "demo-os-1.5.0.bin";
/// What the director said before, and what it says then.
const SAID: [&str; 2] = ["director-before", "director"];
/// How long the director's root holds: a demonstration is looked at for a day.
const ROOT_S: u64 = 86_400;

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "demo", "the board in the field was not updated").because(why)
}

/// A board that was certified, and what it keeps.
struct Board {
    dir: PathBuf,
    id: DeviceId,
    device_type: DeviceType,
    key: MemoryKey,
}

/// What a board took.
struct Taken {
    agreed: Agreed,
    /// To which its reports are sealed.
    key: Option<ManifestKey>,
}

/// Who tells boards what they get.
struct Desk {
    dir: PathBuf,
    director: Director,
}

impl Demo {
    /// An update in the field. Gives what became of it when the directions before were played back.
    pub(super) fn field(&mut self, maker: &mut Maker) -> Result<&'static str> {
        let watch = Stopwatch::start();
        let now = self.installation.workshop.clock.now();
        let (board, dir) = (self.board()?, self.dir.join("field"));
        let desk = Desk::begin(&dir, &board, maker, now)?;
        let before = desk.give(FACTORY, &board, (maker, SAID[0]), now)?;
        let carried = board.take(&before, maker, 0, now)?.agreed.counter();
        maker.publish(NEWER, ("1.5.0", 8), &image(8), now)?;
        let after = desk.give(NEWER, &board, (maker, SAID[1]), now)?;
        let newer = board.take(&after, maker, carried, now)?;
        desk.hear(&board, &newer, now)?;
        self.step("field", watch, &format!("{SERIAL} follows its director: {NEWER} verified, installed, reported"))?;
        match board.take(&before, maker, newer.agreed.counter(), now) {
            Err(refused) if refused.why.contains("rollback") => {
                self.more("what the director said before, played back: refused, rollback");
                Ok("rollback")
            }
            Err(other) => Err(other),
            Ok(_) => Err(failed("directions that were played back were taken")),
        }
    }

    fn board(&self) -> Result<Board> {
        let (row, pkcs8) = self.made(SERIAL)?;
        let key = MemoryKey::open(&pkcs8).map_err(failed)?;
        Ok(Board { dir: self.dir.join("field").join(SERIAL), id: row.id, device_type: parse("gateway")?, key })
    }

    /// A gateway and its key, as the station left them.
    pub(super) fn made(&self, serial: &str) -> Result<(DeviceRow, Zeroizing<Vec<u8>>)> {
        let row = self.device(serial)?.ok_or_else(|| failed("it is not known"))?;
        let board = row.board.as_ref().ok_or_else(|| failed("it was not made"))?;
        let types = self.installation.workshop.places.device_types();
        let path = types.join("gateway.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
        let mut file: toml::Table = toml::from_str(&text).map_err(failed)?;
        let mut fixture = file.remove("flasher").ok_or_else(|| failed("its type has no fixture"))?;
        fixture.as_table_mut().and_then(|fixture| fixture.remove("adapter"));
        let config: SimulatedConfig = fixture.try_into().map_err(failed)?;
        let contents = Simulated::open(&config, &types).and_then(|fixture| fixture.contents(board));
        let (_, pkcs8) = contents.map_err(failed)?.key.ok_or_else(|| failed("it has no key"))?;
        Ok((row, Zeroizing::new(pkcs8)))
    }
}

impl Desk {
    fn begin(dir: &Path, board: &Board, maker: &Maker, now: UnixTime) -> Result<Self> {
        files::private_directory(dir).map_err(|e| Failure::file(dir, &e))?;
        let key = || -> Arc<dyn Signer> { Arc::new(MemoryKey::generate(KeyType::Ed25519)) };
        let begun = Begun { root_keys: &[key()], expires: now.plus_s(ROOT_S) };
        let director = Director::begin(&dir.join("director.db"), key(), &begun).map_err(failed)?;
        let keys = vec![VaultPrivateKey::generate(&SystemEntropy::default()).map_err(failed)?];
        let director = director.keeping(Privacy { keys, ..Privacy::default() });
        let spki = || Spki::from(board.key.public_key().clone());
        let component = Component { hardware_id: board.device_type.clone(), key: spki() };
        let device = Device {
            id: board.id.clone(),
            key: spki(),
            components: BTreeMap::from([(name(COMPONENT)?, component)]),
            groups: BTreeSet::new(),
            assigned: BTreeMap::new(),
        };
        director.register(&device).map_err(failed)?;
        let root = director.roots().map_err(failed)?.swap_remove(0).1;
        let path = dir.join("director-root.json");
        files::publish(&path, &root).map_err(|e| Failure::file(&path, &e))?;
        // What board and director begin with came with the board.
        begin_with(&board.dir.join("director"), &path)?;
        begin_with(&board.dir.join("images"), &maker.root())?;
        begin_with(&dir.join("images"), &maker.root())?;
        Ok(Self { dir: dir.to_owned(), director })
    }

    /// Gives a target to all boards of the type; writes out what the board is told now.
    fn give(&self, target: &str, board: &Board, (maker, folder): (&Maker, &str), now: UnixTime) -> Result<PathBuf> {
        let mut side = Side::of_folder(&self.dir.join("images"), &maker.metadata());
        let found = Client::new(Limits::DEFAULT, now).look_for(target, &mut side).map_err(|why| side.failed(why))?;
        self.director.take(Offer::of(&found).map_err(failed)?).map_err(failed)?;
        let (scope, component) = (Scope::Type(board.device_type.clone()), name(COMPONENT)?);
        let assignment = Assignment { scope, component, image: target.to_owned() };
        self.director.assign(&assignment).map_err(failed)?;
        let to = self.dir.join(folder);
        std::fs::create_dir_all(&to).map_err(|e| Failure::file(&to, &e))?;
        let write = |file: &str| -> Result<Option<Vec<u8>>> {
            let octets = self.director.file(&board.id, file, now).map_err(failed)?;
            let path = to.join(file);
            octets.iter().try_for_each(|octets| files::publish(&path, octets)).map_err(|e| Failure::file(&path, &e))?;
            Ok(octets)
        };
        let timestamp = write("timestamp.json")?.ok_or_else(|| failed("the director says nothing"))?;
        let said: serde_json::Value = serde_json::from_slice(&timestamp).map_err(failed)?;
        let version = said.pointer("/signed/version").ok_or_else(|| failed("its timestamp has no version"))?;
        for role in ["snapshot", "targets"] {
            write(&format!("{version}.{role}.json"))?;
        }
        Ok(to)
    }

    /// Takes what the board reports into its ledger.
    fn hear(&self, board: &Board, taken: &Taken, now: UnixTime) -> Result {
        let (nonce, _) = self.director.ask(&board.id, &SystemEntropy::default(), now).map_err(failed)?;
        let report = board.report(&taken.agreed)?;
        let sign = |message: &[u8]| board.key.sign(message);
        let report = write_report(&report, nonce, sign).map_err(failed)?;
        let manifest = write_manifest(&board.id, nonce, &[report], sign).map_err(failed)?;
        let key = taken.key.ok_or_else(|| failed("the director announces no key to seal to"))?;
        let sealed = seal(&manifest, &SealedManifest::info(key.name(), &board.id), key.octets()).map_err(failed)?;
        let sealed = SealedManifest { key: key.name(), sealed }.encode();
        self.director.manifest(&board.id, &sealed, now).map_err(failed)?;
        Ok(())
    }
}

impl Board {
    /// Follows what its director says, and keeps the image on which director and maker agree once all of it is right.
    fn take(&self, directions: &Path, maker: &Maker, floor: u64, now: UnixTime) -> Result<Taken> {
        let component = uptane::Component { hardware_id: self.device_type.clone(), floor };
        let components = BTreeMap::from([(COMPONENT.parse().map_err(failed)?, component)]);
        let inventory = Inventory { device: self.id.clone(), components };
        let director = Side::of_folder(&self.dir.join("director"), directions);
        let images = Side::of_folder(&self.dir.join("images"), &maker.metadata());
        let (mut all, key) = agreed(&inventory, (director, images), now)?;
        let agreed = all.pop().ok_or_else(|| failed("it gets nothing"))?;
        let from = maker.target(&agreed.target().path());
        let source = std::fs::File::open(&from).map_err(|e| Failure::file(&from, &e))?;
        keep(agreed.target(), source, &self.dir.join("slot"))?;
        Ok(Taken { agreed, key })
    }

    fn report(&self, agreed: &Agreed) -> Result<Report> {
        let target = agreed.target();
        let digest = target.hashes().of(HashFunction::Sha256).and_then(Digest::from_slice);
        let digest = digest.ok_or_else(|| failed("its hash is another"))?;
        Ok(Report {
            component: COMPONENT.parse().map_err(failed)?,
            hardware_id: self.device_type.clone(),
            target: target.name().to_owned(),
            image: Image { digest, length: target.length() },
            counter: agreed.counter(),
        })
    }
}

fn name(text: &str) -> Result<Name> {
    text.parse().map_err(failed)
}
