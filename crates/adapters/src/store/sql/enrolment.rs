//! Leave for devices that come over the network.

use super::engine::OptionalExtension;
use super::read::parse;
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::{DeviceId, DeviceSerial, Digest, Module};
use ports::StoreFault;
use ports::store::authority::{EnrolmentDraft, LeftBy, Registered};

/// What stands in front of the digest of a secret, where the others say who left a grant.
const SECRET: &str = "secret ";
const OPERATOR: &str = "operator";
const RENEWAL: &str = "renewal";

fn origin(left_by: LeftBy) -> String {
    match left_by {
        LeftBy::Operator(None) => OPERATOR.to_owned(),
        LeftBy::Operator(Some(secret)) => format!("{SECRET}{secret}"),
        LeftBy::Renewal => RENEWAL.to_owned(),
    }
}

impl SqlStore {
    pub(super) fn let_enrol(&self, draft: &EnrolmentDraft) -> Result<(), StoreFault> {
        let EnrolmentDraft { subject, profile, until, left_by, at } = draft.clone();
        self.write(move |tx| {
            let (word, origin) = (tx.word(profile.as_str())?, tx.word(&origin(left_by))?);
            tx.statement(
                "INSERT INTO grant_ (subject, profile, until, quota, origin) VALUES (?1, ?2, ?3, 1, ?4)
                 ON CONFLICT (subject, profile) DO UPDATE SET until = ?3, quota = grant_.used + 1, origin = ?4",
            )?
            .execute((subject.to_string(), word, until.ms(), origin))?;
            let shown = match left_by {
                LeftBy::Operator(None) => OPERATOR,
                LeftBy::Operator(Some(_)) => "operator, with a secret",
                LeftBy::Renewal => RENEWAL,
            };
            let (subject, profile) = (subject.to_string(), profile.to_string());
            let event = Event::EnrolmentAllowed { subject, profile, until, left_by: shown.to_owned() };
            tx.audit(&entry(at, Module::Authority, event))?;
            Ok::<_, WriteFault>(())
        })
    }

    pub(super) fn secret_that_opens(&self, grant: u64) -> Result<Option<Digest>, StoreFault> {
        self.read(|c| {
            let origin: Option<String> = c
                .statement("SELECT o.text FROM grant_ g JOIN word o ON o.id = g.origin WHERE g.id = ?1")?
                .query_row([grant], |row| row.get(0))
                .optional()?;
            Ok(origin.and_then(|text| text.strip_prefix(SECRET)?.parse().ok()))
        })
    }

    pub(super) fn device_of(&self, serial: &DeviceSerial) -> Result<Option<DeviceId>, StoreFault> {
        self.read(|c| {
            c.statement("SELECT name FROM device WHERE serial = ?1")?
                .query_row([serial.as_str()], |row| parse(row, 0))
                .optional()
        })
    }

    pub(super) fn registered(&self, device: &DeviceId) -> Result<Registered, StoreFault> {
        self.read(|c| {
            let stolen: Option<u64> = c
                .statement("SELECT stolen FROM device WHERE name = ?1")?
                .query_row([device.to_string()], |row| row.get(0))
                .optional()?;
            Ok(match stolen {
                None => Registered::No,
                Some(0) => Registered::Yes,
                Some(_) => Registered::Held,
            })
        })
    }
}
