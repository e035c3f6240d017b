//! Attestations of a TPM, as it made them, and all that is near them.

use super::*;
use x509::KeyType;

const MAKER: &[u8] = include_bytes!("../../../../../testdata/attest/openssl-3.0.19-maker.der");
const ES256: &[u8] = include_bytes!("../../../../../testdata/attest/swtpm-0.7.1-es256.cbor");
const ES256_KEY: &[u8] = include_bytes!("../../../../../testdata/attest/swtpm-0.7.1-es256-key.der");
const RS256: &[u8] = include_bytes!("../../../../../testdata/attest/swtpm-0.7.1-rs256.cbor");
const RS256_KEY: &[u8] = include_bytes!("../../../../../testdata/attest/swtpm-0.7.1-rs256-key.der");
/// A day after they were made.
const NOW: UnixTime = UnixTime::from_s(1_795_500_000);
const SIGNED_FOR: &str = "token.thumbprint";

fn maker() -> [Certificate; 1] {
    [Certificate::decode(MAKER).unwrap()]
}
fn verified(octets: &[u8], key_authorization: &str, now: UnixTime) -> Result<PublicKey, BadAttestation> {
    Attestation::decode(octets)?.verify(key_authorization, &maker(), now)
}
/// The same with other octets in the place of some that are there once.
fn with(octets: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let found: Vec<_> = octets.windows(from.len()).enumerate().filter(|(_, part)| *part == from).collect();
    let [(at, _)] = found[..] else { panic!("{} times", found.len()) };
    [&octets[..at], to, &octets[at + from.len()..]].concat()
}

#[test]
fn the_key_that_is_in_the_tpm() {
    for (octets, key, key_type) in [(ES256, ES256_KEY, KeyType::P256), (RS256, RS256_KEY, KeyType::Rsa(2048))] {
        let found = verified(octets, SIGNED_FOR, NOW).unwrap();
        assert_eq!((found.spki(), found.key_type()), (key, key_type));
    }
}
#[test]
fn for_one_challenge_by_one_who_is_believed_and_while_the_certificate_lasts() {
    for octets in [ES256, RS256] {
        assert_eq!(verified(octets, "token.other", NOW), Err(BadAttestation::OtherChallenge));
        assert_eq!(verified(octets, SIGNED_FOR, NOW.plus_s(30 * 86_400)), Err(BadAttestation::Untrusted));
        let read = Attestation::decode(octets).unwrap();
        assert_eq!(read.verify(SIGNED_FOR, &[], NOW), Err(BadAttestation::Untrusted));
    }
}
#[test]
fn no_octet_can_be_another() {
    for octets in [ES256, RS256] {
        for at in 0..octets.len() {
            for bit in [1, 0x80] {
                let mut other = octets.to_vec();
                other[at] ^= bit;
                // A bit of the certificate that nobody signed could only be one of an encoding that is read in two ways.
                assert!(verified(&other, SIGNED_FOR, NOW).is_err(), "{at}");
            }
        }
        (0..octets.len()).for_each(|len| assert!(verified(&octets[..len], SIGNED_FOR, NOW).is_err(), "{len}"));
    }
}
#[test]
fn statements_of_another_kind() {
    let refused = |from: &[u8], to: &[u8], why| {
        assert_eq!(Attestation::decode(&with(ES256, from, to)).map(drop), Err(why), "{from:02x?}");
    };
    refused(b"\x63tpm", b"\x64none", BadAttestation::OtherType);
    refused(b"\x632.0", b"\x631.2", BadAttestation::OtherType);
    // An algorithm that is not the signature's: RS256, and RS1.
    refused(b"\x63alg\x26", b"\x63alg\x39\x01\x00", BadAttestation::OtherType);
    refused(b"\x63alg\x26", b"\x63alg\x39\xff\xfe", BadAttestation::OtherType);
    refused(b"\x63alg\x26", b"\x63alg\x06", BadAttestation::Malformed);
    refused(b"\x63x5c", b"\x63x5d", BadAttestation::OtherType);
    refused(b"\x63sig", b"\x63sih", BadAttestation::Malformed);
    // Something twice.
    refused(b"\x63sig", b"\x63ver", BadAttestation::Malformed);
    assert_eq!(Attestation::decode(&[ES256, &[0]].concat()).map(drop), Err(BadAttestation::Malformed));
    assert_eq!(Attestation::decode(&vec![0x40; ATTESTATION_LEN_MAX + 1]).map(drop), Err(BadAttestation::Malformed));
}
#[test]
fn keys_that_could_be_elsewhere_too() {
    let Some(area) = Cbor::decode(ES256).ok().and_then(|all| all.get("attStmt")?.get("pubArea")?.octets()) else {
        panic!("there is one")
    };
    let (key, name) = tpm::public_area(area).unwrap();
    assert_eq!((key.spki(), name.len(), &name[..2]), (ES256_KEY, 34, &[0, 0x0b][..]));
    for bit in [1, 4, 5] {
        let mut other = area.to_vec();
        other[7] &= !(1 << bit);
        assert_eq!(tpm::public_area(&other), Err(BadAttestation::KeyNotBound), "{bit}");
    }
    // SHA-1 names it.
    let other = [&area[..2], &[0, 4], &area[4..]].concat();
    assert_eq!(tpm::public_area(&other), Err(BadAttestation::OtherType));
    assert_eq!(tpm::public_area(&[area, &[0]].concat()), Err(BadAttestation::Malformed));
    (0..area.len()).for_each(|len| assert!(tpm::public_area(&area[..len]).is_err()));
}
#[test]
fn what_a_tpm_did_not_make_or_says_of_something_else() {
    let info = Cbor::decode(ES256).ok().and_then(|all| all.get("attStmt")?.get("certInfo")?.octets()).unwrap();
    let read = tpm::CertifyInfo::decode(info).unwrap();
    assert_eq!(read.extra_data, digest(&SHA256, SIGNED_FOR.as_bytes()).as_ref());
    // Somebody's data that a key signed which signs anything; a quote.
    for (at, octet) in [(0, 0xfe), (3, 0x48), (5, 0x18)] {
        let mut other = info.to_vec();
        other[at] = octet;
        assert_eq!(tpm::CertifyInfo::decode(&other), Err(BadAttestation::OtherType));
    }
    assert_eq!(tpm::CertifyInfo::decode(&[info, &[0]].concat()), Err(BadAttestation::Malformed));
}
#[test]
fn what_is_sent_to_a_challenge() {
    assert_eq!(attested_octets(br#"{"attObj":"AAE"}"#), Ok(vec![0, 1]));
    for other in [&b"{}"[..], br#"{"attObj":1}"#, br#"{"attObj":"A A"}"#, br#"{"attObj":"AA==","attObj":"AA"}"#] {
        assert!(attested_octets(other).is_err());
    }
}
