//! What the decoders of `wire` must keep to: no octets make them panic, and what they read is written the same again.

use ::wire::ocsp::{Identity, Moment, Named, Request, ResponderId, Response, ResponseData, Single};
use ::x509::{KeyType, Name, PublicKey, SerialNumber};

/// OCSP requests.
pub fn ocsp_request(octets: &[u8]) {
    let Ok(read) = Request::decode(octets) else { return };
    assert!(!read.cert_ids.is_empty() && read.cert_ids.len() <= ::wire::ocsp::request::REQUESTS_MAX);
    // An answer repeats what was asked, octet for octet, and is read again.
    let key = PublicKey::from_bits(KeyType::Ed25519, &[9; 32]).expect("32 octets are a key");
    let ids = ::wire::ocsp::IssuerIds::new(&Name::write(&[]), &key);
    let moment = Moment::new(model::UnixTime::from_s(9), model::UnixTime::from_s(8), model::UnixTime::from_s(10));
    let singles = read.cert_ids.iter().map(|id| {
        assert!(!ids.names(id) || ids.spells(id) || id.der().len() < 256);
        Single { certificate: Named::Asked(id), status: ::wire::ocsp::CertStatus::NON_ISSUED, extensions: &[] }
    });
    let data = ResponseData::write(&Identity::by_key(&key), &moment, singles, read.nonce);
    let der = data.finish(::x509::SignatureAlgorithm::Ed25519, &[0; 64], &[]);
    let Ok(Response::Basic(again)) = Response::decode(&der) else { panic!("what we write, we read") };
    assert_eq!(again.nonce, read.nonce);
    assert!(again.responses.iter().map(|single| single.cert_id).eq(read.cert_ids.iter().copied()));
    let serials: Vec<SerialNumber> = read.cert_ids.iter().map(|id| id.serial_number).collect();
    let written = ::wire::ocsp::request::write(&ids, ::wire::ocsp::HashAlgorithm::Sha1, &serials, read.nonce);
    let again = Request::decode(&written).expect("what we write, we read");
    assert!(again.cert_ids.iter().map(|id| id.serial_number).eq(serials));
}

/// OCSP responses.
pub fn ocsp_response(octets: &[u8]) {
    let Ok(read) = Response::decode(octets) else { return };
    let read = match read {
        Response::Error(status) => {
            assert_eq!(status.encode().as_slice(), octets, "written otherwise");
            return;
        }
        Response::Basic(read) => read,
    };
    let key = PublicKey::from_bits(KeyType::Ed25519, &[9; 32]).expect("32 octets are a key");
    let identity = match &read.responder_id {
        ResponderId::ByName(name) => Identity::by_name(name),
        ResponderId::ByKey(_) => Identity::by_key(&key),
    };
    let singles = read.responses.iter().map(|single| Single {
        certificate: Named::Asked(&single.cert_id),
        status: single.cert_status,
        extensions: &[],
    });
    let moment = Moment::new(read.produced_at, read.produced_at, read.produced_at);
    let data = ResponseData::write(&identity, &moment, singles, read.nonce);
    let certificates: Vec<&[u8]> = read.certs.iter().map(::x509::Certificate::der).collect();
    let der = data.finish(read.signature_algorithm, read.signature, &certificates);
    // Names of times that were left out add some octets; only at the limit does that matter.
    if der.len() > ::wire::ocsp::RESPONSE_LEN_MAX {
        return;
    }
    let Ok(Response::Basic(again)) = Response::decode(&der) else { panic!("what we write, we read") };
    assert_eq!((again.nonce, again.produced_at, &again.certs), (read.nonce, read.produced_at, &read.certs));
    let said = |r: &::wire::ocsp::BasicResponse<'_>| -> Vec<_> {
        r.responses.iter().map(|s| (s.cert_id.der().to_vec(), s.cert_status)).collect()
    };
    assert_eq!(said(&again), said(&read));
}

/// Paths of GET requests.
pub fn ocsp_path(octets: &[u8]) {
    use ::wire::ocsp::http;
    let Ok(read) = http::decode_path(octets) else { return };
    let path = http::encode_path(&read);
    // In our spelling every special sign is escaped, so a path at the limit may get too long.
    if path.len() <= http::PATH_LEN_MAX {
        assert_eq!(http::decode_path(path.as_bytes()), Ok(read), "written otherwise");
    }
}

/// Paths of EST.
pub fn est_path(octets: &[u8]) {
    let Ok(path) = std::str::from_utf8(octets) else { return };
    let Ok(read) = ::wire::est::decode_path(path) else { return };
    let label = read.label.map(|label| format!("{label}/")).unwrap_or_default();
    assert_eq!(format!("{}{label}{}", ::wire::est::PREFIX, read.operation.name()), path, "one path, one spelling");
}

/// Bodies of requests of EST.
pub fn est_body(octets: &[u8]) {
    use ::wire::est::{BODY_LEN_MAX, Lines, decode_body, write_base64};
    let Ok((der, _)) = decode_body(octets) else { return };
    for lines in [Lines::Wrapped, Lines::One] {
        let text = write_base64(&der, lines);
        assert!(text.len() <= BODY_LEN_MAX);
        assert_eq!(decode_body(text.as_bytes()).map(|(again, _)| again), Ok(der.clone()), "what we write, we read");
    }
}

/// Requests of HTTP, one after another.
pub fn http_requests(octets: &[u8]) {
    use ::wire::http::{Framing, Part};
    let said = Framing::default().decode_next(octets);
    let taken = said.map_or_else(|offence| offence.after, |()| octets.len());
    let mut one_by_one = Framing::default();
    let mut first_end = None;
    for (at, octet) in octets.iter().enumerate() {
        let step = one_by_one.decode_next(std::slice::from_ref(octet));
        assert_eq!(step.is_ok(), at < taken, "it depends on how the octets are divided");
        let Ok(()) = step else { break };
        if one_by_one.is_between() && first_end.is_none() {
            first_end = Some(at + 1);
        }
    }
    let Some(first) = first_end.and_then(|end| octets.get(..end)) else { return };
    let head_len = first.windows(4).position(|w| w == b"\r\n\r\n").expect("a head ends with an empty line") + 4;
    let (head, body) = first.split_at(head_len);
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let lines: Vec<&str> = text.split("\r\n").skip_while(|line| line.is_empty()).collect();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n', '\0']) && !line.starts_with([' ', '\t'])));
    let values =
        |name: &str| lines.iter().filter_map(|line| line.strip_prefix(name)).map(str::trim).collect::<Vec<_>>();
    match (values("content-length:").as_slice(), values("transfer-encoding:").as_slice()) {
        ([], []) => assert!(body.is_empty()),
        ([length], []) => assert_eq!(length.parse(), Ok(body.len()), "the body is as long as it says"),
        ([], ["chunked"]) => assert!(body.ends_with(b"\r\n\r\n")),
        other => panic!("this can be read in two ways: {other:?}"),
    }
    assert!(said.is_ok() || said.is_err_and(|offence| matches!(offence.part, Part::Head | Part::Body)));
}

/// One-time secrets, as HTTP carries them.
pub fn est_basic(octets: &[u8]) {
    let Ok(value) = std::str::from_utf8(octets) else { return };
    let Some(read) = ::wire::est::decode_basic(value) else { return };
    assert!(!read.user.is_empty() && !read.user.contains(':') && read.user.len() < ::wire::est::BASIC_LEN_MAX);
}

/// Status filters.
pub fn status_filter(octets: &[u8]) {
    use ::wire::filter::{Filter, decode, finish};
    // A device asks what it could parse, whatever is in the tables.
    if let Some((filter, rest)) = Filter::parse(octets) {
        assert!(rest.len() <= octets.len());
        for serial in [[0; 20], [0x5a; 20], [0xff; 20]] {
            assert!(filter.contains(&serial) <= (filter.count > 0), "nothing is revoked, and something is");
        }
    }
    let Ok(read) = decode(octets) else { return };
    let signer = read.signer.as_ref().map(::x509::Certificate::der);
    assert_eq!(finish(read.signed.to_vec(), read.algorithm, read.signature, signer), octets, "written otherwise");
    assert_eq!(Filter::parse(read.signed), Some((read.filter, [].as_slice())));
}

/// Paths of ACME.
pub fn acme_path(octets: &[u8]) {
    use ::wire::acme::{PREFIX, decode_path};
    let Ok(path) = std::str::from_utf8(octets) else { return };
    let Ok(read) = decode_path(path) else { return };
    assert_eq!(format!("{PREFIX}{}/{}", read.label, read.resource.path()), path, "each thing has one path");
}

/// Messages of ACME, and what they say.
pub fn acme_message(octets: &[u8]) {
    use ::wire::acme::{AccountWish, Jws, KeyChange, OrderWish, Revocation, SignedBy, finalisation, is_deactivation};
    if let Ok(read) = Jws::decode(octets)
        && let SignedBy::Key(jwk) = read.signed_by()
    {
        let _holds = read.verify(jwk.key());
        assert!(::wire::acme::thumbprint(jwk.key()).is_some());
    }
    if let Ok(wish) = OrderWish::read(octets) {
        assert!(wish.identifiers.is_sorted() && !wish.identifiers.is_empty());
        assert!(wish.replaces.is_none_or(|id| ::wire::acme::CertId::read(&id.write()) == Some(id)));
    }
    let _read = (AccountWish::read(octets).is_ok(), KeyChange::read(octets).is_ok(), Revocation::read(octets).is_ok());
    let _read = (finalisation(octets).is_ok(), is_deactivation(octets).is_ok());
}

/// What resolvers answer. The first octets say to what: the question is as long as the first one says.
pub fn acme_dns(octets: &[u8]) {
    use ::wire::acme::dns::{Kind, decode_answer, question};
    for kind in [Kind::A, Kind::Aaaa, Kind::Txt] {
        let Some(question) = question(0, "a.example", kind) else { return };
        if let Ok(found) = decode_answer(octets, &question, kind) {
            assert!(found.addresses.is_empty() || found.texts.is_empty());
        }
    }
}

/// Paths of CMP.
pub fn cmp_path(octets: &[u8]) {
    use ::wire::cmp::server::{PREFIX, decode_path};
    let Ok(path) = std::str::from_utf8(octets) else { return };
    let Ok(read) = decode_path(path) else { return };
    let part = |word: &str, part: Option<String>| part.map(|part| format!("{word}/{part}")).unwrap_or_default();
    let label = part("/p", read.label.as_ref().map(ToString::to_string));
    let operation = part("", read.operation.map(str::to_owned));
    let written = format!("{PREFIX}{label}{operation}");
    assert_eq!(decode_path(&written), Ok(read), "what we write, we read");
    let without = |path: &str| path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    assert_eq!(without(path), without(&written), "nothing but slashes is left out");
}

/// Controls of certificate requests.
pub fn cmp_controls(octets: &[u8]) {
    use ::wire::cmp::server::old_cert_id;
    let read = old_cert_id(octets);
    if ::x509::CertReqMsg::decode_only(octets).is_ok()
        && let Ok(Some((issuer, serial))) = read
    {
        // A certificate is named: it can be compared with another.
        assert!(Name::decode(issuer.der()).is_ok() && SerialNumber::new(serial.octets()) == Ok(serial));
    }
}

/// CMP messages.
pub fn cmp_message(octets: &[u8]) {
    use ::wire::cmp::server::{CrlStatus, RequestTemplate};
    use ::wire::cmp::{Body, Message, ProtectionAlgorithm, message, template};
    let Ok(read) = Message::decode(octets) else { return };
    assert_eq!(read.encode(), octets, "written otherwise");
    assert_eq!(read.protected_part(), message::protected_part(&read.header, &read.body), "protected otherwise");
    let algorithm = read.header.protection_alg.and_then(ProtectionAlgorithm::read);
    if let Some(ProtectionAlgorithm::Mac(mac)) = algorithm {
        let written = mac.write();
        assert_eq!(ProtectionAlgorithm::read(&written), Some(ProtectionAlgorithm::Mac(mac)));
    }
    // What people are shown is short and has no control characters.
    if let Body::Error(error) = &read.body {
        let shown = error.status.explanation();
        assert!(shown.len() < 1000 && !shown.contains(char::is_control));
    }
    if let Body::Rr(list) = &read.body {
        for details in list {
            let _ = template::reason_of(details.crl_entry_details);
            if let Some((issuer, serial)) = template::certificate_of(details.cert_details) {
                let written = template::write_cert_details(&issuer, &serial);
                assert_eq!(template::certificate_of(&written), Some((issuer, serial)));
            }
        }
    }
    if let Body::Rp(content) = &read.body {
        content.rev_certs.iter().for_each(|id| drop(template::cert_id(id)));
    }
    if let Body::Nested(content) = &read.body {
        cmp_nested(content);
    }
    if let Body::Genp(told) = &read.body {
        for template in told.iter().filter_map(|item| RequestTemplate::read(item.info_value?).ok()) {
            let written = template.write().map(|der| RequestTemplate::read(&der));
            assert!(written.is_none_or(|again| again == Ok(template)));
        }
        told.iter().filter_map(|item| item.info_value).for_each(cmp_root);
    }
    if let Body::Genm(asked) = &read.body {
        for lists in asked.iter().filter_map(|item| CrlStatus::read_all(item.info_value?).ok()) {
            assert!((1..=16).contains(&lists.len()));
        }
    }
    let _ = read.header.sender.directory_name();
}

/// A root that follows is written again the same, and no certificate follows itself.
fn cmp_root(content: &[u8]) {
    use ::wire::cmp::client::{BadRoot, RootKeyUpdate};
    use ::wire::cmp::server::{RootUpdate, write_root_update};
    let Ok(read) = RootKeyUpdate::decode(content) else { return };
    let der = ::x509::Certificate::der;
    let [old_with_new, new_with_old] = [&read.old_with_new, &read.new_with_old].map(|one| one.as_ref().map(der));
    let written = RootUpdate { new_with_new: read.new_with_new.der(), new_with_old, old_with_new };
    assert_eq!(write_root_update(&written), content, "written otherwise");
    let old = read.new_with_new.clone();
    assert_eq!(read.verify(&old, old.tbs().not_before).err(), Some(BadRoot::SameKey));
}

/// What is nested is read once, and stays as it was.
fn cmp_nested(content: &[u8]) {
    use ::wire::cmp::Message;
    use ::wire::cmp::server::{nested_messages, write_messages};
    let Ok(inner) = nested_messages(content) else { return };
    let own: Vec<_> = inner.iter().map(|der| der.to_vec()).collect();
    assert_eq!(write_messages(&own), content, "nested otherwise");
    for der in inner {
        assert!(Message::decode(der).is_ok_and(|read| read.encode() == der) || Message::decode(der).is_err());
    }
}

/// Paths, queries and messages in queries of SCEP.
pub fn scep_path(octets: &[u8]) {
    use ::wire::scep::{MESSAGE_LEN_MAX, decode_message, decode_path, decode_query};
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(label) = decode_path(text) {
        assert_eq!(decode_path(&format!("/scep/{label}/pkiclient.exe")), Ok(label));
    }
    let message = match decode_query(text) {
        Ok((operation, message)) => {
            assert!(text.contains(operation.name()));
            message.unwrap_or_default()
        }
        Err(_) => text,
    };
    if let Some(message) = decode_message(message) {
        assert!(message.len() <= MESSAGE_LEN_MAX);
    }
}

/// What a TPM says of a key.
pub fn acme_attestation(octets: &[u8]) {
    use ::wire::acme::Attestation;
    if let Ok(read) = Attestation::decode(octets) {
        // Nobody is believed.
        assert!(read.verify("token.thumbprint", &[], model::UnixTime::from_s(1_795_500_000)).is_err());
    }
}

/// Messages of SCEP, outside and inside.
pub fn scep_message(octets: &[u8]) {
    use ::wire::scep::{Envelope, IssuerAndSerialNumber, PkiMessage};
    if let Ok(read) = PkiMessage::decode(octets) {
        assert!((1..=128).contains(&read.transaction_id.as_str().len()));
        assert!(!read.transaction_id.as_str().contains(char::is_control));
        if let Ok(content) = read.verify() {
            let _ = Envelope::decode(content);
        }
    }
    if let Ok(read) = Envelope::decode(octets) {
        assert!(read.recipients.len() <= 8);
        if let Some((cipher, _)) = read.cipher {
            let _ = read.open(&vec![7; cipher.key_len()]);
        }
    }
    let _ = IssuerAndSerialNumber::decode(octets);
}
