//! What km keeps, in the database.

use super::engine::postgres::Session;
use super::engine::{self, Connection, OptionalExtension, Owned, Row};
use super::read::{fit, parse, parse_optional};
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::contract::authority::{GrantOffer, RevocationReason, Verdict};
use model::{
    AuthorityName, DeviceId, DeviceSerial, DeviceType, Digest, Entity, Module, ProfileName, Reason, StationName,
    TransactionId, UnixTime,
};
use ports::DurableRecord;
use ports::StoreFault;
use ports::directory::Caller;
use ports::keystore::KeyUri;
use ports::store::AuthorityStore;
use ports::store::authority::{
    Approval, ApprovalDraft, AuthorityLimits, AuthorityRow, CertificateFilter, CertificateRow, ClosedIntent, CrlBase,
    CrlContents, CrlLine, CrlRow, CrlScope, EnrolmentDraft, Grant, IntentDraft, IntentOutcome, Kept, PendingDraft,
    PendingRow, RecordDraft, Registered, Replacement, Right, Standing,
};
use x509::SerialNumber;
use x509::serial::InstanceEpoch;

const GRANT: &str = "SELECT g.id, g.until, g.quota, g.used FROM grant_ g
    JOIN word w ON w.id = g.profile WHERE g.subject = ?1 AND w.text = ?2";

const CERTIFICATE: &str = "SELECT i.id, i.serial, a.name, g.subject, w.text, p.digest, i.transaction_id, i.at, i.state,
    r.at, r.reason, c.der, i.not_after, i.shard
    FROM issuance i JOIN authority a ON a.id = i.authority JOIN grant_ g ON g.id = i.grant_id
    JOIN word w ON w.id = g.profile JOIN profile_version p ON p.id = i.profile LEFT JOIN certificate c ON c.id = i.id
    LEFT JOIN revocation r ON r.issuance = i.id AND r.ended IS NULL AND r.reason <> 8
    WHERE (c.id IS NOT NULL OR i.state = 4)";

fn certificate(row: &Row<'_>) -> engine::Result<CertificateRow> {
    let revoked_at: Option<u64> = row.get(9)?;
    let reason: Option<u8> = row.get(10)?;
    let der: Option<Vec<u8>> = row.get(11)?;
    let kept = match der.as_deref() {
        None => Kept::Number,
        Some([]) => Kept::Purged,
        Some(_) => Kept::Octets,
    };
    Ok(CertificateRow {
        id: row.get(0)?,
        serial: fit(row, 1)?,
        authority: parse(row, 2)?,
        subject: parse(row, 3)?,
        profile: parse(row, 4)?,
        profile_digest: fit(row, 5)?,
        transaction_id: fit(row, 6)?,
        at: UnixTime::from_ms(row.get(7)?),
        confirmed: row.get::<u8>(8)? == super::issuance::CONFIRMED,
        revoked: revoked_at.zip(reason).map(|(at, reason)| {
            (UnixTime::from_ms(at), RevocationReason::by_code(reason).unwrap_or(RevocationReason::Unspecified))
        }),
        kept,
        der: der.unwrap_or_default(),
        not_after: UnixTime::from_s(row.get(12)?),
        shard: row.get(13)?,
    })
}

fn authority(row: &Row<'_>) -> engine::Result<AuthorityRow> {
    Ok(AuthorityRow {
        id: row.get(0)?,
        name: parse(row, 1)?,
        key: KeyUri(row.get(2)?),
        issuer: parse_optional(row, 3)?,
        certificate: row.get::<Option<Vec<u8>>>(4)?.unwrap_or_default(),
        limits: AuthorityLimits { quota: row.get(5)?, ends: row.get::<Option<u64>>(6)?.map(UnixTime::from_ms) },
        retired: row.get(7)?,
    })
}

fn matching(c: &Connection, filter: &CertificateFilter) -> engine::Result<Vec<CertificateRow>> {
    let mut sql = format!("{CERTIFICATE} AND i.id > ?1");
    let mut values = vec![Owned::Int(filter.after)];
    if let Some(authority) = &filter.authority {
        values.push(Owned::Text(authority.to_string()));
        sql.push_str(&format!(" AND a.name = ?{}", values.len()));
    }
    if let Some(subject) = &filter.subject {
        values.push(Owned::Text(subject.to_string()));
        sql.push_str(&format!(" AND i.grant_id IN (SELECT id FROM grant_ WHERE subject = ?{})", values.len()));
    }
    if let Some(key) = &filter.key {
        values.push(Owned::Blob(key.octets().to_vec()));
        sql.push_str(&format!(" AND {}", super::keys::condition(c, values.len())));
    }
    if let Some(profile) = &filter.profile {
        values.push(Owned::Text(profile.to_string()));
        sql.push_str(&format!(" AND w.text = ?{}", values.len()));
    }
    for (bound, compared) in [(filter.expires_from, ">="), (filter.expires_before, "<")] {
        if let Some(bound) = bound {
            values.push(Owned::Int(bound.s()));
            sql.push_str(&format!(" AND i.not_after {compared} ?{}", values.len()));
        }
    }
    match filter.revoked {
        Some(true) => sql.push_str(" AND r.id IS NOT NULL"),
        Some(false) => sql.push_str(" AND r.id IS NULL"),
        None => {}
    }
    sql.push_str(&format!(" ORDER BY i.id LIMIT {}", filter.limit));
    let mut statement = c.statement(&sql)?;
    let rows = statement.query_map(values, certificate)?;
    rows.collect()
}

/// All of them with one statement.
fn grants_at_server(session: &Session, wanted: &[(&Entity, &ProfileName)]) -> engine::Result<Vec<Option<Grant>>> {
    let subjects: Vec<_> = wanted.iter().map(|(subject, _)| subject.to_string()).collect();
    let profiles: Vec<_> = wanted.iter().map(|(_, profile)| profile.as_str()).collect();
    let found = super::batch::grants(session, &subjects, &profiles)?;
    let grant = |(subject, profile): (&Entity, &ProfileName), (id, until, quota, used): super::batch::Found| {
        let (subject, profile) = (subject.clone(), profile.clone());
        Grant { id, subject, profile, until: UnixTime::from_ms(until), quota, used }
    };
    Ok(wanted.iter().zip(found).map(|(wanted, found)| found.map(|found| grant(*wanted, found))).collect())
}

impl AuthorityStore for SqlStore {
    fn grants(&self, wanted: &[(&Entity, &ProfileName)]) -> Result<Vec<Option<Grant>>, StoreFault> {
        self.read(|c| {
            // One snapshot for all of them: a read lock for each would cost more than the row.
            if let Some(session) = c.server() {
                return grants_at_server(session, wanted);
            }
            let snapshot = c.snapshot()?;
            let mut statement = snapshot.statement(GRANT)?;
            let find = |(subject, profile): &(&Entity, &ProfileName)| {
                let row = statement.query_row((subject.to_string(), profile.as_str()), |row| {
                    Ok(Grant {
                        id: row.get(0)?,
                        subject: (*subject).clone(),
                        profile: (*profile).clone(),
                        until: UnixTime::from_ms(row.get(1)?),
                        quota: row.get(2)?,
                        used: row.get(3)?,
                    })
                });
                row.optional()
            };
            wanted.iter().map(find).collect()
        })
    }

    fn repeated(
        &self,
        requester: &Caller,
        transaction_id: TransactionId,
        grant: u64,
        key: Digest,
    ) -> Result<Option<(Vec<u8>, u64)>, StoreFault> {
        self.read(|c| {
            c.statement(
                "SELECT c.der, i.authority FROM issuance i JOIN word w ON w.id = i.requester
                 JOIN certificate c ON c.id = i.id
                 WHERE i.transaction_id = ?1 AND i.attempt = 0 AND i.grant_id = ?2 AND i.key = ?3
                 AND w.text = ?4 AND length(c.der) > 0",
            )?
            .query_row((transaction_id.octets(), grant, key.octets(), requester.to_string()), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
        })
    }

    fn is_begun(
        &self,
        requester: &Caller,
        transaction_id: TransactionId,
        grant: u64,
        key: Digest,
    ) -> Result<bool, StoreFault> {
        self.read(|c| {
            c.statement(
                "SELECT 1 FROM issuance i JOIN word w ON w.id = i.requester LEFT JOIN certificate c ON c.id = i.id
                 WHERE i.transaction_id = ?1 AND i.attempt = 0 AND i.grant_id = ?2 AND i.key = ?3
                 AND w.text = ?4 AND (c.id IS NULL OR length(c.der) > 0)",
            )?
            .exists((transaction_id.octets(), grant, key.octets(), requester.to_string()))
        })
    }

    fn right(&self, station: &StationName, device_type: &DeviceType) -> Result<Option<Right>, StoreFault> {
        self.read(|c| {
            c.statement("SELECT id, until, quota, used FROM right_ WHERE station = ?1 AND device_type = ?2")?
                .query_row((station.as_str(), device_type.as_str()), |row| {
                    Ok(Right {
                        id: row.get(0)?,
                        until: UnixTime::from_ms(row.get(1)?),
                        quota: row.get(2)?,
                        used: row.get(3)?,
                    })
                })
                .optional()
        })
    }

    fn authorities(&self) -> Result<Vec<AuthorityRow>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT id, name, key, issuer, certificate, quota, ends, retired FROM authority ORDER BY id",
            )?;
            statement.query_map((), authority)?.collect()
        })
    }

    fn certificate(&self, serial: &SerialNumber) -> Result<Option<CertificateRow>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(&format!("{CERTIFICATE} AND i.serial = ?1"))?;
            statement.query_row([serial.octets()], certificate).optional()
        })
    }

    fn certificates(&self, filter: &CertificateFilter) -> Result<Vec<CertificateRow>, StoreFault> {
        self.read(|c| matching(c, filter))
    }

    fn revocation_edge(&self) -> Result<u64, StoreFault> {
        self.edge_of_revocations()
    }

    fn crl_lines(&self, contents: &CrlContents, after: u64, limit: u32) -> Result<Vec<(u64, CrlLine)>, StoreFault> {
        self.lines_of(contents, after, limit)
    }

    fn serials(
        &self,
        authority: u64,
        now: UnixTime,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, SerialNumber)>, StoreFault> {
        self.serials_of(authority, now, after, limit)
    }

    fn crl(&self, scope: CrlScope, delta: bool) -> Result<Option<CrlRow>, StoreFault> {
        self.last_list(scope, delta)
    }

    fn crl_base(&self, scope: CrlScope, at: UnixTime) -> Result<Option<CrlBase>, StoreFault> {
        self.first_whole_list(scope, at)
    }

    fn standing(&self, authority: u64, serial: &SerialNumber) -> Result<Standing, StoreFault> {
        self.standing_of(authority, serial)
    }

    fn epoch(&self) -> InstanceEpoch {
        self.epoch
    }

    fn intend(&self, drafts: Vec<IntentDraft>) -> Result<Vec<IntentOutcome>, StoreFault> {
        self.intend_all(drafts)
    }

    fn record(&self, drafts: Vec<RecordDraft>) -> Result<Vec<Option<DurableRecord>>, StoreFault> {
        self.record_all(drafts)
    }

    fn close(&self, intents: Vec<u64>, why: &'static str, at: UnixTime) -> Result<(), StoreFault> {
        self.close_all(intents, why, at)
    }

    fn close_left_open(&self, at: UnixTime) -> Result<Vec<ClosedIntent>, StoreFault> {
        self.close_all_left_open(at)
    }

    fn confirm(
        &self,
        requester: &Caller,
        verdicts: Vec<(TransactionId, Verdict)>,
        at: UnixTime,
    ) -> Result<Vec<Result<(), Reason>>, StoreFault> {
        self.confirm_all(requester, verdicts, at)
    }

    fn await_approval(&self, draft: &PendingDraft, waiting_max: u32) -> Result<Approval, StoreFault> {
        self.ask(draft, waiting_max)
    }

    fn requests_waiting(&self, now: UnixTime) -> Result<Vec<PendingRow>, StoreFault> {
        self.waiting(now)
    }

    fn approve(&self, draft: &ApprovalDraft) -> Result<Result<(), Reason>, StoreFault> {
        self.take_approval(draft)
    }

    fn deposit(&self, origin: &str, offers: &[GrantOffer], at: UnixTime) -> Result<u32, StoreFault> {
        let (origin, offers) = (origin.to_owned(), offers.to_vec());
        self.write(move |tx| super::issuance::deposit(tx, &origin, &offers, at))
    }

    fn entitle(
        &self,
        station: &StationName,
        device_type: &DeviceType,
        quota: u32,
        until: UnixTime,
        at: UnixTime,
    ) -> Result<(), StoreFault> {
        let (station, device_type) = (station.to_string(), device_type.to_string());
        self.write(move |tx| {
            tx.statement(
                "INSERT INTO right_ (station, device_type, until, quota) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (station, device_type) DO UPDATE SET until = ?3, quota = ?4",
            )?
            .execute((&station, &device_type, until.ms(), quota))?;
            let (station, device_type) = (station.clone(), device_type.clone());
            let event = Event::Entitled { station, device_type, quota: u64::from(quota), until };
            tx.audit(&entry(at, Module::Authority, event))
        })
    }

    fn begin_authority(
        &self,
        name: &AuthorityName,
        key: &KeyUri,
        issuer: Option<&AuthorityName>,
        profile: &ProfileName,
        at: UnixTime,
    ) -> Result<Result<u64, Reason>, StoreFault> {
        let (name, key, issuer, profile) = (name.clone(), key.0.clone(), issuer.cloned(), profile.clone());
        self.write(move |tx| {
            let added = tx.insert(
                "INSERT INTO authority (name, key, issuer) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                (name.as_str(), &key, issuer.as_ref().map(AuthorityName::as_str)),
            )?;
            let Some(id) = added else { return Ok(Err(Reason::NameTaken)) };
            let (profile, origin) = (tx.word(profile.as_str())?, tx.word("ceremony")?);
            // A day is enough to make it; what is not made by then is begun anew.
            let until = at.plus_s(86_400).ms();
            tx.statement(
                "INSERT INTO grant_ (subject, profile, until, quota, origin) VALUES (?1, ?2, ?3, 1, ?4) ON CONFLICT DO NOTHING",
            )?
            .execute((Entity::Authority(name.clone()).to_string(), profile, until, origin))?;
            Ok(Ok(id))
        })
    }

    fn complete_authority(&self, id: u64, certificate: &[u8], key: Digest, at: UnixTime) -> Result<(), StoreFault> {
        let certificate = certificate.to_vec();
        self.write(move |tx| {
            let name: Option<String> = tx
                .statement(
                    "UPDATE authority SET certificate = ?2 WHERE id = ?1 AND certificate IS NULL RETURNING name",
                )?
                .query_row((id, &certificate), |row| row.get(0))
                .optional()?;
            let authority = name.ok_or(WriteFault::Corrupt("the authority is not being made"))?;
            tx.audit(&entry(at, Module::Authority, Event::AuthorityCreated { authority, key }))
        })
    }

    fn revoke(
        &self,
        serial: &SerialNumber,
        reason: RevocationReason,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        self.revoke_one(*serial, reason, at)
    }

    fn release(&self, serial: &SerialNumber, at: UnixTime) -> Result<Result<(), Reason>, StoreFault> {
        self.release_one(*serial, at)
    }

    fn limit(&self, authority: &AuthorityRow, limits: AuthorityLimits, at: UnixTime) -> Result<(), StoreFault> {
        self.set_limits(authority, limits, at)
    }

    fn allow(
        &self,
        subject: &Entity,
        profile: &ProfileName,
        certificates: u32,
        at: UnixTime,
    ) -> Result<(), StoreFault> {
        self.leave_grant(subject, profile, certificates, at)
    }

    fn let_enrol(&self, draft: &EnrolmentDraft) -> Result<(), StoreFault> {
        Self::let_enrol(self, draft)
    }

    fn secret_that_opens(&self, grant: u64) -> Result<Option<Digest>, StoreFault> {
        Self::secret_that_opens(self, grant)
    }

    fn registered(&self, device: &DeviceId) -> Result<Registered, StoreFault> {
        Self::registered(self, device)
    }

    fn device_of(&self, serial: &DeviceSerial) -> Result<Option<DeviceId>, StoreFault> {
        Self::device_of(self, serial)
    }

    fn import_authority(
        &self,
        name: &AuthorityName,
        issuer: Option<&AuthorityName>,
        certificate: &[u8],
        key: Digest,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        self.import(name, issuer, certificate, key, at)
    }

    fn replace_authority(&self, replacement: &Replacement, at: UnixTime) -> Result<(), StoreFault> {
        self.replace(replacement, at)
    }

    fn ocsp_floor(&self) -> Result<UnixTime, StoreFault> {
        self.floor_of_ocsp()
    }

    fn raise_ocsp_floor(&self, produced_at: UnixTime) -> Result<(), StoreFault> {
        self.raise_floor_of_ocsp(produced_at)
    }

    fn links(&self, authority: u64) -> Result<Vec<Vec<u8>>, StoreFault> {
        self.links_of(authority)
    }

    fn intend_crl(
        &self,
        authority: &AuthorityRow,
        number: u64,
        tbs: Digest,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        self.intend_list(authority, number, tbs, at)
    }

    fn record_crl(&self, authority: &AuthorityRow, crl: CrlRow) -> Result<Vec<u8>, StoreFault> {
        self.record_list(authority, crl)
    }

    fn next_crl_number(&self, authority: u64) -> Result<u64, StoreFault> {
        self.read(|c| {
            c.statement("SELECT crl_number + 1 FROM authority WHERE id = ?1")?.query_row([authority], |row| row.get(0))
        })
    }
}
