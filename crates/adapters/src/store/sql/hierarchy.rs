//! Authorities that are made, taken in, limited and replaced.

use super::engine::OptionalExtension;
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::{AuthorityName, Digest, Entity, Module, ProfileName, Reason, UnixTime};
use ports::StoreFault;
use ports::store::authority::{AuthorityLimits, AuthorityRow, Replacement};

/// How long an authority may take to be made, in seconds: a day; what is not made by then is begun anew.
const MAKING_S: u64 = 86_400;
/// The row that keeps the latest second in which an OCSP response was made.
const OCSP_FLOOR: &str = "ocsp_floor_s";

impl SqlStore {
    pub(super) fn leave_grant(
        &self,
        subject: &Entity,
        profile: &ProfileName,
        certificates: u32,
        at: UnixTime,
    ) -> Result<(), StoreFault> {
        let (subject, profile) = (subject.to_string(), profile.clone());
        self.write(move |tx| {
            let (profile, origin) = (tx.word(profile.as_str())?, tx.word("ceremony")?);
            tx.statement(
                "INSERT INTO grant_ (subject, profile, until, quota, origin) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (subject, profile) DO UPDATE SET until = ?3, quota = grant_.used + ?4",
            )?
            .execute((&subject, profile, at.plus_s(MAKING_S).ms(), certificates, origin))?;
            let event = Event::GrantsDeposited { count: u64::from(certificates), origin: "ceremony".to_owned() };
            tx.audit(&entry(at, Module::Authority, event))
        })
    }

    pub(super) fn import(
        &self,
        name: &AuthorityName,
        issuer: Option<&AuthorityName>,
        certificate: &[u8],
        key: Digest,
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        let (name, issuer, certificate) = (name.clone(), issuer.cloned(), certificate.to_vec());
        self.write(move |tx| {
            let added = tx
                .statement("INSERT INTO authority (name, key, issuer, certificate) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
                .execute((
                    name.as_str(),
                    ports::keystore::OFFLINE,
                    issuer.as_ref().map(AuthorityName::as_str),
                    &certificate,
                ))?;
            if added == 0 {
                return Ok(Err(Reason::NameTaken));
            }
            let event = Event::AuthorityCreated { authority: name.to_string(), key };
            tx.audit(&entry(at, Module::Authority, event))?;
            Ok(Ok(()))
        })
    }

    pub(super) fn set_limits(
        &self,
        authority: &AuthorityRow,
        limits: AuthorityLimits,
        at: UnixTime,
    ) -> Result<(), StoreFault> {
        let (id, name) = (authority.id, authority.name.to_string());
        self.write(move |tx| {
            let AuthorityLimits { quota, ends } = limits;
            tx.statement("UPDATE authority SET quota = ?2, issued = 0, ends = ?3 WHERE id = ?1")?.execute((
                id,
                quota,
                ends.map(UnixTime::ms),
            ))?;
            let event = Event::AuthorityLimited { authority: name.clone(), quota, ends };
            tx.audit(&entry(at, Module::Authority, event))
        })
    }

    pub(super) fn replace(&self, replacement: &Replacement, at: UnixTime) -> Result<(), StoreFault> {
        let it = replacement.clone();
        self.write(move |tx| {
            let name: Option<String> = tx
                .statement("SELECT name FROM authority WHERE id = ?1 AND retired = 0")?
                .query_row([it.old], |row| row.get(0))
                .optional()?;
            let name = name.ok_or(WriteFault::Corrupt("the authority has been replaced before"))?;
            tx.statement("UPDATE authority SET name = ?2, retired = 1 WHERE id = ?1")?
                .execute((it.old, it.renamed.as_str()))?;
            // What the old key issued goes on naming it.
            tx.statement("UPDATE authority SET issuer = ?2 WHERE issuer = ?1")?
                .execute((&name, it.renamed.as_str()))?;
            let made = tx
                .statement(
                    "UPDATE authority SET name = ?2, certificate = ?3, quota = o.quota, ends = o.ends
                     FROM (SELECT quota, ends FROM authority WHERE id = ?4) o
                     WHERE authority.id = ?1 AND certificate IS NULL",
                )?
                .execute((it.new, &name, &it.certificate, it.old))?;
            if made == 0 {
                return Err(WriteFault::Corrupt("the authority is not being made"));
            }
            for (kind, link) in it.links.iter().enumerate() {
                tx.statement("INSERT INTO link (authority, kind, der) VALUES (?1, ?2, ?3)")?
                    .execute((it.new, kind, link))?;
            }
            let event = Event::AuthorityRetired { authority: name.clone(), renamed: it.renamed.to_string() };
            tx.audit(&entry(at, Module::Authority, event))?;
            let event = Event::AuthorityCreated { authority: name, key: it.key };
            tx.audit(&entry(at, Module::Authority, event))
        })
    }

    pub(super) fn floor_of_ocsp(&self) -> Result<UnixTime, StoreFault> {
        let floor: Option<u64> = self.read(|c| {
            c.statement("SELECT value FROM counter WHERE name = ?1")?
                .query_row([OCSP_FLOOR], |row| row.get(0))
                .optional()
        })?;
        Ok(UnixTime::from_s(floor.unwrap_or(0)))
    }

    pub(super) fn raise_floor_of_ocsp(&self, produced_at: UnixTime) -> Result<(), StoreFault> {
        self.write(move |tx| {
            tx.statement(
                "INSERT INTO counter (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = ?2 WHERE counter.value < ?2",
            )?
            .execute((OCSP_FLOOR, produced_at.s()))?;
            Ok(())
        })
    }

    pub(super) fn links_of(&self, authority: u64) -> Result<Vec<Vec<u8>>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement("SELECT der FROM link WHERE authority = ?1 ORDER BY kind")?;
            statement.query_map([authority], |row| row.get(0))?.collect()
        })
    }
}
