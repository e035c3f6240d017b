//! A TPM, as software (swtpm), and Debian's tools for it.

use crate::common::{Box_, foreign, text};
use serde_json::{Value, json};
use std::process::{Child, Command, Output};
use x509::{Name, PublicKey, SignatureAlgorithm, csr, pem};

/// Where keys are at a TPM that attests and are attested.
const ATTESTATION_KEY: u32 = 0x8101_0001;
const KEY: u32 = 0x8101_0002;

/// What its keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ecc,
    Rsa,
}

/// A TPM in the directory of a box, with an attestation key in it.
pub struct Tpm<'b> {
    b: &'b Box_,
    kind: Kind,
    name: &'static str,
    child: Child,
}

/// What it says of a key.
#[derive(Clone)]
pub struct Said {
    pub info: Vec<u8>,
    pub signature: Vec<u8>,
    pub area: Vec<u8>,
}

impl<'b> Tpm<'b> {
    pub fn new(b: &'b Box_, name: &'static str, kind: Kind) -> Self {
        std::fs::create_dir(b.dir.join(name)).unwrap();
        let words = [
            "socket",
            "--tpm2",
            "--tpmstate",
            &format!("dir={name}"),
            "--server",
            &format!("type=unixio,path={name}.sock"),
            "--ctrl",
            &format!("type=unixio,path={name}.sock.ctrl"),
            "--flags",
            "not-need-init,startup-clear",
        ];
        let child = Command::new("swtpm").args(words).current_dir(&b.dir).spawn().unwrap();
        let tpm = Self { b, kind, name, child };
        while !b.dir.join(format!("{name}.sock")).exists() {
            std::thread::yield_now();
        }
        tpm.run("createek", &["-c", "EK.ctx", "-G", "ecc", "-u", "EK.pub"]);
        let (of, scheme) = if kind == Kind::Ecc { ("ecc", "ecdsa") } else { ("rsa", "rsassa") };
        let kind = ["-G", of, "-g", "sha256", "-s", scheme, "-u", "AK.pem", "-f", "pem"];
        tpm.run("createak", &[&["-C", "EK.ctx", "-c", "AK.ctx"][..], &kind].concat());
        tpm.run("evictcontrol", &["-C", "o", "-c", "AK.ctx", &format!("{ATTESTATION_KEY:#x}")]);
        tpm.run("createprimary", &["-C", "o", "-G", "ecc", "-c", "primary.ctx"]);
        tpm
    }

    /// One of the tools; files have the name of the TPM in front, `AK.pem` as well as `key.ctx`.
    fn run(&self, tool: &str, words: &[&str]) {
        let is_file = |word: &str| word.contains('.') && !word.starts_with('-');
        let words: Vec<String> = words
            .iter()
            .map(|word| if is_file(word) { format!("{}-{word}", self.name) } else { (*word).to_owned() })
            .collect();
        let output = self.tool(tool, &words);
        assert!(output.status.success(), "{tool} {words:?}: {}", text(&output.stderr));
        // Nobody else does that for whom there is no resource manager.
        let _nothing_there = self.tool("flushcontext", &["-t".to_owned()]);
    }

    fn tool(&self, tool: &str, words: &[String]) -> Output {
        let mut command = Command::new(format!("tpm2_{tool}"));
        command.args(words).current_dir(&self.b.dir);
        command.env("TPM2TOOLS_TCTI", format!("swtpm:path={}.sock", self.name)).output().unwrap()
    }

    /// A new key, fixed to the TPM or not.
    pub fn key(&self, attributes: &str) -> PublicKey {
        let parts = ["-u", "key.pub", "-r", "key.priv", "-c", "key.ctx"];
        let of = if self.kind == Kind::Ecc { "ecc256:ecdsa" } else { "rsa2048:rsassa" };
        let kind = ["-C", "primary.ctx", "-G", of, "-a", attributes];
        self.run("create", &[&kind[..], &parts].concat());
        let before = ["-C", "o", "-c", &format!("{KEY:#x}")].map(str::to_owned);
        let _not_there = self.tool("evictcontrol", &before);
        self.run("evictcontrol", &["-C", "o", "-c", "key.ctx", &format!("{KEY:#x}")]);
        self.run("readpublic", &["-c", "key.ctx", "-f", "pem", "-o", "key.pem"]);
        let (_, der) = pem::decode(&self.read("key.pem")).unwrap();
        PublicKey::decode(&der).unwrap()
    }

    fn read(&self, file: &str) -> Vec<u8> {
        self.b.read(&format!("{}-{file}", self.name))
    }

    /// What it says of its key, with this beside it: `TPM2_Certify`, which the tools do not have with data of one's own.
    pub fn certify(&self, data: &[u8]) -> Said {
        self.run("readpublic", &["-c", "key.ctx", "-f", "tss", "-o", "key.tss"]);
        // Without its length.
        let area = self.read("key.tss")[2..].to_vec();
        let no_password = [&0x4000_0009u32.to_be_bytes()[..], &[0; 5]].concat();
        let len = u16::try_from(data.len()).unwrap();
        let rest = [
            &0x0148u32.to_be_bytes()[..],
            &KEY.to_be_bytes(),
            &ATTESTATION_KEY.to_be_bytes(),
            &18u32.to_be_bytes(),
            &no_password,
            &no_password,
            &len.to_be_bytes(),
            data,
            &0x0010u16.to_be_bytes(),
        ]
        .concat();
        let whole = u32::try_from(rest.len() + 6).unwrap();
        let command = [&0x8002u16.to_be_bytes()[..], &whole.to_be_bytes(), &rest].concat();
        self.b.write(&format!("{}-command.bin", self.name), command);
        self.run("send", &["-o", "answer.bin", "command.bin"]);
        let answer = self.read("answer.bin");
        assert_eq!(answer[6..10], [0; 4], "{answer:02x?}");
        let number = |at: usize| usize::from(answer[at]) << 8 | usize::from(answer[at + 1]);
        let end = 14 + number(12);
        let info = answer[14 + 2..14 + 2 + number(14)].to_vec();
        Said { signature: answer[14 + 2 + info.len()..end].to_vec(), info, area }
    }

    /// A request for its key, without names, signed by the TPM.
    pub fn request(&self, key: &PublicKey) -> Value {
        let info = csr::write_info(&Name::write(&[]), key, &[]);
        self.b.write(&format!("{}-info.bin", self.name), &info);
        let (scheme, algorithm) = match self.kind {
            Kind::Ecc => ("ecdsa", SignatureAlgorithm::EcdsaSha256),
            Kind::Rsa => ("rsassa", SignatureAlgorithm::RsaSha256),
        };
        let words = ["-c", "key.ctx", "-g", "sha256", "-s", scheme, "-f", "plain", "-o", "signature.bin", "info.bin"];
        self.run("sign", &words);
        let der = csr::write_signed(&info, algorithm, &self.read("signature.bin"));
        json!({ "csr": model::octets::base64url(&der) })
    }

    /// The certificate of its attestation key, from the authority of this name, with these lines about it.
    pub fn certified(&self, authority: &str, lines: &str) -> Vec<u8> {
        let own = format!("{}-AK.pem", self.name);
        self.b.write("ext", format!("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n{lines}"));
        let (ca, key) = (format!("{authority}.pem"), format!("{authority}.key"));
        let words =
            ["x509", "-new", "-CA", &ca, "-CAkey", &key, "-force_pubkey", &own, "-subj", "/CN=AK", "-days", "9"];
        foreign(&self.b.dir, "openssl", &[&words[..], &["-extfile", "ext", "-out", "certified.pem"]].concat());
        pem::decode(&self.b.read("certified.pem")).unwrap().1
    }
}

impl Drop for Tpm<'_> {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// An authority that vouches for TPMs, in NAME.pem and NAME.key.
pub fn voucher(b: &Box_, name: &str) {
    let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let more = ["-keyout", &key, "-out", &certificate, "-subj", &subject, "-addext", "keyUsage=critical,keyCertSign"];
    foreign(&b.dir, "openssl", &[&new[..], &more].concat());
}

/// An attestation as challenges take it.
pub fn object(said: &Said, x5c: &[&[u8]]) -> Vec<u8> {
    let octets = |octets: &[u8]| [head(2, octets.len()), octets.to_vec()].concat();
    let word = |text: &str| [head(3, text.len()), text.as_bytes().to_vec()].concat();
    let list: Vec<u8> = x5c.iter().flat_map(|der| octets(der)).collect();
    [
        vec![0xa2],
        word("fmt"),
        word("tpm"),
        word("attStmt"),
        vec![0xa6],
        word("ver"),
        word("2.0"),
        word("alg"),
        // -7 and -257: ES256 and RS256. The first octets of the signature say which.
        if said.signature[..2] == [0, 0x18] { vec![0x26] } else { vec![0x39, 1, 0] },
        word("x5c"),
        [head(4, x5c.len()), list].concat(),
        word("sig"),
        octets(&said.signature),
        word("certInfo"),
        octets(&said.info),
        word("pubArea"),
        octets(&said.area),
    ]
    .concat()
}

fn head(major: u8, len: usize) -> Vec<u8> {
    let major = major << 5;
    match u8::try_from(len) {
        Ok(len @ 0..24) => vec![major | len],
        Ok(len) => vec![major | 24, len],
        Err(_) => [&[major | 25][..], &u16::try_from(len).unwrap().to_be_bytes()].concat(),
    }
}
