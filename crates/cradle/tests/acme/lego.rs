//! What an honest client does that proves names over TLS: lego, which is written in Go.

use crate::common::{foreign, text};
use crate::site::{Site, Up};
use std::process::Command;

const NAME: &str = "www.sn000001.internal";

impl Up<'_> {
    #[track_caller]
    fn lego(&self, key: &str, words: &[&str]) {
        let dir = &self.site.b.dir;
        let directory = format!("{}/acme/servers/directory", self.base());
        let address = format!("127.0.0.1:{}", self.site.tls_port);
        let always = ["--server", &directory, "--path", "lego", "--accept-tos", "--email", "admin@site.internal"];
        let over_tls = ["--tls", "--tls.port", &address, "--domains", NAME];
        let bound = ["--eab", "--kid", "SN000001", "--hmac", key];
        let mut command = Command::new("lego");
        command.current_dir(dir).args(always).args(over_tls).args(bound).args(words);
        let output = command.env("LEGO_CA_CERTIFICATES", dir.join("tls.pem")).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
    }
}

#[test]
fn a_device_proves_its_name_over_tls_renews_and_revokes() {
    let site = Site::new("acme-lego");
    let key = site.allow("SN000001");
    let up = site.up();
    let kept = format!("lego/certificates/{NAME}");
    let keep = |name: &str| {
        let file = format!("{name}.pem");
        site.b.write(&file, site.b.read(&format!("{kept}.crt")));
        foreign(&site.b.dir, "openssl", &["verify", "-x509_strict", "-CAfile", "chain.pem", &file]);
        site.serial(&file)
    };
    up.lego(&key, &["run"]);
    let first = keep("first");
    up.lego(&key, &["renew", "--days", "365", "--no-random-sleep"]);
    let second = keep("second");
    up.lego(&key, &["revoke", "--keep"]);
    up.down();
    assert_eq!(site.standing(), [(first, false), (second, true)]);
    site.b.sound();
}
