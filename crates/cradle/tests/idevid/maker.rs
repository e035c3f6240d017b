//! Who made devices before they came here: an authority of openssl, with a data base of its own.

use crate::common::foreign;
use std::path::{Path, PathBuf};

pub struct Maker {
    /// Its directory, beside the box's.
    pub dir: PathBuf,
    name: &'static str,
}

const SETTINGS: &str = "\
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
serial = serial
crlnumber = crlnumber
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
copy_extensions = none
unique_subject = no
[any]
organizationName = optional
commonName = supplied
serialNumber = optional
[idevid]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
[agreement]
keyUsage = critical, keyAgreement
subjectKeyIdentifier = hash
[below]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
[full]
authorityKeyIdentifier = keyid
";

/// The name of every maker here: it is the key that tells them apart.
const NAME: &str = "/O=Acme Works/CN=Acme Devices";

impl Maker {
    /// A maker whose certificate and list stand in NAME.ca.pem and NAME.crl of the box's directory.
    pub fn new(box_dir: &Path, name: &'static str) -> Self {
        let maker = Self { dir: box_dir.join(name), name };
        std::fs::create_dir(&maker.dir).unwrap();
        let write = |file: &str, text: &str| std::fs::write(maker.dir.join(file), text).unwrap();
        write("ca.cnf", SETTINGS);
        write("index.txt", "");
        write("serial", "7a000000000000000000000000000001\n");
        write("crlnumber", "07\n");
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"];
        let names = ["-subj", NAME, "-keyout", "ca.key", "-out", "ca.pem"];
        let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
        maker.openssl(&[&new[..], &names, &usage].concat());
        std::fs::copy(maker.dir.join("ca.pem"), box_dir.join(format!("{name}.ca.pem"))).unwrap();
        maker
    }

    fn openssl(&self, words: &[&str]) -> String {
        foreign(&self.dir, "openssl", words)
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.dir.parent().unwrap().join(name)
    }

    /// A certificate of a device without an end, in NAME.pem and NAME.key of the box's directory. Gives its number.
    pub fn idevid(&self, name: &str) -> String {
        self.issue(name, "idevid", "99991231235959Z")
    }

    /// The same with other extensions, or another end.
    pub fn issue(&self, name: &str, extensions: &str, end: &str) -> String {
        let (key, out) = (self.outside(&format!("{name}.key")), self.outside(&format!("{name}.pem")));
        let new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let subject = format!("/O=Acme Works/CN=Thing {name}/serialNumber={name}");
        self.openssl(&[&new[..], &["-subj", &subject, "-keyout", key.to_str().unwrap(), "-out", "csr"]].concat());
        let ca = ["ca", "-config", "ca.cnf", "-batch", "-notext", "-in", "csr", "-enddate", end];
        self.openssl(&[&ca[..], &["-extensions", extensions, "-out", out.to_str().unwrap()]].concat());
        let said = self.openssl(&["x509", "-in", out.to_str().unwrap(), "-noout", "-serial"]);
        said.trim().trim_start_matches("serial=").to_owned()
    }

    /// Revokes the certificate in NAME.pem.
    pub fn revoke(&self, name: &str) {
        let file = self.outside(&format!("{name}.pem"));
        self.openssl(&["ca", "-config", "ca.cnf", "-revoke", file.to_str().unwrap()]);
    }

    /// Its list as it is now, for so many days, in FILE of the box's directory.
    pub fn list(&self, file: &str, days: &str) {
        let out = self.outside(file);
        let make = ["ca", "-config", "ca.cnf", "-gencrl", "-crlexts", "full", "-crldays", days, "-out"];
        self.openssl(&[&make[..], &[out.to_str().unwrap()]].concat());
    }

    /// The file of its certificate, in the box's directory.
    pub fn certificate(&self) -> String {
        format!("{}.ca.pem", self.name)
    }
}
