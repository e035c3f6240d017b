//! Registration lists in the database: what a list would change, and the change.
//!
//! The plan is made in the transaction that carries it out, so nothing comes in between; a dry run makes the same plan
//! on a snapshot.

use super::engine::{self, Connection, OptionalExtension, Row};
use super::read::{parse, parse_optional};
use super::transaction::Tx;
use super::{SqlStore, WriteFault, entry};
use crate::store::marks::Mark;
use model::audit::Event;
use model::contract::identity::{BadLine, Change, DIFFERENCES_MAX, Difference};
use model::{BoardId, DeviceSerial, Module, Reason, SupplierName, UnixTime};
use ports::StoreFault;
use ports::store::identity::{
    CONTRADICTIONS_MAX, Judgement, List, ListChanges, ListOutcome, ListedDevice, Standing, SupplierRow, judge,
};
use std::collections::HashSet;
use x509::PublicKey;

const STANDING: &str = "SELECT d.id, d.name, d.profile, d.listed_board, d.board, d.custody,
    d.custody = 2 OR EXISTS (SELECT 1 FROM grant_ g WHERE g.subject = d.name AND g.used > 0),
    d.list, d.line, l.supplier, l.until, l.name, l.sequence, d.idevid FROM device d JOIN list l ON l.id = d.list";

/// A device, and the words for where it stands.
struct Known {
    row: u64,
    standing: Standing,
    list: String,
    sequence: Option<u64>,
}

impl Known {
    fn read(row: &Row<'_>) -> engine::Result<Self> {
        let standing = Standing {
            id: parse(row, 1)?,
            profile: parse(row, 2)?,
            listed_board: parse_optional(row, 3)?,
            board: parse_optional(row, 4)?,
            custody: super::identity::custody(row.get(5)?),
            consumed: row.get(6)?,
            list: row.get(7)?,
            line: row.get(8)?,
            supplier: parse_optional(row, 9)?,
            until: UnixTime::from_ms(row.get(10)?),
            idevid: parse_optional(row, 13)?,
        };
        Ok(Self { row: row.get(0)?, standing, list: row.get(11)?, sequence: row.get(12)? })
    }

    /// Where it stands, for a person.
    fn place(&self) -> String {
        let line = self.standing.line;
        match (&self.standing.supplier, self.sequence) {
            (Some(supplier), Some(n)) if line == 0 => format!("what list {n} of supplier {supplier} took back"),
            (Some(supplier), Some(n)) => format!("line {line} of list {n} of supplier {supplier}"),
            _ => format!("line {line} of list {}", self.list),
        }
    }
}

/// What a list would change.
#[derive(Default)]
struct Plan {
    /// What becomes of each line, and of which row.
    steps: Vec<(Judgement, Option<Known>)>,
    /// What is taken back.
    removed: Vec<Known>,
    known: u64,
    contradictions: Vec<BadLine>,
}

impl Plan {
    fn changes(&self, list: &List) -> ListChanges {
        let mut changes = ListChanges { known: self.known, ..ListChanges::default() };
        let mut tell = |count: &mut u64, serial: &DeviceSerial, change, line| {
            *count += 1;
            if changes.differences.len() < DIFFERENCES_MAX {
                changes.differences.push(Difference { serial: serial.clone(), change, line });
            }
        };
        for (listed, (judgement, _)) in list.devices.iter().zip(&self.steps) {
            match judgement {
                Judgement::Anew => tell(&mut changes.new, &listed.id.serial, Change::Added, Some(listed.line)),
                Judgement::Changed => tell(&mut changes.changed, &listed.id.serial, Change::Changed, Some(listed.line)),
                _ => {}
            }
        }
        for gone in &self.removed {
            tell(&mut changes.removed, &gone.standing.id.serial, Change::Removed, None);
        }
        changes
    }
}

impl SqlStore {
    pub(super) fn import_list(&self, list: &List, at: UnixTime) -> Result<ListOutcome, StoreFault> {
        let list = list.clone();
        self.write(move |tx| match plan(tx.connection(), &list)? {
            Err(outcome) => Ok(outcome),
            Ok(plan) => carry_out(tx, &list, &plan, at).map(|()| ListOutcome::Imported(plan.changes(&list))),
        })
    }

    pub(super) fn compare_list(&self, list: &List) -> Result<ListOutcome, StoreFault> {
        self.read(|c| {
            // One snapshot for all lines.
            let snapshot = c.snapshot()?;
            Ok(match plan(&snapshot, list)? {
                Err(outcome) => outcome,
                Ok(plan) => ListOutcome::Imported(plan.changes(list)),
            })
        })
    }

    pub(super) fn all_suppliers(&self) -> Result<Vec<SupplierRow>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement("SELECT name, spki, sequence FROM supplier ORDER BY name")?;
            let rows = statement.query_map((), |row| {
                let key: Vec<u8> = row.get(1)?;
                let key = Some(key).filter(|key| !key.is_empty());
                Ok(SupplierRow { supplier: parse(row, 0)?, key, sequence: row.get(2)? })
            })?;
            rows.collect()
        })
    }

    pub(super) fn put_supplier(
        &self,
        supplier: &SupplierName,
        key: Option<&PublicKey>,
        at: UnixTime,
    ) -> Result<(), StoreFault> {
        let (supplier, digest) = (supplier.to_string(), key.map(PublicKey::digest));
        // A row without a key keeps the number of the last list.
        let spki = key.map(|key| key.spki().to_vec()).unwrap_or_default();
        self.write(move |tx| {
            let changed = tx
                .statement(
                    "INSERT INTO supplier (name, spki) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET spki = ?2 WHERE supplier.spki <> ?2",
                )?
                .execute((&supplier, &spki))?;
            if changed > 0 {
                let supplier = supplier.clone();
                let event = match digest {
                    Some(key) => Event::SupplierTrusted { supplier, key },
                    None => Event::SupplierRevoked { supplier },
                };
                tx.audit(&entry(at, Module::Identity, event))?;
            }
            Ok(())
        })
    }
}

/// What a list would change, or why it is not taken.
fn plan(c: &Connection, list: &List) -> engine::Result<Result<Plan, ListOutcome>> {
    let superseded = match superseded(c, list)? {
        Ok(row) => row,
        Err(outcome) => return Ok(Err(outcome)),
    };
    let mut plan = Plan::default();
    let mut by_serial = c.statement(&format!("{STANDING} WHERE d.serial = ?1"))?;
    let mut by_board =
        c.statement(&format!("{STANDING} WHERE (d.listed_board = ?1 OR d.board = ?1) AND d.serial <> ?2"))?;
    let mut by_idevid = c.statement(&format!("{STANDING} WHERE d.idevid = ?1 AND d.serial <> ?2"))?;
    let by = list.supplied.as_ref().map(|supplied| &supplied.supplier);
    for listed in &list.devices {
        let serial = listed.id.serial.as_str();
        let known = by_serial.query_row([serial], Known::read).optional()?;
        let judgement =
            known.as_ref().map_or(Judgement::Anew, |known| judge(listed, list.until, by, superseded, &known.standing));
        let mut what = known.as_ref().and_then(|known| contradiction(judgement, listed, known));
        if let (None, Some(board)) = (&what, &listed.board) {
            let holder = by_board.query_row((board.as_str(), serial), Known::read).optional()?;
            // A board may move from one line to another within a new version, as long as nothing was done with either.
            let moves = |h: &Known| superseded == Some(h.standing.list) && h.standing.is_untouched();
            what = holder
                .filter(|h| !moves(h))
                .map(|h| format!("board {board} is {}'s, in {}", h.standing.id.serial, h.place()));
        }
        if let (None, Some(idevid)) = (&what, &listed.idevid) {
            let holder = by_idevid.query_row((idevid.to_string(), serial), Known::read).optional()?;
            let moves = |h: &Known| superseded == Some(h.standing.list) && h.standing.is_untouched();
            what = holder
                .filter(|h| !moves(h))
                .map(|h| format!("the certificate {idevid} is {}'s, in {}", h.standing.id.serial, h.place()));
        }
        if let Some(what) = what {
            plan.contradictions.push(BadLine { line: listed.line, what });
            if plan.contradictions.len() == CONTRADICTIONS_MAX {
                break;
            }
        }
        plan.known += u64::from(matches!(judgement, Judgement::Known | Judgement::Renewed));
        plan.steps.push((judgement, known));
    }
    if !plan.contradictions.is_empty() {
        return Ok(Err(ListOutcome::Contradicts(plan.contradictions)));
    }
    if let Some(superseded) = superseded {
        let named: HashSet<_> = list.devices.iter().map(|listed| &listed.id.serial).collect();
        let mut of_list = c.statement(&format!("{STANDING} WHERE d.list = ?1 AND d.line > 0 AND d.custody < 2"))?;
        for known in of_list.query_map([superseded], Known::read)? {
            let known = known?;
            if !known.standing.consumed && !named.contains(&known.standing.id.serial) {
                plan.removed.push(known);
            }
        }
    }
    Ok(Ok(plan))
}

/// The row of the list that this one takes the place of, after the number was found to be higher than the last.
fn superseded(c: &Connection, list: &List) -> engine::Result<Result<Option<u64>, ListOutcome>> {
    let Some(supplied) = &list.supplied else { return replaced(c, list.replaces.as_deref()) };
    let last: Option<u64> = c
        .statement("SELECT sequence FROM supplier WHERE name = ?1 AND spki <> CAST('' AS BLOB)")?
        .query_row([supplied.supplier.as_str()], |row| row.get(0))
        .optional()?;
    let Some(last) = last else { return Ok(Err(ListOutcome::Refused(Reason::SupplierUnknown))) };
    if supplied.sequence <= last {
        return Ok(Err(ListOutcome::Refused(Reason::ListNotNewer)));
    }
    let Some(sequence) = supplied.supersedes else { return Ok(Ok(None)) };
    let row: Option<u64> = c
        .statement("SELECT id FROM list WHERE supplier = ?1 AND sequence = ?2")?
        .query_row((supplied.supplier.as_str(), sequence), |row| row.get(0))
        .optional()?;
    Ok(row.map(Some).ok_or_else(|| {
        let what = format!("supersedes list {sequence}, which was never taken from {}", supplied.supplier);
        ListOutcome::Contradicts(vec![BadLine { line: 1, what }])
    }))
}

/// The row of the operator's own list that another takes the place of.
fn replaced(c: &Connection, name: Option<&str>) -> engine::Result<Result<Option<u64>, ListOutcome>> {
    let Some(name) = name else { return Ok(Ok(None)) };
    let row: Option<u64> = c
        .statement("SELECT max(id) FROM list WHERE supplier IS NULL AND name = ?1")?
        .query_row([name], |row| row.get(0))?;
    Ok(row.map(Some).ok_or_else(|| {
        let what = format!("takes the place of the operator's own list {name}, and there is none of that name");
        ListOutcome::Contradicts(vec![BadLine { line: 1, what }])
    }))
}

fn contradiction(judgement: Judgement, listed: &ListedDevice, known: &Known) -> Option<String> {
    let (serial, place, standing) = (&listed.id.serial, known.place(), &known.standing);
    Some(match judgement {
        Judgement::Anew | Judgement::Known | Judgement::Renewed | Judgement::Changed => return None,
        Judgement::OtherSupplier => format!("serial {serial} is another supplier's: it stands in {place}"),
        Judgement::OtherType => {
            format!("serial {serial} stands with type {} in {place}", standing.id.device_type)
        }
        Judgement::OtherProfile => format!("serial {serial} stands with profile {} in {place}", standing.profile),
        Judgement::OtherIdevid => match &standing.idevid {
            Some(idevid) => format!("serial {serial} stands with the certificate {idevid} in {place}"),
            None => format!("serial {serial} stands without a certificate of its maker's in {place}"),
        },
        Judgement::OtherBoard => {
            let asked_for = if standing.line == 0 { &standing.board } else { &standing.listed_board };
            let board = asked_for.as_ref();
            let board = board.map_or_else(|| "no board".to_owned(), |board| format!("board {board}"));
            format!("serial {serial} stands with {board} in {place}")
        }
    })
}

fn carry_out(tx: &mut Tx<'_>, list: &List, plan: &Plan, at: UnixTime) -> Result<(), WriteFault> {
    let supplied = list.supplied.as_ref();
    let (supplier, sequence) = (supplied.map(|s| s.supplier.to_string()), supplied.map(|s| s.sequence));
    let row = tx.insert(
        "INSERT INTO list (name, digest, until, at, supplier, sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (&list.name, list.digest.octets(), list.until.ms(), at.ms(), &supplier, sequence),
    )?;
    let row = row.ok_or(engine::Error::NoRow)?;
    take_back(tx, row, plan, at)?;
    for (listed, (judgement, known)) in list.devices.iter().zip(&plan.steps) {
        match (judgement, known) {
            (Judgement::Anew, None) => add(tx, row, listed, at)?,
            (Judgement::Anew | Judgement::Changed | Judgement::Renewed, Some(known)) => {
                set(tx, row, listed, list.until, known, *judgement)?;
            }
            _ => {}
        }
    }
    // What was taken back and not left at km yet is not left there any more.
    if !plan.removed.is_empty() {
        tx.statement("DELETE FROM pending_grant WHERE (SELECT line FROM device d WHERE d.id = device) = 0")?
            .execute(())?;
    }
    if let Some(supplied) = supplied {
        let (supplier, sequence) = (supplied.supplier.as_str(), supplied.sequence);
        tx.statement("UPDATE supplier SET sequence = ?2 WHERE name = ?1")?.execute((supplier, sequence))?;
        tx.mark(|| Mark::List { supplier: supplier.to_owned(), sequence });
    }
    let devices = u64::try_from(list.devices.len()).unwrap_or(u64::MAX);
    let removed = u64::try_from(plan.removed.len()).ok().filter(|n| *n > 0);
    let event =
        Event::ListImported { list: list.name.clone(), digest: list.digest, devices, supplier, sequence, removed };
    tx.audit(&entry(at, Module::Identity, event))
}

/// Ends what the superseded list said and this one does not. Line 0 of the new list is where it stands from now on.
fn take_back(tx: &Tx<'_>, list: u64, plan: &Plan, at: UnixTime) -> Result<(), WriteFault> {
    for gone in &plan.removed {
        tx.statement(
            "UPDATE device SET list = ?2, line = 0, listed_board = NULL, idevid = NULL, at = ?3 WHERE id = ?1",
        )?
        .execute((gone.row, list, at.ms()))?;
        end_grants(tx, &gone.standing, at)?;
    }
    for (judgement, known) in &plan.steps {
        if let (Judgement::Changed, Some(known)) = (judgement, known) {
            // Boards and certificates are unique: all are given up before one of them stands in another line.
            tx.statement("UPDATE device SET listed_board = NULL, idevid = NULL WHERE id = ?1")?.execute([known.row])?;
            end_grants(tx, &known.standing, at)?;
        }
    }
    Ok(())
}

/// Lets no unconsumed grant of a device last longer than `until`. It is written here and not left at km: leave that was
/// taken back must not last until km is awake again.
fn end_grants(tx: &Tx<'_>, standing: &Standing, until: UnixTime) -> Result<(), WriteFault> {
    tx.statement("UPDATE grant_ SET until = ?2 WHERE subject = ?1 AND used < quota AND until > ?2")?
        .execute((standing.id.to_string(), until.ms()))?;
    Ok(())
}

fn add(tx: &Tx<'_>, list: u64, listed: &ListedDevice, at: UnixTime) -> Result<(), WriteFault> {
    let device = (
        listed.id.to_string(),
        listed.id.serial.as_str(),
        listed.profile.as_str(),
        list,
        listed.line,
        listed.board.as_ref().map(BoardId::as_str),
        at.ms(),
        listed.idevid.as_ref().map(ToString::to_string),
    );
    let row = tx.insert(
        "INSERT INTO device (name, serial, profile, list, line, listed_board, at, idevid)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        device,
    )?;
    expect(tx, row.ok_or(engine::Error::NoRow)?)
}

/// The last word on a device that is known.
fn set(
    tx: &Tx<'_>,
    list: u64,
    listed: &ListedDevice,
    until: UnixTime,
    known: &Known,
    judgement: Judgement,
) -> Result<(), WriteFault> {
    tx.statement(
        "UPDATE device SET name = ?2, profile = ?3, list = ?4, line = ?5, listed_board = ?6, idevid = ?7 WHERE id = ?1",
    )?
    .execute((
        known.row,
        listed.id.to_string(),
        listed.profile.as_str(),
        list,
        listed.line,
        listed.board.as_ref().map(BoardId::as_str),
        listed.idevid.as_ref().map(ToString::to_string),
    ))?;
    if until < known.standing.until {
        end_grants(tx, &known.standing, until)?;
    }
    if judgement == Judgement::Renewed && until <= known.standing.until {
        return Ok(());
    }
    expect(tx, known.row)
}

/// A grant follows from it, to be left at km.
fn expect(tx: &Tx<'_>, device: u64) -> Result<(), WriteFault> {
    tx.statement("INSERT INTO pending_grant (device) VALUES (?1)")?.execute([device])?;
    Ok(())
}
