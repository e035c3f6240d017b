//! A box, its devices, and what each of them shows.

use crate::cmp_hand::{Hand, Shows, Talk, bare};
use crate::common::{foreign, text};
use crate::hand;
use crate::site::{Site, Up, identifier, shows, words};
use crate::table::{Keyless, Request, Route, Scep, Status, Who};
use adapters::clock::SystemClock;
use adapters::keystore::memory::MemoryKey;
use ports::Clock;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use wire::cmp::Body;
use wire::cmp::oids::OLD_CERT_ID;
use wire::est::Operation;
use x509::{Certificate, Writer, pem};

/// How long after the first certificate everything happens.
const LATER: &str = "+3d";
const LATER_S: u64 = 3 * 86_400;

/// Which keys devices have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Of RSA, which are used over every protocol.
    Rsa,
    /// On a curve, to agree with: a key that is made can be sent to who has one.
    Agreeing,
}

impl Keys {
    /// What a request of OpenSSL makes.
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Rsa => &["-newkey", "rsa:2048"],
            Self::Agreeing => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        }
    }

    /// What is asked by who has such keys.
    pub fn routes(self) -> Vec<Route> {
        let is_of = |route: &Route| matches!(route, Route::Made(_)) == (self == Self::Agreeing);
        Route::all().into_iter().filter(is_of).collect()
    }
}

pub struct Scene {
    pub site: Site,
    keys: Keys,
    /// The numbers of the certificates that there were when the asking began.
    before: BTreeSet<String>,
}

/// What came of a request.
#[derive(Debug)]
pub enum Got {
    Answered,
    MustShow,
    /// The identifier of a refusal.
    Refused(String),
    Unspoken,
    Else(String),
}

/// The file of a certificate, without its ending.
fn file(route: Route, who: Who) -> String {
    match who {
        Who::Nobody => "none".into(),
        Who::WrongAuthority => "forged".into(),
        Who::Expired => "expired".into(),
        Who::Revoked => "revoked".into(),
        Who::WrongRole => "server".into(),
        Who::Another => "another".into(),
        // What it is given is used up then, so each route has a device of its own for it.
        Who::Right => right(route),
    }
}

fn right(route: Route) -> String {
    let at = Route::all().iter().position(|one| *one == route).unwrap();
    format!("right-{at}")
}

/// Whose names a request has: those of who shows, but for who would be another.
fn names(route: Route, who: Who) -> String {
    match who {
        Who::Nobody | Who::WrongAuthority | Who::WrongRole | Who::Another => "right.pem".into(),
        Who::Expired | Who::Revoked | Who::Right => format!("{}.pem", file(route, who)),
    }
}

impl Scene {
    /// Device 1 has a certificate that has ended, 2 one that holds, 3 one that was revoked, 4 one that holds, and is another one; so has
    /// a device for each route. All of them may have more.
    pub fn new(name: &str, keys: Keys) -> Self {
        let mut site = Site::with(name, |b| {
            let profile = b.data().join("profiles/ldevid.toml");
            let mut ldevid = std::fs::read_to_string(&profile).unwrap();
            assert!(ldevid.contains("lifetime_s = 31_536_000") && ldevid.contains("[\"client-auth\"]"), "{ldevid}");
            if keys == Keys::Agreeing {
                let types = "[\"p256\", \"p384\", \"ed25519\", \"rsa2048\", \"rsa3072\"]";
                assert!(ldevid.contains(types) && ldevid.contains("[\"digital-signature\"]"), "{ldevid}");
                ldevid = ldevid.replace(types, "[\"p256\"]");
                ldevid = ldevid.replace("[\"digital-signature\"]", "[\"digital-signature\", \"key-agreement\"]");
            }
            std::fs::write(profile, ldevid.replace("31_536_000", "172_800")).unwrap();
            let for_servers = ldevid.replace("[\"client-auth\"]", "[\"server-auth\"]");
            std::fs::write(b.data().join("profiles/tls-server.toml"), for_servers).unwrap();
            let path = b.data().join("cradle.toml");
            let settings = std::fs::read_to_string(&path).unwrap();
            let settings = settings.replace("[gateway.est.devices]\n", "[gateway.est.devices]\nserver_keys = true\n");
            let cmp = "[gateway.cmp.devices]\nprofile = \"ldevid\"\nserver_keys = true\n";
            std::fs::write(path, settings + cmp + "[gateway.scep.devices]\nprofile = \"ldevid\"\n").unwrap();
        });
        let mut devices: Vec<(String, String)> = ["expired", "right", "revoked", "another"]
            .into_iter()
            .enumerate()
            .map(|(n, name)| (format!("SN{:06}", n + 1), name.to_owned()))
            .collect();
        devices.extend(keys.routes().into_iter().map(right).map(|name| (name.to_uppercase(), name)));
        let lines: String = devices[4..].iter().map(|(serial, _)| format!("{serial},sensor,,ldevid\n")).collect();
        site.b.write("more.csv", format!("serial,type,board,profile\n{lines}"));
        site.b.ok(&["list", "import", "more.csv"]);
        let secrets: Vec<_> = devices.iter().map(|(serial, _)| format!("{serial}:{}", site.secret(serial))).collect();
        let first = |site: &Site, up: &Up<'_>, n: usize| {
            let name = &devices[n].1;
            request(site, keys, name, "/");
            up.had(name, "simpleenroll", &["-u", &secrets[n]]);
        };
        let up = site.up();
        first(&site, &up, 0);
        up.down();
        site.offset = Some(LATER);
        let up = site.up();
        (1..devices.len()).for_each(|n| first(&site, &up, n));
        up.down();
        let at = |words: &[&str]| {
            let said = site.b.command_at(LATER, words).output().unwrap();
            assert!(said.status.success(), "{words:?}: {}", text(&said.stderr));
            text(&said.stdout)
        };
        at(&["device", "allow", "SN000002", "--profile", "tls-server"]);
        let up = site.up();
        request(&site, keys, "server", "/");
        up.had("server", "servers/simpleenroll", &words(&shows("right")));
        up.down();
        at(&["cert", "revoke", &site.serial("revoked.pem"), "--reason", "key-compromise", "--yes"]);
        for (serial, _) in &devices {
            at(&["device", "allow", serial, "--profile", "ldevid"]);
        }
        forge(&site, keys);
        let mut scene = Self { site, keys, before: BTreeSet::new() };
        scene.before = scene.certificates();
        scene
    }

    fn certificates(&self) -> BTreeSet<String> {
        let said =
            self.site.b.command_at(LATER, &["cert", "list", "--profile", "ldevid", "-o", "json"]).output().unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        rows.as_array().unwrap().iter().map(|row| format!("{} {}", row["subject"], row["serial"])).collect()
    }

    pub fn explained(&self, identifier: &str) -> String {
        text(&self.site.b.command_at(LATER, &["explain", identifier]).output().unwrap().stdout)
    }

    #[track_caller]
    pub fn only_the_right_one_has_more(&self) {
        let more: Vec<_> = self.certificates().difference(&self.before).cloned().collect();
        assert!(!more.is_empty() && more.iter().all(|one| one.contains("sensor-RIGHT")), "{more:?}");
    }

    pub fn ask(&self, up: &Up<'_>, route: Route, who: Who) -> Got {
        match route {
            Route::Est(operation) => self.est(up, operation, who),
            Route::Cmp(request) => self.cmp(up, request, who),
            Route::Made(request) => self.made(up, request, who),
            Route::Scep(message @ (Scep::CaCert | Scep::CaCaps)) if who == Who::Nobody => self.scep_get(up, message),
            Route::Scep(Scep::CaCert | Scep::CaCaps) => Got::Unspoken,
            Route::Scep(message) => self.scep(up, message, who),
            Route::Status(status) if who == Who::Nobody => self.status(up, status),
            Route::Status(_) => Got::Unspoken,
        }
    }

    fn est(&self, up: &Up<'_>, operation: Operation, who: Who) -> Got {
        let route = Route::Est(operation);
        let shown = match who {
            Who::Nobody => Vec::new(),
            other => shows(&file(route, other)).to_vec(),
        };
        let shown = words(&shown);
        let got = if operation.method() == "GET" {
            up.curl("https", &[&shown[..], &[&format!("/.well-known/est/{}", operation.name())]].concat())
        } else {
            self.site.request("new", &self.site.subject(&names(route, who)));
            up.ask("new", operation.name(), &shown)
        };
        match got.status {
            200 | 204 => Got::Answered,
            401 => Got::MustShow,
            403 => Got::Refused(got.refused()),
            other => Got::Else(format!("{other} {}", text(&got.body))),
        }
    }

    fn cmp(&self, up: &Up<'_>, request: Request, who: Who) -> Got {
        let (dir, route) = (&self.site.b.dir, Route::Cmp(request));
        self.site.request("new", &self.site.subject(&names(route, who)));
        foreign(dir, "openssl", &["base64", "-d", "-in", "new.csr", "-out", "new.der"]);
        let subject = self.site.subject(&names(route, who));
        let new = ["-newkey", "new.key", "-subject", &subject, "-certout", "out.pem", "-implicit_confirm"];
        let old = names(route, who);
        let rest: Vec<&str> = match request {
            Request::Ir => [&["-cmd", "ir"][..], &new].concat(),
            Request::Cr => [&["-cmd", "cr"][..], &new].concat(),
            Request::P10cr => vec!["-cmd", "p10cr", "-csr", "new.der", "-certout", "out.pem", "-implicit_confirm"],
            Request::Kur => [&["-cmd", "kur", "-oldcert", &old][..], &new].concat(),
            Request::Rr => vec!["-cmd", "rr", "-oldcert", &old, "-revreason", "4"],
            Request::Genm => vec!["-cmd", "genm", "-infotype", "caCerts"],
        };
        let shown = shows(&file(route, who));
        let by: Vec<&str> = match who {
            Who::Nobody => vec!["-unprotected_requests", "-unprotected_errors", "-ref", "SN000002"],
            _ => [&words(&shown)[..], &["-unprotected_errors"]].concat(),
        };
        let port = up.said["http"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        let server = format!("127.0.0.1:{port}");
        let always = ["-f", LATER, "openssl", "cmp", "-config", "", "-server", &server, "-path", "/.well-known/cmp"];
        let trust = ["-trusted", "chain.pem", "-no_proxy", "127.0.0.1", "-msg_timeout", "60"];
        let mut command = Command::new("faketime");
        command.current_dir(dir).args(always).args(trust).args(rest).args(by);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        match identifier(&said) {
            _ if output.status.success() => Got::Answered,
            Some(identifier) => Got::Refused(identifier),
            None => Got::Else(said),
        }
    }

    /// A certificate in a file.
    fn certificate(&self, file: &str) -> Certificate {
        Certificate::decode(&pem::decode(&self.site.b.read(file)).unwrap().1).unwrap()
    }

    fn made(&self, up: &Up<'_>, request: Keyless, who: Who) -> Got {
        let by = file(Route::Made(request), who);
        let old = self.certificate(&names(Route::Made(request), who));
        let der = keyless(&old, request == Keyless::Kur);
        let body = match request {
            Keyless::Ir => Body::Ir(&der),
            Keyless::Cr => Body::Cr(&der),
            Keyless::Kur => Body::Kur(&der),
        };
        let shown = (who != Who::Nobody).then(|| {
            let (_, key) = pem::decode(&self.site.b.read(&format!("{by}.key"))).unwrap();
            (Hand { key: MemoryKey::open(&key).unwrap() }, self.certificate(&format!("{by}.pem")))
        });
        let shows = match &shown {
            Some((hand, certificate)) => Shows::Certificate(hand, certificate),
            None => Shows::Secret { reference: "SN000002", secret: "none" },
        };
        let mut talk = Talk::new(up, "/.well-known/cmp", shows);
        let at = SystemClock.now().plus_s(LATER_S);
        let message = talk.message(&body, &|header| header.message_time = Some(at), None);
        let got = talk.send(if shown.is_some() { message } else { bare(&message) });
        match identifier(&got.said) {
            _ if got.certificate.is_some() => Got::Answered,
            Some(identifier) => Got::Refused(identifier),
            None => Got::Else(format!("{got:?}")),
        }
    }

    fn scep_get(&self, up: &Up<'_>, message: Scep) -> Got {
        let operation = if message == Scep::CaCert { "GetCACert" } else { "GetCACaps" };
        let got = up.curl("http", &[&format!("/scep/devices?operation={operation}")]);
        if got.status == 200 { Got::Answered } else { Got::Else(format!("{} {}", got.status, text(&got.body))) }
    }

    fn scep(&self, up: &Up<'_>, message: Scep, who: Who) -> Got {
        let (b, route) = (&self.site.b, Route::Scep(message));
        let got = up.curl("http", &["/scep/devices?operation=GetCACert"]);
        hand::gateway_of(b, &got.body);
        let by = file(route, who);
        if who == Who::Nobody {
            request(&self.site, self.keys, &by, "/");
            hand::own(b, &by);
        }
        // The one who signs with a key of its own asks for that one.
        let key = if who == Who::Nobody { by.clone() } else { "new".to_owned() };
        if who != Who::Nobody {
            request(&self.site, self.keys, &key, "/");
        }
        let subject = self.site.subject(&names(route, who));
        let (message_type, content) = match message {
            Scep::PkcsReq => (hand::PKCS_REQ, hand::request(b, &key, &subject, None)),
            Scep::RenewalReq => (hand::RENEWAL_REQ, hand::request(b, &key, &subject, None)),
            Scep::GetCert => (hand::GET_CERT, hand::issuer_and_number(b, "another.pem")),
            Scep::GetCrl => (hand::GET_CRL, hand::issuer_and_number(b, "another.pem")),
            Scep::CaCert | Scep::CaCaps => unreachable!(),
        };
        b.write("message", hand::Draft::new(message_type, &by, hand::usual(b, &content)).signed(b));
        let got = up.curl("http", &["--data-binary", "@message", "/scep/devices?operation=PKIOperation"]);
        let said = hand::said(b, &got.body);
        match said.text.strip_prefix("Refused. Identifier: ") {
            _ if said.status == "0 " => Got::Answered,
            Some(identifier) => Got::Refused(identifier.to_owned()),
            None => Got::Else(format!("{said:?}")),
        }
    }

    fn status(&self, up: &Up<'_>, status: Status) -> Got {
        let dir = &self.site.b.dir;
        foreign(
            dir,
            "openssl",
            &["ocsp", "-issuer", "chain.pem", "-cert", "right.pem", "-no_nonce", "-reqout", "ocsp"],
        );
        let got = match status {
            Status::OcspGet => {
                let path = foreign(dir, "openssl", &["base64", "-A", "-in", "ocsp"]);
                let path = path.trim().replace('+', "%2B").replace('=', "%3D").replace('/', "%2F");
                up.curl("http", &[&format!("/ocsp/{path}")])
            }
            Status::OcspPost => {
                up.curl("http", &["-H", "Content-Type: application/ocsp-request", "--data-binary", "@ocsp", "/ocsp"])
            }
            Status::Crl => up.curl("http", &["/crl/factory.crl"]),
            Status::Delta => up.curl("http", &["/crl/factory-delta.crl"]),
            Status::Authority => up.curl("http", &["/ca/factory.cer"]),
        };
        if got.status == 200 { Got::Answered } else { Got::Else(format!("{} {}", got.status, text(&got.body))) }
    }
}

/// A new key, and a request, in NAME.key and NAME.csr.
fn request(site: &Site, keys: Keys, name: &str, subject: &str) {
    let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
    let new = ["-nodes", "-keyout", &key, "-subj", subject, "-outform", "DER", "-out", "request"];
    foreign(&site.b.dir, "openssl", &[&["req", "-new"], keys.words(), &new].concat());
    foreign(&site.b.dir, "openssl", &["base64", "-in", "request", "-out", &csr]);
}

/// `CertReqMessages` without a key, for the name of a certificate, and in its place if so.
fn keyless(old: &Certificate, in_its_place: bool) -> Vec<u8> {
    let (subject, issuer) = (&old.tbs().subject, &old.tbs().issuer);
    let mut w = Writer::default();
    w.sequence(|w| {
        w.sequence(|w| {
            w.sequence(|w| {
                w.small(0).sequence(|w| {
                    w.explicit(5, |w| {
                        w.raw(subject.der());
                    });
                });
                if in_its_place {
                    // RFC 4211 §6.5: a control, with a CertId.
                    w.sequence(|w| {
                        w.sequence(|w| {
                            w.oid(OLD_CERT_ID).sequence(|w| {
                                w.explicit(4, |w| {
                                    w.raw(issuer.der());
                                });
                                w.unsigned(old.tbs().serial_number.octets());
                            });
                        });
                    });
                }
            });
        });
    });
    w.finish()
}

/// A certificate with the names and the number of the right one, from an authority of one's own with the name of the right one.
fn forge(site: &Site, keys: Keys) {
    let dir = &site.b.dir;
    let issuer = foreign(dir, "openssl", &["x509", "-in", "right.pem", "-noout", "-issuer", "-nameopt", "compat"]);
    let issuer = issuer.trim().trim_start_matches("issuer=").trim().to_owned();
    let new =
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own.key", "-out", "own.pem"];
    foreign(dir, "openssl", &[&["req", "-x509", "-subj", &issuer][..], &new].concat());
    request(site, keys, "forged", &site.subject("right.pem"));
    foreign(dir, "openssl", &["base64", "-d", "-in", "forged.csr", "-out", "forged.der"]);
    let number = format!("0x{}", site.serial("right.pem"));
    site.b.write("ext", "extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\nsubjectKeyIdentifier=hash\n");
    let sign = ["x509", "-req", "-inform", "DER", "-in", "forged.der", "-CA", "own.pem", "-CAkey", "own.key"];
    let rest = ["-set_serial", &number, "-days", "30", "-extfile", "ext", "-out", "forged.pem"];
    foreign(dir, "openssl", &[&sign[..], &rest].concat());
}
