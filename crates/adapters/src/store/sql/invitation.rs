//! Invitations of further boxes, in the database.

use super::engine::{self, Connection, OptionalExtension};
use super::read::{fit, fit_optional, parse};
use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::{Digest, Module, StationName, UnixTime};
use ports::StoreFault;

/// How an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationState {
    /// Nobody has come.
    Open,
    /// The box was admitted.
    Admitted,
    /// It was taken back.
    TakenBack,
}

/// The invitation of a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// SHA-256 of the public key whose private half is the token's secret.
    pub token: Digest,
    /// The box.
    pub instance: StationName,
    /// What operators signed, each a flattened JWS.
    pub statements: Vec<String>,
    /// When it was made.
    pub at: UnixTime,
    /// Its end.
    pub until: UnixTime,
    /// How it stands.
    pub state: InvitationState,
    /// How it was admitted, if it was.
    pub admitted: Option<AdmittedBox>,
}

/// How a box was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedBox {
    /// SHA-256 of its request.
    pub request: Digest,
    /// With which keys it came, as an operator signed it: a flattened JWS.
    pub admission: String,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationFault {
    /// No such invitation was made.
    Unknown,
    /// Its time is over.
    Ended,
    /// A box was admitted with it, by another request.
    Used,
    /// It was taken back.
    TakenBack,
    /// Another one for the same box is open.
    Open,
}

const COLUMNS: &str = "token, box, statements, at, until, state, request, admission";

impl SqlStore {
    /// All invitations, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn invitations(&self) -> Result<Vec<Invitation>, StoreFault> {
        self.read(|c| {
            let mut statement = c.statement(&format!("SELECT {COLUMNS} FROM invitation ORDER BY at, token"))?;
            statement.query_map((), read)?.collect()
        })
    }

    /// Records an invitation that is open.
    ///
    /// # Errors
    /// [`StoreFault`]; [`InvitationFault::Open`] if the box has another.
    pub fn invite(&self, invitation: &Invitation, event: &Event) -> Result<Result<(), InvitationFault>, StoreFault> {
        let (new, event) = (invitation.clone(), event.clone());
        self.write(move |tx| {
            let open: u64 = tx
                .statement("SELECT count(*) FROM invitation WHERE box = ?1 AND state = 0 AND until >= ?2")?
                .query_row((new.instance.as_str(), new.at.ms()), |row| row.get(0))?;
            if open > 0 {
                return Ok(Err(InvitationFault::Open));
            }
            tx.statement(
                "INSERT INTO invitation (token, box, statements, at, until, state) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            )?
            .execute((
                new.token.octets().as_slice(),
                new.instance.as_str(),
                new.statements.join("\n"),
                new.at.ms(),
                new.until.ms(),
            ))?;
            tx.audit(&entry(new.at, Module::Console, event.clone()))?;
            Ok::<_, WriteFault>(Ok(()))
        })
    }

    /// Uses an invitation up, for one request. The same request may come again: whoever answered it may have been
    /// interrupted.
    ///
    /// # Errors
    /// [`StoreFault`]; why it cannot be used.
    pub fn use_invitation(
        &self,
        token: Digest,
        admitted: &AdmittedBox,
        now: UnixTime,
        event: &Event,
    ) -> Result<Result<(), InvitationFault>, StoreFault> {
        let (admitted, event) = (admitted.clone(), event.clone());
        self.write(move |tx| {
            let Some(known) = find(tx.connection(), token)? else { return Ok(Err(InvitationFault::Unknown)) };
            match known.state {
                InvitationState::TakenBack => return Ok(Err(InvitationFault::TakenBack)),
                InvitationState::Admitted
                    if known.admitted.is_some_and(|before| before.request == admitted.request) =>
                {
                    return Ok(Ok(()));
                }
                InvitationState::Admitted => return Ok(Err(InvitationFault::Used)),
                InvitationState::Open if known.until < now => return Ok(Err(InvitationFault::Ended)),
                InvitationState::Open => {}
            }
            let AdmittedBox { request, admission } = &admitted;
            tx.statement("UPDATE invitation SET state = 1, request = ?2, admission = ?3 WHERE token = ?1")?
                .execute((token.octets().as_slice(), request.octets().as_slice(), admission.as_str()))?;
            tx.audit(&entry(now, Module::Console, event.clone()))?;
            Ok::<_, WriteFault>(Ok(()))
        })
    }

    /// Takes an invitation back that nobody has used.
    ///
    /// # Errors
    /// [`StoreFault`]; why it cannot be taken back.
    pub fn uninvite(
        &self,
        token: Digest,
        now: UnixTime,
        event: &Event,
    ) -> Result<Result<(), InvitationFault>, StoreFault> {
        let event = event.clone();
        self.write(move |tx| {
            match find(tx.connection(), token)?.map(|known| known.state) {
                None => return Ok(Err(InvitationFault::Unknown)),
                Some(InvitationState::Admitted) => return Ok(Err(InvitationFault::Used)),
                Some(InvitationState::TakenBack) => return Ok(Err(InvitationFault::TakenBack)),
                Some(InvitationState::Open) => {}
            }
            tx.statement("UPDATE invitation SET state = 2 WHERE token = ?1")?.execute([token.octets().as_slice()])?;
            tx.audit(&entry(now, Module::Console, event.clone()))?;
            Ok::<_, WriteFault>(Ok(()))
        })
    }

    /// Whether a certificate for this key was revoked.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub fn is_revoked_key(&self, key: Digest) -> Result<bool, StoreFault> {
        self.read(|c| {
            let octets = key.octets().as_slice();
            c.query_row(
                "SELECT count(*) FROM issuance i JOIN revocation r ON r.issuance = i.id
                 WHERE substr(i.key, 1, 8) = substr(CAST(?1 AS BLOB), 1, 8) AND i.key = ?1 AND r.ended IS NULL AND r.reason <> 8",
                [octets],
                |row| Ok(row.get::<u64>(0)? > 0),
            )
        })
    }
}

fn find(connection: &Connection, token: Digest) -> engine::Result<Option<Invitation>> {
    let mut statement = connection.statement(&format!("SELECT {COLUMNS} FROM invitation WHERE token = ?1"))?;
    statement.query_row([token.octets().as_slice()], read).optional()
}

fn read(row: &engine::Row<'_>) -> engine::Result<Invitation> {
    let state = match row.get::<u64>(5)? {
        0 => InvitationState::Open,
        1 => InvitationState::Admitted,
        2 => InvitationState::TakenBack,
        _ => return Err(engine::Error::Misfit(5)),
    };
    let (request, admission): (_, Option<String>) = (fit_optional(row, 6)?, row.get(7)?);
    let admitted = request.zip(admission).map(|(request, admission)| AdmittedBox { request, admission });
    Ok(Invitation {
        token: fit(row, 0)?,
        instance: parse(row, 1)?,
        statements: row.get::<String>(2)?.lines().map(str::to_owned).collect(),
        at: UnixTime::from_ms(row.get(3)?),
        until: UnixTime::from_ms(row.get(4)?),
        state,
        admitted,
    })
}
