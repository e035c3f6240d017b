//! Accounts: a key that speaks for one device, bound by a one-time secret.

use super::{No, Said, Talk, is_asking, random_id};
use crate::enrol::is_same;
use model::contract::enrolment::secret_info;
use model::{AcmeId, Entity, Fault, Reason};
use ports::store::acme::{Account, AccountState, Begun};
use wire::acme::{AccountObject, AccountWish, Binding, Jws, KeyChange, Problem, Resource, thumbprint};
use x509::{PublicKey, sha256};

/// Orders that are listed.
const LISTED_MAX: u32 = 100;

const fn status(state: AccountState) -> &'static str {
    match state {
        AccountState::Valid => "valid",
        AccountState::Deactivated => "deactivated",
        AccountState::Revoked => "revoked",
    }
}

impl Talk<'_> {
    fn account_url(&self, account: &Account) -> String {
        self.urls.of(&Resource::Account(account.id))
    }

    fn shown_account(&self, code: u16, account: &Account) -> Said {
        let object = AccountObject { id: account.id, status: status(account.state), contact: &account.contact };
        Said::json(code, object.write(&self.urls)).at(self.account_url(account))
    }

    /// `newAccount`. Source: RFC 8555 §7.3.
    pub(super) fn new_account(&self, jws: &Jws, key: &PublicKey, payload: &[u8]) -> Result<Said, No> {
        let _ours = self.fresh_nonce(jws)?;
        let wish = AccountWish::read(payload)?;
        let thumbprint = thumbprint(key).ok_or(Reason::KeyTypeNotAllowed)?;
        if let Some(account) = self.front.acme.store.account_of(&self.offered.label, &thumbprint)? {
            self.spend_nonce(jws).map_err(|no| no.about(&account))?;
            return match account.state {
                AccountState::Valid => Ok(self.shown_account(200, &account)),
                AccountState::Deactivated | AccountState::Revoked => {
                    Err(No::from(Reason::AccountEnded).about(&account))
                }
            };
        }
        if wish.only_existing {
            return Err(Reason::AccountUnknown.into());
        }
        let binding = wish.binding.ok_or(Reason::BindingMissing)?;
        let (subject, secret) = self.bound(&binding, key)?;
        let about = |no: No| No { who: Some(subject.to_string().into()), ..no };
        let account = Account {
            id: random_id(self.ra),
            label: self.offered.label.clone(),
            subject: subject.clone(),
            key: key.spki().to_vec(),
            thumbprint,
            secret,
            state: AccountState::Valid,
            contact: wish.contact.unwrap_or_default(),
            at: self.now,
        };
        self.spend_nonce(jws).map_err(about)?;
        match self.front.acme.store.begin_account(&account)? {
            Begun::New => Ok(self.shown_account(201, &account)),
            Begun::SecretUsed => Err(about(Reason::SecretUsed.into())),
            Begun::KeyTaken => Err(about(Reason::KeyInUse.into())),
        }
    }

    /// The device whose secret binds the key, and the secret's digest. Source: RFC 8555 §7.3.4.
    fn bound(&self, binding: &Binding, key: &PublicKey) -> Result<(Entity, model::Digest), No> {
        if binding.url() != self.url {
            return Err(Reason::UrlMismatch.into());
        }
        let device = self.ra.device_named(binding.kid())?.ok_or(Reason::SecretUnknown)?;
        let left = self.ra.left_for(device.clone(), &self.offered)?;
        let sealed = self.front.acme.sealed.sealed_secret(&left.digest)?.ok_or(Reason::SecretUnknown)?;
        let subject = Entity::Device(device.clone());
        let secret = self.front.acme.secrets.open(&sealed, &secret_info(&subject, self.offered.profile.name()))?;
        // What was sealed came beside the digest: it is the digest that counts.
        if !is_same(&sha256((*secret).as_ref()), &left.digest) || !binding.binds((*secret).as_ref(), key) {
            return Err(Reason::SecretUnknown.into());
        }
        let about = |no: No| No { who: Some(subject.to_string().into()), ..no };
        self.ra.is_in_time(&left).map_err(|fault| about(fault.into()))?;
        // It opened a certificate over another protocol.
        if left.grant.used >= left.grant.quota {
            return Err(about(Reason::SecretUsed.into()));
        }
        self.ra
            .may_ask(&device, &self.offered.profile, issue::profile::Protocol::Acme)
            .map_err(|fault| about(fault.into()))?;
        Ok((subject, left.digest))
    }

    /// An account: shown, changed, or ended. Source: RFC 8555 §7.3.2, §7.3.6.
    pub(super) fn account(&self, account: &Account, id: AcmeId, payload: &[u8]) -> Result<Said, No> {
        if id != account.id {
            return Err(Reason::OtherAccount.into());
        }
        if payload.is_empty() {
            return Ok(self.shown_account(200, account));
        }
        let wish = AccountWish::read(payload)?;
        let mut changed = account.clone();
        let what = if wish.deactivated {
            changed.state = AccountState::Deactivated;
            "deactivated by its client"
        } else {
            match wish.contact {
                Some(contact) if contact != account.contact => changed.contact = contact,
                _ => return Ok(self.shown_account(200, account)),
            }
            "contacts changed by its client"
        };
        self.front.acme.store.change_account(&changed, what, self.now)?;
        Ok(self.shown_account(200, &changed))
    }

    /// The orders of an account. Source: RFC 8555 §7.1.2.1.
    pub(super) fn orders(&self, account: &Account, id: AcmeId, payload: &[u8]) -> Result<Said, No> {
        if id != account.id {
            return Err(Reason::OtherAccount.into());
        }
        is_asking(payload)?;
        let orders = self.front.acme.store.orders(&id, LISTED_MAX)?;
        let orders: Vec<String> = orders.into_iter().map(|order| self.urls.of(&Resource::Order(order))).collect();
        Ok(Said::json(200, serde_json::json!({ "orders": orders }).to_string().into_bytes()))
    }

    /// `keyChange`. Source: RFC 8555 §7.3.5.
    pub(super) fn change_key(&self, account: &Account, payload: &[u8]) -> Result<Said, No> {
        let old = PublicKey::decode(&account.key).map_err(Fault::from)?;
        let change = KeyChange::read(payload)?;
        let new = change.verify(&self.url, &self.account_url(account), &old)?.key();
        let thumbprint = thumbprint(new).ok_or(Reason::KeyTypeNotAllowed)?;
        let changed = Account { key: new.spki().to_vec(), thumbprint, ..account.clone() };
        if self.front.acme.store.change_account(&changed, "another key took the place of its key", self.now)? {
            return Ok(self.shown_account(200, &changed));
        }
        let other = self.front.acme.store.account_of(&account.label, &thumbprint)?;
        let location = other.map(|other| self.account_url(&other).into());
        let problem = Problem { name: "malformed", status: 409 };
        Err(No { problem, location, ..No::from(Reason::KeyInUse) })
    }
}
