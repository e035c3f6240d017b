//! What listens in which mode.

use crate::common::text;
use crate::site::Site;
use model::mode::Mode;
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::Path;

/// The sockets that a box listens on, by the names that it has for them.
pub const fn doors(mode: Mode) -> &'static [&'static str] {
    match mode {
        Mode::CertificateManagement => &["http", "https"],
        Mode::SoftwareManagement => &["notices"],
        Mode::ProvisionSoftware | Mode::ProvisionCertificate | Mode::SoftwareImport => &[],
        Mode::Ceremony | Mode::Sealed => &[],
    }
}

/// The ports on which a process listens, as the kernel has them.
fn listens(process: u32) -> BTreeSet<u16> {
    let at = |what: &str| Path::new("/proc").join(process.to_string()).join(what);
    let links = std::fs::read_dir(at("fd")).unwrap().filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    let own: BTreeSet<_> = links.map(|link| link.display().to_string()).collect();
    let mut ports = BTreeSet::new();
    for table in ["net/tcp", "net/tcp6"] {
        for line in text(&std::fs::read(at(table)).unwrap()).lines().skip(1) {
            let columns: Vec<_> = line.split_whitespace().collect();
            // 0A: it listens.
            if columns[3] == "0A" && own.contains(&format!("socket:[{}]", columns[9])) {
                ports.insert(u16::from_str_radix(columns[1].rsplit(':').next().unwrap(), 16).unwrap());
            }
        }
    }
    ports
}

pub fn knock_at_all() {
    let site = Site::new("matrix-doors");
    let b = &site.b;
    b.release(1, "sensor");
    b.ok(&["release", "follow", "--images", "repository/metadata/1.root.json"]);
    site.keep("secret", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let settings = b.data().join("cradle.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    let more = "\n[software]\nimages = \"http://127.0.0.1:9\"\n[software.notices]\nlisten = \"127.0.0.1:0\"\nsecret_file = \"secret\"\n";
    std::fs::write(&settings, before + more).unwrap();
    for mode in Mode::ALL {
        b.ok(&["mode", "set", mode.name()]);
        let up = site.up();
        let said = ["http", "https", "notices"].into_iter().filter(|door| !up.said[door].is_null());
        assert_eq!(said.clone().collect::<Vec<_>>(), doors(mode), "{mode}: {}", up.said);
        let port = |door: &str| up.said[door].as_str().unwrap().rsplit(':').next().unwrap().parse::<u16>().unwrap();
        assert_eq!(listens(up.child.id()), said.map(port).collect(), "{mode}: {}", up.said);
        if mode != Mode::CertificateManagement {
            for port in site.ports() {
                let met = TcpStream::connect(("127.0.0.1", port));
                assert_eq!(met.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused, "{mode}");
            }
        }
        up.down();
    }
}

/// The table as a page has it.
pub fn page() -> String {
    let mut page = "| mode | what listens |\n|---|---|\n".to_owned();
    for mode in Mode::ALL {
        let doors = doors(mode);
        let listens = if doors.is_empty() { "nothing".to_owned() } else { doors.join(", ") };
        page.push_str(&format!("| `{mode}` | {listens} |\n"));
    }
    page
}
