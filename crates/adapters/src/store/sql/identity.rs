//! What ics keeps, in the database.

use super::engine::{self, OptionalExtension, Owned, Row};
use super::read::{fit_optional, parse, parse_optional};
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::contract::authority::GrantOffer;
use model::contract::identity::{BoardSeen, Step, StepDone};
use model::lifecycle::Custody;
use model::{BoardId, DeviceId, Entity, Module, OperatorName, Reason, StationName, SupplierName, UnixTime};
use ports::StoreFault;
use ports::store::IdentityStore;
use ports::store::identity::{DeviceFilter, DeviceRow, List, ListOutcome, PendingGrants, SupplierRow};
use x509::PublicKey;

const PLANNED: u8 = 0;
const MADE: u8 = 1;
const PROVISIONED: u8 = 2;

pub(super) const fn custody(state: u8) -> Custody {
    match state {
        PLANNED => Custody::Planned,
        MADE => Custody::Made,
        _ => Custody::Provisioned,
    }
}

fn device(row: &Row<'_>) -> engine::Result<DeviceRow> {
    Ok(DeviceRow {
        row: row.get(0)?,
        id: parse(row, 1)?,
        profile: parse(row, 2)?,
        list: row.get(3)?,
        custody: custody(row.get(4)?),
        stolen: row.get(5)?,
        board: parse_optional(row, 6)?,
        image: fit_optional(row, 7)?,
        key: fit_optional(row, 8)?,
        certificate: row.get(9)?,
        station: parse_optional(row, 10)?,
        at: UnixTime::from_ms(row.get(11)?),
        idevid: parse_optional(row, 12)?,
    })
}

impl IdentityStore for SqlStore {
    fn import(&self, list: &List, at: UnixTime) -> Result<ListOutcome, StoreFault> {
        self.import_list(list, at)
    }

    fn compare(&self, list: &List) -> Result<ListOutcome, StoreFault> {
        self.compare_list(list)
    }

    fn suppliers(&self) -> Result<Vec<SupplierRow>, StoreFault> {
        self.all_suppliers()
    }

    fn set_supplier(&self, supplier: &SupplierName, key: Option<&PublicKey>, at: UnixTime) -> Result<(), StoreFault> {
        self.put_supplier(supplier, key, at)
    }

    fn pending(&self, limit: usize) -> Result<Option<PendingGrants>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT p.id, d.name, d.profile, l.until, l.name, l.id FROM pending_grant p
                 JOIN device d ON d.id = p.device JOIN list l ON l.id = d.list ORDER BY p.id LIMIT ?1",
            )?;
            let rows = statement.query_map([u64::try_from(limit).unwrap_or(u64::MAX)], |row| {
                let subject: DeviceId = parse(row, 1)?;
                let offer = GrantOffer {
                    subject: Entity::Device(subject),
                    profile: parse(row, 2)?,
                    until: UnixTime::from_ms(row.get(3)?),
                    quota: 1,
                };
                Ok((row.get::<u64>(0)?, offer, row.get::<String>(4)?, row.get::<u64>(5)?))
            })?;
            let rows = rows.collect::<engine::Result<Vec<_>>>()?;
            let Some((origin, list)) = rows.first().map(|(.., name, id)| (name.clone(), *id)) else { return Ok(None) };
            let of_list = rows.into_iter().take_while(|(.., id)| *id == list);
            let (rows, offers) = of_list.map(|(row, offer, ..)| (row, offer)).unzip();
            Ok(Some(PendingGrants { origin: format!("list {origin}"), offers, rows }))
        })
    }

    fn deposited(&self, rows: &[u64]) -> Result<(), StoreFault> {
        let rows = rows.to_vec();
        self.write(move |tx| {
            for row in &rows {
                tx.statement("DELETE FROM pending_grant WHERE id = ?1")?.execute([row])?;
            }
            Ok(())
        })
    }

    fn admit(&self, boards: &[BoardSeen], at: UnixTime) -> Result<Vec<Result<DeviceId, Reason>>, StoreFault> {
        let boards = boards.to_vec();
        self.write(move |tx| boards.iter().map(|seen| admit(tx, seen, at)).collect())
    }

    fn done(
        &self,
        station: &StationName,
        operator: &OperatorName,
        steps: &[StepDone],
        at: UnixTime,
    ) -> Result<Vec<Result<(), Reason>>, StoreFault> {
        let (station, operator, steps) = (station.clone(), operator.clone(), steps.to_vec());
        self.write(move |tx| steps.iter().map(|step| done(tx, &station, &operator, step, at)).collect())
    }

    fn mark(&self, device: &DeviceId, stolen: bool, at: UnixTime) -> Result<Result<(), Reason>, StoreFault> {
        let device = device.to_string();
        self.write(move |tx| {
            let marked = tx
                .statement("UPDATE device SET stolen = ?2, at = ?3 WHERE name = ?1 AND stolen <> ?2")?
                .execute((&device, stolen, at.ms()))?;
            if marked == 1 {
                tx.audit(&entry(at, Module::Identity, Event::DeviceMarked { device: device.clone(), stolen }))?;
                return Ok(Ok(()));
            }
            let known = tx.statement("SELECT 1 FROM device WHERE name = ?1")?.exists([&device])?;
            Ok(if known { Ok(()) } else { Err(Reason::NotOnList) })
        })
    }

    fn devices(&self, filter: &DeviceFilter) -> Result<Vec<DeviceRow>, StoreFault> {
        let mut sql = String::from(
            "SELECT d.id, d.name, d.profile, l.name, d.custody, d.stolen, d.board, d.image, d.key, d.certificate,
             d.station, d.at, d.idevid FROM device d JOIN list l ON l.id = d.list WHERE d.id > ?1",
        );
        let mut values = vec![Owned::Int(filter.after)];
        if let Some(serial) = &filter.serial {
            values.push(Owned::Text(serial.to_string()));
            sql.push_str(&format!(" AND d.serial = ?{}", values.len()));
        }
        if let Some(custody) = filter.custody {
            let state = match custody {
                Custody::Planned => PLANNED,
                Custody::Made => MADE,
                Custody::Provisioned => PROVISIONED,
            };
            sql.push_str(&format!(" AND d.custody = {state}"));
        }
        sql.push_str(&format!(" ORDER BY d.id LIMIT {}", filter.limit));
        self.read(|c| {
            let mut statement = c.statement(&sql)?;
            statement.query_map(values, device)?.collect()
        })
    }
}

fn admit(tx: &mut Tx<'_>, seen: &BoardSeen, at: UnixTime) -> Result<Result<DeviceId, Reason>, WriteFault> {
    struct Known {
        row: u64,
        id: DeviceId,
        listed_board: Option<BoardId>,
        board: Option<BoardId>,
        state: u8,
        stolen: bool,
        line: u64,
    }
    let known = tx
        .statement("SELECT id, name, listed_board, board, custody, stolen, line FROM device WHERE serial = ?1")?
        .query_row([seen.serial.as_str()], |row| {
            Ok(Known {
                row: row.get(0)?,
                id: parse(row, 1)?,
                listed_board: parse_optional(row, 2)?,
                board: parse_optional(row, 3)?,
                state: row.get(4)?,
                stolen: row.get(5)?,
                line: row.get(6)?,
            })
        })
        .optional()?;
    let device = known.as_ref().map_or_else(|| seen.serial.to_string(), |k| k.id.to_string());
    let refuse = |tx: &mut Tx<'_>, reason| {
        let event = Event::BoardRefused { board: seen.board.to_string(), device, reason };
        tx.audit(&entry(at, Module::Identity, event)).map(|()| Err(reason))
    };
    let Some(known) = known else { return refuse(tx, Reason::NotOnList) };
    let other = |board: &Option<BoardId>| board.as_ref().is_some_and(|board| *board != seen.board);
    // A list that was superseded named it, and the next did not.
    if known.line == 0 && known.state != PROVISIONED {
        return refuse(tx, Reason::NotOnList);
    }
    let reason = if known.id.device_type != seen.device_type {
        Some(Reason::WrongType)
    } else if known.stolen {
        Some(Reason::BoardHeld)
    } else if other(&known.board) || other(&known.listed_board) {
        Some(Reason::SerialTaken)
    } else if known.state == PROVISIONED {
        Some(Reason::AlreadyProvisioned)
    } else if board_has_another_name(tx, seen, known.row)? {
        Some(Reason::BoardTaken)
    } else {
        None
    };
    if let Some(reason) = reason {
        return refuse(tx, reason);
    }
    if known.board.is_none() {
        tx.statement("UPDATE device SET board = ?2, at = ?3 WHERE id = ?1")?.execute((
            known.row,
            seen.board.as_str(),
            at.ms(),
        ))?;
        let event = Event::BoardAdmitted { device: known.id.to_string(), board: seen.board.to_string() };
        tx.audit(&entry(at, Module::Identity, event))?;
    }
    Ok(Ok(known.id))
}

fn board_has_another_name(tx: &Tx<'_>, seen: &BoardSeen, row: u64) -> Result<bool, WriteFault> {
    let mut statement = tx.statement("SELECT 1 FROM device WHERE (board = ?1 OR listed_board = ?1) AND id <> ?2")?;
    Ok(statement.exists((seen.board.as_str(), row))?)
}

fn done(
    tx: &mut Tx<'_>,
    station: &StationName,
    operator: &OperatorName,
    done: &StepDone,
    at: UnixTime,
) -> Result<Result<(), Reason>, WriteFault> {
    let (device, board) = (done.device.to_string(), done.board.to_string());
    let changed = match &done.step {
        Step::Flashed { image, .. } => tx
            .statement(
                "UPDATE device SET custody = CASE WHEN custody > 1 THEN custody ELSE 1 END, image = ?3, station = ?4, at = ?5
                 WHERE name = ?1 AND board = ?2",
            )?
            .execute((&device, &board, image.octets(), station.as_str(), at.ms()))?,
        Step::Provisioned { serial, key } => tx
            .statement(
                "UPDATE device SET custody = 2, certificate = ?3, key = ?4, station = ?5, at = ?6
                 WHERE name = ?1 AND board = ?2 AND custody >= 1",
            )?
            .execute((&device, &board, serial, key.octets(), station.as_str(), at.ms()))?,
    };
    if changed == 0 {
        // Nobody admitted this board under this name, or its software was never recorded.
        return Ok(Err(Reason::NotOnList));
    }
    let (station, operator) = (station.to_string(), operator.to_string());
    let event = match &done.step {
        Step::Flashed { image, duration_ms, retries } => Event::Flashed {
            device,
            board,
            station,
            operator,
            image: *image,
            duration_ms: *duration_ms,
            retries: *retries,
        },
        Step::Provisioned { serial, .. } => {
            Event::Provisioned { device, board, station, operator, serial: serial.clone() }
        }
    };
    tx.audit(&entry(at, Module::Identity, event))?;
    Ok(Ok(()))
}
