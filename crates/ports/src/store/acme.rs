//! What km keeps of clients of ACME.

use super::StoreFault;
use model::contract::acme::ChallengeKind;
use model::{AcmeId, Digest, Entity, EstLabel, Reason, TransactionId, UnixTime};

/// Accounts, orders, authorisations, and nonces that were used.
pub trait AcmeStore: Send + Sync {
    /// The key by which nonces are known as ours; `fresh` from now on, if there is none.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn nonce_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreFault>;

    /// Uses a nonce up. Whether it was not used before. Those that ended before `at` are forgotten.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn use_nonce(&self, nonce: &[u8; 16], until: UnixTime, at: UnixTime) -> Result<bool, StoreFault>;

    /// Makes an account. Earlier ones of the same device under the same label end.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn begin_account(&self, account: &Account) -> Result<Begun, StoreFault>;

    /// An account.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn account(&self, id: &AcmeId) -> Result<Option<Account>, StoreFault>;

    /// The account that has a key under a label.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn account_of(&self, label: &EstLabel, thumbprint: &Digest) -> Result<Option<Account>, StoreFault>;

    /// Writes state, key and contacts of an account, and says what happened. Whether no other account of the label has this
    /// key: otherwise nothing was changed.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn change_account(&self, account: &Account, what: &str, at: UnixTime) -> Result<bool, StoreFault>;

    /// Makes an order and its authorisations. Whether the account had less than `open_max` open ones; what ended long ago is
    /// forgotten.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn begin_order(&self, order: &Order, authorizations: &[Authorization], open_max: u32) -> Result<bool, StoreFault>;

    /// An order.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn order(&self, id: &AcmeId) -> Result<Option<Order>, StoreFault>;

    /// The orders of an account, the newest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn orders(&self, account: &AcmeId, limit: u32) -> Result<Vec<AcmeId>, StoreFault>;

    /// Writes how far an order has come. Whether it was in the state `from`: otherwise nothing was changed.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn move_order(&self, order: &Order, from: OrderState) -> Result<bool, StoreFault>;

    /// An authorisation.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn authorization(&self, id: &AcmeId) -> Result<Option<Authorization>, StoreFault>;

    /// The authorisations of an order, in the order of their names.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn authorizations(&self, order: &AcmeId) -> Result<Vec<Authorization>, StoreFault>;

    /// Writes how far an authorisation has come. Whether it was in the state `from`: otherwise nothing was changed.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn move_authorization(&self, authorization: &Authorization, from: AuthorizationState) -> Result<bool, StoreFault>;
}

/// What became of an account that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is there.
    New,
    /// The secret was used for another account.
    SecretUsed,
    /// Another account of the label has this key.
    KeyTaken,
}

/// An account: a key that speaks for a device, under a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub id: AcmeId,
    /// The label.
    pub label: EstLabel,
    /// The device.
    pub subject: Entity,
    /// `SubjectPublicKeyInfo` of its key.
    pub key: Vec<u8>,
    /// The thumbprint of its key.
    pub thumbprint: Digest,
    /// SHA-256 of the secret that bound it.
    pub secret: Digest,
    /// Whether it counts.
    pub state: AccountState,
    /// Where people can be reached.
    pub contact: Vec<String>,
    /// When it was made.
    pub at: UnixTime,
}

/// Whether an account counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// It does.
    Valid,
    /// Its client ended it.
    Deactivated,
    /// A newer one of its device took its place.
    Revoked,
}

impl AccountState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Valid, Self::Deactivated, Self::Revoked];
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub id: AcmeId,
    /// Whose it is.
    pub account: AcmeId,
    /// How far it has come.
    pub state: OrderState,
    /// The names, each with its type in front: `dns:NAME`, `ip:ADDRESS`.
    pub identifiers: Vec<String>,
    /// The certificate in whose place the new one comes, as its client named it.
    pub replaces: Option<String>,
    /// The transaction of its certificate, from when it is asked for.
    pub transaction_id: Option<TransactionId>,
    /// The request, from then on: who asks again for what there is shows the same.
    pub request: Option<Vec<u8>>,
    /// The certificate's serial number.
    pub serial: Option<String>,
    /// Why there is none.
    pub error: Option<Reason>,
    /// When it was made.
    pub at: UnixTime,
    /// Until when it waits.
    pub until: UnixTime,
}

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Its authorisations say more.
    Open,
    /// The certificate is being made, or waits for operators.
    Processing,
    /// There is a certificate.
    Valid,
    /// There will be none.
    Invalid,
}

impl OrderState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Open, Self::Processing, Self::Valid, Self::Invalid];
}

/// An authorisation: the proof of one name, for one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Its name.
    pub id: AcmeId,
    /// The order that needs it.
    pub order: AcmeId,
    /// The name, with its type in front.
    pub identifier: String,
    /// What its tokens follow from.
    pub secret: [u8; 32],
    /// How far it has come.
    pub state: AuthorizationState,
    /// By which challenge, from when one was begun.
    pub challenge: Option<ChallengeKind>,
    /// The key that is in the device, as a `SubjectPublicKeyInfo`, if that is what was proved.
    pub key: Option<Vec<u8>>,
    /// Why the name was not proved.
    pub error: Option<Reason>,
    /// When it came so far.
    pub at: UnixTime,
    /// Until when it counts.
    pub until: UnixTime,
}

/// How far an authorisation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationState {
    /// Nothing was begun.
    Pending,
    /// Somebody looks.
    Processing,
    /// The name is proved.
    Valid,
    /// It is not.
    Invalid,
    /// Its client ended it.
    Deactivated,
}

impl AuthorizationState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Processing, Self::Valid, Self::Invalid, Self::Deactivated];
}
