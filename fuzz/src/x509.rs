//! What the decoders of `x509` must keep to: no octets make them panic, and what they read is written the same again.

use ::x509::certificate::{TbsCertificate, TbsRef};
use ::x509::constraints::NameConstraints;
use ::x509::crl::{CertificateList, CrlEntry, CrlHead, CrlScope, EntriesChanged};
use ::x509::extension::{self, AuthorityKeyIdentifier, BasicConstraints, KeyUsage};
use ::x509::path::{self, Demands, Evidence, Revocation};
use ::x509::points::{self, AuthorityInfoAccess, IssuingDistributionPoint};
use ::x509::policy::{self, PolicyConstraints};
use ::x509::{
    CertReqMsg, Certificate, CertificationRequest, KeyType, Name, PublicKey, SignedData, certs_only, crl, crmf, csr,
    oids, pem, weak,
};

/// PKCS #10 requests.
pub fn csr(octets: &[u8]) {
    let Ok(read) = CertificationRequest::decode(octets) else { return };
    assert_eq!(csr::write_signed(&read.info, read.algorithm, &read.signature), octets, "written otherwise");
    let _ = read.verify();
    // What the request leaves out, the attributes, we write empty; only at the limit does that matter.
    if octets.len() > csr::CSR_LEN_MAX - 16 {
        return;
    }
    // A client that writes what it has read asks for the same.
    let info = csr::write_info(&read.subject, &read.public_key, &read.extensions);
    let again = CertificationRequest::decode(&csr::write_signed(&info, read.algorithm, &read.signature));
    let again = again.expect("what we write, we read");
    assert_eq!(
        (again.subject, again.public_key, again.extensions),
        (read.subject, read.public_key, read.extensions),
        "asks for something else"
    );
}

/// CRMF messages.
pub fn crmf(octets: &[u8]) {
    if let Ok(keyless) = crmf::Keyless::decode(octets) {
        assert!(CertReqMsg::decode_only(octets).is_err(), "it has a key and has none");
        let key = PublicKey::from_bits(KeyType::Ed25519, &[7; 32]).expect("any octets are one");
        let Ok(whole) = keyless.with_key(&key, |_| Ok::<_, std::convert::Infallible>(vec![1; 64]));
        assert!(crmf::Keyless::decode(&whole).is_err(), "it has its key");
        if let Ok(read) = CertReqMsg::decode_only(&whole) {
            assert_eq!(read.cert_template.public_key, key);
        }
        return;
    }
    let Ok(read) = CertReqMsg::decode_only(octets) else { return };
    let _ = read.verify();
    let again = CertReqMsg::decode_only(&crmf::write_only(&read.cert_request, &read.proof_of_possession));
    let again = again.expect("what we write, we read");
    assert_eq!(again.cert_request, read.cert_request);
    assert_eq!(again.cert_req_id, read.cert_req_id);
    assert_eq!(again.proof_of_possession, read.proof_of_possession);
    assert_eq!(again.cert_template.public_key, read.cert_template.public_key);
}

/// Certificates.
pub fn certificate(octets: &[u8]) {
    let Ok(read) = Certificate::decode(octets) else { return };
    assert_eq!(read.der(), octets);
    assert_eq!(TbsCertificate::decode(read.tbs_der()).as_ref(), Ok(read.tbs()));
    rewrite(read.tbs(), read.tbs_der());
    let _ = read.basic_constraints();
    let _ = read.verify(&read.tbs().subject_public_key);
    let _ = read.verify_issued_by(&read, read.tbs().not_before);
}

/// Signatures beside what they sign.
pub fn cms(octets: &[u8]) {
    let Ok(read) = SignedData::decode(octets) else { return };
    assert!(!read.signers().is_empty());
    for signer in read.signers() {
        assert!(signer.is_known() <= signer.hash().is_some());
        for certificate in read.certificates() {
            let _ = signer.names(certificate);
            let verified = signer.verify(&certificate.tbs().subject_public_key);
            assert!(verified.is_err() || signer.message_digest().is_some(), "nothing was signed");
        }
    }
}

/// Certificates that are sent together.
pub fn certs_only(octets: &[u8]) {
    let Ok(read) = certs_only::decode(octets) else { return };
    // They stand there one behind the other, and nothing between them.
    let all = read.concat();
    assert!(octets.windows(all.len().max(1)).any(|w| w == all) || all.is_empty(), "not what was sent");
    read.iter().for_each(|der| _ = Certificate::decode(der));
}

/// What an issuer signs.
pub fn tbs_certificate(octets: &[u8]) {
    // A time that stands alone, as CMP has it.
    let _ = ::x509::time::decode_time(octets);
    let (own, lying) = (TbsCertificate::decode(octets), TbsRef::decode(octets));
    assert_eq!(own.as_ref().err(), lying.as_ref().err(), "refused in one form only");
    let (Ok(own), Ok(lying)) = (own, lying) else { return };
    rewrite(&own, octets);
    assert_eq!(lying.write(), own.write());
    assert_eq!((lying.issuer.is_empty(), lying.subject.is_empty()), (own.issuer.is_empty(), own.subject.is_empty()));
    assert_eq!(lying.subject_public_key, own.subject_public_key);
    assert!(lying.extensions.iter().eq(&own.extensions), "other extensions");
}

fn rewrite(tbs: &TbsCertificate, octets: &[u8]) {
    // We never write a certificate without extensions, so the writer need not leave the field out.
    if !tbs.extensions.is_empty() {
        assert_eq!(tbs.write(), octets, "written otherwise");
    }
}

/// Revocation lists.
pub fn crl(octets: &[u8]) {
    let Ok(read) = CertificateList::decode(octets) else { return };
    assert_eq!(csr::write_signed(&read.tbs_der, read.algorithm, &read.signature), octets, "written otherwise");
    let issuer_key = PublicKey::from_bits(KeyType::Ed25519, &[9; 32]).expect("32 octets are a key");
    let _ = read.verify(&issuer_key);
    let head = CrlHead {
        signature: read.algorithm,
        issuer: &read.issuer,
        issuer_key: &issuer_key,
        this_update: read.this_update,
        next_update: read.next_update,
        crl_number: read.crl_number,
    };
    let scope = CrlScope {
        issuing_distribution_point: read.issuing_distribution_point.clone(),
        base_crl_number: read.base_crl_number,
        freshest_crl: Vec::new(),
    };
    let entries = || {
        let revoked = read.revoked.iter().copied().map(CrlEntry::Revoked);
        revoked.chain(
            read.removed.iter().map(|serial| CrlEntry::Removed { serial_number: *serial, since: read.this_update }),
        )
    };
    let list = crl::write_list(&head, &scope, entries, |_| Ok::<_, EntriesChanged>(read.signature.clone()));
    let again = CertificateList::decode(&list.expect("the entries are the same")).expect("what we write, we read");
    assert_eq!(again.revoked, read.revoked);
    assert_eq!(again.removed, read.removed);
    assert_eq!(
        (again.issuer, again.this_update, again.next_update, again.crl_number),
        (read.issuer, read.this_update, read.next_update, read.crl_number)
    );
    assert_eq!(
        (again.base_crl_number, again.issuing_distribution_point),
        (read.base_crl_number, read.issuing_distribution_point)
    );
}

/// Names.
pub fn name(octets: &[u8]) {
    let Ok(read) = Name::decode(octets) else { return };
    assert_eq!(read.der(), octets);
    assert!(!read.to_string().contains(|c: char| c.is_control()), "a name must not move the cursor of who reads it");
    // Our writer chooses the string types itself, and not every text fits into the type that its attribute demands.
    if let Ok(again) = Name::decode(Name::write(read.attributes()).der()) {
        assert!(again.attributes() == read.attributes(), "{again} is not {read}");
    }
}

/// Public keys.
pub fn public_key(octets: &[u8]) {
    let Ok(read) = PublicKey::decode(octets) else { return };
    assert_eq!(read.spki(), octets);
    assert_eq!(PublicKey::from_bits(read.key_type(), read.bits()).as_ref(), Ok(&read), "written otherwise");
    assert_eq!(read.rsa().is_some(), matches!(read.key_type(), KeyType::Rsa(_)));
    let _ = weak::check(&read);
}

/// PEM texts.
pub fn pem(octets: &[u8]) {
    const LABELS: [&str; 4] = ["CERTIFICATE", "CERTIFICATE REQUEST", "X509 CRL", "PUBLIC KEY"];
    let _ = pem::der_or_pem(octets, &LABELS);
    let Some((label, der)) = pem::decode(octets) else { return };
    if let Some(label) = LABELS.into_iter().find(|l| *l == label) {
        assert_eq!(pem::decode(pem::encode(label, &der).as_bytes()), Some((label.to_owned(), der)));
    }
}

/// Values of basicConstraints.
pub fn basic_constraints(octets: &[u8]) {
    let Some(read) = BasicConstraints::decode(octets) else { return };
    assert_eq!(read.extension().value, octets, "written otherwise");
}

/// Values of keyUsage.
pub fn key_usage(octets: &[u8]) {
    let Some(read) = KeyUsage::decode(octets) else { return };
    // Not the same octets: the decoder takes trailing zero bits, which X.690 §11.2.2 leaves out and old encoders write.
    assert_eq!(KeyUsage::decode(&read.extension().value), Some(read), "written otherwise");
}

/// Values of extKeyUsage.
pub fn extended_key_usage(octets: &[u8]) {
    let Some(read) = extension::decode_extended_key_usage(octets) else { return };
    assert_eq!(extension::extended_key_usage(&read).value, octets, "written otherwise");
}

/// Values of subjectAltName.
pub fn subject_alt_name(octets: &[u8]) {
    let Some(read) = extension::decode_subject_alt_name(octets) else { return };
    assert_eq!(extension::subject_alt_name(&read, false).value, octets, "written otherwise");
}

/// Values of nameConstraints.
pub fn name_constraints(octets: &[u8]) {
    let Some(read) = NameConstraints::decode(octets) else { return };
    assert_eq!(read.extension().value, octets, "written otherwise");
}

/// Values of certificatePolicies.
pub fn certificate_policies(octets: &[u8]) {
    let Some(read) = policy::decode_certificate_policies(octets) else { return };
    let again = policy::decode_certificate_policies(&policy::certificate_policies(&read).value);
    // Not the same octets: an empty list of qualifiers is read, and not written.
    assert_eq!(again, Some(read), "written otherwise");
}

/// Values of policyConstraints.
pub fn policy_constraints(octets: &[u8]) {
    let Some(read) = PolicyConstraints::decode(octets) else { return };
    assert_eq!(read.extension().value, octets, "written otherwise");
}

/// Values of inhibitAnyPolicy.
pub fn inhibit_any_policy(octets: &[u8]) {
    let Some(read) = policy::decode_inhibit_any_policy(octets) else { return };
    assert_eq!(policy::inhibit_any_policy(read).value, octets, "written otherwise");
}

/// Values of policyMappings.
pub fn policy_mappings(octets: &[u8]) {
    let Some(read) = policy::decode_policy_mappings(octets) else { return };
    assert_eq!(policy::policy_mappings(&read).value, octets, "written otherwise");
}

/// Values of authorityInfoAccess.
pub fn authority_info_access(octets: &[u8]) {
    let Some(read) = AuthorityInfoAccess::decode(octets) else { return };
    if read != AuthorityInfoAccess::default() {
        assert_eq!(AuthorityInfoAccess::decode(&read.extension().value), Some(read), "written otherwise");
    }
}

/// Values of cRLDistributionPoints and freshestCRL.
pub fn distribution_points(octets: &[u8]) {
    // A name that stands alone, as CMP has it.
    let _ = points::PointName::decode(octets);
    let Some(read) = points::decode_distribution_points(octets) else { return };
    let again = points::distribution_points(oids::CRL_DISTRIBUTION_POINTS, &read).value;
    // Not the same octets: the decoder takes trailing zero bits of reasons, as that of keyUsage does.
    assert_eq!(points::decode_distribution_points(&again), Some(read), "written otherwise");
}

/// Values of issuingDistributionPoint.
pub fn issuing_distribution_point(octets: &[u8]) {
    let Some(read) = IssuingDistributionPoint::decode(octets) else { return };
    assert_eq!(IssuingDistributionPoint::decode(&read.extension().value), Some(read), "written otherwise");
}

/// Values of authorityKeyIdentifier.
pub fn authority_key_identifier(octets: &[u8]) {
    let Some(read) = AuthorityKeyIdentifier::decode(octets) else { return };
    let (Some(identifier), None) = (&read.key_identifier, read.serial_number) else { return };
    let again = AuthorityKeyIdentifier::decode(&extension::authority_key_identifier(identifier).value);
    assert_eq!(again, Some(read), "written otherwise");
}

/// Values of subjectKeyIdentifier.
pub fn subject_key_identifier(octets: &[u8]) {
    let Some(read) = extension::decode_subject_key_identifier(octets) else { return };
    assert_eq!(extension::subject_key_identifier(&read).value, octets, "written otherwise");
}

/// Certificates and lists one after another: leaf, pool, lists; the last certificate is the anchor.
pub fn path(octets: &[u8]) {
    let (mut certificates, mut crls, mut rest) = (Vec::new(), Vec::new(), octets);
    while let Some((part, more)) = first_value(rest) {
        certificates.extend(Certificate::decode(part));
        crls.extend(CertificateList::decode(part));
        rest = more;
    }
    let Some((leaf, others)) = certificates.split_first() else { return };
    let now = crls.iter().map(|list| list.this_update).max().unwrap_or(leaf.tbs().not_before);
    let demands = |revocation| Demands { revocation, ..Demands::default() };
    let nobody = Evidence { leaf, pool: others, anchors: &[], crls: &crls };
    assert!(path::validate(&nobody, &demands(Revocation::Unchecked), now).is_err(), "without an anchor");
    let Some((anchor, pool)) = others.split_last() else { return };
    let evidence = Evidence { leaf, pool, anchors: std::slice::from_ref(anchor), crls: &crls };
    let asked = path::validate(&evidence, &demands(Revocation::All), now);
    let unasked = path::validate(&evidence, &demands(Revocation::Unchecked), now);
    if let Ok(asked) = asked {
        assert_eq!(asked.certificates().first().map(|c| c.der()), Some(leaf.der()));
        assert_eq!(asked.certificates().last().map(|c| c.der()), Some(anchor.der()));
        assert!(unasked.is_ok(), "whoever asks more gets no more");
        let no_lists = Evidence { crls: &[], ..evidence };
        assert!(path::validate(&no_lists, &demands(Revocation::All), now).is_err(), "without lists nothing is good");
    }
}

/// The first DER value of some, and what follows it.
fn first_value(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, len) = match octets {
        [_, short @ 0..=0x7f, ..] => (2, usize::from(*short)),
        [_, 0x81, len, ..] => (3, usize::from(*len)),
        [_, 0x82, a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        _ => return None,
    };
    octets.split_at_checked(head + len)
}
