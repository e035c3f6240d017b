//! Makers, and the certificates that their devices bring, in the database.

use super::engine::OptionalExtension;
use super::read::parse;
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use crate::store::marks::Mark;
use model::audit::Event;
use model::contract::maker::MakerLists;
use model::{DeviceId, Digest, MakerName, Module, Reason, UnixTime};
use ports::StoreFault;
use ports::store::identity::Idevid;
use ports::store::maker::{MakerRow, MakerStore};
use x509::{Certificate, CertificateList, sha256};

impl MakerStore for SqlStore {
    fn makers(&self) -> Result<Vec<MakerRow>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT name, certificate, trusted, demanded, number, next_update FROM maker ORDER BY name",
            )?;
            let rows = statement.query_map((), |row| {
                let (certificate, trusted): (Vec<u8>, bool) = (row.get(1)?, row.get(2)?);
                let next_update: Option<u64> = row.get(5)?;
                Ok(MakerRow {
                    maker: parse(row, 0)?,
                    certificate: Some(certificate).filter(|der| trusted && !der.is_empty()),
                    lists: if row.get(3)? { MakerLists::Demanded } else { MakerLists::None },
                    number: row.get(4)?,
                    next_update: next_update.map(UnixTime::from_ms),
                })
            })?;
            rows.collect()
        })
    }

    fn maker_list(&self, maker: &MakerName) -> Result<Option<Vec<u8>>, StoreFault> {
        self.read(|c| {
            let found: Option<Option<Vec<u8>>> = c
                .statement("SELECT crl FROM maker WHERE name = ?1")?
                .query_row([maker.as_str()], |row| row.get(0))
                .optional()?;
            Ok(found.flatten())
        })
    }

    fn set_maker(
        &self,
        maker: &MakerName,
        authority: Option<(&Certificate, MakerLists)>,
        at: UnixTime,
    ) -> Result<(), StoreFault> {
        let maker = maker.to_string();
        let authority =
            authority.map(|(certificate, lists)| (certificate.der().to_vec(), lists == MakerLists::Demanded));
        self.write(move |tx| match &authority {
            Some((certificate, demanded)) => trust(tx, &maker, certificate, *demanded, at),
            None => {
                let changed =
                    tx.statement("UPDATE maker SET trusted = 0 WHERE name = ?1 AND trusted = 1")?.execute([&maker])?;
                if changed > 0 {
                    tx.audit(&entry(at, Module::Authority, Event::MakerDistrusted { maker: maker.clone() }))?;
                }
                Ok(())
            }
        })
    }

    fn take_maker_list(
        &self,
        maker: &MakerName,
        list: &CertificateList,
        der: &[u8],
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault> {
        let (maker, der, number) = (maker.to_string(), der.to_vec(), list.crl_number);
        let next_update = list.next_update;
        self.write(move |tx| take(tx, &maker, number, next_update, &der, at))
    }

    fn device_with(&self, idevid: &Idevid) -> Result<Option<DeviceId>, StoreFault> {
        self.read(|c| {
            c.statement("SELECT name FROM device WHERE idevid = ?1")?
                .query_row([idevid.to_string()], |row| parse(row, 0))
                .optional()
        })
    }
}

/// With another certificate lists are counted anew, and the present one is given up: another key signs them, or may.
fn trust(tx: &mut Tx<'_>, maker: &str, certificate: &[u8], demanded: bool, at: UnixTime) -> Result<(), WriteFault> {
    let changed = tx
        .statement(
            "INSERT INTO maker (name, certificate, trusted, demanded) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT (name) DO UPDATE SET certificate = ?2, trusted = 1, demanded = ?3,
             number = CASE WHEN maker.certificate IN (?2, CAST('' AS BLOB)) THEN maker.number ELSE 0 END,
             crl = CASE WHEN maker.certificate = ?2 THEN maker.crl END,
             next_update = CASE WHEN maker.certificate = ?2 THEN maker.next_update END
             WHERE maker.certificate <> ?2 OR maker.trusted = 0 OR maker.demanded <> ?3",
        )?
        .execute((maker, certificate, demanded))?;
    if changed > 0 {
        let event = Event::MakerTrusted { maker: maker.to_owned(), certificate: sha256(certificate), demanded };
        tx.audit(&entry(at, Module::Authority, event))?;
    }
    Ok(())
}

fn take(
    tx: &mut Tx<'_>,
    maker: &str,
    number: u64,
    next_update: UnixTime,
    der: &[u8],
    at: UnixTime,
) -> Result<Result<(), Reason>, WriteFault> {
    let known: Option<(u64, Option<Vec<u8>>)> = tx
        .statement("SELECT number, crl FROM maker WHERE name = ?1 AND trusted = 1")?
        .query_row([maker], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((last, crl)) = known else { return Ok(Err(Reason::MakerUnknown)) };
    if crl.as_deref() == Some(der) {
        return Ok(Ok(()));
    }
    // After a restore the number may be known, and not its list.
    if number < last || (number == last && crl.is_some()) {
        return Ok(Err(Reason::MakerListNotNewer));
    }
    tx.statement("UPDATE maker SET number = ?2, crl = ?3, next_update = ?4, demanded = 1 WHERE name = ?1")?
        .execute((maker, number, der, next_update.ms()))?;
    tx.mark(|| Mark::MakerList { maker: maker.to_owned(), number });
    let crl: Digest = sha256(der);
    tx.audit(&entry(at, Module::Authority, Event::MakerListTaken { maker: maker.to_owned(), number, crl }))?;
    Ok(Ok(()))
}

/// Takes in that lists of a maker up to this number were taken, also of one that the backup does not know: an older one, which was
/// restored or is given again, counts no more.
pub(super) fn raise(tx: &mut Tx<'_>, maker: &str, number: u64, at: UnixTime) -> Result<(), WriteFault> {
    let raised = tx
        .statement(
            "INSERT INTO maker (name, certificate, trusted, demanded, number) VALUES (?1, CAST('' AS BLOB), 0, 1, ?2)
             ON CONFLICT (name) DO UPDATE SET number = ?2, crl = NULL, next_update = NULL, demanded = 1
             WHERE maker.number < ?2",
        )?
        .execute((maker, number))?;
    if raised > 0 {
        tx.mark(|| Mark::MakerList { maker: maker.to_owned(), number });
        tx.audit(&entry(at, Module::Supervisor, Event::MakerListRaised { maker: maker.to_owned(), number }))?;
    }
    Ok(())
}
