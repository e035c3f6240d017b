//! Lists of revoked certificates, as km told them last.

use crate::km::Km;
use model::contract::enrolment::{CrlPlace, CurrentCrl, CurrentCrlShown};
use model::{AuthorityName, Fault, UnixTime};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use x509::sha256;

/// How long a list is told again without asking km, in seconds: however many ask, km is asked once in this time.
const KEPT_S: u64 = 5;
/// Lists that are kept here; when there are more, all are forgotten.
pub(super) const LISTS_MAX: usize = 256;
/// Octets of all lists that are kept here; when there are more, the others are forgotten.
pub(super) const OCTETS_MAX: usize = 256 * 1024 * 1024;
/// Longest list, in octets: some three million lines.
const LIST_LEN_MAX: u64 = 128 * 1024 * 1024;
/// How often a long list is begun that another takes the place of before its end was told.
const TRIES: usize = 3;

/// Which list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct List {
    pub(super) authority: AuthorityName,
    /// 0: not of a shard.
    pub(super) shard: u32,
    pub(super) delta: bool,
}

/// A list.
pub(super) struct Kept {
    pub(super) der: Arc<[u8]>,
    pub(super) etag: String,
    pub(super) number: u64,
    pub(super) this_update: UnixTime,
    pub(super) next_update: UnixTime,
}

/// All of them.
pub(super) struct Lists {
    km: Arc<dyn Km>,
    known: Mutex<BTreeMap<List, Slot>>,
}

#[derive(Default)]
struct Slot {
    known: Arc<Mutex<Known>>,
    len: usize,
}

/// What is known of a list: what km told last, and when it was asked last.
#[derive(Default)]
struct Known {
    kept: Option<Arc<Kept>>,
    asked: Option<UnixTime>,
}

impl Lists {
    pub(super) fn new(km: Arc<dyn Km>) -> Self {
        Self { km, known: Mutex::default() }
    }

    /// The list that km told last, if that was just now; if km does not answer, as long as the list holds. Who asks for one list
    /// waits for nobody who asks for another.
    ///
    /// # Errors
    /// [`Fault`]
    pub(super) fn get(&self, list: &List, now: UnixTime) -> Result<Arc<Kept>, Fault> {
        let known = self.known(list);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_now = known.asked.is_some_and(|asked| now >= asked && now.s().saturating_sub(asked.s()) < KEPT_S);
        let went_back = known.asked.is_some_and(|asked| now < asked);
        let before = known.kept.as_ref().map(Arc::clone).filter(|kept| now <= kept.next_update && !went_back);
        if let Some(kept) = before.as_ref().filter(|_| is_now) {
            return Ok(Arc::clone(kept));
        }
        let told = self.ask(list);
        known.asked = Some(now);
        let is_away = matches!(told, Err(Fault::Unavailable(_)));
        let kept = match (told, before) {
            (Ok(list), before) if before.as_ref().is_none_or(|before| before.number <= list.number) => {
                Ok(Arc::new(list))
            }
            (Ok(_), Some(before)) => Ok(before),
            (Err(_), Some(before)) if is_away => Ok(before),
            (Ok(_), None) => Err(Fault::unavailable("no list")),
            (Err(fault), _) => Err(fault),
        };
        known.kept = kept.as_ref().ok().map(Arc::clone);
        self.count(list, kept.as_ref().ok().map(|kept| kept.der.len()));
        kept
    }

    /// All of a list, in as many messages as it takes.
    fn ask(&self, list: &List) -> Result<Kept, Fault> {
        let mut tried = 1;
        loop {
            match self.ask_once(list) {
                // Another one has taken its place in the middle of it.
                Ok(None) if tried < TRIES => tried += 1,
                Ok(None) => return Err(Fault::unavailable("the list changes faster than it is told")),
                Ok(Some(kept)) => return Ok(kept),
                Err(fault) => return Err(fault),
            }
        }
    }

    fn ask_once(&self, list: &List) -> Result<Option<Kept>, Fault> {
        let List { authority, shard, delta } = list;
        let ask = |from| {
            self.km.current_crl(&CurrentCrl { authority: authority.clone(), shard: *shard, delta: *delta, from })
        };
        let CurrentCrlShown { crl, len, number, this_update, next_update } = ask(None)?;
        if len > LIST_LEN_MAX {
            return Err(Fault::unavailable("the list is too long for the gateway"));
        }
        let mut der = crl.0;
        let known = |der: &Vec<u8>| u64::try_from(der.len()).unwrap_or(u64::MAX);
        while known(&der) < len {
            let part = ask(Some(CrlPlace { number, offset: known(&der) }));
            if matches!(part, Err(Fault::Malformed(_))) {
                return Ok(None);
            }
            let part = part?;
            if part.number != number || part.crl.0.is_empty() {
                return Ok(None);
            }
            der.extend_from_slice(&part.crl.0);
        }
        let etag = format!("\"{}\"", sha256(&der));
        Ok(Some(Kept { der: der.into(), etag, number, this_update, next_update }))
    }

    fn known(&self, list: &List) -> Arc<Mutex<Known>> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= LISTS_MAX && !all.contains_key(list) {
            all.clear();
        }
        Arc::clone(&all.entry(list.clone()).or_default().known)
    }

    /// Takes down how long a list is. One that there is none of takes no room, for names of authorities that are none are without number.
    fn count(&self, list: &List, len: Option<usize>) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(len) = len else {
            all.remove(list);
            return;
        };
        if let Some(slot) = all.get_mut(list) {
            slot.len = len;
        }
        if all.values().map(|slot| slot.len).sum::<usize>() > OCTETS_MAX {
            all.retain(|other, _| other == list);
        }
    }

    #[cfg(test)]
    pub(super) fn count_of(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
