//! What it costs to tell who is revoked: lists and answers.

use super::limit::cores;
use super::{Measurement, Said, cpu_ns, number, peak_memory, per_s, rounded};
use crate::cli::Common;
use crate::compose::Workshop;
use crate::fault::{Exit, Failure, Result, While};
use adapters::clock::Stopwatch;
use authority::{Ra, Setting};
use model::contract::authority::{AnswerOcsp, IssueCrl};
use model::{AuthorityName, Base64, Module};
use ports::clock::random;
use ports::directory::Caller;
use ports::store::AuthorityStore;
use rayon::prelude::*;
use wire::ocsp::{HashAlgorithm, IssuerIds, request};
use x509::{Certificate, SerialNumber};

/// A list of what an authority has revoked.
#[derive(clap::Args)]
pub(crate) struct Crl {
    /// Of which authority.
    #[arg(long, default_value = "factory")]
    authority: AuthorityName,
    /// Which shard; 0: all.
    #[arg(long, default_value_t = 0)]
    shard: u32,
}

/// Answers whether certificates are revoked.
#[derive(clap::Args)]
pub(crate) struct Ocsp {
    /// Of which authority.
    #[arg(long, default_value = "factory")]
    authority: AuthorityName,
    /// So many requests of each kind.
    #[arg(long, default_value_t = 20_000)]
    count: u64,
}

fn failed(why: impl ToString) -> Failure {
    Failure::new(Exit::NotFound, "bench", "this cannot be measured here")
        .because(why.to_string())
        .next("make an installation with `cradle bench fill --bulk --revoke N DIR`, then name DIR with --data")
}

fn ra(common: &Common) -> Result<(Workshop, Setting, Ra)> {
    let workshop = Workshop::open(&common.data, common.passphrase_file.as_deref())?;
    let setting = workshop.authority_setting()?;
    let ra = Ra::new(setting.clone()).or_fail("starting the authority")?;
    Ok((workshop, setting, ra))
}

/// The limit is one signature over, and one copy of, octets as long as the list.
pub(crate) fn crl(said: &mut Said, common: &Common, arguments: &Crl) -> Result {
    let (workshop, setting, ra) = ra(common)?;
    let row = workshop.store.authorities()?.into_iter().find(|row| row.name == arguments.authority);
    let row = row.ok_or_else(|| failed("there is no such authority"))?;
    let signer = setting.keystore.open(&row.key)?;
    let before = peak_memory();
    let (watch, cpu) = (Stopwatch::start(), cpu_ns());
    let call = IssueCrl { authority: arguments.authority.clone(), shard: arguments.shard, delta: false };
    let made = ra.issue_crl(&call).or_fail("making the list")?;
    let (ns, cpu) = (watch.ns(), cpu_ns().saturating_sub(cpu));
    let grown = peak_memory().zip(before).map(|(after, before)| after.saturating_sub(before));
    let octets: &[u8] = made.crl.as_ref();
    let watch = Stopwatch::start();
    let copy = octets.to_vec();
    signer.sign(&copy).map_err(|e| failed(e.0))?;
    let limit = per_s(1, watch.ns());
    said.doing(&format!(
        "{} entries, {} octets; {:.3} s of the processors, {} octets of memory more",
        made.entries,
        octets.len(),
        rounded(number(cpu) / 1e9, 1000.0),
        grown.unwrap_or(0)
    ));
    let what = format!("list of {} entries", made.entries);
    let mut measurement = Measurement::of(what, Some(limit), Some(per_s(1, ns))).with_durations(vec![ns]);
    measurement.rss_bytes = grown;
    measurement.disk_bytes = u64::try_from(octets.len()).ok();
    said.say(measurement)
}

/// The limit of answers that are signed as they are asked for is signing alone, on all cores.
pub(crate) fn ocsp(said: &mut Said, common: &Common, arguments: &Ocsp) -> Result {
    let (workshop, setting, ra) = ra(common)?;
    let row = workshop.store.authorities()?.into_iter().find(|row| row.name == arguments.authority);
    let row = row.ok_or_else(|| failed("there is no such authority"))?;
    let issuer = Certificate::decode(&row.certificate).map_err(failed)?;
    let ids = IssuerIds::new(&issuer.tbs().subject, &issuer.tbs().subject_public_key);
    let count = u32::try_from(arguments.count).map_err(|_| failed("too many requests"))?;
    let serials = workshop.store.serials(row.id, workshop.clock.now(), 0, count)?;
    if serials.is_empty() {
        return Err(failed("the authority has issued nothing"));
    }
    let caller = Caller { module: Module::Authority, instance: workshop.config.name.clone() };
    let asked = |nonce: Option<&[u8]>, serial: &SerialNumber| -> Base64 {
        request::write(&ids, HashAlgorithm::Sha1, &[*serial], nonce).into()
    };
    let nonce: [u8; 16] = random(workshop.entropy.as_ref());
    let with_nonce: Vec<_> = serials.iter().map(|(_, serial)| asked(Some(&nonce), serial)).collect();
    let without: Vec<_> = serials.iter().map(|(_, serial)| asked(None, serial)).collect();
    let answer = |requests: &[Base64]| -> Result<u64> {
        let watch = Stopwatch::start();
        requests.par_chunks(256).try_for_each(|batch| {
            let batch = AnswerOcsp { requests: batch.to_vec() };
            let answered = ra.answer_ocsp(&caller, &batch).or_fail("answering")?;
            // An error is short, and quickly made.
            let is_answer = |answer: &Base64| answer.as_ref().len() > 64;
            if answered.responses.iter().all(is_answer) { Ok(()) } else { Err(failed("an answer is an error")) }
        })?;
        Ok(watch.ns())
    };
    // The first answer has the responder certified.
    answer(without.get(..1).unwrap_or_default())?;
    let responder = setting.keystore.open(&ports::keystore::KeyUri(format!("file:ocsp.{}", row.name)));
    // Without the profile `ocsp` the authority signs itself.
    let signer = responder.or_else(|_| setting.keystore.open(&row.key))?;
    let rounds = u64::from(count).min(20_000);
    let watch = Stopwatch::start();
    (0..rounds).into_par_iter().try_for_each(|n| signer.sign(&n.to_be_bytes()).map(|_| ())).map_err(|e| failed(e.0))?;
    let limit = per_s(rounds, watch.ns());
    said.doing(&format!("{} certificates, {} cores", serials.len(), cores()));
    let all = u64::try_from(serials.len()).unwrap_or(u64::MAX);
    let signed = per_s(all, answer(&with_nonce)?);
    said.say(Measurement::of("signed as asked, with nonce", Some(limit), Some(signed)))?;
    answer(&without)?;
    let kept = per_s(all, answer(&without)?);
    let mut measurement = Measurement::of("signed before", None, Some(kept));
    measurement.rss_bytes = peak_memory();
    said.say(measurement)
}
