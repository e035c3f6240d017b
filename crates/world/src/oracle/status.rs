//! Lists of revoked certificates, and answers about one.

use super::{Check, Listed, Oracle, Said, broken};
use model::{Digest, UnixTime};
use ports::store::authority::CrlRow;
use std::collections::BTreeSet;
use wire::ocsp::{Asked, CertStatus, Response};
use x509::{Certificate, CertificateList};

/// How far the clock of an asker may be off, in seconds: far, for here the clock is changed while they ask.
const SKEW_S: u64 = 86_400;

impl Oracle {
    /// A list is about to be signed, durably so.
    pub fn list_intended(&mut self, tbs: Digest) {
        self.list_intents.insert(tbs);
    }

    /// A list was recorded: it names all that the one before it named and is revoked still.
    pub fn list_recorded(&mut self, row: &CrlRow) -> Said {
        let Ok(list) = CertificateList::decode(&row.der) else {
            return broken(Check::D7, "a list was recorded that cannot be read");
        };
        if row.scope.shard != 0 || row.base.is_some() {
            return Ok(());
        }
        let named = |list: &CertificateList| list.revoked.iter().map(|r| r.serial_number.to_string()).collect();
        let serials: BTreeSet<String> = named(&list);
        let tick = self.tick();
        let lists = self.lists.entry(row.scope.authority).or_default();
        if let Some(last) = lists.last() {
            if list.crl_number <= last.number {
                return broken(Check::D7, format!("list {} was recorded behind list {}", list.crl_number, last.number));
            }
            if row.this_update < last.this_update || row.edge < last.edge {
                let number = list.crl_number;
                return broken(Check::D7, format!("list {number} is older than list {}", last.number));
            }
            for serial in last.serials.difference(&serials) {
                let Some(known) = self.intents.get(serial) else { continue };
                let has_ended = known.not_after.s() < last.this_update.s();
                // Released, and perhaps revoked again since.
                let was_final = known.words.final_since.is_some_and(|since| since < last.tick);
                let may_be_released = !known.words.releases.is_empty() && !was_final;
                if !has_ended && !may_be_released {
                    let what = format!("{serial} stands on list {} and not on list {}", last.number, list.crl_number);
                    return broken(Check::D7, what);
                }
            }
        }
        lists.push(Listed { tick, number: list.crl_number, edge: row.edge, this_update: row.this_update, serials });
        Ok(())
    }

    /// A list was told of, that was asked for at a tick.
    pub fn listed(&mut self, authority: u64, der: &[u8], asked: u64) -> Said {
        self.counts.lists += 1;
        let Ok(list) = CertificateList::decode(der) else {
            return broken(Check::D7, "a list was told that cannot be read");
        };
        let tick = self.tick();
        let is_delta = list.base_crl_number.is_some();
        let numbers = |delta| self.told_lists.get(&(list.issuer.der().to_vec(), delta)).into_iter().flatten();
        let mut before = numbers(true).chain(numbers(false)).filter(|(told, ..)| *told < asked);
        if let Some((_, number, _)) = before.find(|(_, number, _)| *number >= list.crl_number) {
            return broken(Check::D7, format!("list {} was told after list {number}", list.crl_number));
        }
        let mut same = numbers(is_delta).filter(|(told, ..)| *told < asked);
        if let Some((_, number, _)) = same.find(|(_, _, at)| *at > list.this_update) {
            return broken(Check::D7, format!("list {} is dated before list {number}", list.crl_number));
        }
        self.names_all(authority, &list, asked)?;
        let place = (list.issuer.der().to_vec(), is_delta);
        self.told_lists.entry(place).or_default().push((tick, list.crl_number, list.this_update));
        Ok(())
    }

    /// A list names all that is revoked and not expired; a difference does together with its base.
    fn names_all(&self, authority: u64, list: &CertificateList, asked: u64) -> Said {
        let mut named: BTreeSet<String> = list.revoked.iter().map(|r| r.serial_number.to_string()).collect();
        let lists = self.lists.get(&authority).map(Vec::as_slice).unwrap_or_default();
        if let Some(base) = list.base_crl_number {
            let Some(base) = lists.iter().find(|l| l.number == base) else {
                return broken(Check::D7, format!("list {} has a base that was never recorded", list.crl_number));
            };
            let removed: BTreeSet<String> = list.removed.iter().map(ToString::to_string).collect();
            named.extend(base.serials.difference(&removed).cloned());
        }
        // What expired before the list before this one was shown by that one for the last time.
        let earlier = lists.iter().filter(|l| l.number < list.crl_number).map(|l| l.this_update);
        let latest = earlier.max().unwrap_or(UnixTime::from_s(0));
        let of_it = self.intents.iter().filter(|(_, known)| known.authority == authority);
        let due = of_it.filter(|(_, known)| known.not_after.s() >= latest.s() && known.words.must_be_revoked(asked));
        match due.map(|(serial, _)| serial).find(|serial| !named.contains(*serial)) {
            None => Ok(()),
            Some(serial) => broken(Check::D7, format!("{serial} is revoked, and not on list {}", list.crl_number)),
        }
    }

    /// A responder answered a question that was asked at a tick.
    pub fn status_told(
        &mut self,
        request: &[u8],
        answer: &[u8],
        issuer: &Certificate,
        now: UnixTime,
        asked: u64,
    ) -> Said {
        let Some((serial_number, nonce)) = self.questions.get(request).cloned() else { return Ok(()) };
        let Ok(Response::Basic(response)) = Response::decode(answer) else { return Ok(()) };
        let question = Asked { issuer, serial_number, nonce: nonce.as_deref(), now, skew_s: SKEW_S };
        // An asker whose clock jumped does not believe it; so it does no harm.
        let Ok(verified) = wire::ocsp::verify(&response, &question) else { return Ok(()) };
        self.counts.statuses += 1;
        let tick = self.tick();
        let serial = serial_number.to_string();
        let known = self.intents.get(&serial);
        let words = known.map(|known| &known.words);
        if verified.status == CertStatus::Good {
            match known {
                None => return broken(Check::D8, format!("{serial} was never issued, and is said to be good")),
                Some(known) if !known.recorded => {
                    return broken(Check::D8, format!("{serial} was never recorded, and is said to be good"));
                }
                Some(_) if words.is_some_and(|words| words.must_be_revoked(asked)) => {
                    return broken(Check::D6, format!("{serial} is revoked, and is said to be good"));
                }
                Some(_) => {}
            }
        }
        // One without a nonce may have been made before, for somebody else.
        if nonce.is_some() {
            let mut before = self.produced.iter().filter(|(told, _)| *told < asked);
            if before.any(|(_, at)| *at > verified.produced_at) {
                return broken(Check::D7, format!("an answer about {serial} looks older than one before it"));
            }
            self.produced.push((tick, verified.produced_at));
        }
        Ok(())
    }
}
