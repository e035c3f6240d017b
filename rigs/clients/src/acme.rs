//! ACME, by instant-acme. Source: RFC 8555, RFC 9773.

use crate::{Failed, keep};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{
    Account, CertificateIdentifier, ChallengeType, DeviceAttestation, ExternalAccountKey, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy, RevocationReason, RevocationRequest,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub struct Server<'a> {
    pub directory: &'a str,
    pub root: &'a str,
}

/// Answers where a name is to be proved, once.
async fn prove(listener: &TcpListener, answer: &str) -> Result<(), Failed> {
    let (mut line, _) = listener.accept().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(line.read_u8().await?);
    }
    let said = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}", answer.len());
    line.write_all(said.as_bytes()).await?;
    Ok(line.shutdown().await?)
}

/// Has a request certified; gives the certificate.
async fn order(
    account: &Account,
    order: &NewOrder<'_>,
    listener: &TcpListener,
    request: &[u8],
) -> Result<CertificateDer<'static>, Failed> {
    let mut order = account.new_order(order).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let mut challenge =
            authorization.challenge(ChallengeType::Http01).ok_or("nothing is to be proved over HTTP")?;
        let answer = challenge.key_authorization().as_str().to_owned();
        challenge.set_ready().await?;
        prove(listener, &answer).await?;
    }
    let status = order.poll_ready(&RetryPolicy::default()).await?;
    if status != OrderStatus::Ready {
        return Err(format!("the order is {status:?}").into());
    }
    order.finalize_csr(request).await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    Ok(CertificateDer::from_pem_slice(chain.as_bytes())?)
}

/// A new account, which a key binds to a device.
async fn bound(server: Server<'_>, (kid, file): (&str, &str)) -> Result<Account, Failed> {
    let key = URL_SAFE_NO_PAD.decode(std::fs::read_to_string(file)?.trim())?;
    let bound = ExternalAccountKey::new(kid.to_owned(), &key);
    let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_root(server.root)?;
    Ok(builder.create(&new, server.directory.to_owned(), Some(&bound)).await?.0)
}

/// A certificate for a key in a TPM.
pub async fn attest(
    server: Server<'_>,
    binding: (&str, &str),
    request: &str,
    name: &str,
    (tool, room): (&str, &str),
) -> Result<String, Failed> {
    let account = bound(server, binding).await?;
    let names = [Identifier::PermanentIdentifier(name.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let mut challenge =
            authorization.challenge(ChallengeType::DeviceAttest01).ok_or("nothing is to be attested")?;
        let (digest, object) = (format!("{request}.digest"), format!("{request}.cbor"));
        std::fs::write(&digest, challenge.key_authorization().digest())?;
        if !std::process::Command::new(tool).args([room, &digest, &object]).status()?.success() {
            return Err("nothing was attested".into());
        }
        let att_obj = std::fs::read(&object)?.into();
        challenge.send_device_attestation(&DeviceAttestation { att_obj }).await?;
    }
    let status = order.poll_ready(&RetryPolicy::default()).await?;
    if status != OrderStatus::Ready {
        return Err(format!("the order is {status:?}").into());
    }
    order.finalize_csr(&std::fs::read(request)?).await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    keep(request, 1, &CertificateDer::from_pem_slice(chain.as_bytes())?)?;
    Ok("attested".to_owned())
}

/// The whole life of an account.
pub async fn live(
    server: Server<'_>,
    binding: (&str, &str),
    request: &str,
    (name, port): (&str, &str),
) -> Result<String, Failed> {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let mut account = bound(server, binding).await?;
    let csr = std::fs::read(request)?;
    let names = [Identifier::Dns(name.to_owned())];
    let first = order(&account, &NewOrder::new(&names), &listener, &csr).await?;
    keep(request, 1, &first)?;
    let id = CertificateIdentifier::try_from(&first)?;
    let (renewal, again) = account.renewal_info(&id).await?;
    account.update_contacts(&["mailto:admin@site.internal"]).await?;
    let _credentials = account.update_key().await?;
    let second = order(&account, &NewOrder::new(&names).replaces(id.clone()), &listener, &csr).await?;
    keep(request, 2, &second)?;
    let reason = Some(RevocationReason::Superseded);
    account.revoke(&RevocationRequest { certificate: &first, reason }).await?;
    account.deactivate().await?;
    let window = renewal.suggested_window;
    Ok(format!("{} {} {}", window.start.unix_timestamp(), window.end.unix_timestamp(), again.as_secs()))
}
