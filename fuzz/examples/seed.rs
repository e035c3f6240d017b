//! Makes the seeds in `fuzz/corpus` from the golden octets in `testdata`, and some more of values that are rare there.
//! Run it after adding golden octets: `cargo run --manifest-path fuzz/Cargo.toml --no-default-features --example seed`.

use model::octets::from_base64url;
use serde_json::value::RawValue;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use x509::extension::{self, BasicConstraints, GeneralName, KeyUsage};
use x509::name::Attribute;
use x509::points::{self, DistributionPoint, PointName, ReasonFlags};
use x509::policy::{self, PolicyInformation, Qualifier};
use x509::{CertReqMsg, Certificate, CertificateList, CertificationRequest, Extension, Name, PublicKey, oids, pem};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = Seeds { corpus: root.join("corpus") };
    let golden = |folder: &str| files(&root.join("../testdata").join(folder));
    for (name, der) in golden("rfc2986")? {
        seeds.put("csr", &name, &der)?;
        if let Ok(request) = CertificationRequest::decode(&der) {
            seeds.parts(&name, &request.subject, &request.public_key, &request.extensions)?;
        }
    }
    for (name, der) in golden("rfc4211")? {
        seeds.put("crmf", &name, &der)?;
        if let Some(subject) = CertReqMsg::decode_only(&der).ok().and_then(|m| m.cert_template.subject) {
            seeds.put("name", &name, subject.der())?;
        }
    }
    for (name, der) in golden("rfc5280")?.into_iter().chain(of_all_algorithms(&root.join("../testdata"))?) {
        if CertificateList::decode(&der).is_ok() {
            seeds.put("crl", &name, &der)?;
        } else if CertificationRequest::decode(&der).is_ok() {
            seeds.put("csr", &name, &der)?;
        } else if let Ok(certificate) = Certificate::decode(&der) {
            let tbs = certificate.tbs();
            seeds.put("certificate", &name, &der)?;
            seeds.put("tbs_certificate", &name, certificate.tbs_der())?;
            seeds.put("pem", &name, pem::encode("CERTIFICATE", &der).as_bytes())?;
            seeds.parts(&name, &tbs.subject, &tbs.subject_public_key, &tbs.extensions)?;
        }
    }
    for (name, der) in golden("rfc5652")? {
        seeds.put("certs_only", &name, &der)?;
    }
    for (name, der) in golden("rfc6960")? {
        let target = if name.contains("-request-") { "ocsp_request" } else { "ocsp_response" };
        if name.contains("-request-") || name.contains("-response-") {
            seeds.put(target, &name, &der)?;
        }
    }
    for (name, der) in golden("rfc9810/openssl-3.0")? {
        if !name.ends_with("-certificate") {
            seeds.put("cmp_message", &name, &der)?;
            let body = wire::cmp::Message::decode(&der).map(|message| message.body);
            if let Ok(wire::cmp::Body::Ir(messages) | wire::cmp::Body::Cr(messages) | wire::cmp::Body::Kur(messages)) =
                body
            {
                seeds.put("cmp_controls", &name, messages)?;
            }
        }
    }
    seeds.nested(&golden("rfc9810/openssl-3.0")?)?;
    for (name, octets) in golden("tuf/repository")? {
        seeds.put("tuf_metadata", &name, &octets)?;
    }
    for (name, octets) in golden("rfc8878")?.into_iter().filter(|(name, _)| name.starts_with("zstd")) {
        seeds.put("delta", &name, &octets)?;
    }
    seeds.put("bundle", "two-files", &fs::read(root.join("../testdata/bundles/python-two-files"))?)?;
    seeds.put("manifest", "two-components", &fs::read(root.join("../testdata/uptane/cradle-manifest.json"))?)?;
    seeds.put("sealed_manifest", "shortest", &[b"CRADLEM\x01".as_slice(), &[7; 56]].concat())?;
    paths(&seeds, &root.join("../testdata/paths"))?;
    messages(&seeds)?;
    lists(&seeds)?;
    rare(&seeds)
}

/// Octets of the algorithms that came later.
fn of_all_algorithms(testdata: &Path) -> Result<Vec<File>, Box<dyn Error>> {
    let mut all = Vec::new();
    for folder in ["rfc4055", "rfc5480", "rfc9881"] {
        // The small ones: mutations of large keys and signatures find nothing that those of small ones do not.
        let fits = |(name, der): &File| name.starts_with("python") && (der.len() < 4000 || name.ends_with("44-crl"));
        all.extend(files(&testdata.join(folder))?.into_iter().filter(fits));
    }
    Ok(all)
}

/// Paths of each kind, leaf first and anchor last, lists among them, and the values of what stands in them.
fn paths(seeds: &Seeds, folder: &Path) -> Result<(), Box<dyn Error>> {
    const KINDS: [&str; 12] = [
        "signature-valid",
        "self-issued-does-not-count-for-length",
        "length-one-not-widened-below",
        "crl-both",
        "crl-leaf-on-hold",
        "delta-ends-a-hold",
        "shard-of-the-certificate",
        "shard-all-reasons-in-two",
        "policy-mapped-twice",
        "policy-mapped-from-any-above",
        "name-constraints-in-two-authorities",
        "name-address-inside",
    ];
    let root = blocks(&fs::read(folder.join("root.pem"))?);
    for (name, text) in files(folder)?.into_iter().filter_map(|(n, t)| Some((n.strip_suffix(".pem")?.to_owned(), t))) {
        let parts = blocks(&text);
        if KINDS.contains(&name.as_str()) {
            seeds.put("path", &name, &[parts.concat(), root.concat()].concat())?;
        }
        for certificate in parts.iter().filter_map(|der| Certificate::decode(der).ok()) {
            seeds.values(&name, &certificate.tbs().extensions)?;
        }
        for list in parts.iter().filter(|der| KINDS.contains(&name.as_str()) && CertificateList::decode(der).is_ok()) {
            seeds.put("crl", &name, list)?;
        }
        for point in parts.iter().filter_map(|der| CertificateList::decode(der).ok()?.issuing_distribution_point) {
            seeds.put("issuing_distribution_point", &name, &point.extension().value)?;
        }
    }
    Ok(())
}

/// The DER of all PEM blocks of a text.
fn blocks(text: &[u8]) -> Vec<Vec<u8>> {
    let starts = text.windows(11).enumerate().filter(|(_, w)| w == b"-----BEGIN ").map(|(at, _)| at);
    starts.filter_map(|at| pem::decode(text.get(at..)?).map(|(_, der)| der)).collect()
}

/// A sealed call and its answer, and what is in them.
fn messages(seeds: &Seeds) -> Result<(), Box<dyn Error>> {
    #[derive(serde::Deserialize)]
    struct File<'a> {
        #[serde(borrow)]
        call: &'a RawValue,
        #[serde(borrow)]
        answer: &'a RawValue,
    }
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        seal: &'a RawValue,
    }
    #[derive(serde::Deserialize)]
    struct Seal<'a> {
        payload: &'a str,
    }
    let octets = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/envelope.json"))?;
    let file: File<'_> = serde_json::from_slice(&octets)?;
    for (name, message) in [("call", file.call), ("answer", file.answer)] {
        let seal = serde_json::from_str::<Message<'_>>(message.get())?.seal;
        let payload = serde_json::from_str::<Seal<'_>>(seal.get())?.payload;
        seeds.put("message", name, message.get().as_bytes())?;
        seeds.put("jws", name, seal.get().as_bytes())?;
        seeds.put("claims", name, &from_base64url(payload.as_bytes()).ok_or("no base64url")?)?;
    }
    Ok(())
}

fn lists(seeds: &Seeds) -> Result<(), Box<dyn Error>> {
    let csv = "serial,type,board,profile\r\nSN000001,sensor,,\r\nSN000002,sensor,\"B,2\",ldevid\r\n";
    let json =
        r#"[{"serial":"SN000001","type":"sensor"},{"serial":"SN2","type":"gateway","board":"B-2","profile":"ldevid"}]"#;
    seeds.put("list", "csv", csv.as_bytes())?;
    seeds.put("list", "csv-bad-lines", b"\xef\xbb\xbfserial,type\nSN1\nSN1,sensor\n,\nSN1,sensor\n")?;
    seeds.put("list", "json", json.as_bytes())
}

/// Values that other programs seldom write.
fn rare(seeds: &Seeds) -> Result<(), Box<dyn Error>> {
    for (name, ca, path_len) in [("none", false, None), ("ca", true, None), ("ca-3", true, Some(3))] {
        seeds.put("basic_constraints", name, &BasicConstraints { ca, path_len }.extension().value)?;
    }
    for (name, bits) in [("first", 1), ("ca", 0x60), ("ninth", 0x100), ("all", 0x1ff)] {
        seeds.put("key_usage", name, &KeyUsage(bits).extension().value)?;
    }
    let purposes = [oids::SERVER_AUTH, oids::CLIENT_AUTH, oids::CODE_SIGNING];
    seeds.put("extended_key_usage", "three", &extension::extended_key_usage(&purposes).value)?;
    let address = GeneralName::Other(vec![0x87, 4, 192, 0, 2, 1]);
    let names = [GeneralName::Dns("a.example".into()), GeneralName::Uri("urn:x:y".into()), address];
    seeds.put("subject_alt_name", "three", &extension::subject_alt_name(&names, false).value)?;
    let points = [DistributionPoint {
        name: Some(PointName::Relative(vec![0x30, 8, 6, 3, 0x55, 4, 3, 0x0c, 1, b'x'])),
        reasons: Some(ReasonFlags(0x1fe)),
        crl_issuer: vec![GeneralName::Dns("a.example".into()), GeneralName::Other(vec![0x88, 2, 0x2a, 3])],
    }];
    seeds.put("distribution_points", "all", &points::distribution_points(oids::FRESHEST_CRL, &points).value)?;
    let qualifiers = vec![
        Qualifier::Cps("https://pki.example/cps".into()),
        Qualifier::Other(vec![0x30, 12, 6, 8, 0x2b, 6, 1, 5, 5, 7, 2, 2, 0x30, 0]),
    ];
    let policies = [PolicyInformation { policy: oids::ANY_POLICY, qualifiers }];
    seeds.put("certificate_policies", "qualified", &policy::certificate_policies(&policies).value)?;
    seeds.put("authority_key_identifier", "issuer", &[0x30, 8, 0xa1, 3, 0x82, 1, b'x', 0x82, 1, 1])?;
    let types = [oids::COUNTRY, oids::ORGANIZATION, oids::SERIAL_NUMBER, oids::DOMAIN_COMPONENT];
    let texts = ["XX", "Maße & Söhne, \u{202e}", "SN-1", "example"];
    let attributes = types.into_iter().zip(texts).map(|(oid, text)| Attribute { oid, text: text.into() });
    seeds.put("name", "four", Name::write(&attributes.collect::<Vec<_>>()).der())?;
    let bmp = [0x30, 17, 0x31, 15, 0x30, 13, 6, 3, 0x55, 4, 3, 0x1e, 6, 0, b'x', 0x20, 0xac, 0, b'y'];
    seeds.put("name", "bmp", &bmp)?;
    let text = format!("subject=/CN=x\r\n{}", pem::encode("X509 CRL", &[0x30, 0]).replace('\n', "\r\n"));
    seeds.put("pem", "crlf-after-text", text.as_bytes())
}

struct Seeds {
    corpus: PathBuf,
}

impl Seeds {
    /// Messages in a message, and what a request must look like.
    fn nested(&self, golden: &[(String, Vec<u8>)]) -> Result<(), Box<dyn Error>> {
        use wire::cmp::server::{RequestTemplate, RootUpdate, write_messages, write_root_update};
        use wire::cmp::{Body, Message, header::TypeAndValue, message, oids};
        let requests: Vec<_> = golden.iter().filter(|(name, _)| name.ends_with("-request-1")).collect();
        let Some((_, first)) = requests.first() else { return Ok(()) };
        let (one, header) = (std::slice::from_ref(first), Message::decode(first)?.header);
        let put = |name: &str, body: &Body<'_>| {
            self.put("cmp_message", name, &message::finish(&message::protected_part(&header, body), None, &[]))
        };
        let some: Vec<_> = requests.iter().take(3).map(|(_, der)| der.clone()).collect();
        put("nested-one", &Body::Nested(&write_messages(one)))?;
        put("nested-three", &Body::Nested(&write_messages(&some)))?;
        let nested = message::protected_part(&header, &Body::Nested(&write_messages(one)));
        put("nested-twice", &Body::Nested(&write_messages(&[message::finish(&nested, None, &[])])))?;
        let keys = x509::KeyType::NAMED.into();
        let san = Extension { oid: x509::oids::SUBJECT_ALT_NAME, critical: false, value: Vec::new() };
        let subject = Name::write(&[Attribute { oid: x509::oids::COMMON_NAME, text: String::new() }]);
        let template = RequestTemplate { subject: Some(subject), extensions: vec![san], keys }.write();
        let told = TypeAndValue { info_type: oids::CERT_REQ_TEMPLATE, info_value: template.as_deref() };
        put("genp-template", &Body::Genp(vec![told]))?;
        let read = |name: &str| fs::read(self.corpus.join("certificate").join(name));
        let (root, leaf) = (read("openssl-3.0.19-root")?, read("openssl-3.0.19-leaf")?);
        let update = RootUpdate { new_with_new: &root, new_with_old: Some(&leaf), old_with_new: Some(&root) };
        let update = write_root_update(&update);
        let told = TypeAndValue { info_type: oids::ROOT_CA_KEY_UPDATE, info_value: Some(&update) };
        put("genp-root-update", &Body::Genp(vec![told]))
    }

    /// Of values that differ in their digits only, some are enough.
    fn has_few(&self, target: &str) -> bool {
        fs::read_dir(self.corpus.join(target)).map_or(true, |folder| folder.count() < 3)
    }

    fn put(&self, target: &str, name: &str, octets: &[u8]) -> Result<(), Box<dyn Error>> {
        let folder = self.corpus.join(target);
        fs::create_dir_all(&folder)?;
        // The same octets under another name teach nothing.
        let is_new = files(&folder)?.iter().all(|(other, known)| known != octets || other == name);
        if is_new {
            fs::write(folder.join(name), octets)?;
        }
        Ok(())
    }

    fn parts(&self, from: &str, name: &Name, key: &PublicKey, of: &[Extension]) -> Result<(), Box<dyn Error>> {
        self.put("name", from, name.der())?;
        self.put("public_key", from, key.spki())?;
        self.values(from, of)
    }

    fn values(&self, from: &str, of: &[Extension]) -> Result<(), Box<dyn Error>> {
        for Extension { oid, value, .. } in of {
            let target = match *oid {
                oids::BASIC_CONSTRAINTS => "basic_constraints",
                oids::KEY_USAGE => "key_usage",
                oids::EXTENDED_KEY_USAGE => "extended_key_usage",
                oids::SUBJECT_ALT_NAME => "subject_alt_name",
                oids::NAME_CONSTRAINTS => "name_constraints",
                oids::CERTIFICATE_POLICIES => "certificate_policies",
                oids::POLICY_CONSTRAINTS => "policy_constraints",
                oids::POLICY_MAPPINGS => "policy_mappings",
                oids::INHIBIT_ANY_POLICY => "inhibit_any_policy",
                oids::AUTHORITY_INFO_ACCESS => "authority_info_access",
                oids::CRL_DISTRIBUTION_POINTS => "distribution_points",
                oids::AUTHORITY_KEY_IDENTIFIER if self.has_few("authority_key_identifier") => {
                    "authority_key_identifier"
                }
                oids::SUBJECT_KEY_IDENTIFIER if self.has_few("subject_key_identifier") => "subject_key_identifier",
                _ => continue,
            };
            self.put(target, from, value)?;
        }
        Ok(())
    }
}

/// What it is called, and its octets.
type File = (String, Vec<u8>);

/// The files of a folder, not of those in it, in the order of their names, without `.der`.
fn files(folder: &Path) -> Result<Vec<File>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().trim_end_matches(".der").to_owned();
        files.push((name, fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}
