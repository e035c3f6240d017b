//! Accounts, orders and authorisations of ACME, in the database.

use super::engine::{self, OptionalExtension, Row};
use super::read::{fit, fit_optional, parse, parse_optional};

use super::{SqlStore, WriteFault, entry};
use model::audit::Event;
use model::contract::acme::ChallengeKind;
use model::{AcmeId, Digest, EstLabel, Module, Reason, UnixTime};
use ports::StoreFault;
use ports::store::acme::{
    Account, AccountState, AcmeStore, Authorization, AuthorizationState, Begun, Order, OrderState,
};

/// Rows that are forgotten at a time.
const FORGOTTEN: u32 = 64;
/// How long what led to nothing is kept behind its end, in seconds: thirty days.
const KEPT_S: u64 = 30 * 86_400;

const ACCOUNT: &str = "SELECT id, label, subject, key, thumbprint, secret, state, contact, at FROM acme_account";
const ORDER: &str =
    "SELECT id, account, state, identifiers, replaces, transaction_id, request, serial, error, at, until
    FROM acme_order";
const AUTHORIZATION: &str =
    "SELECT id, acme_order, identifier, secret, state, challenge, error, at, until, key FROM acme_authorization";

fn number<T: PartialEq>(all: &[T], state: &T) -> u8 {
    (0..).zip(all).find_map(|(n, known)| (known == state).then_some(n)).unwrap_or_default()
}
fn state<T: Copy>(all: &[T], row: &Row<'_>, column: usize) -> engine::Result<T> {
    let n: usize = row.get(column)?;
    all.get(n).copied().ok_or(engine::Error::Misfit(column))
}
fn reason(row: &Row<'_>, column: usize) -> engine::Result<Option<Reason>> {
    let code = row.text_or_null(column)?;
    code.map(|code| Reason::by_code(code).ok_or(engine::Error::Misfit(column))).transpose()
}
fn words(row: &Row<'_>, column: usize) -> engine::Result<Vec<String>> {
    let text: String = row.get(column)?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}
fn time(row: &Row<'_>, column: usize) -> engine::Result<UnixTime> {
    Ok(UnixTime::from_ms(row.get(column)?))
}

fn account(row: &Row<'_>) -> engine::Result<Account> {
    Ok(Account {
        id: fit(row, 0)?,
        label: parse(row, 1)?,
        subject: parse(row, 2)?,
        key: row.blob(3)?.to_vec(),
        thumbprint: fit(row, 4)?,
        secret: fit(row, 5)?,
        state: state(&AccountState::ALL, row, 6)?,
        contact: words(row, 7)?,
        at: time(row, 8)?,
    })
}

fn order(row: &Row<'_>) -> engine::Result<Order> {
    Ok(Order {
        id: fit(row, 0)?,
        account: fit(row, 1)?,
        state: state(&OrderState::ALL, row, 2)?,
        identifiers: words(row, 3)?,
        replaces: row.get(4)?,
        transaction_id: fit_optional(row, 5)?,
        request: row.get(6)?,
        serial: row.get(7)?,
        error: reason(row, 8)?,
        at: time(row, 9)?,
        until: time(row, 10)?,
    })
}

fn authorization(row: &Row<'_>) -> engine::Result<Authorization> {
    let kind = |name: String| ChallengeKind::ALL.into_iter().find(|kind| kind.name() == name);
    let challenge: Option<String> = parse_optional(row, 5)?;
    Ok(Authorization {
        id: fit(row, 0)?,
        order: fit(row, 1)?,
        identifier: row.get(2)?,
        secret: row.blob(3)?.try_into().map_err(|_| engine::Error::Misfit(3))?,
        state: state(&AuthorizationState::ALL, row, 4)?,
        challenge: challenge.map(|name| kind(name).ok_or(engine::Error::Misfit(5))).transpose()?,
        key: row.get(9)?,
        error: reason(row, 6)?,
        at: time(row, 7)?,
        until: time(row, 8)?,
    })
}

fn event(account: &Account, what: &str) -> Event {
    Event::AcmeAccount {
        subject: account.subject.to_string(),
        account: account.id,
        label: account.label.to_string(),
        key: account.thumbprint,
        what: what.to_owned(),
    }
}

impl AcmeStore for SqlStore {
    fn nonce_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreFault> {
        let kept = || {
            self.read(|c| {
                c.statement("SELECT key FROM acme_key WHERE id = 1")?
                    .query_row((), |row| row.blob(0)?.try_into().map_err(|_| engine::Error::Misfit(0)))
                    .optional()
            })
        };
        if let Some(key) = kept()? {
            return Ok(key);
        }
        self.write(move |tx| {
            tx.statement("INSERT INTO acme_key (id, key) VALUES (1, ?1) ON CONFLICT DO NOTHING")?.execute([fresh])?;
            Ok::<_, WriteFault>(())
        })?;
        // Another process may have been first.
        Ok(kept()?.unwrap_or(fresh))
    }

    fn use_nonce(&self, nonce: &[u8; 16], until: UnixTime, at: UnixTime) -> Result<bool, StoreFault> {
        let nonce = *nonce;
        self.write(move |tx| {
            tx.statement(
                "DELETE FROM acme_nonce WHERE nonce IN (SELECT nonce FROM acme_nonce WHERE until < ?1 LIMIT ?2)",
            )?
            .execute((at.ms(), FORGOTTEN))?;
            let new = tx
                .statement("INSERT INTO acme_nonce (nonce, until) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute((nonce, until.ms()))?;
            Ok::<_, WriteFault>(new == 1)
        })
    }

    fn begin_account(&self, account: &Account) -> Result<Begun, StoreFault> {
        let made = account.clone();
        self.write(move |tx| {
            let label = made.label.to_string();
            let is_there = |sql: &str, params: (&[u8], &str)| {
                tx.statement(sql)?.query_row(params, |row| row.get::<u64>(0)).map(|n| n > 0)
            };
            let secret = "SELECT count(*) FROM acme_account WHERE secret = ?1 AND ?2 = ?2";
            if is_there(secret, (made.secret.octets(), &label))? {
                return Ok(Begun::SecretUsed);
            }
            let key = "SELECT count(*) FROM acme_account WHERE thumbprint = ?1 AND label = ?2";
            if is_there(key, (made.thumbprint.octets(), &label))? {
                return Ok(Begun::KeyTaken);
            }
            let subject = made.subject.to_string();
            tx.statement("UPDATE acme_account SET state = 2 WHERE subject = ?1 AND label = ?2 AND state = 0")?
                .execute((&subject, &label))?;
            tx.statement(
                "INSERT INTO acme_account (id, label, subject, key, thumbprint, secret, state, contact, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                made.id.octets().as_slice(),
                &label,
                &subject,
                &made.key,
                made.thumbprint.octets().as_slice(),
                made.secret.octets().as_slice(),
                number(&AccountState::ALL, &made.state),
                made.contact.join(" "),
                made.at.ms(),
            ))?;
            tx.audit(&entry(made.at, Module::Authority, event(&made, "bound by a one-time secret")))?;
            Ok::<_, WriteFault>(Begun::New)
        })
    }

    fn account(&self, id: &AcmeId) -> Result<Option<Account>, StoreFault> {
        self.read(|c| {
            c.statement(&format!("{ACCOUNT} WHERE id = ?1"))?.query_row([id.octets().as_slice()], account).optional()
        })
    }

    fn account_of(&self, label: &EstLabel, thumbprint: &Digest) -> Result<Option<Account>, StoreFault> {
        self.read(|c| {
            c.statement(&format!("{ACCOUNT} WHERE label = ?1 AND thumbprint = ?2"))?
                .query_row((label.as_str(), thumbprint.octets().as_slice()), account)
                .optional()
        })
    }

    fn change_account(&self, account: &Account, what: &str, at: UnixTime) -> Result<bool, StoreFault> {
        let (changed, what) = (account.clone(), what.to_owned());
        self.write(move |tx| {
            let (id, label) = (changed.id.octets().as_slice(), changed.label.to_string());
            let taken = tx
                .statement("SELECT count(*) FROM acme_account WHERE label = ?1 AND thumbprint = ?2 AND id <> ?3")?
                .query_row((&label, changed.thumbprint.octets().as_slice(), id), |row| row.get::<u64>(0))?;
            if taken > 0 {
                return Ok(false);
            }
            tx.statement("UPDATE acme_account SET key = ?2, thumbprint = ?3, state = ?4, contact = ?5 WHERE id = ?1")?
                .execute((
                    id,
                    &changed.key,
                    changed.thumbprint.octets().as_slice(),
                    number(&AccountState::ALL, &changed.state),
                    changed.contact.join(" "),
                ))?;
            tx.audit(&entry(at, Module::Authority, event(&changed, &what)))?;
            Ok::<_, WriteFault>(true)
        })
    }

    fn begin_order(&self, order: &Order, authorizations: &[Authorization], open_max: u32) -> Result<bool, StoreFault> {
        let (made, parts) = (order.clone(), authorizations.to_vec());
        self.write(move |tx| {
            let account = made.account.octets().as_slice();
            let open = tx
                .statement("SELECT count(*) FROM acme_order WHERE account = ?1 AND state IN (0, 1) AND until >= ?2")?
                .query_row((account, made.at.ms()), |row| row.get::<u64>(0))?;
            if open >= u64::from(open_max) {
                return Ok(false);
            }
            let before = made.at.minus_s(KEPT_S).ms();
            let orders = "DELETE FROM acme_order WHERE id IN
                (SELECT id FROM acme_order WHERE account = ?1 AND state <> 2 AND until < ?2 LIMIT ?3)";
            tx.statement(orders)?.execute((account, before, FORGOTTEN))?;
            let parts_of_none = "DELETE FROM acme_authorization WHERE id IN
                (SELECT id FROM acme_authorization WHERE until < ?1 LIMIT ?2)";
            tx.statement(parts_of_none)?.execute((before, FORGOTTEN))?;
            tx.statement(
                "INSERT INTO acme_order (id, account, state, identifiers, replaces, at, until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                made.id.octets().as_slice(),
                account,
                number(&OrderState::ALL, &made.state),
                made.identifiers.join(" "),
                &made.replaces,
                made.at.ms(),
                made.until.ms(),
            ))?;
            for part in &parts {
                tx.statement(
                    "INSERT INTO acme_authorization (id, acme_order, identifier, secret, state, at, until)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute((
                    part.id.octets().as_slice(),
                    part.order.octets().as_slice(),
                    &part.identifier,
                    part.secret,
                    number(&AuthorizationState::ALL, &part.state),
                    part.at.ms(),
                    part.until.ms(),
                ))?;
            }
            Ok::<_, WriteFault>(true)
        })
    }

    fn order(&self, id: &AcmeId) -> Result<Option<Order>, StoreFault> {
        self.read(|c| {
            c.statement(&format!("{ORDER} WHERE id = ?1"))?.query_row([id.octets().as_slice()], order).optional()
        })
    }

    fn orders(&self, account: &AcmeId, limit: u32) -> Result<Vec<AcmeId>, StoreFault> {
        self.read(|c| {
            c.statement("SELECT id FROM acme_order WHERE account = ?1 ORDER BY at DESC LIMIT ?2")?
                .query_map((account.octets().as_slice(), limit), |row| fit(row, 0))?
                .collect()
        })
    }

    fn move_order(&self, order: &Order, from: OrderState) -> Result<bool, StoreFault> {
        let moved = order.clone();
        self.write(move |tx| {
            let done = tx
                .statement(
                    "UPDATE acme_order SET state = ?3, transaction_id = ?4, request = ?5, serial = ?6, error = ?7,
                     until = ?8 WHERE id = ?1 AND state = ?2",
                )?
                .execute((
                    moved.id.octets().as_slice(),
                    number(&OrderState::ALL, &from),
                    number(&OrderState::ALL, &moved.state),
                    moved.transaction_id.as_ref().map(|id| id.octets().as_slice()),
                    &moved.request,
                    &moved.serial,
                    moved.error.map(Reason::code),
                    moved.until.ms(),
                ))?;
            Ok::<_, WriteFault>(done == 1)
        })
    }

    fn authorization(&self, id: &AcmeId) -> Result<Option<Authorization>, StoreFault> {
        self.read(|c| {
            c.statement(&format!("{AUTHORIZATION} WHERE id = ?1"))?
                .query_row([id.octets().as_slice()], authorization)
                .optional()
        })
    }

    fn authorizations(&self, order: &AcmeId) -> Result<Vec<Authorization>, StoreFault> {
        self.read(|c| {
            c.statement(&format!("{AUTHORIZATION} WHERE acme_order = ?1 ORDER BY identifier"))?
                .query_map([order.octets().as_slice()], authorization)?
                .collect()
        })
    }

    fn move_authorization(&self, authorization: &Authorization, from: AuthorizationState) -> Result<bool, StoreFault> {
        let moved = authorization.clone();
        self.write(move |tx| {
            let done = tx
                .statement(
                    "UPDATE acme_authorization SET state = ?3, challenge = ?4, error = ?5, at = ?6, until = ?7, key = ?8
                     WHERE id = ?1 AND state = ?2",
                )?
                .execute((
                    moved.id.octets().as_slice(),
                    number(&AuthorizationState::ALL, &from),
                    number(&AuthorizationState::ALL, &moved.state),
                    moved.challenge.map(ChallengeKind::name),
                    moved.error.map(Reason::code),
                    moved.at.ms(),
                    moved.until.ms(),
                    &moved.key,
                ))?;
            Ok::<_, WriteFault>(done == 1)
        })
    }
}
