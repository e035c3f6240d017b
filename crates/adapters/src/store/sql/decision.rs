//! Why a certificate was made: who asked, what allowed it, by which clock, who approved. Reads only.

use super::SqlStore;
use super::engine::{self, Connection, OptionalExtension, Row};
use super::read::{fit, parse, parse_optional};
use model::{AuthorityName, Digest, Entity, ProfileName, StationName, TransactionId, UnixTime};
use ports::StoreFault;
use x509::SerialNumber;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// One serial number.
    Serial(&'a SerialNumber),
    /// All that one transaction led to.
    Transaction(&'a TransactionId),
    /// All that one subject got.
    Subject(&'a Entity),
}

/// A decision to sign, and on what it rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The serial number.
    pub serial: SerialNumber,
    /// The authority that signed, or was about to.
    pub authority: AuthorityName,
    /// Who asked.
    pub requester: String,
    /// The transaction.
    pub transaction_id: TransactionId,
    /// What the clock of this box said.
    pub at: UnixTime,
    /// The profile, and the digest of its file as it was then.
    pub profile: (ProfileName, Digest),
    /// The grant.
    pub grant: GrantShown,
    /// The line of the registration list from which the grant comes, if one is known.
    pub line: Option<Line>,
    /// The right of the station that vouched for the key.
    pub right: Option<RightUsed>,
    /// The operators who had to approve.
    pub approval: Option<ApprovalShown>,
    /// Whether it was closed without a certificate that may be used.
    pub closed: bool,
}

/// A grant, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the grant")]
pub struct GrantShown {
    pub id: u64,
    pub subject: Entity,
    /// Who left it.
    pub origin: String,
    pub until: UnixTime,
    pub quota: u32,
    pub used: u32,
}

/// A line of a registration list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the list")]
pub struct Line {
    pub list: String,
    /// Counted from 1; 0: its supplier took it back since.
    pub line: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    pub supplier: Option<String>,
    pub sequence: Option<u64>,
}

/// A right that was used, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the right")]
pub struct RightUsed {
    pub id: u64,
    pub station: StationName,
    pub device_type: String,
    pub until: UnixTime,
    pub quota: u32,
    pub used: u32,
}

/// A request that waited for operators, and what they said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalShown {
    /// Who asked.
    pub requester: String,
    /// Whom the certificate is for.
    pub subject: Entity,
    /// How many had to approve.
    pub needed: u32,
    /// When it was asked first.
    pub at: UnixTime,
    /// Until when it waited.
    pub until: UnixTime,
    /// What they said, in that order.
    pub said: Vec<Said>,
}

/// What one operator said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The operator.
    pub operator: String,
    /// Yes or no.
    pub approved: bool,
    /// When.
    pub at: UnixTime,
    /// What the operator signed.
    pub statement: String,
}

/// Decisions about one subject that are told of.
const DECISIONS_MAX: u32 = 100;

const DECISION: &str = "SELECT i.serial, a.name, w.text, i.transaction_id, i.at, gp.text, p.digest,
    g.id, g.subject, o.text, g.until, g.quota, g.used,
    r.id, r.station, r.device_type, r.until, r.quota, r.used,
    l.name, d.line, l.digest, l.supplier, l.sequence, i.state IN (2, 3)
    FROM issuance i JOIN authority a ON a.id = i.authority JOIN word w ON w.id = i.requester
    JOIN profile_version p ON p.id = i.profile JOIN grant_ g ON g.id = i.grant_id JOIN word gp ON gp.id = g.profile
    JOIN word o ON o.id = g.origin LEFT JOIN right_ r ON r.id = i.right_id
    LEFT JOIN device d ON d.name = g.subject AND d.profile = gp.text LEFT JOIN list l ON l.id = d.list";

impl SqlStore {
    /// The decisions to sign, oldest first. What is known from the marks only was decided elsewhere, and is left out.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn decisions(&self, about: About<'_>) -> Result<Vec<Decision>, StoreFault> {
        self.read(|c| {
            let (which, octets, text) = match about {
                About::Serial(serial) => ("i.serial = ?1 AND ?2 = ''", serial.octets().to_vec(), String::new()),
                About::Transaction(id) => ("i.transaction_id = ?1 AND ?2 = ''", id.octets().to_vec(), String::new()),
                About::Subject(subject) => {
                    ("?1 = CAST('' AS BLOB) AND g.subject = ?2", Vec::new(), subject.to_string())
                }
            };
            let mut statement =
                c.statement(&format!("{DECISION} WHERE {which} AND i.state <> 4 ORDER BY i.id LIMIT {DECISIONS_MAX}"))?;
            let rows = statement.query_map((octets, text), decision)?;
            let mut rows = rows.collect::<engine::Result<Vec<_>>>()?;
            for row in &mut rows {
                row.approval = approval(c, &row.transaction_id)?;
            }
            Ok(rows)
        })
    }

    /// The request of a transaction that waits for operators, or did.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn approval_of(&self, transaction_id: &TransactionId) -> Result<Option<ApprovalShown>, StoreFault> {
        self.read(|c| approval(c, transaction_id))
    }
}

fn decision(row: &Row<'_>) -> engine::Result<Decision> {
    let right = match row.get::<Option<u64>>(13)? {
        None => None,
        Some(id) => Some(RightUsed {
            id,
            station: parse(row, 14)?,
            device_type: row.get(15)?,
            until: UnixTime::from_ms(row.get(16)?),
            quota: row.get(17)?,
            used: row.get(18)?,
        }),
    };
    let line = match row.get::<Option<String>>(19)? {
        None => None,
        Some(list) => Some(Line {
            list,
            line: row.get(20)?,
            digest: fit(row, 21)?,
            supplier: parse_optional(row, 22)?,
            sequence: row.get(23)?,
        }),
    };
    Ok(Decision {
        serial: fit(row, 0)?,
        authority: parse(row, 1)?,
        requester: row.get(2)?,
        transaction_id: fit(row, 3)?,
        at: UnixTime::from_ms(row.get(4)?),
        profile: (parse(row, 5)?, fit(row, 6)?),
        grant: GrantShown {
            id: row.get(7)?,
            subject: parse(row, 8)?,
            origin: row.get(9)?,
            until: UnixTime::from_ms(row.get(10)?),
            quota: row.get(11)?,
            used: row.get(12)?,
        },
        line,
        right,
        approval: None,
        closed: row.get(24)?,
    })
}

fn approval(c: &Connection, transaction_id: &TransactionId) -> engine::Result<Option<ApprovalShown>> {
    let mut statement =
        c.statement("SELECT id, requester, subject, needed, at, until FROM pending WHERE transaction_id = ?1")?;
    let found = statement.query_row([transaction_id.octets()], |row| {
        let shown = ApprovalShown {
            requester: row.get(1)?,
            subject: parse(row, 2)?,
            needed: row.get(3)?,
            at: UnixTime::from_ms(row.get(4)?),
            until: UnixTime::from_ms(row.get(5)?),
            said: Vec::new(),
        };
        Ok((row.get::<u64>(0)?, shown))
    });
    let Some((id, mut shown)) = found.optional()? else { return Ok(None) };
    let mut statement =
        c.statement("SELECT operator, approved, at, statement FROM approval WHERE pending = ?1 ORDER BY at, operator")?;
    let said = statement.query_map([id], |row| {
        Ok(Said {
            operator: row.get(0)?,
            approved: row.get(1)?,
            at: UnixTime::from_ms(row.get(2)?),
            statement: row.get(3)?,
        })
    })?;
    shown.said = said.collect::<engine::Result<_>>()?;
    Ok(Some(shown))
}
