//! Steps in plain words, for those who review a plan and for those who read a transcript.

use crate::plan::{Making, Step};

/// What a step does, as a sentence.
#[must_use]
pub fn words(step: &Step) -> String {
    match step {
        Step::Create(making) => match &making.issuer {
            Some(issuer) => format!("Make the authority {}, certified by {issuer}: {}.", making.name, of(making)),
            None => format!("Make the root {}, which certifies itself: {}.", making.name, of(making)),
        },
        Step::Request(making) => {
            let issuer = making.issuer.as_ref().map(ToString::to_string).unwrap_or_default();
            format!(
                "Make the key of the authority {}, and a request that {issuer} signs elsewhere: {}. The request: {}.",
                making.name,
                of(making),
                making.to
            )
        }
        Step::Rollover(making) => format!(
            "Give the authority {} a new key: {}. The old one goes on signing lists, and issues nothing.",
            making.name,
            of(making)
        ),
        Step::Sign { request, name, profile, issuer, to } => format!(
            "Let {issuer} certify the key in the request {} (SHA-256 {}) as the authority {name}, under the profile \
             {profile}. The certificate: {to}.",
            request.file, request.sha256
        ),
        Step::Install { name, certificate } => format!(
            "Give the authority {name}, which waits for it, the certificate in {} (SHA-256 {}).",
            certificate.file, certificate.sha256
        ),
        Step::Import { name, certificate, issuer } => {
            let by = issuer.as_ref().map_or("itself".to_owned(), ToString::to_string);
            format!(
                "Take in the certificate in {} (SHA-256 {}), issued by {by}, as the authority {name}, whose key is \
                 elsewhere.",
                certificate.file, certificate.sha256
            )
        }
        Step::Limit { name, quota, ends } => {
            let quota = quota.map_or("as many certificates as are asked for".into(), |n| format!("{n} certificates"));
            let ends = ends.map_or("its certificate ends".into(), |ends| ends.to_string());
            format!("Let {name} issue {quota} from now on, until {ends}.")
        }
        Step::Crl { authority, to } => format!("Let {authority} sign a list of what it revoked: {to}."),
    }
}

fn of(making: &Making) -> String {
    let place = match (&making.key, &making.split) {
        (Some(key), _) => format!("in {key}"),
        (None, _) => format!("in the key file {}", making.name),
    };
    let split = match &making.split {
        Some(split) => {
            let names: Vec<_> = split.custodians.iter().map(ToString::to_string).collect();
            format!(", which any {} of {} shares open ({})", split.need, split.of(), names.join(", "))
        }
        None => String::new(),
    };
    format!("a {} key {place}{split}, under the profile {}", making.key_type, making.profile)
}
