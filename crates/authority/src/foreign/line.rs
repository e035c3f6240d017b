//! A foreign authority, put together from what is kept of it and what was opened.

use super::Foreign;
use super::desk::NO_LINE;
use model::Fault;
use ports::foreign::{Opened, Protection};
use ports::store::foreign::{Attachment, Credential, Mac};
use ports::{Clock, Entropy};
use wire::cmp::client::{Credentials, Party};
use wire::cmp::protection::MacKind;
use x509::Certificate;

/// Asks with what was opened.
///
/// # Errors
/// [`Fault`] if a certificate that is kept cannot be read, or what was opened is of another kind.
pub fn with_line<T>(
    attachment: &Attachment,
    opened: &Opened,
    authority: &Certificate,
    (clock, entropy): (&dyn Clock, &dyn Entropy),
    f: impl FnOnce(&Foreign<'_>) -> T,
) -> Result<T, Fault> {
    let read = |list: &[Vec<u8>]| list.iter().map(|der| Certificate::decode(der)).collect::<Result<Vec<_>, _>>();
    let servers = read(&attachment.servers)?;
    let own = match &attachment.credential {
        Credential::Key { certificates, .. } => read(certificates)?,
        Credential::Secret { .. } => Vec::new(),
    };
    let (credentials, signer) = match (&attachment.credential, &opened.protection) {
        (Credential::Secret { reference, mac, .. }, Protection::Secret(secret)) => {
            let mac = match mac {
                Mac::Pbmac1 => MacKind::Pbmac1,
                Mac::PasswordBased => MacKind::PasswordBasedMac,
            };
            (Credentials::Secret { reference, secret: (**secret).as_ref(), mac }, None)
        }
        (Credential::Key { .. }, Protection::Key(signer)) => {
            (Credentials::Key { algorithm: signer.algorithm(), certificates: &own }, Some(signer.as_ref()))
        }
        _ => return Err(NO_LINE),
    };
    let party = Party { credentials, authority, servers: &servers, roots: &[] };
    Ok(f(&Foreign { party, signer, line: opened.line.as_ref(), clock, entropy }))
}
