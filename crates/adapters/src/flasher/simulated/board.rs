//! A simulated board in the hands of a station.

use super::super::fault;
use super::super::offer::Offer;
use super::super::source::{Source, length_of};
use super::key::Key;
use super::memory::{Cell, Image, Memory};
use super::trouble::{Kind, Step, Trouble};
use aws_lc_rs::digest::{Context, SHA256};
use model::Digest;
use ports::flasher::{self, BoardFault, Identity, KeyOffer, Part};
use std::io::Read;
use std::sync::Arc;
use x509::KeyType;

/// Octets of the image that are taken at once: they fit the second-level cache between being written and hashed.
const CHUNK_LEN: usize = 256 * 1024;
/// Longest part in octets: a real board has a slot of some KiB.
const PART_LEN_MAX: usize = 256 * 1024;

/// What all boards of a fixture have in common.
pub(super) struct Shared {
    offer: Offer,
    troubles: Vec<Trouble>,
}

impl Shared {
    pub(super) fn new(offer: Offer, troubles: &[Trouble]) -> Self {
        Self { offer, troubles: troubles.to_vec() }
    }
}

/// A board that was taken up.
pub(super) struct Board {
    shared: Arc<Shared>,
    place: usize,
    identity: Identity,
    cell: Arc<Cell>,
    line: Line,
}

/// Whether the board can be reached. `Untried` until the first step decides about a fault `silent`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Untried,
    Open,
    Dead,
}

impl Board {
    pub(super) fn new(shared: Arc<Shared>, place: usize, identity: Identity, cell: Arc<Cell>) -> Self {
        Self { shared, place, identity, cell, line: Line::Untried }
    }

    /// The fault of this kind that happens now, and is counted.
    fn trouble(&self, memory: &mut Memory, is: impl Fn(&Trouble) -> bool) -> Option<&Trouble> {
        let mut numbered = self.shared.troubles.iter().enumerate();
        let (_, trouble) = numbered.find(|(number, trouble)| {
            is(trouble) && trouble.hits(&self.identity.board, self.place) && memory.happens(*number, trouble.times)
        })?;
        Some(trouble)
    }

    /// Every step begins here.
    fn begin(&mut self, step: Step) -> Result<(), BoardFault> {
        // Boards without troubles are the many, and spare themselves the lock and the file.
        if self.shared.troubles.is_empty() {
            return Ok(());
        }
        if self.line == Line::Untried {
            let silent = self.cell.change(|memory| Ok(self.trouble(memory, |t| t.kind == Kind::Silent).is_some()))?;
            self.line = if silent { Line::Dead } else { Line::Open };
        }
        if self.line == Line::Dead {
            return Err(BoardFault::Silent);
        }
        self.cell.change(|memory| match self.trouble(memory, |t| t.step == Some(step)) {
            Some(_) => Err(fault::refused("the simulated board refuses this step")),
            None => Ok(()),
        })
    }
}

impl flasher::Board for Board {
    fn identify(&mut self) -> Result<Identity, BoardFault> {
        self.begin(Step::Identify)?;
        Ok(self.identity.clone())
    }

    fn installed(&mut self, length: u64) -> Result<Option<Digest>, BoardFault> {
        self.begin(Step::Installed)?;
        // A simulated board keeps no octets, so it cannot tell the digest of another length.
        self.cell.with(|memory| Ok(memory.image.as_ref().filter(|i| i.length == length).map(|i| i.sha256)))
    }

    fn flash(&mut self, image: &mut dyn Read, length: u64, progress: &mut dyn FnMut(u64)) -> Result<(), BoardFault> {
        self.begin(Step::Flash)?;
        let cell = Arc::clone(&self.cell);
        let (flip, cable_out) = cell.change(|memory| {
            memory.image = None;
            let flip = self.trouble(memory, |t| t.kind == Kind::Flip && length > 0);
            let cable_out = self.trouble(memory, |t| t.kind == Kind::CableOut);
            Ok((flip.map(|t| t.at(length).min(length.saturating_sub(1))), cable_out.map(|t| t.at(length))))
        })?;
        let hashed = hash(&mut Source::new(image, length), flip, cable_out, progress)?;
        if let Some(stored) = hashed.stored {
            cell.change(|memory| {
                memory.image = Some(Image { length, sha256: stored });
                Ok(())
            })?;
        }
        if cable_out.is_some() {
            self.line = Line::Dead;
            return Err(BoardFault::Silent);
        }
        if hashed.stored == Some(hashed.sent) {
            progress(length);
            Ok(())
        } else {
            Err(BoardFault::Mismatch)
        }
    }

    fn write(&mut self, what: Part, octets: &[u8]) -> Result<(), BoardFault> {
        self.begin(what.into())?;
        if octets.len() > PART_LEN_MAX {
            return Err(fault::refused(format_args!("{} has no room for so much", what.name())));
        }
        self.cell.change(|memory| {
            memory.put(what, octets);
            if what == Part::CertificateChain && self.trouble(memory, |t| t.kind == Kind::ForgetKey).is_some() {
                memory.forget_key();
            }
            Ok(())
        })
    }

    fn key(&mut self, key_type: KeyType) -> Result<KeyOffer, BoardFault> {
        self.begin(Step::Key)?;
        let offer = |key: &Key| match self.shared.offer {
            Offer::Csr => key.request(&self.identity.serial),
            Offer::PublicKey => Ok(key.public_key()),
        };
        self.cell.change(|memory| offer(memory.key(key_type)?))
    }

    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, BoardFault> {
        self.begin(Step::Prove)?;
        let sign = |memory: &mut Memory| {
            let key_type = memory.open_key().ok_or_else(|| fault::refused("the board has no key"))?.key_type();
            if self.trouble(memory, |t| t.kind == Kind::WrongKey).is_some() {
                return Key::generate(key_type)?.0.sign(challenge);
            }
            memory.key(key_type)?.sign(challenge)
        };
        if self.shared.troubles.is_empty() { self.cell.with(sign) } else { self.cell.change(sign) }
    }
}

struct Hashed {
    /// The digest of what the station sent.
    sent: Digest,
    /// The digest of what the board stored, if it stored all of it.
    stored: Option<Digest>,
}

/// Takes the image. Everything is hashed once; from the octet that flips on, twice.
fn hash(
    source: &mut Source<'_>,
    flip: Option<u64>,
    cable_out: Option<u64>,
    progress: &mut dyn FnMut(u64),
) -> Result<Hashed, BoardFault> {
    let (mut sent, mut stored) = (Context::new(&SHA256), None::<Context>);
    let (mut at, mut complete) = (0_u64, true);
    let mut buffer = vec![0; CHUNK_LEN];
    loop {
        let chunk = source.fill(&mut buffer)?;
        if chunk.is_empty() {
            break;
        }
        let end = at.saturating_add(length_of(chunk));
        if cable_out.is_some_and(|out| out < end) {
            complete = false;
            break;
        }
        match flip.filter(|flip| (at..end).contains(flip)) {
            None => {
                stored.iter_mut().for_each(|s| s.update(chunk));
                sent.update(chunk);
            }
            Some(flip) => {
                let mut other = sent.clone();
                sent.update(chunk);
                let place = usize::try_from(flip.saturating_sub(at)).unwrap_or(usize::MAX);
                chunk.get_mut(place).into_iter().for_each(|octet| *octet ^= 1);
                other.update(chunk);
                stored = Some(other);
            }
        }
        at = end;
        // The last octet counts as done when the comparison is.
        progress(at.saturating_sub(1));
    }
    let finish = |context: Context| {
        let Some(digest) = Digest::from_slice(context.finish().as_ref()) else {
            unreachable!("SHA-256 has 32 octets (FIPS 180-4)")
        };
        digest
    };
    let sent = finish(sent);
    Ok(Hashed { sent, stored: complete.then(|| stored.map_or(sent, finish)) })
}
