//! A device whose keys are in a token of PKCS #11 and never leave it: one in software, and a TPM behind its module.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

mod common;
mod site;

use common::{foreign, text};
use site::{ARGUMENTS, Site, said};
use std::process::{Child, Command, Stdio};

/// Not a test but the agent: other tests start this program again, and have it be what `cradle-agent` is.
#[test]
#[ignore = "it is the agent, which other tests start"]
fn the_agent() {
    let Some(arguments) = std::env::var_os(ARGUMENTS) else { return };
    let arguments = arguments.into_string().unwrap();
    let arguments: Vec<_> = arguments.split('\n').filter(|word| !word.is_empty()).map(Into::into).collect();
    std::process::exit(agent::main(arguments.into_iter()).into());
}

const IDENTITY: &str = "agent/identity/identity.pem";
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A token, in the directory of a site.
struct Token<'s> {
    site: &'s Site,
    module: String,
    settings: Vec<(&'static str, String)>,
    servers: Vec<Child>,
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        self.servers.iter_mut().rev().for_each(|server| drop((server.kill(), server.wait())));
    }
}

impl<'s> Token<'s> {
    fn soft(site: &'s Site) -> Self {
        let dir = &site.b.dir;
        std::fs::create_dir(dir.join("token")).unwrap();
        site.b.write("token.conf", format!("directories.tokendir = {}/token\nlog.level = ERROR\n", dir.display()));
        let settings = vec![("SOFTHSM2_CONF", dir.join("token.conf").display().to_string())];
        let token = Self { site, module: SOFTHSM.into(), settings, servers: Vec::new() };
        let init =
            ["softhsm2-util", "--init-token", "--free", "--label", "device", "--so-pin", "87654321", "--pin", "1234"];
        token.by(&init);
        token
    }

    /// A TPM in software (swtpm), with the module for it (tpm2-pkcs11), behind a resource manager as the kernel's is.
    fn tpm(site: &'s Site) -> Self {
        let dir = &site.b.dir;
        ["state", "store"].iter().for_each(|name| std::fs::create_dir(dir.join(name)).unwrap());
        let path = |name: &str| dir.join(name).display().to_string();
        let (tpm, bus) = (path("tpm.sock"), format!("unix:path={}", path("bus.sock")));
        let (server, control) = (format!("type=unixio,path={tpm}"), format!("type=unixio,path={tpm}.ctrl"));
        let (below, tcti) = (format!("--tcti=swtpm:path={tpm}"), "tabrmd:bus_type=session".to_owned());
        let module = foreign(dir, "sh", &["-c", "ls /usr/lib/*/pkcs11/libtpm2_pkcs11.so"]).trim().to_owned();
        let settings = vec![
            ("TPM2_PKCS11_STORE", path("store")),
            ("TPM2_PKCS11_TCTI", tcti.clone()),
            ("TPM2TOOLS_TCTI", tcti),
            ("DBUS_SESSION_BUS_ADDRESS", bus.clone()),
        ];
        let mut token = Self { site, module, settings, servers: Vec::new() };
        let (state, address) =
            (["--tpmstate", "dir=state", "--flags", "not-need-init,startup-clear"], ["--address", &bus]);
        token.begin(
            &[&["swtpm", "socket", "--tpm2", "--server", &server, "--ctrl", &control], &state[..]].concat(),
            "tpm.sock.ctrl",
        );
        token.begin(&[&["dbus-daemon", "--session", "--nofork"], &address[..]].concat(), "bus.sock");
        token.begin(&["tpm2-abrmd", "--session", "--allow-root", &below], "tpm.sock");
        let answers = || token.command(&["tpm2_getrandom", "1"]).output().unwrap().status.success();
        assert!((0..1000).any(|_| answers()), "the TPM does not answer");
        let init = ["--init-token", "--slot-index", "0", "--label", "device", "--so-pin", "87654321"];
        token.tool(&init);
        let pin = [
            "--slot-index",
            "0",
            "--login",
            "--login-type",
            "so",
            "--so-pin",
            "87654321",
            "--init-pin",
            "--new-pin",
            "1234",
        ];
        token.tool(&pin);
        token
    }

    /// Starts a server, and waits until this file of it is there.
    fn begin(&mut self, words: &[&str], file: &str) {
        let server = self.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.servers.push(server.unwrap_or_else(|e| panic!("{}: {e}", words[0])));
        assert!((0..10_000_000).any(|_| self.site.b.dir.join(file).exists()), "{} does not begin", words[0]);
    }
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.site.b.dir).envs(self.settings.iter().cloned());
        command
    }
    fn by(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }
    fn tool(&self, words: &[&str]) -> String {
        self.by(&[&["pkcs11-tool", "--module", &self.module], words].concat())
    }

    /// A device that has its keys here.
    fn device(&self, serial: &str, more: &str) {
        self.site.keep("pin", "1234\n");
        self.site.device(serial, more);
        let dir = &self.site.b.dir;
        let (pin, module) = (dir.join("pin"), &self.module);
        let token = format!("token = 'pkcs11:token=device?module-path={module}&pin-source=file:{}'\n", pin.display());
        let config = std::fs::read_to_string(dir.join("agent.toml")).unwrap();
        self.site.b.write("agent.toml", token + &config);
    }
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let mut agent = self.site.agent(&[], words);
        said(&agent.envs(self.settings.iter().cloned()).output().unwrap())
    }
    #[track_caller]
    fn does(&self, words: &[&str]) -> String {
        let (status, out, err) = self.run(words);
        assert_eq!((status, err.as_str()), (0, ""), "{out}");
        out
    }
    /// The labels of private keys of the agent in the token.
    fn keys(&self) -> Vec<String> {
        let all =
            self.tool(&["--token-label", "device", "--login", "--pin", "1234", "--list-objects", "--type", "privkey"]);
        let labels = all.lines().filter_map(|line| line.trim().strip_prefix("label:"));
        labels.map(|label| label.trim().to_owned()).filter(|label| label.starts_with("cradle-agent-")).collect()
    }
}

/// Enrols, renews twice, and leaves one key, which is that of the certificate; and nothing of it in files.
fn lives(site: &Site, token: &Token<'_>) {
    let secret = site.secret("SN000001");
    token.device("SN000001", "");
    let up = site.up();
    site.keep("secret", &secret);
    let enrolled = token.does(&["enrol", "--secret", "secret"]);
    assert!(enrolled.starts_with("enrolled\n"), "{enrolled}");
    let first = token.keys();
    assert_eq!(first.len(), 1, "{first:?}");
    for _ in 0..2 {
        let before = token.keys();
        assert!(token.does(&["renew", "--force"]).starts_with("renewed\n"));
        let after = token.keys();
        assert!(after.len() == 1 && after != before, "{before:?}, then {after:?}");
    }
    let identity = text(&site.b.read(IDENTITY));
    assert!(identity.contains("BEGIN PKCS11 URI") && !identity.contains("PRIVATE KEY"), "{identity}");
    let verify = ["verify", "-no_check_time", "-CAfile", "root.pem", "-untrusted", IDENTITY, IDENTITY];
    foreign(&site.b.dir, "openssl", &verify);
    let status: serde_json::Value = serde_json::from_str(&token.does(&["status", "-o", "json"])).unwrap();
    assert_eq!((&status["identity"]["standing"], &status["identity"]["key_waits"]), (&"holds".into(), &false.into()));
    up.down();
    let told = site.b.ok(&["explain", &site.serial(IDENTITY)]);
    assert!(told.contains("which it renews"), "{told}");
    site.b.sound();
}

#[test]
fn a_device_enrols_and_renews_with_keys_in_a_token() {
    let site = Site::new("token-soft");
    let token = Token::soft(&site);
    // What others have in the token stays.
    token.tool(&[
        "--token-label",
        "device",
        "--login",
        "--pin",
        "1234",
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "other",
    ]);
    let foreigners = "cradle-agent-0000000000000000-1";
    token.tool(&[
        "--token-label",
        "device",
        "--login",
        "--pin",
        "1234",
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        foreigners,
    ]);
    let others = |token: &Token<'_>| {
        let all = token.tool(&["--token-label", "device", "--login", "--pin", "1234", "--list-objects"]);
        (all.contains(" other\n"), all.matches(foreigners).count())
    };
    assert_eq!(others(&token), (true, 2));
    token.tool(&[
        "--token-label",
        "device",
        "--login",
        "--pin",
        "1234",
        "--delete-object",
        "--type",
        "privkey",
        "--label",
        foreigners,
    ]);
    lives(&site, &token);
    assert_eq!(others(&token), (true, 1));
}
#[test]
fn a_device_enrols_and_renews_with_keys_in_a_tpm() {
    let site = Site::new("token-tpm");
    let token = Token::tpm(&site);
    lives(&site, &token);
}
#[test]
fn a_token_that_is_away_or_altered_is_said_and_what_there_is_stays() {
    let site = Site::new("token-away");
    let token = Token::soft(&site);
    let secret = site.secret("SN000001");
    token.device("SN000001", "");
    let _up = site.up();
    site.keep("secret", &secret);
    token.does(&["enrol", "--secret", "secret"]);
    let identity = site.b.read(IDENTITY);
    let (dir, away) = (site.b.dir.join("token"), site.b.dir.join("away"));
    std::fs::rename(&dir, &away).unwrap();
    std::fs::create_dir(&dir).unwrap();
    let (status, _, err) = token.run(&["renew", "--force"]);
    assert!(status == 1 && err.contains("token"), "{status}: {err}");
    std::fs::remove_dir(&dir).unwrap();
    std::fs::rename(&away, &dir).unwrap();
    site.keep("pin", "4321\n");
    let (status, _, err) = token.run(&["renew", "--force"]);
    assert!(status == 1 && err.contains("PIN"), "{status}: {err}");
    assert_eq!(site.b.read(IDENTITY), identity);
    site.keep("pin", "1234\n");
    // The certificate of one, and the URI of another key.
    let other = ["--token-label", "device", "--login", "--pin", "1234", "--keypairgen", "--key-type", "EC:prime256v1"];
    token.tool(&[&other[..], &["--label", "another", "--id", "07"]].concat());
    let swapped = text(&identity);
    let body = swapped.split_once("-----END PKCS11 URI-----").unwrap().1;
    let uri = x509::pem::encode("PKCS11 URI", b"pkcs11:token=device;object=another;id=%07;type=private");
    site.keep(IDENTITY, &format!("{}{}", uri.trim_end(), body));
    let (status, _, err) = token.run(&["renew", "--force"]);
    assert!(status != 0 && err.contains("not that of the certificate"), "{status}: {err}");
    site.keep(IDENTITY, &swapped);
    assert!(token.does(&["renew", "--force"]).starts_with("renewed\n"));
    // Nor does a device do without its token: the key is nowhere else.
    let config = std::fs::read_to_string(site.b.dir.join("agent.toml")).unwrap();
    let (_, config) = config.split_once('\n').unwrap();
    site.b.write("agent.toml", config);
    let (status, _, err) = token.run(&["renew", "--force"]);
    assert!(status == 1 && err.contains("the configuration names none"), "{status}: {err}");
}
#[test]
fn a_token_takes_keys_that_sign_in_one_way() {
    let site = Site::new("token-types");
    let token = Token::soft(&site);
    token.device("SN000001", "key_type = 'rsa2048'\n");
    let (status, _, err) = token.run(&["enrol", "--secret", "pin"]);
    assert!(status == 2 && err.contains("p256, p384 or ed25519 in a token"), "{status}: {err}");
}
