//! Keys that are made here, for devices that cannot make good ones: in memory, for the time of one answer.
//!
//! Who asks has the key once, signed by who made it, and encrypted for what the request was protected with. The same request again is
//! refused, as every identifier counts once; another one asks for another key, which the door refuses.
//!
//! Prevents: a key for who was not proved to ask, or for whom somebody else speaks; one that others read, or that anybody can say to have
//! made; a certificate whose key got lost and that lasts.
//! Source: RFC 9483 §4.1.6, RFC 9810 §5.3.4.

use super::asker::{Asker, Proof};
use super::server::Server;
use super::{No, Offer, Talk};
use model::contract::authority::Evidence;
use model::{Fault, Reason};
use ports::clock::random;
use ports::keymaker::MadeKey;
use ports::{Entropy, SignFault};
use wire::cmp::oids::CM_KGA;
use wire::cmp::server::central::{CONTENT_KEY_LEN, Reader, SignedKey, write_encrypted_key, write_key_package};
use x509::crmf::{Keyless, WantedKey};
use x509::extension::{KeyUsage, decode_extended_key_usage};
use x509::{Certificate, KeyType, oids};
use zeroize::Zeroizing;

/// A key that was made, and what was asked, for this key.
pub(super) struct Made {
    key: MadeKey,
    pub(super) request: Vec<u8>,
}

/// For what a key is encrypted.
enum Way<'a> {
    /// The key of a certificate on a curve.
    Agreement(&'a Certificate),
    /// The key of a certificate of RSA.
    Transport(&'a Certificate),
    /// A secret.
    Password(&'a [u8]),
}

impl<'a> Way<'a> {
    /// What protected the request is what its answer's key is encrypted for. Source: RFC 9483 §4.1.6.
    fn to(asker: &'a Asker) -> Result<Self, Reason> {
        let certificate = match &asker.proof {
            Proof::Secret { secret, .. } => return Ok(Self::Password((**secret).as_ref())),
            Proof::Certificate(shown) => &shown.read,
            Proof::Made(made) => &made.read,
            // The key would be known to two.
            Proof::Appointed(_) => return Err(Reason::ClientUnproved),
        };
        let usage = certificate.tbs().extension(oids::KEY_USAGE).map(|extension| KeyUsage::decode(&extension.value));
        let may = |what: KeyUsage| usage.is_none_or(|usage| usage.is_some_and(|usage| usage.has(what)));
        match certificate.tbs().subject_public_key.key_type() {
            KeyType::P256 | KeyType::P384 | KeyType::P521 if may(KeyUsage::KEY_AGREEMENT) => {
                Ok(Self::Agreement(certificate))
            }
            KeyType::Rsa(_) if may(KeyUsage::KEY_ENCIPHERMENT) => Ok(Self::Transport(certificate)),
            _ => Err(Reason::KeyUnsendable),
        }
    }
}

impl Talk<'_> {
    /// A key for who asks for one; nothing for who brings his own.
    pub(super) fn made_for(&self, asker: &Asker, offer: &Offer, evidence: &Evidence) -> Result<Option<Made>, No> {
        let Evidence::Crmf(der) = evidence else { return Ok(None) };
        let Ok(keyless) = Keyless::decode(der.as_ref()) else { return Ok(None) };
        let profile = &offer.offered.profile;
        // Nobody keeps a key until operators have decided.
        if !offer.server_keys || profile.approvals() > 0 {
            return Err(Reason::KeysNotMade.into());
        }
        if keyless.has_proof {
            return Err(Reason::ProofOfPossession.into());
        }
        Way::to(asker)?;
        let mut types = profile.key_types().iter().copied().filter(|quick| !matches!(quick, KeyType::Rsa(_)));
        let key_type = match keyless.wanted {
            WantedKey::Any => types.next(),
            WantedKey::Of(wanted) => types.find(|one| *one == wanted),
            WantedKey::Other => None,
        };
        let key = self.front.cmp.keys.make(key_type.ok_or(Reason::KeyTypeNotAllowed)?).map_err(Fault::from)?;
        let signed = keyless.with_key(key.signer.public_key(), |octets| key.signer.sign(octets));
        let request = signed.map_err(|fault: SignFault| No::from(Fault::from(fault)))?;
        Ok(Some(Made { key, request }))
    }

    /// The key, signed and encrypted: an `EncryptedKey`.
    pub(super) fn enclosed(&self, asker: &Asker, offer: &Offer, made: &Made) -> Result<Vec<u8>, No> {
        let ca = self.ra.cas().for_profile(&offer.offered.profile)?;
        let server = self.server(&ca)?;
        if !makes_keys(&server) {
            let what = "the profile `cmp` does not make certificates that sign keys (cm-kga)";
            return Err(Fault::unavailable(what).into());
        }
        let package = write_key_package((*made.key.pkcs8).as_ref());
        let signing = SignedKey::new(&package, server.signer.algorithm());
        let signature = server.signer.sign(signing.to_be_signed()).map_err(Fault::from)?;
        let own = server.certificate.der();
        let chain: Vec<&[u8]> = std::iter::once(own).chain(ca.chain().iter().map(Vec::as_slice)).collect();
        let signed = signing.write(&server.certificate, &chain, &signature).ok_or(UNWRITTEN)?;
        let entropy = self.ra.setting().entropy.as_ref();
        let mut content_key = Zeroizing::new([0; CONTENT_KEY_LEN]);
        entropy.fill(content_key.as_mut());
        let enclose = |reader: &Reader<'_>| write_encrypted_key(signed, &content_key, random(entropy), reader);
        let enclosed = match Way::to(asker)? {
            Way::Agreement(certificate) => {
                let agreed = self.front.cmp.keys.agree(&certificate.tbs().subject_public_key).map_err(Fault::from)?;
                let (ephemeral, shared) = (&agreed.ephemeral, (*agreed.shared).as_ref());
                enclose(&Reader::Agreement { certificate, ephemeral, shared })
            }
            Way::Transport(certificate) => {
                let key = &certificate.tbs().subject_public_key;
                let encrypted = self.front.cmp.keys.transport(key, content_key.as_ref()).map_err(Fault::from)?;
                enclose(&Reader::Transport { certificate, encrypted_key: &encrypted })
            }
            Way::Password(secret) => enclose(&by_password(secret, entropy)),
        };
        Ok(enclosed.ok_or(UNWRITTEN)?)
    }
}

const UNWRITTEN: Fault = Fault::unavailable("a key that was made cannot be sent");

fn by_password<'a>(secret: &'a [u8], entropy: &dyn Entropy) -> Reader<'a> {
    Reader::Password { secret, salt: random(entropy), iv: random(entropy), filler: random(entropy) }
}

/// Whether what signs answers signs keys, too: others take them from nobody else.
fn makes_keys(server: &Server) -> bool {
    let purposes = server.certificate.tbs().extension(oids::EXTENDED_KEY_USAGE);
    let purposes = purposes.and_then(|extension| decode_extended_key_usage(&extension.value));
    purposes.is_some_and(|purposes| purposes.contains(&CM_KGA))
}
