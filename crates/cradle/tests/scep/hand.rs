//! Messages that are made by hand, of any type and by anybody; openssl encrypts, signs and opens.

use crate::common::{Box_, foreign, text};
use const_oid::ObjectIdentifier;
use wire::scep::oids::{
    FAIL_INFO, FAIL_INFO_TEXT, MESSAGE_TYPE, PKI_STATUS, RECIPIENT_NONCE, SENDER_NONCE, TRANSACTION_ID,
};
use x509::csr::{write_info_with, write_signed};
use x509::oids::{CONTENT_TYPE, DATA, MESSAGE_DIGEST, RSA_ENCRYPTION, SHA256, SIGNED_DATA};
use x509::write::tag;
use x509::{Certificate, CertificationRequest, SignatureAlgorithm, SignedData, Writer, pem};

pub const NONCE: [u8; 16] = [7; 16];
pub const MD5: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.5");
pub const RENEWAL_REQ: &str = "17";
pub const PKCS_REQ: &str = "19";
pub const CERT_POLL: &str = "20";
pub const GET_CERT: &str = "21";
pub const GET_CRL: &str = "22";

/// A message before it is signed. NAME.key signs, and NAME.pem says whose key that is.
#[derive(Clone)]
pub struct Draft<'a> {
    pub message_type: &'a str,
    pub transaction: &'a str,
    pub by: &'a str,
    pub hash: (&'a str, ObjectIdentifier),
    pub envelope: Vec<u8>,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// `pkiStatus`, and `failInfo` if there is one.
    pub status: String,
    pub text: String,
    pub envelope: Option<Vec<u8>>,
}

impl Said {
    /// The identifier of a refusal, which must look like every other.
    #[track_caller]
    pub fn refused(&self) -> String {
        assert_eq!(self.status, "2 2", "{}", self.text);
        let id = self.text.strip_prefix("Refused. Identifier: ").unwrap_or_else(|| panic!("{}", self.text));
        id.to_owned()
    }
}

fn attribute(oid: ObjectIdentifier, tag: u8, value: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.sequence(|w| {
        w.oid(oid).set(|w| _ = w.value(tag, value));
    });
    w.finish()
}

impl<'a> Draft<'a> {
    pub fn new(message_type: &'a str, by: &'a str, envelope: Vec<u8>) -> Self {
        Self { message_type, transaction: "T-1", by, hash: ("sha256", SHA256), envelope }
    }

    /// The message.
    pub fn signed(&self, b: &Box_) -> Vec<u8> {
        let dir = &b.dir;
        let hash = format!("-{}", self.hash.0);
        b.write("content", &self.envelope);
        foreign(dir, "openssl", &["dgst", &hash, "-binary", "-out", "digest", "content"]);
        let mut attributes = [
            attribute(CONTENT_TYPE, tag::OBJECT_IDENTIFIER, DATA.as_bytes()),
            attribute(MESSAGE_DIGEST, tag::OCTET_STRING, &b.read("digest")),
            attribute(MESSAGE_TYPE, tag::PRINTABLE_STRING, self.message_type.as_bytes()),
            attribute(TRANSACTION_ID, tag::PRINTABLE_STRING, self.transaction.as_bytes()),
            attribute(SENDER_NONCE, tag::OCTET_STRING, &NONCE),
        ];
        attributes.sort();
        let attributes = attributes.concat();
        let mut to_sign = Writer::default();
        to_sign.value(tag::SET, &attributes);
        b.write("to-sign", to_sign.finish());
        let key = format!("{}.key", self.by);
        foreign(dir, "openssl", &["dgst", &hash, "-sign", &key, "-out", "signature", "to-sign"]);
        let (_, signer) = pem::decode(&b.read(&format!("{}.pem", self.by))).unwrap();
        let (issuer, serial) = name_and_number(&signer);
        let mut w = Writer::default();
        w.sequence(|w| {
            w.oid(SIGNED_DATA).explicit(0, |w| {
                w.sequence(|w| {
                    w.small(1).set(|w| {
                        w.sequence(|w| _ = w.oid(self.hash.1));
                    });
                    w.sequence(|w| {
                        w.oid(DATA).explicit(0, |w| _ = w.octet_string(&self.envelope));
                    });
                    w.explicit(0, |w| _ = w.raw(&signer)).set(|w| {
                        w.sequence(|w| {
                            w.small(1).sequence(|w| {
                                w.raw(&issuer).raw(&serial);
                            });
                            w.sequence(|w| _ = w.oid(self.hash.1));
                            w.value(tag::CONTEXT_CONSTRUCTED, &attributes);
                            w.sequence(|w| {
                                w.oid(RSA_ENCRYPTION).value(tag::NULL, &[]);
                            });
                            w.octet_string(&b.read("signature"));
                        });
                    });
                });
            });
        });
        w.finish()
    }
}

/// The name of the issuer and the number of a certificate, each in DER; of one that we would not read, too.
fn name_and_number(certificate: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let value = |octets: &[u8]| {
        let (head, len) = match octets[1] {
            short @ 0..=0x7f => (2, usize::from(short)),
            0x81 => (3, usize::from(octets[2])),
            _ => (4, usize::from(octets[2]) << 8 | usize::from(octets[3])),
        };
        (head, head + len)
    };
    let tbs = &certificate[value(certificate).0..];
    let mut rest = &tbs[value(tbs).0..];
    let mut next = || {
        let (one, more) = rest.split_at(value(rest).1);
        rest = more;
        one.to_vec()
    };
    let (_version, serial, _algorithm) = (next(), next(), next());
    (next(), serial)
}

/// Reads an answer, which must be signed by the gateway and for this request.
#[track_caller]
pub fn said(b: &Box_, answer: &[u8]) -> Said {
    let (_, ra) = pem::decode(&b.read("ra.pem")).unwrap();
    let read = SignedData::decode(answer).unwrap_or_else(|e| panic!("{e}: {}", text(answer)));
    let [signer] = read.signers() else { panic!("one signs") };
    signer.verify(&Certificate::decode(&ra).unwrap().tbs().subject_public_key).unwrap();
    let value = |oid| signer.attribute(oid).map(|der| der[2..].to_vec());
    assert_eq!(value(MESSAGE_TYPE).unwrap(), b"3");
    assert_eq!(value(RECIPIENT_NONCE).unwrap(), NONCE);
    assert!(value(TRANSACTION_ID).is_some() && value(SENDER_NONCE).unwrap().len() == 16);
    let said = |oid| value(oid).map(|octets| text(&octets)).unwrap_or_default();
    let status = format!("{} {}", said(PKI_STATUS), said(FAIL_INFO));
    let envelope = read.content().map(<[u8]>::to_vec);
    assert_eq!(envelope.is_some(), status == "0 ", "{status}");
    Said { status, text: said(FAIL_INFO_TEXT), envelope }
}

/// Encrypts content for the recipient that is named.
pub fn sealed_by(b: &Box_, content: &[u8], words: &[&str]) -> Vec<u8> {
    b.write("plain", content);
    let always = ["cms", "-encrypt", "-binary", "-in", "plain", "-outform", "DER", "-out", "sealed"];
    foreign(&b.dir, "openssl", &[&always[..], words].concat());
    b.read("sealed")
}
/// Encrypts content for the gateway, as most do.
pub fn usual(b: &Box_, content: &[u8]) -> Vec<u8> {
    sealed_by(b, content, &["-aes128", "-recip", "ra.pem"])
}

/// Opens an answer for NAME, into NAME-SUFFIX.pem: a certificate, or a list.
#[track_caller]
pub fn opened(b: &Box_, by: &str, said: &Said, into: &str) -> String {
    assert_eq!(said.status, "0 ", "{}", said.text);
    b.write("envelope", said.envelope.as_ref().unwrap());
    let (key, certificate) = (format!("{by}.key"), format!("{by}.pem"));
    let open = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", "envelope", "-out", "p7"];
    foreign(&b.dir, "openssl", &[&open[..], &["-inkey", &key, "-recip", &certificate]].concat());
    foreign(&b.dir, "openssl", &["pkcs7", "-inform", "DER", "-in", "p7", "-print_certs", "-out", into]);
    first_block(b, into)
}

/// Writes the gateway's own certificate, of those that it shows, into `ra.pem`.
pub fn gateway_of(b: &Box_, shown: &[u8]) {
    let all = x509::certs_only::decode(shown).unwrap();
    let all: Vec<_> = all.iter().map(|der| Certificate::decode(der).unwrap()).collect();
    let name = |one: &Certificate| one.tbs().subject.first(x509::oids::COMMON_NAME).unwrap_or_default().to_owned();
    b.write("ra.der", all.iter().find(|one| name(one).contains("SCEP")).unwrap().der());
    foreign(&b.dir, "openssl", &["x509", "-inform", "DER", "-in", "ra.der", "-out", "ra.pem"]);
}

/// Leaves of a file what is in PEM first.
pub fn first_block(b: &Box_, file: &str) -> String {
    let all = text(&b.read(file));
    let (_, block) = all.split_once("-----BEGIN ").unwrap_or_else(|| panic!("{all}"));
    let (end, _) = block.match_indices("-----\n").nth(1).unwrap_or_else(|| panic!("{all}"));
    let block = format!("-----BEGIN {}-----\n", &block[..end]);
    b.write(file, &block);
    block
}

/// A request for NAME.key. openssl writes no challenge beside a subject that it is told, so that stands in another one like it.
pub fn request(b: &Box_, name: &str, subject: &str, challenge: Option<&str>) -> Vec<u8> {
    let key = format!("{name}.key");
    let new = ["req", "-new", "-key", &key, "-subj", subject, "-outform", "DER", "-out", "request"];
    foreign(&b.dir, "openssl", &new);
    let der = b.read("request");
    let (Ok(read), Some(challenge)) = (CertificationRequest::decode(&der), challenge) else { return der };
    let info = write_info_with(&read.subject, &read.public_key, &read.extensions, Some(challenge));
    b.write("info", &info);
    foreign(&b.dir, "openssl", &["dgst", "-sha256", "-sign", &key, "-out", "signature", "info"]);
    // A key of another type does not sign so, and nothing is asked of what it asks for.
    write_signed(&info, SignatureAlgorithm::RsaSha256, &b.read("signature"))
}

/// A certificate that NAME.key makes for itself, into NAME.pem.
pub fn own(b: &Box_, name: &str) {
    let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
    foreign(&b.dir, "openssl", &["req", "-x509", "-key", &key, "-subj", "/CN=own", "-days", "30", "-out", &pem]);
}

/// `IssuerAndSerialNumber` of a certificate in a file.
pub fn issuer_and_number(b: &Box_, file: &str) -> Vec<u8> {
    let (_, der) = pem::decode(&b.read(file)).unwrap();
    let (issuer, serial) = name_and_number(&der);
    let mut w = Writer::default();
    w.sequence(|w| {
        w.raw(&issuer).raw(&serial);
    });
    w.finish()
}

/// The number of one with the issuer of a certificate in a file.
pub fn with_issuer_of(b: &Box_, file: &str, one: &[u8]) -> Vec<u8> {
    let (_, der) = pem::decode(&b.read(file)).unwrap();
    let (issuer, _) = name_and_number(&der);
    // The number stands last: its tag, its length, and at most 20 octets.
    let len = (3..=22).find(|len| {
        let at = one.len() - len;
        one[at] == 2 && usize::from(one[at + 1]) == len - 2
    });
    let mut w = Writer::default();
    w.sequence(|w| {
        w.raw(&issuer).raw(&one[one.len() - len.unwrap()..]);
    });
    w.finish()
}

/// `IssuerAndSubject` of whoever: the name of the issuer of a certificate in a file, twice.
pub fn issuer_and_subject(b: &Box_, file: &str) -> Vec<u8> {
    let (_, der) = pem::decode(&b.read(file)).unwrap();
    let (issuer, _) = name_and_number(&der);
    let mut w = Writer::default();
    w.sequence(|w| {
        w.raw(&issuer).raw(&issuer);
    });
    w.finish()
}
