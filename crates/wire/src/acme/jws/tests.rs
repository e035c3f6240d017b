use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use model::octets::base64url;

/// A key of the test, and its public half as JSON.
fn pair() -> (EcdsaKeyPair, String) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, base64url(x), base64url(y));
    (pair, jwk)
}

fn written(protected: &str, payload: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let (protected, payload) = (base64url(protected.as_bytes()), base64url(payload.as_bytes()));
    let signature = base64url(&sign(format!("{protected}.{payload}").as_bytes()));
    format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
}

fn signed(header: &str) -> (String, PublicKey) {
    let (pair, jwk) = pair();
    let key = Jwk::read(&Json::object(jwk.as_bytes()).unwrap()).unwrap().key().clone();
    let sign = |input: &[u8]| pair.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec();
    (written(&header.replace("JWK", &jwk), "{}", sign), key)
}

const GOOD: &str = r#"{"alg":"ES256","nonce":"n","url":"https://cm/x","jwk":JWK}"#;

#[track_caller]
fn refused(header: &str, expected: impl Into<Fault>) {
    assert_eq!(Jws::decode(signed(header).0.as_bytes()).map(|_| ()), Err(expected.into()), "{header}");
}

#[test]
fn a_message_of_a_key() {
    let (text, key) = signed(GOOD);
    let read = Jws::decode(text.as_bytes()).unwrap();
    assert!(matches!(read.signed_by(), SignedBy::Key(jwk) if *jwk.key() == key));
    assert_eq!((read.nonce(), read.url()), (Some("n"), "https://cm/x"));
    assert_eq!(read.verify(&key), Ok(b"{}".as_slice()));
    assert_eq!(read.verify(&signed(GOOD).1), Err(Reason::ProtectionInvalid));
}
#[test]
fn altered_it_holds_no_more() {
    let (text, key) = signed(GOOD);
    let other = text.replace(&base64url(b"{}"), &base64url(b"{ }"));
    assert_eq!(Jws::decode(other.as_bytes()).unwrap().verify(&key), Err(Reason::ProtectionInvalid));
    let (start, _) = text.split_once("\"signature\"").unwrap();
    for signature in ["", "AA", &base64url(&[0; 64]), &base64url(&[1; 63])] {
        let other = format!("{start}\"signature\":\"{signature}\"}}");
        assert_eq!(Jws::decode(other.as_bytes()).unwrap().verify(&key), Err(Reason::ProtectionInvalid));
    }
}
#[test]
fn an_account_of_that_name() {
    let (text, key) = signed(r#"{"alg":"ES256","nonce":"n","url":"u","kid":"https://cm/1"}"#);
    let read = Jws::decode(text.as_bytes()).unwrap();
    assert_eq!(read.signed_by(), &SignedBy::Account("https://cm/1".to_owned()));
    assert!(read.verify(&key).is_ok());
}
#[test]
fn none_and_macs_are_not_taken() {
    for alg in ["none", "HS256", "HS512", "RS1", "ES256K", "PS256", "es256", ""] {
        refused(&GOOD.replace("ES256", alg), Reason::ProtectionWeak);
    }
    let (text, key) = signed(&GOOD.replace("ES256", "EdDSA"));
    assert_eq!(
        Jws::decode(text.as_bytes()).unwrap().verify(&key),
        Err(Reason::ProtectionWeak),
        "of another type of key"
    );
}
#[test]
fn a_key_or_an_account_and_not_both() {
    let either = Fault::malformed("a header has either jwk or kid");
    refused(r#"{"alg":"ES256","nonce":"n","url":"u"}"#, either.clone());
    refused(r#"{"alg":"ES256","nonce":"n","url":"u","jwk":JWK,"kid":"x"}"#, either.clone());
    refused(r#"{"alg":"ES256","nonce":"n","url":"u","kid":1}"#, either);
}
#[test]
fn what_has_to_be_there_and_what_must_not() {
    refused(r#"{"alg":"ES256","nonce":"n","jwk":JWK}"#, Fault::malformed("the header has no url"));
    refused(r#"{"nonce":"n","url":"u","jwk":JWK}"#, BAD);
    let unknown = Fault::malformed("the header has extensions that are not known");
    refused(r#"{"alg":"ES256","crit":["x"],"url":"u","jwk":JWK}"#, unknown.clone());
    refused(r#"{"alg":"ES256","b64":false,"url":"u","jwk":JWK}"#, unknown);
    let text = signed(GOOD).0;
    for more in [r#"{"header":{},"#, r#"{"signatures":[],"#, r#"{"x":1,"#] {
        assert_eq!(Jws::decode(text.replacen('{', more, 1).as_bytes()).map(|_| ()), Err(BAD));
    }
}
#[test]
fn a_member_twice_in_the_message_or_in_its_header() {
    refused(r#"{"alg":"none","alg":"ES256","url":"u","jwk":JWK}"#, Reason::MessageAmbiguous);
    let text = signed(GOOD).0.replacen('{', r#"{"payload":"","#, 1);
    assert_eq!(Jws::decode(text.as_bytes()).map(|_| ()), Err(Reason::MessageAmbiguous.into()));
}
#[test]
fn longer_than_a_message() {
    let text = signed(GOOD).0;
    let longer = text.clone() + &" ".repeat(MESSAGE_LEN_MAX - text.len());
    assert!(Jws::decode(longer.as_bytes()).is_ok());
    assert!(Jws::decode((longer + " ").as_bytes()).is_err());
}

fn binding(header: &str, payload: &str, secret: &[u8]) -> Result<Binding, Fault> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &binding_key(secret));
    let text = written(header, payload, |input| hmac::sign(&key, input).as_ref().to_vec());
    Binding::read(&Json::object(text.as_bytes()).unwrap())
}

const BOUND: &str = r#"{"alg":"HS256","kid":"SN1","url":"u"}"#;

#[test]
fn a_binding_is_of_one_key_by_one_secret() {
    let (_, jwk) = pair();
    let key = Jwk::read(&Json::object(jwk.as_bytes()).unwrap()).unwrap().key().clone();
    let bound = binding(BOUND, &jwk, b"secret").unwrap();
    assert_eq!((bound.kid(), bound.url()), ("SN1", "u"));
    assert!(bound.binds(b"secret", &key));
    assert!(!bound.binds(b"Secret", &key));
    assert!(!bound.binds(b"secret", &signed(GOOD).1));
    assert!(!binding(BOUND, "{}", b"secret").unwrap().binds(b"secret", &key));
}
#[test]
fn a_binding_is_a_mac() {
    let (_, jwk) = pair();
    for alg in ["none", "ES256", "HS512"] {
        let read = binding(&BOUND.replace("HS256", alg), &jwk, b"secret");
        assert_eq!(read.map(|_| ()), Err(Reason::ProtectionWeak.into()), "{alg}");
    }
    assert!(binding(r#"{"alg":"HS256","kid":"SN1","url":"u","nonce":"n"}"#, &jwk, b"secret").is_err());
    assert!(binding(r#"{"alg":"HS256","kid":"SN1"}"#, &jwk, b"secret").is_err());
}
