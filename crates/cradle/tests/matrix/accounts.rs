//! ACME: what a client has by its account. `acme::matrix` asks for each cell, and docs/access.md has the table.

use wire::acme::Resource;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Who signs nothing.
    Nobody,
    /// Who has a key, and no account.
    Stranger,
    /// Who has the account, under another label.
    OtherLabel,
    /// Who had an account, which has ended.
    Ended,
    /// Who has the account of another device.
    Another,
    /// Who has the account.
    Own,
}

impl Client {
    pub const ALL: [Self; 6] = [Self::Nobody, Self::Stranger, Self::OtherLabel, Self::Ended, Self::Another, Self::Own];
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Directory,
    NewNonce,
    RenewalInfo,
    NewAccount,
    NewOrder,
    Account,
    Orders,
    Order,
    Authorization,
    Challenge,
    Finalize,
    Certificate,
    KeyChange,
    RevokeCert,
}

/// Each route. One that is added must be given its row here.
pub const fn row(resource: &Resource) -> Row {
    match resource {
        Resource::Directory => Row::Directory,
        Resource::NewNonce => Row::NewNonce,
        Resource::NewAccount => Row::NewAccount,
        Resource::NewOrder => Row::NewOrder,
        Resource::KeyChange => Row::KeyChange,
        Resource::RevokeCert => Row::RevokeCert,
        Resource::Account(_) => Row::Account,
        Resource::Orders(_) => Row::Orders,
        Resource::Order(_) => Row::Order,
        Resource::Finalize(_) => Row::Finalize,
        Resource::Certificate(_) => Row::Certificate,
        Resource::Authorization(_) => Row::Authorization,
        Resource::Challenge(..) => Row::Challenge,
        Resource::RenewalInfo(_) => Row::RenewalInfo,
    }
}

impl Row {
    /// In the order of an account's life.
    pub const ALL: [Self; 14] = [
        Self::Directory,
        Self::NewNonce,
        Self::NewAccount,
        Self::NewOrder,
        Self::Account,
        Self::Orders,
        Self::Order,
        Self::Authorization,
        Self::Challenge,
        Self::Finalize,
        Self::Certificate,
        Self::RenewalInfo,
        Self::KeyChange,
        Self::RevokeCert,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "`directory`",
            Self::NewNonce => "`newNonce`",
            Self::RenewalInfo => "`renewalInfo`",
            Self::NewAccount => "`newAccount`, to find one's own",
            Self::NewOrder => "`newOrder`, for a name of the account's device",
            Self::Account => "an account",
            Self::Orders => "its orders",
            Self::Order => "an order",
            Self::Authorization => "an authorisation",
            Self::Challenge => "a challenge",
            Self::Finalize => "finalising an order",
            Self::Certificate => "its certificate",
            Self::KeyChange => "`keyChange`",
            Self::RevokeCert => "`revokeCert`",
        }
    }
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was asked for.
    Answered,
    /// It is told that another method is used.
    MustSign,
    /// It is told what its message lacks: what is asked needs an account.
    Malformed,
    /// It is refused; the code is what the operator learns of why.
    Refused(&'static str),
    /// Nobody signs anything here.
    Unspoken,
}

/// The table itself.
pub const fn verdict(row: Row, client: Client) -> Verdict {
    match (row, client) {
        // Anybody may have what everybody must know to begin.
        (Row::Directory | Row::NewNonce | Row::RenewalInfo, Client::Nobody) => Verdict::Answered,
        (Row::Directory | Row::NewNonce | Row::RenewalInfo, _) => Verdict::Unspoken,
        (_, Client::Nobody) => Verdict::MustSign,
        (_, Client::Own) | (Row::NewAccount, Client::Another) => Verdict::Answered,
        (Row::NewAccount, Client::Stranger) | (_, Client::OtherLabel) => Verdict::Refused("account-unknown"),
        (_, Client::Ended) => Verdict::Refused("account-ended"),
        // A certificate's own key may revoke it, so it is said that this one is not.
        (Row::RevokeCert, Client::Stranger | Client::Another) => Verdict::Refused("other-certificate"),
        (_, Client::Stranger) | (Row::KeyChange, Client::Another) => Verdict::Malformed,
        (Row::NewOrder, Client::Another) => Verdict::Refused("name-mismatch"),
        (_, Client::Another) => Verdict::Refused("other-account"),
    }
}

/// The table as a page has it.
pub fn page() -> String {
    let mut page = "| | nothing | a key without an account | under another label | ended | another's | own |\n|---|---|---|---|---|---|---|\n".to_owned();
    for row in Row::ALL {
        let cells = Client::ALL.map(|client| match verdict(row, client) {
            Verdict::Answered => "yes".to_owned(),
            Verdict::MustSign => "told to sign".to_owned(),
            Verdict::Malformed => "malformed".to_owned(),
            Verdict::Refused(code) => format!("no: {code}"),
            Verdict::Unspoken => String::new(),
        });
        page.push_str(&format!("| ACME {} | {} |\n", row.name(), cells.join(" | ")));
    }
    page
}
