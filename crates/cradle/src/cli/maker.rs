//! `cradle maker`: who made devices before they came here, and gave them a certificate (IDevID).

use super::Common;
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use adapters::store::SqlStore;
use model::contract::maker::{MakerAuthority, MakerChange, MakerLists, MakerSet, SetMaker};
use model::{MakerName, UnixTime};
use ports::store::MakerStore;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use x509::pem;

/// Makers: their certificates of devices are proof at the first enrolment here.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Take certificates of devices that this authority signed, for the first enrolment and for nothing else.
    ///
    /// Which devices may come with which certificate says a registration list (columns maker and idevid). Needs the mode
    /// `certificate-management`.
    Trust {
        /// The maker, as lists name it.
        maker: MakerName,
        /// The certificate of the authority that signs those of devices itself, PEM or DER.
        certificate: PathBuf,
        /// Put it in the place of the present one. The list of revoked certificates must be given anew, if it is another.
        #[arg(long)]
        replace: bool,
        /// The maker makes no list of revoked certificates. (Once one was taken, there must be one in time.)
        #[arg(long)]
        without_list: bool,
    },
    /// Take a maker's list of revoked certificates, newer than the one before. Out of date, it lets nobody enrol.
    Revoked {
        /// The maker.
        maker: MakerName,
        /// Its list, PEM or DER: the whole one, at most 2 MiB, with a number and an end.
        list: PathBuf,
    },
    /// Take certificates of a maker no more. What was issued here before stays.
    Distrust {
        /// The maker.
        maker: MakerName,
    },
    /// List the makers, their certificates, and the number of the last list of each.
    List,
}

/// Longest certificate that is read, in octets.
const CERTIFICATE_LEN_MAX: u64 = 64 * 1024;
/// Longest list that is read, in octets: PEM is a third longer than DER. km has its own limit.
const LIST_LEN_MAX: u64 = 4 * 1024 * 1024;

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Trust { maker, certificate, replace, without_list } => {
            let der = read(&certificate, CERTIFICATE_LEN_MAX, "CERTIFICATE")?;
            let lists = if without_list { MakerLists::None } else { MakerLists::Demanded };
            let authority = MakerAuthority { certificate: der.into(), lists };
            let change = if replace { MakerChange::Replace(authority) } else { MakerChange::Trust(authority) };
            let set = change_in(common, &maker, change)?;
            if set.next_update.is_none() && lists == MakerLists::Demanded {
                common.out().next(&format!("cradle maker revoked {maker} LIST: without its list nobody enrols"));
            }
            Ok(())
        }
        Verb::Revoked { maker, list } => {
            let der = read(&list, LIST_LEN_MAX, "X509 CRL")?;
            change_in(common, &maker, MakerChange::Revoked(der.into())).map(drop)
        }
        Verb::Distrust { maker } => change_in(common, &maker, MakerChange::Distrust).map(drop),
        Verb::List => {
            let columns = ["maker", "certificate", "list", "number", "next_update"];
            common.out().rows(&columns, &rows(&common.records()?)?)
        }
    }
}

fn read(path: &Path, len_max: u64, label: &str) -> Result<Vec<u8>> {
    let octets = adapters::files::read_bounded(path, len_max).map_err(|e| Failure::file(path, &e))?;
    pem::der_or_pem(&octets, &[label]).ok_or_else(|| {
        Failure::new(Exit::Usage, "file", format!("{} holds no {label}", path.display()))
            .next("give one certificate, or one list, in PEM or DER")
    })
}

fn change_in(common: &Common, maker: &MakerName, change: MakerChange) -> Result<MakerSet> {
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let call = SetMaker { maker: maker.clone(), change };
    let set = installation.ask(&call, &format!("changing what is taken of the maker {maker}"))?;
    let MakerSet { certificate, number, next_update } = &set;
    let until = next_update.map(|at| at.to_string());
    let said = json!({"maker": maker, "certificate": certificate, "number": number, "next_update": until});
    common.out().one(&said, || match (certificate, &until) {
        (None, _) => format!("certificates of {maker} are not taken any more\n"),
        (Some(digest), None) => format!("certificates of {maker} ({digest}) are taken\n"),
        (Some(digest), Some(until)) => {
            format!("certificates of {maker} ({digest}) are taken, but those in its list {number}, until {until}\n")
        }
    })?;
    Ok(set)
}

/// Who made devices.
#[derive(Serialize)]
struct Row {
    maker: String,
    certificate: Option<String>,
    list: &'static str,
    number: u64,
    next_update: Option<String>,
}

fn rows(store: &SqlStore) -> Result<Vec<Row>> {
    let rows = store.makers()?.into_iter().map(|row| Row {
        maker: row.maker.to_string(),
        certificate: row.certificate.map(|der| x509::sha256(&der).to_string()),
        list: match row.lists {
            MakerLists::Demanded => "demanded",
            MakerLists::None => "none",
        },
        number: row.number,
        next_update: row.next_update.as_ref().map(UnixTime::to_string),
    });
    Ok(rows.collect())
}
