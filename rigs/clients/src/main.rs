//! A device with clients that others wrote: usg-est-client for EST, instant-acme for ACME.
//!
//! `clients est URL LABEL ROOT OPERATION REQUEST [PROOF]...`: OPERATION is `cacerts`, `csrattrs`, `simpleenroll`, `simplereenroll` or
//! `serverkeygen`; REQUEST is a PKCS #10 request in DER; PROOF is `user FILE` (a password) or `certificate KEY` (files in PEM).
//! Writes what it got as DER into REQUEST.N, and tells how many.
//!
//! `clients acme DIRECTORY ROOT KID FILE REQUEST NAME PORT`: lives the whole life of an account, which a key in base64url in FILE
//! binds: proves NAME over HTTP at PORT, has REQUEST certified into REQUEST.1, asks when to renew it, replaces it into REQUEST.2, changes the
//! account's key and contacts, revokes the first certificate, and is deactivated.
//!
//! `clients attest DIRECTORY ROOT KID FILE REQUEST NAME TOOL ROOM`: with an account that is bound in the same way, has REQUEST certified into
//! REQUEST.1 for the permanent identifier NAME; `TOOL ROOM DIGEST OBJECT` makes the attestation.
//!
//! Exit status 1, with the reason, if anything is not as the client wants it.

mod acme;
mod est;

use std::process::ExitCode;

type Failed = Box<dyn std::error::Error>;

/// Writes one thing that was got; others have other numbers.
fn keep(request: &str, number: usize, octets: &[u8]) -> Result<(), Failed> {
    Ok(std::fs::write(format!("{request}.{number}"), octets)?)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let done = match words[..] {
        ["est", url, label, root, operation, request, ref proof @ ..] => {
            runtime.block_on(est::ask(est::Server { url, label, root }, operation, request, proof))
        }
        ["acme", directory, root, kid, file, request, name, port] => {
            runtime.block_on(acme::live(acme::Server { directory, root }, (kid, file), request, (name, port)))
        }
        ["attest", directory, root, kid, file, request, name, tool, room] => {
            runtime.block_on(acme::attest(acme::Server { directory, root }, (kid, file), request, name, (tool, room)))
        }
        _ => Err("usage: see the first lines of src/main.rs".into()),
    };
    match done {
        Ok(said) => println!("{said}"),
        Err(why) => {
            // All that it says, from what was asked for to what went wrong.
            let reasons = std::iter::successors(Some(&*why as &dyn std::error::Error), |why| why.source());
            eprintln!("{}", reasons.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
