//! A private key with its certificates in one file under a password, as browsers, gateways and other programs take it.
//! Encryption is PBES2 (PBKDF2 with HMAC-SHA256, AES-256-CBC), the MAC is HMAC-SHA256: nothing older is written.
//! Source: RFC 7292; RFC 8018 §6.2 for PBES2.

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use pkcs8::ObjectIdentifier;
use ports::Entropy;
use ports::clock::random;
use ports::keystore::KeyFault;
use std::num::NonZeroU32;
use x509::Writer;
use x509::write::tag;
use zeroize::{Zeroize, Zeroizing};

/// Iterations for each of key, certificates and MAC, which is 600 000 for one file: some readers take no more of it.
const ITERATIONS: u32 = 200_000;
/// Fewest characters of a password: the file goes where nobody counts tries.
pub const PASSWORD_LEN_MIN: usize = 12;
const SALT_LEN: usize = 16;
/// Octets of a digest of SHA-256, and of the block that it works on.
const DIGEST_LEN: usize = 32;
const BLOCK_LEN: usize = 64;
/// What the derived octets are for: a MAC. Source: RFC 7292 appendix B.3.
const FOR_MAC: u8 = 3;
const NOT_WRITTEN: KeyFault = KeyFault::Medium("the key could not be encrypted for export");

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}
const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.6");
const SHROUDED_KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = oid("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = oid("1.2.840.113549.1.9.21");
const PBES2: ObjectIdentifier = oid("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = oid("1.2.840.113549.1.5.12");
const HMAC_WITH_SHA256: ObjectIdentifier = oid("1.2.840.113549.2.9");
const AES256_CBC: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.42");
const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
/// The only version. Source: RFC 7292 §4.
const VERSION: u64 = 3;
const BMP_STRING: u8 = 0x1e;

/// A key and the certificates that go with it, its own first.
pub struct Export<'a> {
    /// How the key is called where it is imported.
    pub name: &'a str,
    /// The key in its PKCS #8 form.
    pub pkcs8: &'a [u8],
    /// Certificates in DER.
    pub chain: &'a [Vec<u8>],
}

/// Writes a PKCS #12 file.
///
/// # Errors
/// [`KeyFault::Medium`] if the library cannot encrypt.
pub fn write(export: &Export<'_>, password: &str, entropy: &dyn Entropy) -> Result<Vec<u8>, KeyFault> {
    let key_id = export.chain.first().map(|der| x509::sha256(der));
    let mut attributes = Writer::default();
    attributes.set(|set| {
        set.sequence(|attribute| {
            attribute.oid(FRIENDLY_NAME).set(|set| {
                set.value(BMP_STRING, &bmp(export.name));
            });
        });
        set.sequence(|attribute| {
            attribute.oid(LOCAL_KEY_ID).set(|set| {
                set.octet_string(key_id.map(|id| *id.octets()).unwrap_or_default().as_slice());
            });
        });
    });
    let attributes = attributes.finish();
    let (algorithm, encrypted) = encrypt(export.pkcs8, password, entropy)?;
    let mut keys = Writer::default();
    keys.sequence(|bags| {
        bags.sequence(|bag| {
            bag.oid(SHROUDED_KEY_BAG).explicit(0, |value| {
                value.sequence(|info| {
                    info.raw(&algorithm).octet_string(&encrypted);
                });
            });
            bag.raw(&attributes);
        });
    });
    let (algorithm, encrypted) = encrypt(&certificates(export.chain, &attributes), password, entropy)?;
    let mut safe = Writer::default();
    safe.sequence(|contents| {
        data(contents, &keys.finish());
        contents.sequence(|info| {
            info.oid(ENCRYPTED_DATA).explicit(0, |content| {
                content.sequence(|data| {
                    data.small(0).sequence(|inner| {
                        inner.oid(DATA).raw(&algorithm).value(tag::CONTEXT, &encrypted);
                    });
                });
            });
        });
    });
    Ok(authenticated(&safe.finish(), password, entropy))
}

/// The certificates, the first with the attributes of the key.
fn certificates(chain: &[Vec<u8>], attributes: &[u8]) -> Vec<u8> {
    let mut contents = Writer::default();
    contents.sequence(|bags| {
        for (n, der) in chain.iter().enumerate() {
            bags.sequence(|bag| {
                bag.oid(CERT_BAG).explicit(0, |value| {
                    value.sequence(|cert| {
                        cert.oid(X509_CERTIFICATE).explicit(0, |value| {
                            value.octet_string(der);
                        });
                    });
                });
                if n == 0 {
                    bag.raw(attributes);
                }
            });
        }
    });
    contents.finish()
}

fn data(writer: &mut Writer, octets: &[u8]) {
    writer.sequence(|info| {
        info.oid(DATA).explicit(0, |content| {
            content.octet_string(octets);
        });
    });
}

/// The whole file around its contents. Source: RFC 7292 §4 (`PFX`).
fn authenticated(safe: &[u8], password: &str, entropy: &dyn Entropy) -> Vec<u8> {
    let salt: [u8; SALT_LEN] = random(entropy);
    let key = mac_key(password, &salt);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), safe);
    let mut pfx = Writer::default();
    pfx.sequence(|pfx| {
        pfx.small(VERSION);
        data(pfx, safe);
        pfx.sequence(|mac_data| {
            mac_data.sequence(|digest_info| {
                digest_info.sequence(|algorithm| {
                    algorithm.oid(SHA256).value(tag::NULL, &[]);
                });
                digest_info.octet_string(mac.as_ref());
            });
            mac_data.octet_string(&salt).small(ITERATIONS.into());
        });
    });
    pfx.finish()
}

/// Encrypts with PBES2. Gives the algorithm's identifier and the encrypted octets.
fn encrypt(octets: &[u8], password: &str, entropy: &dyn Entropy) -> Result<(Vec<u8>, Vec<u8>), KeyFault> {
    let (salt, iv): ([u8; SALT_LEN], [u8; 16]) = (random(entropy), random(entropy));
    let iterations = NonZeroU32::new(ITERATIONS).ok_or(NOT_WRITTEN)?;
    let mut key = Zeroizing::new([0; DIGEST_LEN]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), key.as_mut());
    let key = UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(|_| NOT_WRITTEN)?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(|_| NOT_WRITTEN)?;
    // Room for the padding: a vector that grows leaves a copy behind.
    let mut encrypted = Zeroizing::new(Vec::with_capacity(octets.len() + 16));
    encrypted.extend_from_slice(octets);
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(&mut *encrypted, context).map_err(|_| NOT_WRITTEN)?;
    let mut algorithm = Writer::default();
    algorithm.sequence(|algorithm| {
        algorithm.oid(PBES2).sequence(|parameters| {
            parameters.sequence(|kdf| {
                kdf.oid(PBKDF2).sequence(|parameters| {
                    parameters.octet_string(&salt).small(ITERATIONS.into()).sequence(|prf| {
                        prf.oid(HMAC_WITH_SHA256).value(tag::NULL, &[]);
                    });
                });
            });
            parameters.sequence(|cipher| {
                cipher.oid(AES256_CBC).octet_string(&iv);
            });
        });
    });
    Ok((algorithm.finish(), encrypted.to_vec()))
}

/// UTF-16, the high octet first. Source: RFC 7292 appendix B.1.
fn bmp(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// The key of the MAC. Source: RFC 7292 appendix B.2, where u is 32, v is 64, and one digest is enough.
fn mac_key(password: &str, salt: &[u8]) -> Zeroizing<[u8; DIGEST_LEN]> {
    // B.1: the password ends with two octets of zero.
    let mut text = Zeroizing::new(bmp(password));
    text.extend_from_slice(&[0, 0]);
    // B.2, steps 1 to 4: D, then S and P, each repeated to whole blocks.
    let blocks = |octets: &[u8]| {
        let len = octets.len().div_ceil(BLOCK_LEN) * BLOCK_LEN;
        octets.iter().copied().cycle().take(len).collect::<Vec<_>>()
    };
    let mut input = Zeroizing::new(vec![FOR_MAC; BLOCK_LEN]);
    let (salt, mut password) = (blocks(salt), Zeroizing::new(blocks(&text)));
    input.extend_from_slice(&salt);
    input.extend_from_slice(&password);
    password.zeroize();
    // B.2, step 6A, for the first and only i: hashed as often as there are iterations.
    let mut key = Zeroizing::new([0; DIGEST_LEN]);
    key.iter_mut().zip(digest::digest(&digest::SHA256, &input).as_ref()).for_each(|(to, from)| *to = *from);
    for _ in 1..ITERATIONS {
        let next = digest::digest(&digest::SHA256, key.as_slice());
        key.iter_mut().zip(next.as_ref()).for_each(|(to, from)| *to = *from);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;
    use crate::keystore::memory::MemoryKey;
    use crate::testing::Temporary;
    use std::process::Command;
    use x509::KeyType;

    const PASSWORD: &str = "pässwörd, long enough";

    /// A key in a file, and what OpenSSL says of it with a password.
    fn read(key_type: KeyType, password: &str) -> (bool, String, Zeroizing<Vec<u8>>) {
        let dir = Temporary::new();
        let pkcs8 = MemoryKey::generate_pkcs8(key_type).unwrap();
        let export = Export { name: "alice", pkcs8: &pkcs8, chain: &[] };
        let file = write(&export, PASSWORD, &SystemEntropy::default()).unwrap();
        std::fs::write(dir.path().join("k.p12"), file).unwrap();
        std::fs::write(dir.path().join("password"), password).unwrap();
        let arguments = ["pkcs12", "-in", "k.p12", "-info", "-nodes", "-nocerts", "-passin", "file:password"];
        let output = Command::new("openssl").args(arguments).current_dir(dir.path()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned(), pkcs8)
    }

    #[test]
    fn openssl_reads_each_kind_of_key() {
        for key_type in [KeyType::Ed25519, KeyType::P256, KeyType::P384, KeyType::Rsa(2048)] {
            let (ok, said, pkcs8) = read(key_type, PASSWORD);
            assert!(ok, "{said}");
            let (_, der) = x509::pem::decode(&said.as_bytes()[said.find("-----BEGIN").unwrap()..]).unwrap();
            let (ours, theirs) = (MemoryKey::open(&pkcs8).unwrap(), MemoryKey::open(&der).unwrap());
            assert_eq!(ports::Signer::public_key(&ours), ports::Signer::public_key(&theirs));
            for what in ["AES-256-CBC, Iteration 200000, PRF hmacWithSHA256", "MAC: sha256, Iteration 200000", "alice"]
            {
                assert!(said.contains(what), "{what}: {said}");
            }
        }
    }
    #[test]
    fn another_password_opens_nothing() {
        let (ok, said, _) = read(KeyType::Ed25519, "pässwörd, long enougH");
        assert!(!ok && said.contains("invalid password"), "{said}");
    }
    #[test]
    fn no_two_files_are_alike() {
        let pkcs8 = MemoryKey::generate_pkcs8(KeyType::Ed25519).unwrap();
        let export = Export { name: "alice", pkcs8: &pkcs8, chain: &[] };
        let write = || write(&export, PASSWORD, &SystemEntropy::default()).unwrap();
        let (one, two) = (write(), write());
        assert_ne!(one, two);
        assert!(!one.windows(16).any(|w| pkcs8.windows(16).any(|k| k == w)), "nothing of the key is in the clear");
    }
}
