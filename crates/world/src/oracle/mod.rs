//! What was promised, and whether it is kept.
//!
//! The oracle keeps its own books, from what passes the signer, the store and the bus. It asks the store only for what
//! it wants to compare with them.

mod certificates;
mod standing;
mod status;

use model::contract::authority::{GrantOffer, RevocationReason};
use model::{Digest, UnixTime};
use ports::directory::Caller;
use ports::store::AuthorityStore;
use ports::store::authority::IntentDraft;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use x509::SerialNumber;

/// What must hold. The numbers are those of `cradle verify --deep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// No two certificates have one issuer and one serial number.
    D1,
    /// What a key of an authority signs was intended before, durably.
    D2,
    /// What was told stays.
    D3,
    /// What was refused, or never recorded, is never usable.
    D4,
    /// Told once or many times, a request has one effect and one answer.
    D5,
    /// Revoked stays revoked; only a hold ends.
    D6,
    /// Lists and their numbers and times never go back, and name all that is revoked and not expired.
    D7,
    /// What was never issued is not good.
    D8,
    /// The records do not agree with themselves.
    Deep,
    /// The world itself could not go on.
    World,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What should.
    pub check: Check,
    /// What is the matter.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.check, self.what)
    }
}

/// The end of an oracle's look at something.
pub type Said = Result<(), Violation>;

/// It does not hold.
pub(crate) fn broken<T>(check: Check, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { check, what: what.into() })
}

/// What is known of an intent, and of what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Intended {
    pub(crate) serial: SerialNumber,
    pub(crate) authority: u64,
    pub(crate) tbs: Digest,
    pub(crate) transaction: [u8; 16],
    pub(crate) requester: Caller,
    pub(crate) key: Digest,
    pub(crate) grant: u64,
    pub(crate) not_after: UnixTime,
    pub(crate) recorded: bool,
    /// The answer that was given, if one was.
    pub(crate) told: Option<Vec<u8>>,
    pub(crate) words: Words,
}

/// What was said of a certificate's standing, each at its tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// Somebody was told that it is revoked for good, or the store said so.
    pub(crate) final_since: Option<u64>,
    /// Somebody was told that it is on hold: when that was asked, and when it was told.
    pub(crate) held: Option<(u64, u64)>,
    /// Releases that were asked for.
    pub(crate) releases: BTreeMap<u64, Release>,
    /// Somebody said that the requester did not take it.
    pub(crate) rejected: bool,
    pub(crate) confirmed: bool,
}

/// A release that was asked for: it may happen until it is told to have been done, or refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    pub(crate) ended: Option<u64>,
}

impl Words {
    /// Whether a hold that was told of may have ended since.
    pub(crate) fn may_be_released(&self) -> bool {
        let Some((asked, _)) = self.held else { return true };
        self.releases.values().any(|release| release.ended.is_none_or(|ended| ended > asked))
    }
    /// Whether it must be revoked, by what was told before this tick.
    pub(crate) fn must_be_revoked(&self, before: u64) -> bool {
        let held = self.held.is_some_and(|(_, told)| told < before) && !self.may_be_released();
        self.final_since.is_some_and(|since| since < before) || held
    }
}

/// A list that was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) tick: u64,
    pub(crate) number: u64,
    pub(crate) edge: u64,
    pub(crate) this_update: UnixTime,
    pub(crate) serials: BTreeSet<String>,
}

/// When a list was told of, its number, and its time.
type ToldList = (u64, u64, UnixTime);

/// The oracle's books.
#[derive(Debug, Default)]
pub struct Oracle {
    tick: u64,
    /// By serial number.
    pub(crate) intents: BTreeMap<String, Intended>,
    /// What was signed, by issuing key and serial number.
    signatures: BTreeMap<(Digest, String), Digest>,
    /// Certificates that lie on boards or in the hands of others, by issuer and serial number.
    seen: BTreeMap<(Vec<u8>, String), Digest>,
    /// Lists that were intended, by the digest of what is signed.
    list_intents: BTreeSet<Digest>,
    /// Whole lists that were recorded, newest last, by authority.
    lists: BTreeMap<u64, Vec<Listed>>,
    /// Lists that were told of, by issuer, whole ones and differences.
    told_lists: BTreeMap<(Vec<u8>, bool), Vec<ToldList>>,
    /// What was asked of a responder: the request, the number in it, the nonce.
    pub(crate) questions: BTreeMap<Vec<u8>, (SerialNumber, Option<Vec<u8>>)>,
    /// The latest `producedAt` that was told, and when.
    produced: Vec<(u64, UnixTime)>,
    /// Devices that a list named and ics took, and devices that are provisioned.
    pub(crate) listed: BTreeSet<String>,
    pub(crate) provisioned: BTreeSet<String>,
    /// How many certificates a grant is for, by its row; one, if it is not here.
    pub(crate) quotas: BTreeMap<u64, usize>,
    /// Where the round over the intents goes on.
    round: String,
    /// How often what was looked at.
    pub counts: Counts,
}

/// How often what was looked at: a check that never looked at anything has proved nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say what is counted")]
pub struct Counts {
    pub intents: u64,
    pub signatures: u64,
    pub told: u64,
    pub repeated: u64,
    pub refused: u64,
    pub revoked: u64,
    pub held: u64,
    pub released: u64,
    pub lists: u64,
    pub statuses: u64,
    pub provisioned: u64,
}

impl Counts {
    /// The sums of two worlds.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            intents: self.intents + other.intents,
            signatures: self.signatures + other.signatures,
            told: self.told + other.told,
            repeated: self.repeated + other.repeated,
            refused: self.refused + other.refused,
            revoked: self.revoked + other.revoked,
            held: self.held + other.held,
            released: self.released + other.released,
            lists: self.lists + other.lists,
            statuses: self.statuses + other.statuses,
            provisioned: self.provisioned + other.provisioned,
        }
    }
}

impl Oracle {
    /// The next moment of the oracle's own time: each call and each answer has one.
    pub fn tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// An intent became durable.
    pub fn intended(&mut self, draft: &IntentDraft) -> Said {
        self.counts.intents += 1;
        let intended = Intended {
            serial: draft.serial,
            authority: draft.authority,
            tbs: draft.tbs_digest,
            transaction: *draft.transaction_id.octets(),
            requester: draft.requester.clone(),
            key: draft.key,
            grant: draft.grant,
            not_after: draft.not_after,
            recorded: false,
            told: None,
            words: Words::default(),
        };
        match self.intents.insert(draft.serial.to_string(), intended) {
            None => Ok(()),
            Some(_) => broken(Check::D1, format!("{} was intended twice", draft.serial)),
        }
    }

    /// Certificates became durable.
    pub fn recorded(&mut self, serial: &SerialNumber) -> Said {
        match self.intents.get_mut(&serial.to_string()) {
            Some(known) => {
                known.recorded = true;
                Ok(())
            }
            None => broken(Check::D2, format!("{serial} was recorded and never intended")),
        }
    }

    /// A revocation was told of.
    pub fn revoked(&mut self, serial: &str, reason: RevocationReason, asked: u64) {
        let tick = self.tick();
        let Some(known) = self.intents.get_mut(serial) else { return };
        if reason == RevocationReason::CertificateHold {
            self.counts.held += 1;
            known.words.held = known.words.held.max(Some((asked, tick)));
        } else {
            self.counts.revoked += 1;
            known.words.final_since.get_or_insert(tick);
        }
    }

    /// A release is asked for.
    pub fn releasing(&mut self, serial: &str, asked: u64) {
        if let Some(known) = self.intents.get_mut(serial) {
            known.words.releases.insert(asked, Release { ended: None });
        }
    }

    /// A release was told of, or refused for good.
    pub fn released(&mut self, serial: &str, asked: u64) {
        let tick = self.tick();
        let Some(known) = self.intents.get_mut(serial) else { return };
        self.counts.released += 1;
        if let Some(release) = known.words.releases.get_mut(&asked) {
            release.ended.get_or_insert(tick);
        }
    }

    /// Grants that were left are for devices, one certificate each: who could ask twice would have two.
    pub fn deposited(&mut self, offers: &[GrantOffer]) -> Said {
        match offers.iter().find(|offer| offer.quota != 1) {
            None => Ok(()),
            Some(offer) => broken(Check::D5, format!("the grant of {} is for {}", offer.subject, offer.quota)),
        }
    }

    /// All that is compared with the store, of all certificates, as after a restart.
    pub fn compare(&mut self, store: &dyn AuthorityStore) -> Said {
        self.told_stays(store)?;
        let all: Vec<String> = self.intents.keys().cloned().collect();
        all.iter().try_for_each(|serial| self.stands(serial, store))
    }

    /// A few of them, and others the next time.
    pub fn look_round(&mut self, store: &dyn AuthorityStore) -> Said {
        const AT_ONCE: usize = 6;
        let behind = (std::ops::Bound::Excluded(self.round.clone()), std::ops::Bound::Unbounded);
        let mut some: Vec<String> =
            self.intents.range(behind).map(|(serial, _)| serial.clone()).take(AT_ONCE).collect();
        if some.len() < AT_ONCE {
            let missing = AT_ONCE - some.len();
            some.extend(self.intents.keys().take(missing).cloned());
        }
        some.iter().try_for_each(|serial| self.stands(serial, store))?;
        self.round = some.pop().unwrap_or_default();
        Ok(())
    }
}
