//! Every path of the director, asked by everybody: the table that docs/access.md shows.

use crate::directions::{Row, Verdict, row, verdict};
use crate::house::{
    DEVICE, House, IMAGE, OTHER, Served, authority, certificate, ddi, list_revoked, revoke, said, sealed,
};
use crate::table::Who;
use adapters::clock::SystemClock;
use director::Route;
use model::report::{Did, REPORT, Report, Reported};
use ports::{Clock, jws};
use x509::sha256;

/// The file of what somebody shows, without its ending.
const fn shown(who: Who) -> &'static str {
    match who {
        Who::Nobody => "",
        Who::WrongAuthority => "forged",
        Who::Expired => "expired",
        Who::Revoked => "revoked",
        Who::WrongRole => "for-servers",
        Who::Another => "other",
        Who::Right => "device",
    }
}

/// A director that serves the device over both interfaces, with one image for it, and what everybody shows. The other device is
/// registered, too.
fn house() -> House {
    let house = House::new("director-matrix");
    let device = crate::common::text(&house.b.read("device.toml"));
    house.b.write("device.toml", device.replace(DEVICE, OTHER));
    house.ok(&["device", "add", "device.toml"]);
    house.b.write("device.toml", device + "[reporters]\n\"line-1.software\" = \"modem.pub\"\n");
    house.ok(&["device", "add", "device.toml"]);
    house.ok(&["type", "gateway", "--over", "ddi"]);
    house.ok(&["take", "os.img", "newer.img", "--images", "images"]);
    house.ok(&["assign", "os.img", "--component", "modem", "--device", DEVICE]);
    let (dir, name) = (&house.b.dir, format!("URI:{DEVICE}"));
    let own = (name.as_str(), "clientAuth");
    authority(dir, "forger");
    // With the name of the right authority, and the number of the right certificate.
    certificate(dir, "forged", own, ("forger", 3), &[]);
    certificate(dir, "expired", own, ("ca", 6), &["faketime", "-f", "-9d"]);
    certificate(dir, "revoked", own, ("ca", 7), &[]);
    certificate(dir, "for-servers", (&name, "serverAuth"), ("ca", 8), &[]);
    revoke(dir, "revoked");
    list_revoked(dir);
    house
}

/// What a box reports, by its module.
fn report(house: &House) -> Vec<u8> {
    let image = Reported {
        device_type: "gateway".parse().unwrap(),
        release: "app 1".into(),
        release_counter: 1,
        image: sha256(IMAGE),
        devices: Vec::new(),
    };
    let (device, reporter) = (DEVICE.parse().unwrap(), "line-1.software".to_owned());
    let at = SystemClock.now();
    let report = Report { device, reporter, number: 1, at, did: Did::Verified, images: vec![image] };
    jws::sign(REPORT, &serde_json::to_vec(&report).unwrap(), &house.keys[1]).unwrap()
}

/// The method and path of a request that the device may send now, with its body in the file `sent` if there is one.
fn request(house: &House, served: &Served, row: Row) -> (&'static str, String, bool) {
    let link = |name: &str| house.link(served, &house.asks(served, &ddi("")), name);
    let own = |rest: &str| format!("director/{DEVICE}/{rest}");
    let get = |path: String| ("GET", path, false);
    let with = |method, path: String, body: Vec<u8>| {
        house.b.write("sent", body);
        (method, path, true)
    };
    match row {
        Row::ImageMetadata => get("images/metadata/timestamp.json".into()),
        Row::ImageTarget => get(format!("images/targets/{}.os.img", sha256(IMAGE))),
        Row::DdiRoot => get(ddi("")),
        Row::DdiConfigData => with("PUT", ddi("/configData"), b"{\"data\":{\"hw\":\"2\"}}".to_vec()),
        Row::DdiDeployment => get(link("deploymentBase")),
        Row::DdiArtifact => get(ddi(&format!("/artifacts/{}", sha256(IMAGE)))),
        Row::DdiDeploymentFeedback => {
            with("POST", link("deploymentBase") + "/feedback", said("closed", "success").into_bytes())
        }
        Row::DdiInstalled => get(link("installedBase")),
        Row::DdiCancel => {
            house.ok(&["assign", "newer.img", "--component", "modem", "--device", DEVICE]);
            house.asks(served, &link("deploymentBase"));
            house.ok(&["recall", "newer.img"]);
            get(link("cancelAction"))
        }
        Row::DdiCancelFeedback => {
            with("POST", link("cancelAction") + "/feedback", said("closed", "success").into_bytes())
        }
        Row::UptaneMetadata => get(own("metadata/timestamp.json")),
        Row::UptaneNonce => get(own("nonce")),
        Row::UptaneManifest => {
            house.manifest(house.sealing_keys(&[]).0, &house.nonce(served), "os.img", 2);
            with("POST", own("manifest"), house.b.read("manifest"))
        }
        Row::UptaneReport => with("POST", own("report"), sealed(house.sealing_keys(&[]).0, &report(house))),
    }
}

/// What has come of it.
fn came(body: &str, status: &str) -> Option<Verdict> {
    match status {
        "200" => Some(Verdict::Answered),
        "000" => Some(Verdict::Ends),
        "403" if body == "Your certificate names another device.\n" => Some(Verdict::Others(403)),
        "404" if body.starts_with("There is no such device for you") => Some(Verdict::Others(404)),
        _ => None,
    }
}

#[test]
fn everybody_is_answered_as_the_table_says() {
    let house = house();
    let served = house.serve_with(&["--device-crl", "ca.crl"]);
    let mut wrong = Vec::new();
    for asked in Row::ALL.iter().copied() {
        let (method, path, has_body) = request(&house, &served, asked);
        let whole = format!("/{path}");
        let route = Route::of(method, &whole, &"default".parse().unwrap());
        assert_eq!(route.and_then(|route| row(&route)), Some(asked), "{path} does not lead there");
        let body: &[&str] = if has_body { &["--data-binary", "@sent"] } else { &[] };
        // The same octets by all of them, the right one last: what others have sent is not used up.
        for who in Who::ALL {
            let (said, status) = house.curl(&served, shown(who), &path, &[&["-X", method], body].concat());
            let wanted = verdict(asked, who);
            if came(&said, &status) != Some(wanted) {
                wrong.push(format!("{asked:?} by {who:?}: {status} {said}, not {wanted:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The device's own word was taken, once, and nobody else's.
    assert_eq!(house.json(&["status"])["manifests"], 1);
    assert_eq!(house.json(&["device", "show", DEVICE])["reporters"]["line-1.software"]["reports"], 1);
    let other = house.json(&["device", "show", OTHER]);
    assert_eq!(other["ddi"]["attributes"], serde_json::json!({}), "{other}");
}
