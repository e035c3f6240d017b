//! `cradle director serve`: the server that devices ask.

use super::notices::Telling;
use super::{failed, privacy};
use crate::cli::Common;
use crate::fault::{Exit, Failure, Result};
use crate::serve::host::ending;
use adapters::clock::{SystemClock, SystemEntropy};
use adapters::files;
use adapters::http::serve::{Beneath, ByAnchors, Clients, Identity, Limits, Server};
use director::{DirectorFault, Manifests, Name, Padding, SLEEP_S_MAX, Serving, Settings};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use x509::crl::CertificateList;
use x509::{Certificate, pem};
use zeroize::Zeroizing;

/// Longest file of keys, certificates and lists.
const LEN_MAX: u64 = 16 * 1024 * 1024;

/// Answer devices over TLS 1.3. A device is who its certificate says.
///
/// `/director/DEVICE/metadata/...`, `/director/DEVICE/nonce` and `/director/DEVICE/manifest` for the device itself, and
/// `/images/metadata/...` and `/images/targets/...` for every device, in parts if it asks for parts. Over hawkBit's interface,
/// `/TENANT/controller/v1/DEVICE`, for devices of types of which `cradle director type` says so. Ends on SIGTERM or SIGINT when those who
/// are being answered have their answers.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen: an address and a port, 0 for any free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The directory of the image repository, with `metadata` and `targets` in it, if it is served here too.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What stands in front of `/controller` in paths of hawkBit's interface: a tenant, as its clients call it.
    #[arg(long, value_name = "NAME", default_value = "default")]
    ddi_tenant: Name,
    /// After how many seconds devices are to ask again over that interface.
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(SLEEP_S_MAX)))]
    ddi_poll: u32,
    /// The server's certificate, and those that lead from it to its root, in PEM.
    #[arg(long, value_name = "FILE")]
    tls_certificate: PathBuf,
    /// The server's key: PKCS #8 in PEM, readable by nobody else.
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf,
    /// Certificates in PEM, by one of which a device's must be issued.
    #[arg(long, value_name = "FILE")]
    device_anchors: PathBuf,
    /// Lists of revoked certificates. With any, a device's certificate must be known not to be revoked.
    #[arg(long, value_name = "FILE")]
    device_crl: Vec<PathBuf>,
    /// How many seconds pass until these lists are read again. While one cannot be used, those before count.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    crl_every: u64,
    /// Take manifests too that are not sealed, while there are agents that do not seal. Whoever ends their line reads them.
    #[arg(long)]
    plain_manifests: bool,
    /// How long answers are made.
    #[arg(long, value_name = "HOW", default_value = "steps")]
    padding: Length,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Length {
    /// As long as any that a device with so many components gets: whoever watches learns nothing from it.
    Steps,
    /// No longer than they must be, for lines on which each octet costs.
    None,
}

pub(super) fn run(common: &Common, arguments: &Arguments) -> Result {
    let manifests = if arguments.plain_manifests { Manifests::AlsoPlain } else { Manifests::Sealed };
    let padding = match arguments.padding {
        Length::Steps => Padding::Steps,
        Length::None => Padding::Off,
    };
    let director = Arc::new(privacy::keeping(common, manifests, padding)?);
    let images = arguments.images.as_deref();
    let images = images.map(|dir| Beneath::open(dir).map_err(|e| Failure::file(dir, &e))).transpose()?;
    let devices = Arc::new(devices(arguments)?);
    let identity = identity(arguments, Arc::clone(&devices))?;
    let (_end, ended) = ending()?;
    let telling = Telling::start(&director)
        .map_err(|e| Failure::new(Exit::Unavailable, "thread", "nobody can be told what is new").because(e))?;
    let serving = Serving {
        director,
        images,
        ddi: Settings { tenant: arguments.ddi_tenant.clone(), sleep_s: arguments.ddi_poll },
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
    };
    let server =
        Server::start(arguments.listen, Some(identity), Limits::default(), Arc::new(serving)).map_err(|e| {
            Failure::new(Exit::Unavailable, "listen", format!("{} cannot be listened on", arguments.listen))
                .because(e)
                .next("name another port, or 0 for any; see who listens with `ss -ltnp`")
        })?;
    let url = format!("https://{}", server.address());
    match common.out().is_human() {
        true => common.out().print(&format!("{url}\n"))?,
        false => common.out().line(&json!({ "url": url }))?,
    }
    let every = Duration::from_secs(arguments.crl_every);
    // It ends also if nobody could say so any more.
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(every) {
        match lists(arguments) {
            Ok(lists) => devices.replace(lists),
            Err(failure) => {
                let Failure { what, why, next, .. } = &failure;
                tracing::warn!(%what, %why, %next, "lists of revoked certificates stay as they were");
            }
        }
    }
    server.stop();
    drop(telling);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    files::read_bounded(path, LEN_MAX).map_err(|e| Failure::file(path, &e))
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, "usage", format!("{} cannot be used", path.display())).because(why).next("correct it")
}

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>> {
    pem::blocks(&read(path)?).ok_or_else(|| unusable(path, "there is no certificate in PEM in it"))
}

fn devices(arguments: &Arguments) -> Result<ByAnchors> {
    let decode = |der: &Vec<u8>| Certificate::decode(der).map_err(|e| unusable(&arguments.device_anchors, e));
    let anchors = certificates(&arguments.device_anchors)?.iter().map(decode).collect::<Result<Vec<_>>>()?;
    Ok(ByAnchors::new(anchors, lists(arguments)?, Arc::new(SystemClock)))
}

fn lists(arguments: &Arguments) -> Result<Vec<CertificateList>> {
    let list = |path: &PathBuf| {
        let der = pem::der_or_pem(&read(path)?, &["X509 CRL"]);
        let der = der.ok_or_else(|| unusable(path, "it is no list of revoked certificates"))?;
        CertificateList::decode(&der).map_err(|e| unusable(path, e))
    };
    arguments.device_crl.iter().map(list).collect()
}

fn identity(arguments: &Arguments, devices: Arc<ByAnchors>) -> Result<Identity> {
    let chain = certificates(&arguments.tls_certificate)?;
    let key = &arguments.tls_key;
    if files::open_to_others(key).map_err(|e| Failure::file(key, &e))? {
        let why = DirectorFault::Key("its file can be read by others");
        return Err(failed(format!("{} is not used", key.display()))(why));
    }
    let octets = Zeroizing::new(read(key)?);
    let der = pem::decode(&octets).filter(|(label, _)| label == "PRIVATE KEY").map(|(_, der)| Zeroizing::new(der));
    let der = der.ok_or_else(|| unusable(key, "it is no key as PKCS #8 in PEM"))?;
    Identity::new(&chain, &der, Clients::MustShow(devices)).map_err(|bad| unusable(key, bad))
}
