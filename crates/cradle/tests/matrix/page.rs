//! The table as a page.

use crate::notices::Says;
use crate::table::{Kind, Route, Verdict, Who, kind, verdict};
use crate::{accounts, calls, directions, doors};
use std::fmt::Write;
use wire::cmp::Body;

const HEAD: &str = "# Who gets what

Tests make this page from tables, and ask the running program for each of their cells. A route of the gateway or of the director without a row does
not compile; one of the operator API fails the test that compares the rows with the description.

## Devices at the gateway

The columns are what is shown: *nothing*; a certificate with the right names and number *from elsewhere*; the device's own, which has *ended*;
one that was *revoked*; one of the device that is *not for clients*; *another* device's; the device's *own*. What is refused looks alike from
outside; the word is what `cradle explain` says of it. In other modes there is no socket: see the end.

";

const TAIL: &str = "
A one-time secret stands for a certificate at EST's `simpleenroll` and `serverkeygen`, and CMP's `ir`, `cr`, `p10cr`, and SCEP's `PKCSReq`; each way to get it wrong has a test of its
own. *Without a key*: the authority is to make it, where the label has `server_keys`. CMP's `certConf` and `pollReq` go on with a transaction and are answered to nobody but who began it, as SCEP's `CertPoll` is; what is of no type of SCEP's is not opened. No other message of CMP is
answered but by an error: ";

const NOTICES: &str = "
## Repositories and directors, at sm

Where sm is told that there is news (`[software.notices]`, `/.well-known/cradle/notice`), open in `software-management` only, nobody shows a certificate: a
notice is signed with a secret. All that is refused is answered the same, and what is heard has sm look at the repository, no more:

| what is said | status |
|---|---|
";

/// What `acme::matrix` asks.
const ACCOUNTS: &str = "
## ACME

Over ACME nobody shows a certificate: what a client has it has by its account, which a one-time secret bound to a device. The columns are what signs: *nothing*; *a key
without an account*; the account's own, *under another label*; that of an account that has *ended*; that of *another* device's account; the account's *own*. Whatever is not named is the
own account's.

";

/// What tests of their own ask: `cmp::nested`, `cmp::vouched`.
const REGISTRARS: &str = "
## Registration authorities and makers

A registration authority that the label of CMP names (`registration_authorities`) shows its certificate there, and under no other label; one without
`cmcRA`, one that has ended, and one of ours that was revoked is nobody:

| what it sends | |
|---|---|
| `ir`, `cr` with `raVerified`, for a device with leave, within its right for the type | yes |
| the same without a right, for another type, or once it is spent | no: right-missing, right-spent |
| `ir`, `cr`, `p10cr` with a proof by the device's key, within the same right | yes |
| `ir`, `cr`, `p10cr` with a proof that does not hold, or none | no: proof-of-possession, proof-missing |
| `ir`, `cr` without a key, for one to be made | no: client-unproved |
| `kur`, `rr` | no: client-unproved |
| `certConf`, `pollReq` | of its own transactions |
| `genm` | yes |
| `nested` | each message inside as if it had come alone; in a device's message `raVerified` stays no: right-missing |

`nested` of a device is no: not-appointed.
";

/// What tests of their own ask: `idevid`.
const MAKERS: &str = "
A certificate that a maker gave the device before it came here (IDevID), of a maker whom an operator named, is proof of which device asks, once a list has
its number:

| what is asked with it | |
|---|---|
| EST `simpleenroll`, CMP `ir`, `genm` | yes |
| EST `simplereenroll` | no: label-mismatch |
| CMP `kur`, `rr` | no: client-unproved |
| the same for the key of the maker's certificate itself | no: key-reused |
| one that is on no list, on one that was not taken, or taken back | no: idevid-not-listed |
| one that another key signed in the maker's name | no: maker-mismatch |
| one that the maker revoked | no: client-revoked |
| any, while the maker's list of revoked certificates is missing or out of date | no: maker-list-stale |
| one that has ended | no: client-expired |
| one of an authority, not for clients, or not for signatures | no: not-an-idevid |
| one of a device that is marked as stolen | no: board-held |
| one of a maker who is trusted no more | no: client-unknown |
";

/// What `director::matrix` asks.
const DIRECTIONS: &str = "
## Devices at the director

The columns are those of the gateway. Who is let in and is no device, such as a module of a box, has the images, and nothing else (`director::main`). The director
([director.md](director.md)) is a process of its own and has no modes: a box in any mode opens no such socket.

";

/// What `api::matrix` asks.
const CALLS: &str = "
## Operators at the API

Over the socket of the box ([api.md](api.md)), or over TCP with the token. The columns: *another user* of the machine, at the socket; over TCP with *no token*, with
*another token*, or with the right one and a request for *another host*; the owner, who names *no operator* where there are two, or *no such
operator*; the *owner*, at the socket; who shows the *token*; the owner while the box is *provisioning* software, and while it is *sealed*, where one operator of
two asks. The owner has what the command line has: whose right an order needs is whose key signs it.

";

/// What `doors` looks at.
const DOORS: &str = "
## Modes

What listens in a box, when `[gateway]` and `[software.notices]` name addresses:

";

/// docs/access.md.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| | nothing | from elsewhere | ended | revoked | not for clients | another's | own |\n|---|---|---|---|---|---|---|---|\n");
    for route in Route::all() {
        let cells = Who::ALL.map(|who| match verdict(route, who) {
            Verdict::Answered => "yes".to_owned(),
            Verdict::MustShow => "told to show something".to_owned(),
            Verdict::Refused(code) => format!("no: {code}"),
            Verdict::Unspoken => String::new(),
        });
        writeln!(page, "| {} | {} |", route.name(), cells.join(" | ")).unwrap();
    }
    page.push_str(TAIL);
    let refused = [("`pkiconf`", Body::PkiConf), ("announcements", Body::Other { number: 15, content: &[] })];
    assert!(refused.iter().all(|(_, body)| kind(body) == Kind::Refused));
    page.push_str(&refused.map(|(name, _)| name).join(", "));
    page.push_str(", and what only a server says.\n");
    assert_eq!(kind(&Body::Nested(&[])), Kind::HandsOn);
    page.push_str(ACCOUNTS);
    page.push_str(&accounts::page());
    page.push_str(REGISTRARS);
    page.push_str(MAKERS);
    page.push_str(NOTICES);
    for says in Says::ALL {
        writeln!(page, "| {} | {} |", says.name(), says.verdict()).unwrap();
    }
    page.push_str(DIRECTIONS);
    page.push_str(&directions::page());
    page.push_str(CALLS);
    page.push_str(&calls::page());
    page.push_str(DOORS);
    page.push_str(&doors::page());
    page
}
