//! All that can be asked: the table of which router, checks and description are made.

use super::asked::{Asked, Kind};
use super::desk::Desk;
use super::{answer::Answer, document, reads, writes};
use crate::cli::{approve, audit, ca, cert, device, explain, list, mode};
use crate::compose::Installation;
use crate::fault::Result;
use crate::survey::Survey;
use serde_json::Value;
use std::borrow::Cow;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

/// Something that can be asked.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) path: &'static str,
    /// Its name in clients that are made from the description.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// The object in the body, if it takes one, and the longest body, in octets.
    pub(super) body: Option<(Shape, usize)>,
    pub(super) answer: Answered,
    /// The statuses of its problems, beside those of all.
    pub(super) problems: &'static [u16],
    pub(super) act: Act,
}

/// What does it: what looks is asked with GET, what changes something with POST.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Read(fn(&Desk, &Asked) -> Result<Value>),
    Write(fn(&Installation, &Asked) -> Result<Answer>),
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answered {
    One(Shape),
    Page(Shape),
    /// The description itself.
    Description,
}

/// A part of the path or of the query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) what: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

/// The schema of an object, and of those in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) name: fn() -> Cow<'static, str>,
    pub(super) schema: fn() -> RefOr<Schema>,
    pub(super) inner: fn(&mut Vec<(String, RefOr<Schema>)>),
}

const fn shape<T: ToSchema>() -> Shape {
    Shape { name: T::name, schema: T::schema, inner: T::schemas }
}

impl Operation {
    pub(super) fn parameter(&self, place: Place, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.place == place && parameter.name == name)
    }

    pub(super) const fn is_read(&self) -> bool {
        matches!(self.act, Act::Read(_))
    }
}

const fn path(name: &'static str, kind: Kind, what: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, kind, what }
}
const fn query(name: &'static str, kind: Kind, what: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, kind, what }
}

const LIMIT: Parameter = query("limit", Kind::Limit, "How many rows a page has at most.");
const CURSOR: Parameter = query("cursor", Kind::Cursor, "The `next` of the page before.");
const DEVICE: Parameter = path("device", Kind::Words, "A serial number, or a name (`urn:dev:ops:...`).");
const SERIAL: Parameter = path("serial", Kind::Serial, "A serial number in hexadecimal digits.");
const APPROVAL: Parameter = path("id", Kind::Number, "The number of the request.");

const fn get(path: &'static str, id: &'static str, summary: &'static str, answer: Answered, act: Read) -> Operation {
    let act = Act::Read(act);
    Operation { path, id, summary, parameters: &[], body: None, answer, problems: &[], act }
}
const fn post(path: &'static str, id: &'static str, summary: &'static str, taken: Taken, act: Write) -> Operation {
    let Taken { body, answer } = taken;
    let act = Act::Write(act);
    // Not allowed, not found, not now, not so.
    Operation { path, id, summary, parameters: &[], body: Some(body), answer, problems: &WRITE_PROBLEMS, act }
}

type Read = fn(&Desk, &Asked) -> Result<Value>;
type Write = fn(&Installation, &Asked) -> Result<Answer>;

/// What a request that changes something takes, and what it gives.
struct Taken {
    body: (Shape, usize),
    answer: Answered,
}

/// Octets of a body that names a few things.
const BODY_LEN_MAX: usize = 16 * 1024;
/// Octets of a body with a list in it: 4 MiB, each octet of which may be escaped as six.
const LIST_BODY_LEN_MAX: usize = 25 * 1024 * 1024;

const fn taken<B: ToSchema, A: ToSchema>() -> Taken {
    Taken { body: (shape::<B>(), BODY_LEN_MAX), answer: Answered::One(shape::<A>()) }
}

/// The problems of what changes something.
const WRITE_PROBLEMS: [u16; 9] = [404, 408, 409, 413, 415, 422, 429, 500, 507];

const fn with(operation: Operation, parameters: &'static [Parameter]) -> Operation {
    Operation { parameters, ..operation }
}
const fn problems(operation: Operation, problems: &'static [u16]) -> Operation {
    Operation { problems, ..operation }
}

/// All that can be asked.
pub(super) static OPERATIONS: [Operation; 21] = [
    get("/v1/status", "status", "How the installation is.", Answered::One(shape::<Survey>()), reads::status),
    with(
        get(
            "/v1/devices",
            "listDevices",
            "Devices, in the order of their lists.",
            page::<device::Row>(),
            reads::devices,
        ),
        &[
            query("custody", Kind::OneOf(&["planned", "made", "provisioned"]), "Only those that have come so far."),
            LIMIT,
            CURSOR,
        ],
    ),
    problems(
        with(
            get(
                "/v1/devices/{device}",
                "getDevice",
                "A device and its certificates.",
                one::<device::Shown>(),
                reads::device,
            ),
            &[DEVICE],
        ),
        &[404],
    ),
    with(
        post(
            "/v1/devices/{device}/allow",
            "allowDevice",
            "Let a device enrol over the network, once. A secret is told once.",
            taken::<writes::Allow, device::Allowed>(),
            writes::allow,
        ),
        &[DEVICE],
    ),
    with(
        post(
            "/v1/devices/{device}/stolen",
            "markDevice",
            "Mark a device as stolen, or take the mark back.",
            taken::<writes::Stolen, device::Marked>(),
            writes::stolen,
        ),
        &[DEVICE],
    ),
    with(
        get(
            "/v1/certificates",
            "listCertificates",
            "Certificates, in the order of issuing.",
            page::<cert::Row>(),
            reads::certificates,
        ),
        &CERTIFICATE_FILTERS,
    ),
    problems(
        with(
            get(
                "/v1/certificates/{serial}",
                "getCertificate",
                "A certificate.",
                one::<cert::Row>(),
                reads::certificate,
            ),
            &[SERIAL],
        ),
        &[404],
    ),
    with(
        post(
            "/v1/certificates/{serial}/revoke",
            "revokeCertificate",
            "Revoke a certificate, for good; or put it on hold.",
            taken::<writes::Revoke, cert::standing::Revoked>(),
            writes::revoke,
        ),
        &[SERIAL],
    ),
    with(
        post(
            "/v1/certificates/{serial}/release",
            "releaseCertificate",
            "Release a certificate from hold.",
            taken::<writes::Nothing, cert::standing::Released>(),
            writes::release,
        ),
        &[SERIAL],
    ),
    get(
        "/v1/authorities",
        "listAuthorities",
        "Certification authorities.",
        page::<ca::list::Row>(),
        reads::authorities,
    ),
    problems(
        with(
            get(
                "/v1/authorities/{authority}/chain",
                "getChain",
                "The certificate of an authority and those above it.",
                one::<ca::list::Chain>(),
                reads::chain,
            ),
            &[
                path("authority", Kind::Name, "The name of the authority."),
                query("links", Kind::OneOf(&["true", "false"]), "With those that connect the keys of its root."),
            ],
        ),
        &[404],
    ),
    get("/v1/lists", "listLists", "Registration lists, oldest first.", page::<list::Row>(), reads::lists),
    post(
        "/v1/lists",
        "importList",
        "Import a registration list: all of it, or nothing.",
        Taken { body: (shape::<writes::List>(), LIST_BODY_LEN_MAX), answer: Answered::One(shape::<list::Imported>()) },
        writes::import,
    ),
    get("/v1/suppliers", "listSuppliers", "Whose lists are taken.", page::<list::SupplierShown>(), reads::suppliers),
    get(
        "/v1/approvals",
        "listApprovals",
        "Requests that wait, oldest first.",
        page::<approve::Row>(),
        reads::approvals,
    ),
    with(
        post(
            "/v1/approvals/{id}/approve",
            "approve",
            "Approve a request: the operator's key signs its digest.",
            taken::<writes::Word, approve::Said>(),
            writes::approve,
        ),
        &[APPROVAL],
    ),
    with(
        post(
            "/v1/approvals/{id}/deny",
            "deny",
            "Deny a request, for good.",
            taken::<writes::Word, approve::Said>(),
            writes::deny,
        ),
        &[APPROVAL],
    ),
    problems(get("/v1/mode", "getMode", "The mode of this box.", one::<mode::Shown>(), reads::mode), &[404]),
    post(
        "/v1/mode",
        "setMode",
        "Order another mode, signed with the operator's key.",
        taken::<writes::ModeWanted, mode::Shown>(),
        writes::mode,
    ),
    with(
        get("/v1/audit", "listAudit", "Entries of the audit log, oldest first.", page::<audit::Row>(), reads::audit),
        &[query("from", Kind::Number, "From this number on."), LIMIT, CURSOR],
    ),
    problems(
        with(
            get(
                "/v1/explanations/{about}",
                "explain",
                "What a code means, or why a certificate, a transaction or a device is as it is.",
                one::<explain::Explanation>(),
                reads::explain,
            ),
            &[path("about", Kind::Words, "A code, a serial number, a transaction or a device.")],
        ),
        &[404],
    ),
];

/// Where the description is.
pub(super) static DESCRIPTION: Operation =
    get("/v1/openapi.json", "description", "This description.", Answered::Description, |_, _| Ok(document::document()));

static CERTIFICATE_FILTERS: [Parameter; 9] = [
    query("device", Kind::Words, "Of this device: its serial number or its name."),
    query("subject", Kind::Words, "Of this subject: `urn:dev:ops:...`, `authority:NAME`, `operator:NAME`."),
    query("authority", Kind::Name, "Of this authority."),
    query("profile", Kind::Name, "Issued under this profile."),
    query("standing", Kind::OneOf(&["revoked", "valid"]), "Only revoked ones, or only those that are not."),
    query("expires_before", Kind::Moment, "That expire before this moment."),
    query("expires_after", Kind::Moment, "That expire at or after this moment."),
    LIMIT,
    CURSOR,
];

const fn one<T: ToSchema>() -> Answered {
    Answered::One(shape::<T>())
}
const fn page<T: ToSchema>() -> Answered {
    Answered::Page(shape::<T>())
}
