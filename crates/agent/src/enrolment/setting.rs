//! Who certifies the device's key.

use crate::config::{certificates, wrong};
use crate::fault::{Failure, Result};
use crate::keys::{Keys, fits_a_token};
use adapters::http::{Files, PATIENCE, Shown};
use model::DeviceId;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509::{Certificate, KeyType};

/// Longest name of a user, in octets.
const USER_LEN_MAX: usize = 256;
/// Longest patience with a server, in seconds.
const PATIENCE_MAX_S: u64 = 3600;
/// Where the key, the certificate and what is known of them are, below the agent's data.
const DIRECTORY: &str = "identity";

/// `[enrolment]`; names of files in it are relative to the directory of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setting {
    /// `https://HOST[:PORT]/.well-known/est[/LABEL]`, or `http[s]://HOST[:PORT]/.well-known/cmp[/p/LABEL]`
    url: String,
    /// The root, or roots, to which the device's certificate must lead, in PEM. They came with the device.
    root: PathBuf,
    /// By one of these the server's certificate must be issued, if not below `root`.
    anchors: Option<PathBuf>,
    /// Who shows the secret; the device's serial number unless it is said.
    user: Option<String>,
    #[serde(default = "key_type")]
    key_type: String,
    /// Run after the certificate has changed: a program by its absolute path, and arguments, in which `{identity}` is replaced.
    hook: Option<Vec<String>>,
    /// For each 64 KiB.
    patience_s: Option<u64>,
    #[serde(skip)]
    directory: PathBuf,
    #[serde(skip)]
    token: Option<String>,
}

/// What is spoken with the server, as its address says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RFC 7030.
    Est,
    /// RFC 9810, which protects itself: TLS is not needed.
    Cmp,
}

fn protocol(url: &str) -> Option<Protocol> {
    let is = |schemes: &[&str], path: &str| schemes.iter().any(|scheme| url.starts_with(scheme)) && url.contains(path);
    if is(&["https://"], "/.well-known/est") {
        Some(Protocol::Est)
    } else if is(&["https://", "http://"], "/.well-known/cmp") {
        Some(Protocol::Cmp)
    } else {
        None
    }
}

fn key_type() -> String {
    KeyType::P256.to_string()
}

impl Setting {
    /// Checked, and with names of files that stand for themselves.
    pub(crate) fn settle(
        self,
        device: &DeviceId,
        data: &Path,
        here: &Path,
        token: Option<String>,
    ) -> std::result::Result<Self, String> {
        let bad = |what: &str| Err(format!("enrolment.{what}"));
        if protocol(&self.url).is_none() {
            return bad(
                "url is https://HOST/.well-known/est, or HOST/.well-known/cmp/p with http or https, with a label behind it or none",
            );
        }
        if self.url.starts_with("http://") && self.anchors.is_some() {
            return bad("anchors are for https");
        }
        // RFC 7617 §2: a colon ends the name of a user, so a device's whole name, a URN, is none.
        let user = self.user.unwrap_or_else(|| device.serial.to_string());
        let is_plain = |c: char| c != ':' && !model::text::is_hidden(c);
        if user.is_empty() || user.len() > USER_LEN_MAX || !user.chars().all(is_plain) {
            return bad("user is empty, too long, or has a colon or characters that cannot be seen");
        }
        let key_type = KeyType::by_name(&self.key_type);
        if token.is_some() && !key_type.is_none_or(fits_a_token) {
            return bad("key_type is p256, p384 or ed25519 in a token");
        }
        if key_type.is_none() {
            return bad(
                "key_type is p256, p384, p521, ed25519, rsa2048, rsa3072, rsa4096, ml-dsa-44, ml-dsa-65 or ml-dsa-87",
            );
        }
        if self.hook.as_ref().is_some_and(|hook| hook.first().is_none_or(|program| !program.starts_with('/'))) {
            return bad("hook begins with the absolute path of a program");
        }
        if self.patience_s.is_some_and(|seconds| !(1..=PATIENCE_MAX_S).contains(&seconds)) {
            return bad("patience_s is 1 to 3600");
        }
        Ok(Self {
            url: self.url.trim_end_matches('/').to_owned(),
            root: here.join(self.root),
            anchors: self.anchors.map(|anchors| here.join(anchors)),
            user: Some(user),
            directory: data.join(DIRECTORY),
            token,
            ..self
        })
    }
}

impl Setting {
    /// Where the key, the certificate and what is known of them are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
    /// What is spoken with the server.
    pub(crate) fn protocol(&self) -> Protocol {
        protocol(&self.url).unwrap_or(Protocol::Est)
    }
    pub(crate) fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }
    pub(crate) fn hook(&self) -> Option<&[String]> {
        self.hook.as_deref()
    }
    /// What makes keys and opens them.
    pub(crate) fn keys(&self) -> Result<Keys> {
        Keys::new(self.token.as_deref(), &self.directory)
    }
    pub(crate) fn key_type(&self) -> Result<KeyType> {
        KeyType::by_name(&self.key_type).ok_or_else(|| Failure::usage("enrolment.key_type cannot be used"))
    }

    /// The roots that came with the device.
    pub(crate) fn roots(&self) -> Result<Vec<Certificate>> {
        let read =
            certificates(&self.root)?.iter().map(|der| Certificate::decode(der)).collect::<std::result::Result<_, _>>();
        read.map_err(|e| wrong(&self.root, e))
    }

    /// The way to the server, on which this is shown; it must lead to one of the roots, if nothing else is said.
    pub(crate) fn files(&self, shown: Option<&Shown>, roots: &[Certificate]) -> Result<Files> {
        let anchors = match &self.anchors {
            _ if self.url.starts_with("http://") => Vec::new(),
            Some(anchors) => certificates(anchors)?,
            None => roots.iter().map(|root| root.der().to_vec()).collect(),
        };
        let patience = self.patience_s.map_or(PATIENCE, Duration::from_secs);
        Files::showing(&self.url, &anchors, shown, patience).map_err(|e| {
            Failure::usage(format!("{} cannot be used", self.url)).because(e).next("correct the configuration")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wrong: Option<&str>) {
        let text = format!("root = 'root.pem'\n{text}");
        let device = "urn:dev:ops:32473-sensor-SN1".parse().unwrap();
        let settled = toml::from_str::<Setting>(&text).map_err(|e| e.to_string());
        let settled = settled.and_then(|setting| setting.settle(&device, Path::new("/data"), Path::new("/etc"), None));
        match wrong {
            Some(why) => assert!(settled.as_ref().is_err_and(|said| said.contains(why)), "{text}: {settled:?}"),
            None => assert_eq!((settled.as_ref().unwrap().user(), settled.is_ok()), ("SN1", true)),
        }
    }
    const URL: &str = "url = 'https://cm.example/.well-known/est/devices'";

    #[test]
    fn little_need_be_said() {
        check(URL, None);
        check("url = 'https://cm.example:8443/.well-known/est/'", None);
        check("url = 'http://cm.example/.well-known/cmp/p/devices'", None);
        check("url = 'https://cm.example/.well-known/cmp'", None);
    }
    #[test]
    fn what_cannot_be_used_is_named() {
        check("url = 'http://cm.example/.well-known/est'", Some("enrolment.url"));
        check("url = 'https://cm.example/est'", Some("enrolment.url"));
        check("url = 'ftp://cm.example/.well-known/cmp'", Some("enrolment.url"));
        check("url = 'http://cm.example/.well-known/cmp'\nanchors = 'a.pem'", Some("enrolment.anchors"));
        let more = |more: &str| format!("{URL}\n{more}");
        check(&more("user = 'urn:dev:ops:32473-sensor-SN1'"), Some("enrolment.user"));
        check(&more("user = ''"), Some("enrolment.user"));
        check(&more("key_type = 'rsa1024'"), Some("enrolment.key_type"));
        check(&more("hook = ['reload']"), Some("enrolment.hook"));
        check(&more("hook = []"), Some("enrolment.hook"));
        check(&more("patience_s = 0"), Some("enrolment.patience_s"));
        check(&more("secret = 'x'"), Some("secret"));
    }
    #[test]
    fn files_stand_where_the_configuration_is() {
        let device = "urn:dev:ops:32473-sensor-SN1".parse().unwrap();
        let setting: Setting = toml::from_str(&format!("root = 'root.pem'\n{URL}")).unwrap();
        let setting = setting.settle(&device, Path::new("/data"), Path::new("/etc"), None).unwrap();
        assert_eq!(
            (setting.root.as_path(), setting.directory()),
            (Path::new("/etc/root.pem"), Path::new("/data/identity"))
        );
    }
}
