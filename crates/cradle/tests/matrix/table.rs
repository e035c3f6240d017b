//! The table.

use wire::cmp::Body;
use wire::est::Operation;
use wire::scep::MessageType;

/// What somebody shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nothing.
    Nobody,
    /// A certificate with the right names and number, from another authority.
    WrongAuthority,
    /// A certificate of the device that has ended.
    Expired,
    /// One that was revoked.
    Revoked,
    /// One of the device that is not for clients.
    WrongRole,
    /// One of another device, which holds.
    Another,
    /// One of the device, which holds.
    Right,
}

impl Who {
    pub const ALL: [Self; 7] =
        [Self::Nobody, Self::WrongAuthority, Self::Expired, Self::Revoked, Self::WrongRole, Self::Another, Self::Right];
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Est(Operation),
    Cmp(Request),
    Made(Keyless),
    Scep(Scep),
    Status(Status),
}

/// What is asked over SCEP, by who has no part in it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scep {
    CaCert,
    CaCaps,
    PkcsReq,
    RenewalReq,
    GetCert,
    GetCrl,
}

/// The row of a message of SCEP. `CertPoll` goes on with a transaction, which is only the one's who began it: `scep::attacks`.
pub const fn scep_row(message_type: &MessageType) -> Option<Scep> {
    match message_type {
        MessageType::PkcsReq => Some(Scep::PkcsReq),
        MessageType::RenewalReq => Some(Scep::RenewalReq),
        MessageType::GetCert => Some(Scep::GetCert),
        MessageType::GetCrl => Some(Scep::GetCrl),
        MessageType::CertPoll | MessageType::Other => None,
    }
}

/// Requests of CMP that begin a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Ir,
    Cr,
    P10cr,
    Kur,
    Rr,
    Genm,
}

/// Requests of CMP for a certificate and the key to it, which the authority makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyless {
    Ir,
    Cr,
    Kur,
}

/// Which requests may come without a key. PKCS #10 has its own, and the others ask for no certificate.
pub const fn keyless(request: Request) -> Option<Keyless> {
    match request {
        Request::Ir => Some(Keyless::Ir),
        Request::Cr => Some(Keyless::Cr),
        Request::Kur => Some(Keyless::Kur),
        Request::P10cr | Request::Rr | Request::Genm => None,
    }
}

/// What is had over plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    OcspGet,
    OcspPost,
    Crl,
    Delta,
    Authority,
}

/// What a message of CMP is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It begins a transaction: a row of the table.
    Begins(Request),
    /// It goes on with one, which is only the one's who began it: `cmp::attacks`.
    GoesOn,
    /// It is answered to registration authorities that the label names, and to no device: `cmp::nested`.
    HandsOn,
    /// It is not answered but by an error.
    Refused,
}

/// Each message of CMP. One that is added must be given its place here.
pub const fn kind(body: &Body<'_>) -> Kind {
    match body {
        Body::Ir(_) => Kind::Begins(Request::Ir),
        Body::Cr(_) => Kind::Begins(Request::Cr),
        Body::P10cr(_) => Kind::Begins(Request::P10cr),
        Body::Kur(_) => Kind::Begins(Request::Kur),
        Body::Rr(_) => Kind::Begins(Request::Rr),
        Body::Genm(_) => Kind::Begins(Request::Genm),
        Body::CertConf(_) | Body::PollReq(_) => Kind::GoesOn,
        Body::Ip(_) | Body::Cp(_) | Body::Kup(_) | Body::Rp(_) | Body::Genp(_) | Body::PollRep(_) => Kind::Refused,
        Body::Nested(_) => Kind::HandsOn,
        Body::PkiConf | Body::Error(_) | Body::Other { .. } => Kind::Refused,
    }
}

impl Route {
    /// All that there are.
    pub fn all() -> Vec<Self> {
        let cmp = [Request::Ir, Request::Cr, Request::P10cr, Request::Kur, Request::Rr, Request::Genm];
        let status = [Status::OcspGet, Status::OcspPost, Status::Crl, Status::Delta, Status::Authority];
        let est = Operation::ALL.into_iter().map(Self::Est);
        let messages = [MessageType::PkcsReq, MessageType::RenewalReq, MessageType::GetCert, MessageType::GetCrl];
        let scep = [Scep::CaCert, Scep::CaCaps].into_iter().chain(messages.iter().filter_map(scep_row)).map(Self::Scep);
        let made = cmp.into_iter().filter_map(keyless).map(Self::Made);
        est.chain(cmp.into_iter().map(Self::Cmp))
            .chain(made)
            .chain(scep)
            .chain(status.into_iter().map(Self::Status))
            .collect()
    }

    /// As the page calls it.
    pub fn name(self) -> String {
        match self {
            Self::Est(operation) => format!("EST `{}`", operation.name()),
            Self::Cmp(Request::Ir) => "CMP `ir`".into(),
            Self::Cmp(Request::Cr) => "CMP `cr`".into(),
            Self::Cmp(Request::P10cr) => "CMP `p10cr`".into(),
            Self::Cmp(Request::Kur) => "CMP `kur`".into(),
            Self::Cmp(Request::Rr) => "CMP `rr`".into(),
            Self::Cmp(Request::Genm) => "CMP `genm`".into(),
            Self::Made(Keyless::Ir) => "CMP `ir` without a key".into(),
            Self::Made(Keyless::Cr) => "CMP `cr` without a key".into(),
            Self::Made(Keyless::Kur) => "CMP `kur` without a key".into(),
            Self::Scep(Scep::CaCert) => "SCEP `GetCACert`".into(),
            Self::Scep(Scep::CaCaps) => "SCEP `GetCACaps`".into(),
            Self::Scep(Scep::PkcsReq) => "SCEP `PKCSReq`".into(),
            Self::Scep(Scep::RenewalReq) => "SCEP `RenewalReq`".into(),
            Self::Scep(Scep::GetCert) => "SCEP `GetCert`".into(),
            Self::Scep(Scep::GetCrl) => "SCEP `GetCRL`".into(),
            Self::Status(Status::OcspGet) => "OCSP by GET".into(),
            Self::Status(Status::OcspPost) => "OCSP by POST".into(),
            Self::Status(Status::Crl) => "`/crl/NAME.crl`".into(),
            Self::Status(Status::Delta) => "`/crl/NAME-delta.crl`".into(),
            Self::Status(Status::Authority) => "`/ca/NAME.cer`".into(),
        }
    }
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was asked for.
    Answered,
    /// It is told to show something first.
    MustShow,
    /// It is refused; the code is what the operator learns of why.
    Refused(&'static str),
    /// Nobody can show anything here.
    Unspoken,
}

/// The table itself.
pub const fn verdict(route: Route, who: Who) -> Verdict {
    match route {
        // Anybody may have what everybody must know to believe us.
        Route::Est(Operation::CaCerts | Operation::CsrAttrs) => Verdict::Answered,
        Route::Est(Operation::SimpleEnroll | Operation::SimpleReenroll | Operation::ServerKeyGen) => match who {
            Who::Nobody => Verdict::MustShow,
            other => shown(other),
        },
        Route::Cmp(request) => match (request, who) {
            (_, Who::Nobody) => Verdict::Refused("client-unproved"),
            (Request::Kur | Request::Rr, Who::Another) => Verdict::Refused("other-certificate"),
            // Any device may ask what it may know.
            (Request::Genm, Who::Another) => Verdict::Answered,
            (Request::Ir | Request::Cr | Request::P10cr | Request::Kur | Request::Rr | Request::Genm, other) => {
                shown(other)
            }
        },
        // Who asks for a key is looked at as who brings one.
        Route::Made(request) => match (request, who) {
            (_, Who::Nobody) => Verdict::Refused("client-unproved"),
            (Keyless::Kur, Who::Another) => Verdict::Refused("other-certificate"),
            (Keyless::Ir | Keyless::Cr | Keyless::Kur, other) => shown(other),
        },
        Route::Scep(Scep::CaCert | Scep::CaCaps) => match who {
            Who::Nobody => Verdict::Answered,
            _ => Verdict::Unspoken,
        },
        // Nobody signs with a key that it vouches for itself.
        Route::Scep(message) => match (message, who) {
            (Scep::PkcsReq, Who::Nobody) => Verdict::Refused("client-unproved"),
            (_, Who::Nobody) => Verdict::Refused("client-unknown"),
            (Scep::GetCert | Scep::GetCrl, Who::Another) => Verdict::Answered,
            (_, other) => shown(other),
        },
        Route::Status(Status::OcspGet | Status::OcspPost | Status::Crl | Status::Delta | Status::Authority) => {
            match who {
                Who::Nobody => Verdict::Answered,
                _ => Verdict::Unspoken,
            }
        }
    }
}

const fn shown(who: Who) -> Verdict {
    match who {
        Who::Nobody => Verdict::MustShow,
        Who::WrongAuthority | Who::WrongRole => Verdict::Refused("client-unknown"),
        Who::Expired => Verdict::Refused("client-expired"),
        Who::Revoked => Verdict::Refused("client-revoked"),
        Who::Another => Verdict::Refused("name-mismatch"),
        Who::Right => Verdict::Answered,
    }
}
