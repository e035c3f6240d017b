//! Whether what is brought from another installation fits here: told before anybody is asked, and in a dry run too.

use crate::cli::Common;
use crate::compose::Installation;
use crate::fault::{Failure, Result, exit_of};
use model::mode::Binding;
use model::{AuthorityName, Mode, Reason};
use ports::store::AuthorityStore;
use ports::store::authority::AuthorityRow;
use x509::Certificate;

fn refused(reason: Reason, what: String) -> Failure {
    Failure::new(exit_of(reason), reason.code(), what)
}

/// Fails if a request of this name is not one for the issuer's installation.
pub(super) fn to_sign(common: &Common, name: &AuthorityName, issuer: &AuthorityName) -> Result {
    let rows = common.records()?.authorities()?;
    let Some(row) = rows.iter().find(|row| row.name == *name) else { return Ok(()) };
    if !row.certificate.is_empty() {
        return Err(refused(Reason::NameTaken, format!("{name} was not signed"))
            .because(format!("there is an authority {name} in this installation"))
            .next("choose another name"));
    }
    match &row.issuer {
        Some(above) if above != issuer => Err(refused(Reason::NameTaken, format!("{name} was not signed"))
            .because(format!("{name} waits in this installation for a certificate of {above}, and {issuer} is another"))
            .next(format!("take the request to where the key of {above} is, and sign it there"))),
        _ => Ok(()),
    }
}

/// Fails if a certificate is not the one for which an authority waits here.
pub(super) fn to_install(installation: &Installation, name: &AuthorityName, certificate: &Certificate) -> Result {
    let binding = installation.supervisor.row().binding;
    let doing = format!("the certificate of {name} was not installed");
    if binding != Binding::settled(Mode::Ceremony) {
        return Err(refused(Reason::WrongMode, doing)
            .because(format!("the mode is {}", binding.current))
            .next("`cradle mode set ceremony`, then repeat the command"));
    }
    let workshop = &installation.workshop;
    let rows = workshop.store.authorities()?;
    let row = rows.iter().find(|row| row.name == *name).ok_or_else(|| {
        refused(Reason::IssuerUnknown, doing.clone())
            .because(format!("no authority {name} waits here"))
            .next("`cradle ca list` shows who waits; `cradle ca request` makes a key and a request")
    })?;
    if !row.certificate.is_empty() {
        return Err(refused(Reason::NameTaken, doing)
            .because(format!("{name} has a certificate already"))
            .next(format!("go on; a new key and certificate come with `cradle ca rollover {name}`")));
    }
    let own = workshop.keys.open(&row.key)?.public_key().digest();
    let certified = certificate.tbs().subject_public_key.digest();
    if own != certified {
        return Err(refused(Reason::KeyChanged, doing)
            .because(format!("it certifies the key of SHA-256 {certified}; the key of {name} is {own}"))
            .next("install what was signed for its request; `cradle ca request` writes that request again"));
    }
    signed_by(&rows, row, certificate, installation)
}

fn signed_by(
    rows: &[AuthorityRow],
    row: &AuthorityRow,
    certificate: &Certificate,
    installation: &Installation,
) -> Result {
    let above = row.issuer.as_ref().unwrap_or(&row.name);
    let issuer = rows.iter().find(|other| other.name == *above);
    let issuer = issuer.and_then(|issuer| Certificate::decode(&issuer.certificate).ok());
    let now = installation.workshop.clock.now();
    if issuer.is_some_and(|issuer| certificate.verify_issued_by(&issuer, now).is_ok()) {
        return Ok(());
    }
    Err(refused(Reason::IssuerNotAllowed, format!("the certificate of {} was not installed", row.name))
        .because(format!("the certificate is not one that {above} signed, and that is valid now"))
        .next(format!("have the request signed where the key of {above} is")))
}
