//! What people look at and no module asks for: rights of stations, and registration lists.

use super::SqlStore;
use super::read::fit;
use model::{Digest, UnixTime};
use ports::StoreFault;

/// What a station may vouch for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RightShown {
    pub station: String,
    pub device_type: String,
    pub quota: u32,
    pub used: u32,
    pub until: UnixTime,
}

/// A registration list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ListShown {
    pub name: String,
    pub digest: Digest,
    pub imported_at: UnixTime,
    pub until: UnixTime,
    /// Who signed it, and which of theirs it is; none of the operator's own.
    pub supplied: Option<(String, u64)>,
    /// Devices that it expects and is the last word on.
    pub devices: u64,
    /// Those of them that are provisioned.
    pub provisioned: u64,
}

impl SqlStore {
    /// All rights of stations, in the order in which they were first given.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn rights(&self) -> Result<Vec<RightShown>, StoreFault> {
        self.read(|c| {
            let mut statement =
                c.statement("SELECT station, device_type, quota, used, until FROM right_ ORDER BY id")?;
            let rows = statement.query_map((), |row| {
                Ok(RightShown {
                    station: row.get(0)?,
                    device_type: row.get(1)?,
                    quota: row.get(2)?,
                    used: row.get(3)?,
                    until: UnixTime::from_ms(row.get(4)?),
                })
            })?;
            rows.collect()
        })
    }

    /// All registration lists, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn lists(&self) -> Result<Vec<ListShown>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(
                "SELECT l.name, l.digest, l.at, l.until, count(*) FILTER (WHERE d.line > 0), count(*) FILTER (WHERE d.custody = 2),
                 l.supplier, l.sequence
                 FROM list l LEFT JOIN device d ON d.list = l.id GROUP BY l.id ORDER BY l.id",
            )?;
            let rows = statement.query_map((), |row| {
                Ok(ListShown {
                    name: row.get(0)?,
                    digest: fit(row, 1)?,
                    imported_at: UnixTime::from_ms(row.get(2)?),
                    until: UnixTime::from_ms(row.get(3)?),
                    devices: row.get(4)?,
                    provisioned: row.get(5)?,
                    supplied: row.get::<Option<String>>(6)?.zip(row.get(7)?),
                })
            })?;
            rows.collect()
        })
    }
}
