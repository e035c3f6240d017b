//! Operators invite a box, and take that back.

use super::{About, INVITATION, Invited, Token, bad_document, names, object, token_key, with_always};
use crate::compose::{Workshop, module_authority};
use crate::config::{BusConfig, StoreConfig};
use crate::fault::{Exit, Failure, Result};
use crate::{enrol, operators};
use adapters::files;
use adapters::store::sql::{Invitation, InvitationFault, InvitationState};
use model::audit::Event;
use model::{Entity, Module, OperatorName, StationName, UnixTime};
use ports::Signer;
use ports::directory::Directory;
use ports::jws;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who must invite, wherever two operators are.
const PERSONS: usize = 2;
/// Longest file of trusted certificates, in octets.
const TRUST_LEN_MAX: u64 = 1024 * 1024;

/// What operators invite.
pub(crate) struct Wanted {
    pub(crate) instance: StationName,
    pub(crate) modules: Vec<Module>,
    /// Who operates the new box: the first who invites, if nobody is named.
    pub(crate) operator: Option<OperatorName>,
    pub(crate) valid_ms: u64,
    pub(crate) by: Vec<OperatorName>,
    /// Where the new box reaches records and broker, if not where this one does.
    pub(crate) store: Option<String>,
    pub(crate) bus: Vec<String>,
    pub(crate) out: PathBuf,
}

/// The settings that another box must share. Without a server for the records and a broker nobody can join.
fn shared(workshop: &Workshop) -> Result<(&StoreConfig, &BusConfig)> {
    match (&workshop.config.store, &workshop.config.bus) {
        (Some(store), Some(bus)) => Ok((store, bus)),
        _ => Err(Failure::new(Exit::Usage, "no-bus", "the modules of this installation share one process")
            .because("its cradle.toml names no broker over which they could meet")
            .next("`cradle init --bus URL --store URL` makes an installation that others may join")),
    }
}

/// Fails where no other box can join.
pub(super) fn check_shared(workshop: &Workshop) -> Result {
    shared(workshop).map(drop)
}

/// Invites a box: writes the token that lets it in, once.
pub(crate) fn invite(workshop: &Workshop, wanted: &Wanted) -> Result<Invited> {
    if std::fs::symlink_metadata(&wanted.out).is_ok() {
        return Err(Failure::file(&wanted.out, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let about = about(workshop, wanted)?;
    refuse_known(workshop, &wanted.instance)?;
    let by = inviting(workshop, &wanted.by)?;
    let operator = wanted.operator.clone().or_else(|| wanted.by.first().or(by.first()).cloned());
    let operator = operator.ok_or_else(|| bad_document("invitation", "nobody operates the new box"))?;
    let secret = Token::secret(workshop.entropy.as_ref());
    let (token, at) = (token_key(&secret)?.public_key().digest(), workshop.clock.now());
    let (instance, modules) = (wanted.instance.clone(), with_always(&wanted.modules));
    let invited = Invited { token, instance, modules, operator, at, until: at.plus_ms(wanted.valid_ms) };
    let statements = by.iter().map(|operator| operators::sign(workshop, operator, INVITATION, &invited));
    let statements = statements.collect::<Result<Vec<_>>>()?;
    let event = Event::BoxInvited {
        instance: invited.instance.to_string(),
        modules: names(&invited.modules),
        operators: by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        until: invited.until,
        token,
    };
    let (instance, until) = (invited.instance.clone(), invited.until);
    let row = Invitation { token, instance, statements, at, until, state: InvitationState::Open, admitted: None };
    workshop.store.invite(&row, &event)?.map_err(|fault| refused(fault, &invited.instance))?;
    super::write(&wanted.out, &Token { secret, invited: invited.clone(), about })?;
    Ok(invited)
}

fn about(workshop: &Workshop, wanted: &Wanted) -> Result<About> {
    let (store, bus) = shared(workshop)?;
    let config = &workshop.config;
    let trust = bus.trust.as_ref().map(|path| trust(path)).transpose()?;
    let authority = module_authority()?;
    Ok(About {
        organization: config.organization.clone(),
        maker_pen: config.maker_pen,
        log: config.log().clone(),
        store: wanted.store.clone().unwrap_or_else(|| store.url.clone()),
        servers: if wanted.bus.is_empty() { bus.servers.clone() } else { wanted.bus.clone() },
        domain: bus.domain.clone(),
        trust,
        authority: workshop.certificate_of(&authority)?.into(),
    })
}

fn trust(path: &Path) -> Result<String> {
    let octets = files::read_bounded(path, TRUST_LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    String::from_utf8(octets).map_err(|_| bad_document("file of trusted certificates", "it is not PEM"))
}

/// A name that modules are certified under belongs to a box that is there.
fn refuse_known(workshop: &Workshop, instance: &StationName) -> Result {
    let mut held = enrol::holders(&workshop.store)?.into_iter();
    let is_there = |subject: &Entity| matches!(subject, Entity::Module(_, at) if at == instance);
    if *instance != workshop.config.name && !held.any(|holder| is_there(&holder.subject)) {
        return Ok(());
    }
    Err(Failure::new(Exit::Conflict, "box-known", format!("{instance} was not invited"))
        .because("modules of a box of that name are certified: whoever is let in under it would speak for them")
        .next("choose another name; if that box is gone, revoke its certificates first: `cradle module list`"))
}

/// How many operators must say that a box may come.
fn needed(workshop: &Workshop, certified: usize) -> usize {
    workshop.config.operators_needed.max(PERSONS.min(certified))
}

fn certified(workshop: &Workshop) -> Result<BTreeSet<OperatorName>> {
    let held = enrol::holders(&workshop.store)?;
    Ok(held.iter().filter_map(|holder| holder.subject.operator().cloned()).collect())
}

/// Who invites: two, or the only operator there is.
fn inviting(workshop: &Workshop, named: &[OperatorName]) -> Result<BTreeSet<OperatorName>> {
    let needed = needed(workshop, certified(workshop)?.len());
    let named = if named.is_empty() && needed == 1 { vec![workshop.operator(None)?] } else { named.to_vec() };
    operators::check_count(&named, needed, "another box joins the installation")?;
    Ok(named.into_iter().collect())
}

/// What an invitation says, if enough operators say so who are operators now. The row alone is nobody's word.
pub(super) fn believed(workshop: &Workshop, row: &Invitation, directory: &Directory) -> Result<Invited> {
    let now = workshop.clock.now();
    let altered = |why: &str| {
        Failure::new(Exit::Failed, "records-disagree", "this invitation is not the one that operators signed")
            .because(why)
            .next("invite the box again, and look at `cradle audit list`: somebody may have altered the records")
    };
    let (mut by, mut said) = (BTreeSet::new(), None);
    for statement in &row.statements {
        let verified = jws::verify(INVITATION, statement.as_bytes(), |kid| directory.operator(kid, now));
        let (payload, operator) =
            verified.map_err(|_| altered("a signature does not hold, or its operator is gone"))?;
        let invited: Invited = object(&payload).ok_or_else(|| altered("what was signed is no invitation"))?;
        if said.get_or_insert_with(|| invited.clone()) != &invited {
            return Err(altered("operators signed different invitations"));
        }
        by.insert(operator);
    }
    let invited = said.ok_or_else(|| altered("nobody signed it"))?;
    if (invited.token, &invited.instance, invited.until) != (row.token, &row.instance, row.until) {
        return Err(altered("its row says something else"));
    }
    if by.len() < needed(workshop, certified(workshop)?.len()) {
        return Err(altered("fewer operators signed it than are needed"));
    }
    Ok(invited)
}

/// Takes back the invitation of a box that is open.
pub(crate) fn uninvite(workshop: &Workshop, instance: &StationName, operator: Option<&OperatorName>) -> Result {
    let operator = workshop.operator(operator)?;
    let rows = workshop.store.invitations()?;
    // The last one: an earlier one was used, taken back, or is over.
    let row = rows.iter().rfind(|row| row.instance == *instance);
    let row = row.ok_or_else(|| refused(InvitationFault::Unknown, instance))?;
    let event =
        Event::BoxUninvited { instance: instance.to_string(), token: row.token, operator: operator.to_string() };
    let done = workshop.store.uninvite(row.token, workshop.clock.now(), &event)?;
    done.map_err(|fault| refused(fault, instance))
}

/// Why a token opens nothing, as people are told.
pub(super) fn refused(fault: InvitationFault, instance: &StationName) -> Failure {
    let new = |exit, code, why: &str, next: &str| {
        Failure::new(exit, code, format!("nothing was done with the invitation of {instance}")).because(why).next(next)
    };
    match fault {
        InvitationFault::Unknown => new(
            Exit::NotFound,
            "invitation-unknown",
            "no such invitation was made here",
            "see `cradle module invitations`; invite the box with `cradle module invite`",
        ),
        InvitationFault::Ended => new(
            Exit::Refused,
            "invitation-ended",
            "its time is over",
            "invite the box again, and have it make its keys again: `cradle module invite`",
        ),
        InvitationFault::Used => new(
            Exit::Refused,
            "invitation-used",
            "a box was admitted with it already",
            "if that was not the box that you know, revoke its certificates: `cradle module list`, `cradle cert revoke`",
        ),
        InvitationFault::TakenBack => new(
            Exit::Refused,
            "invitation-taken-back",
            "an operator took it back",
            "invite the box again if it may come: `cradle module invite`",
        ),
        InvitationFault::Open => new(
            Exit::Conflict,
            "invitation-open",
            "the box is invited already, and nobody has come",
            "give it that token, or take it back: `cradle module uninvite`",
        ),
    }
}

/// How an invitation stands, in a word.
pub(crate) fn state(row: &Invitation, now: UnixTime) -> &'static str {
    match row.state {
        InvitationState::Open if row.until < now => "ended",
        InvitationState::Open => "open",
        InvitationState::Admitted => "admitted",
        InvitationState::TakenBack => "taken back",
    }
}

/// What the statements of a row say, not verified: for showing.
pub(crate) fn shown(row: &Invitation) -> Option<Invited> {
    super::unverified(row.statements.first()?)
}
