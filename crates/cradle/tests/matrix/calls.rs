//! The operator API: who is answered what. `api::matrix` asks for each cell, and docs/access.md has the table.

/// Who asks, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Another user of the machine, at the socket.
    OtherUser,
    /// Who shows no token, over TCP.
    NoToken,
    /// Who shows another one.
    OtherToken,
    /// Who was led here by the name of another host, with the token.
    OtherHost,
    /// The owner, who names no operator where there are two.
    Unnamed,
    /// The owner, who names somebody who is no operator.
    NotOne,
    /// The owner, at the socket.
    Owner,
    /// Who shows the token, over TCP.
    Token,
    /// The owner, while boards get their software.
    Provisioning,
    /// The owner, while the box is sealed.
    Sealed,
}

impl Who {
    /// In the order in which they ask: who changes something comes behind those who must not.
    pub const ALL: [Self; 10] = [
        Self::OtherUser,
        Self::NoToken,
        Self::OtherToken,
        Self::OtherHost,
        Self::Unnamed,
        Self::NotOne,
        Self::Owner,
        Self::Token,
        Self::Provisioning,
        Self::Sealed,
    ];

    /// As the page calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherUser => "another user",
            Self::NoToken => "no token",
            Self::OtherToken => "another token",
            Self::OtherHost => "another host",
            Self::Unnamed => "no operator",
            Self::NotOne => "no such operator",
            Self::Owner => "owner",
            Self::Token => "token",
            Self::Provisioning => "provisioning",
            Self::Sealed => "sealed",
        }
    }
}

/// What is asked: the `operationId` of the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Status,
    ListDevices,
    GetDevice,
    AllowDevice,
    MarkDevice,
    ListCertificates,
    GetCertificate,
    RevokeCertificate,
    ReleaseCertificate,
    ListAuthorities,
    GetChain,
    ListLists,
    ImportList,
    ListSuppliers,
    ListApprovals,
    Approve,
    Deny,
    GetMode,
    SetMode,
    ListAudit,
    Explain,
    Description,
}

impl Call {
    /// In the order of the description.
    pub const ALL: [Self; 22] = [
        Self::Status,
        Self::ListDevices,
        Self::GetDevice,
        Self::AllowDevice,
        Self::MarkDevice,
        Self::ListCertificates,
        Self::GetCertificate,
        Self::RevokeCertificate,
        Self::ReleaseCertificate,
        Self::ListAuthorities,
        Self::GetChain,
        Self::ListLists,
        Self::ImportList,
        Self::ListSuppliers,
        Self::ListApprovals,
        Self::Approve,
        Self::Deny,
        Self::GetMode,
        Self::SetMode,
        Self::ListAudit,
        Self::Explain,
        Self::Description,
    ];

    /// Its method, its path, and its name in the description.
    pub const fn at(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Status => ("get", "/v1/status", "status"),
            Self::ListDevices => ("get", "/v1/devices", "listDevices"),
            Self::GetDevice => ("get", "/v1/devices/{device}", "getDevice"),
            Self::AllowDevice => ("post", "/v1/devices/{device}/allow", "allowDevice"),
            Self::MarkDevice => ("post", "/v1/devices/{device}/stolen", "markDevice"),
            Self::ListCertificates => ("get", "/v1/certificates", "listCertificates"),
            Self::GetCertificate => ("get", "/v1/certificates/{serial}", "getCertificate"),
            Self::RevokeCertificate => ("post", "/v1/certificates/{serial}/revoke", "revokeCertificate"),
            Self::ReleaseCertificate => ("post", "/v1/certificates/{serial}/release", "releaseCertificate"),
            Self::ListAuthorities => ("get", "/v1/authorities", "listAuthorities"),
            Self::GetChain => ("get", "/v1/authorities/{authority}/chain", "getChain"),
            Self::ListLists => ("get", "/v1/lists", "listLists"),
            Self::ImportList => ("post", "/v1/lists", "importList"),
            Self::ListSuppliers => ("get", "/v1/suppliers", "listSuppliers"),
            Self::ListApprovals => ("get", "/v1/approvals", "listApprovals"),
            Self::Approve => ("post", "/v1/approvals/{id}/approve", "approve"),
            Self::Deny => ("post", "/v1/approvals/{id}/deny", "deny"),
            Self::GetMode => ("get", "/v1/mode", "getMode"),
            Self::SetMode => ("post", "/v1/mode", "setMode"),
            Self::ListAudit => ("get", "/v1/audit", "listAudit"),
            Self::Explain => ("get", "/v1/explanations/{about}", "explain"),
            Self::Description => ("get", "/v1/openapi.json", "description"),
        }
    }

    /// Whether it changes something.
    pub fn writes(self) -> bool {
        self.at().0 == "post"
    }
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was asked for.
    Answered,
    /// It is refused with this status and code.
    Refused(u16, &'static str),
    /// No operator is named here.
    Unspoken,
}

/// The table itself.
pub fn verdict(call: Call, who: Who) -> Verdict {
    let names_operators = matches!(call, Call::Approve | Call::Deny | Call::SetMode);
    match who {
        Who::OtherUser => Verdict::Refused(403, "api-not-allowed"),
        Who::NoToken | Who::OtherToken => Verdict::Refused(401, "api-not-allowed"),
        Who::OtherHost => Verdict::Refused(421, "api-not-allowed"),
        Who::Unnamed | Who::NotOne if !names_operators => Verdict::Unspoken,
        Who::Unnamed => Verdict::Refused(400, "operator"),
        Who::NotOne => Verdict::Refused(403, "operator"),
        Who::Owner | Who::Token => Verdict::Answered,
        Who::Provisioning | Who::Sealed if !call.writes() => Verdict::Answered,
        // What km does, while it is off; what ics does, only while the box is sealed.
        Who::Provisioning => match call {
            Call::ImportList | Call::MarkDevice | Call::SetMode => Verdict::Answered,
            _ => Verdict::Refused(409, "module-off"),
        },
        Who::Sealed => match call {
            // One operator alone could have been made to.
            Call::SetMode => Verdict::Refused(403, "operators-needed"),
            Call::Approve | Call::Deny => Verdict::Refused(409, "module-off"),
            _ => Verdict::Refused(409, "sealed"),
        },
    }
}

/// The table as a page has it.
pub fn page() -> String {
    let mut page = format!("| | {} |\n|{}\n", Who::ALL.map(Who::name).join(" | "), "---|".repeat(Who::ALL.len() + 1));
    for call in Call::ALL {
        let (method, path, _) = call.at();
        let cells = Who::ALL.map(|who| match verdict(call, who) {
            Verdict::Answered => "yes".to_owned(),
            Verdict::Refused(_, code) => format!("no: {code}"),
            Verdict::Unspoken => String::new(),
        });
        page.push_str(&format!("| `{} {path}` | {} |\n", method.to_uppercase(), cells.join(" | ")));
    }
    page
}
