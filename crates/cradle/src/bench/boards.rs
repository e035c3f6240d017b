//! Devices for measurements: keys and requests, made before the clock runs.

use crate::fault::{Result, While};
use adapters::keystore::memory::MemoryKey;
use model::contract::authority::{CertifyRequest, Evidence};
use model::{DeviceId, Entity, ProfileName, TransactionId, UnixTime};
use ports::Signer;
use rayon::prelude::*;
use x509::crmf::{self, ProofOfPossession};
use x509::{KeyType, Name, csr};

/// How a request proves that its sender holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// PKCS #10, signed by the device.
    Csr,
    /// CRMF, signed by the device.
    Crmf,
    /// CRMF, the station vouches for the key.
    CrmfVouched,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Csr => "csr",
            Self::Crmf => "crmf",
            Self::CrmfVouched => "crmf-ra-verified",
        }
    }
}

/// The request of a device with a fresh key.
pub(crate) fn evidence(key: &dyn Signer, kind: Kind) -> Result<Evidence> {
    let sign = |octets: &[u8]| key.sign(octets).or_fail("signing a request");
    Ok(match kind {
        Kind::Csr => {
            let info = csr::write_info(&Name::write(&[]), key.public_key(), &[]);
            Evidence::Pkcs10(csr::write_signed(&info, key.algorithm(), &sign(&info)?).into())
        }
        Kind::Crmf => {
            let request = crmf::write_cert_request(0, None, key.public_key());
            let (algorithm, signature) = (key.algorithm(), sign(&request)?);
            Evidence::Crmf(crmf::write_only(&request, &ProofOfPossession::Signature { algorithm, signature }).into())
        }
        Kind::CrmfVouched => {
            let request = crmf::write_cert_request(0, None, key.public_key());
            Evidence::Crmf(crmf::write_only(&request, &ProofOfPossession::RaVerified).into())
        }
    })
}

/// The name of the n-th device of a series.
pub(crate) fn device(series: &str, n: u64) -> Result<DeviceId> {
    let text = format!("urn:dev:ops:32473-bench-{series}{n:08}");
    text.parse()
        .map_err(|e| crate::fault::Failure::new(crate::fault::Exit::Failed, "bench", "a device has no name").because(e))
}

/// Requests of so many devices, each with a key of its own.
pub(crate) fn requests(
    series: &str,
    count: u64,
    key_type: KeyType,
    kind: Kind,
    profile: &ProfileName,
    now: UnixTime,
) -> Result<Vec<CertifyRequest>> {
    let one = |n: u64| {
        let key = MemoryKey::generate(key_type);
        let mut random = [0; 10];
        random.iter_mut().zip(key.public_key().digest().octets()).for_each(|(to, from)| *to = *from);
        Ok(CertifyRequest {
            // In the order of the devices, as a station counts.
            transaction_id: TransactionId::at(UnixTime::from_ms(now.ms() + n), random),
            subject: Entity::Device(device(series, n)?),
            profile: profile.clone(),
            evidence: evidence(&key, kind)?,
        })
    };
    (0..count).into_par_iter().map(one).collect()
}
