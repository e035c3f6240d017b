//! Intents and records of a whole batch at a server: a statement for each table instead of some for each row, because each
//! costs a way there and back. What is not as it usually is, is left to the statements for one row.

use super::engine::postgres::Session;
use super::engine::{self, Error};
use super::intents::{Reserved, intended};
use super::transaction::Tx;
use super::{WriteFault, entry};
use model::audit::Event;
use model::{Module, UnixTime};
use ports::store::authority::{IntentDraft, RecordDraft};
use std::collections::{BTreeMap, HashMap};
use x509::sha256;

/// Below so many it is not worth it.
pub(super) const ROWS_MIN: usize = 8;

/// Intends all of them, or none and gives nothing, if one of them cannot be intended or was before.
pub(super) fn intend(
    tx: &mut Tx<'_>,
    session: &Session,
    drafts: &[IntentDraft],
    requesters: &[i64],
    profiles: &[i64],
) -> Result<Option<Vec<Reserved>>, WriteFault> {
    session.batch("SAVEPOINT batch")?;
    let Some(rows) = insert(session, drafts, requesters, profiles)? else {
        session.batch("ROLLBACK TO batch; RELEASE batch")?;
        return Ok(None);
    };
    session.batch("RELEASE batch")?;
    let mut reserved = Vec::with_capacity(drafts.len());
    for (draft, row) in drafts.iter().zip(rows) {
        tx.audit(&entry(draft.at, Module::Authority, intended(draft)))?;
        tx.opened(row, draft.serial);
        reserved.push(Reserved::Row(row, draft.serial, draft.tbs_digest));
    }
    Ok(Some(reserved))
}

fn insert(
    session: &Session,
    drafts: &[IntentDraft],
    requesters: &[i64],
    profiles: &[i64],
) -> engine::Result<Option<Vec<u64>>> {
    let ints = |f: &dyn Fn(&IntentDraft) -> u64| drafts.iter().map(|draft| whole(f(draft))).collect::<Vec<_>>();
    let octets = |f: &dyn Fn(&IntentDraft) -> Vec<u8>| drafts.iter().map(f).collect::<Vec<_>>();
    let serials = octets(&|d| d.serial.octets().to_vec());
    let rights: Vec<Option<i64>> = drafts.iter().map(|draft| draft.right.map(whole)).collect();
    let found = session.rows(
        "INSERT INTO issuance (serial, authority, transaction_id, requester, grant_id, right_id, profile, key, tbs, at,
         state, not_after, shard)
         SELECT serial, authority, transaction_id, requester, grant_id, right_id, profile, key, tbs, at, 0, not_after, shard
         FROM unnest(?1::bytea[], ?2::bigint[], ?3::bytea[], ?4::bigint[], ?5::bigint[], ?6::bigint[], ?7::bigint[],
         ?8::bytea[], ?9::bytea[], ?10::bigint[], ?11::bigint[], ?12::bigint[]) WITH ORDINALITY AS n (serial, authority,
         transaction_id, requester, grant_id, right_id, profile, key, tbs, at, not_after, shard, nth) ORDER BY nth
         ON CONFLICT (transaction_id, attempt) DO NOTHING RETURNING id, serial",
        &[
            &serials,
            &ints(&|d| d.authority),
            &octets(&|d| d.transaction_id.octets().to_vec()),
            &requesters,
            &ints(&|d| d.grant),
            &rights,
            &profiles,
            &octets(&|d| d.key.octets().to_vec()),
            &octets(&|d| d.tbs_digest.octets().to_vec()),
            &ints(&|d| d.at.ms()),
            &ints(&|d| d.not_after.s()),
            &ints(&|d| u64::from(d.shard)),
        ],
    )?;
    if found.len() != drafts.len() {
        return Ok(None);
    }
    let mut rows = HashMap::with_capacity(found.len());
    for row in &found {
        rows.insert(row.try_get::<_, Vec<u8>>(1)?, row.try_get::<_, i64>(0)?);
    }
    let ids =
        serials.iter().map(|serial| rows.get(serial).copied().ok_or(Error::NoRow)).collect::<Result<Vec<_>, _>>()?;
    let is_usual = !is_anothers_key(session, &ids)? && reserve(session, drafts)? && count(session, drafts)?;
    Ok(is_usual.then(|| ids.into_iter().map(|id| u64::try_from(id).unwrap_or_default()).collect()))
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whether one of the keys is another subject's.
fn is_anothers_key(session: &Session, ids: &[i64]) -> engine::Result<bool> {
    let found = session.rows(
        "SELECT 1 FROM issuance n JOIN issuance i ON substr(i.key, 1, 8) = substr(n.key, 1, 8) AND i.key = n.key
         AND i.grant_id <> n.grant_id JOIN grant_ a ON a.id = n.grant_id JOIN grant_ b ON b.id = i.grant_id
         WHERE n.id = ANY(?1) AND a.subject <> b.subject LIMIT 1",
        &[&ids],
    )?;
    Ok(!found.is_empty())
}

/// How often each is wanted, and until when it must last.
fn wanted(drafts: &[IntentDraft], of: impl Fn(&IntentDraft) -> Option<u64>) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    let mut wanted: BTreeMap<u64, (i64, UnixTime)> = BTreeMap::new();
    for draft in drafts {
        if let Some(id) = of(draft) {
            let (count, until) = wanted.entry(id).or_insert((0, draft.at));
            *count += 1;
            *until = draft.at.max(*until);
        }
    }
    let ids = wanted.keys().map(|id| whole(*id)).collect();
    (
        ids,
        wanted.values().map(|(count, _)| *count).collect(),
        wanted.values().map(|(_, until)| whole(until.ms())).collect(),
    )
}

/// Reserves grants and rights; whether all of them leave it.
fn reserve(session: &Session, drafts: &[IntentDraft]) -> engine::Result<bool> {
    let take = |table: &str, (ids, counts, untils): (Vec<i64>, Vec<i64>, Vec<i64>)| -> engine::Result<bool> {
        if ids.is_empty() {
            return Ok(true);
        }
        let taken = session.change(
            &format!(
                "UPDATE {table} g SET used = used + n.count FROM unnest(?1::bigint[], ?2::bigint[], ?3::bigint[])
                 AS n (id, count, at) WHERE g.id = n.id AND g.until >= n.at AND g.used + n.count <= g.quota"
            ),
            &[&ids, &counts, &untils],
        )?;
        Ok(usize::try_from(taken).ok() == Some(ids.len()))
    };
    Ok(take("grant_", wanted(drafts, |d| Some(d.grant)))? && take("right_", wanted(drafts, |d| d.right))?)
}

/// Holds authorities to their limits; whether all of them are kept.
fn count(session: &Session, drafts: &[IntentDraft]) -> engine::Result<bool> {
    let (ids, counts, untils) = wanted(drafts, |d| Some(d.authority));
    let limited = session.rows(
        "SELECT (a.quota IS NOT NULL AND a.issued + n.count > a.quota) OR coalesce(a.ends < n.at, FALSE) OR a.retired <> 0,
         a.quota IS NOT NULL FROM authority a JOIN unnest(?1::bigint[], ?2::bigint[], ?3::bigint[]) AS n (id, count, at)
         ON a.id = n.id",
        &[&ids, &counts, &untils],
    )?;
    let (mut is_kept, mut is_counted) = (limited.len() == ids.len(), false);
    for row in &limited {
        is_kept &= !row.try_get::<_, bool>(0)?;
        is_counted |= row.try_get::<_, bool>(1)?;
    }
    if is_kept && is_counted {
        session.change(
            "UPDATE authority a SET issued = issued + n.count FROM unnest(?1::bigint[], ?2::bigint[]) AS n (id, count)
             WHERE a.id = n.id AND a.quota IS NOT NULL",
            &[&ids, &counts],
        )?;
    }
    Ok(is_kept)
}

/// Records the certificates of intents that are open.
pub(super) fn record(tx: &mut Tx<'_>, session: &Session, drafts: &[&RecordDraft]) -> Result<(), WriteFault> {
    let ids: Vec<i64> = drafts.iter().map(|draft| whole(draft.intent)).collect();
    let ders: Vec<&[u8]> = drafts.iter().map(|draft| draft.certificate.as_slice()).collect();
    session.change(
        "INSERT INTO certificate (id, der) SELECT id, der FROM unnest(?1::bigint[], ?2::bytea[]) AS n (id, der)",
        &[&ids, &ders],
    )?;
    super::issuance::mark_issued_each(tx, &ids)?;
    for draft in drafts {
        let event = Event::Issued { serial: draft.serial.to_string(), certificate: sha256(&draft.certificate) };
        tx.audit(&entry(draft.at, Module::Authority, event))?;
        tx.closed(draft.intent);
    }
    Ok(())
}

/// Writes rows of the audit log.
pub(super) fn append(session: &Session, first: u64, entries: &[&[u8]], leaves: &[&[u8]]) -> engine::Result<()> {
    session.change(
        "INSERT INTO audit (number, entry, leaf) SELECT ?1 + nth - 1, entry, leaf
         FROM unnest(?2::bytea[], ?3::bytea[]) WITH ORDINALITY AS n (entry, leaf, nth)",
        &[&whole(first), &entries, &leaves],
    )?;
    Ok(())
}

/// A grant: row, end, quota, used.
pub(super) type Found = (u64, u64, u32, u32);

/// Grants by subject and profile, in the order in which they are asked for.
pub(super) fn grants(session: &Session, subjects: &[String], profiles: &[&str]) -> engine::Result<Vec<Option<Found>>> {
    let rows = session.rows(
        "SELECT n.nth, g.id, g.until, g.quota, g.used FROM unnest(?1::text[], ?2::text[]) WITH ORDINALITY
         AS n (subject, profile, nth) JOIN word w ON w.text = n.profile
         JOIN grant_ g ON g.subject = n.subject AND g.profile = w.id",
        &[&subjects, &profiles],
    )?;
    let mut found = vec![None; subjects.len()];
    for row in &rows {
        let number = |column: usize| row.try_get::<_, i64>(column).map_err(Error::from);
        let fit = |column: usize| number(column).and_then(|n| u64::try_from(n).map_err(|_| Error::Misfit(column)));
        let small = |column: usize| number(column).and_then(|n| u32::try_from(n).map_err(|_| Error::Misfit(column)));
        let nth = usize::try_from(fit(0)?).unwrap_or_default();
        if let Some(place) = nth.checked_sub(1).and_then(|nth| found.get_mut(nth)) {
            *place = Some((fit(1)?, fit(2)?, small(3)?, small(4)?));
        }
    }
    Ok(found)
}
