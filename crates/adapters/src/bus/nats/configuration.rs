//! The configuration of a nats-server that knows our modules.

use super::address::Site;
use super::connection::PAYLOAD_LEN_MIN;
use super::permission::{ANSWER_S, ANSWERS_MAX, Permission};
use model::Module;
use std::fmt::Write;
use std::path::Path;

/// One whom the server lets in.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which module.
    pub module: Module,
    /// Where it runs.
    pub site: Site,
    /// Its public key.
    pub public_key: String,
    /// What it may do.
    pub permission: Permission,
}

/// How often the server asks whether a client is there, in seconds, and how often in vain until it gives it up: a process that is
/// stopped in the middle gets no more calls than those of a quarter of a minute.
const PING_S: u8 = 5;
const PINGS_MAX: u8 = 2;

/// The configuration of a server that listens there, keeps events there, and lets these in.
#[must_use]
pub fn configuration(listen: &str, store: &Path, users: &[&Known]) -> String {
    let head = format!(
        "# For nats-server, written by `cradle bus config`. Permissions follow contracts/callers.toml.\n\
         listen: {}\nmax_payload: {PAYLOAD_LEN_MIN}\nping_interval: \"{PING_S}s\"\nping_max: {PINGS_MAX}\njetstream {{ store_dir: {} }}\n",
        quoted(listen),
        quoted(&store.display().to_string()),
    );
    head + &authorization(users)
}

const USERS_BEGIN: &str = "authorization { users: [\n";
const USERS_END: &str = "\n] }\n";

/// A configuration with other users. All else in it stays; none if its users do not stand where they were written.
#[must_use]
pub fn with_users(configuration: &str, users: &[&Known]) -> Option<String> {
    let (before, rest) = configuration.split_once(USERS_BEGIN)?;
    let (_, after) = rest.split_once(USERS_END)?;
    let is_whole_line = before.is_empty() || before.ends_with('\n');
    let is_only_one = !after.contains(USERS_BEGIN);
    (is_whole_line && is_only_one).then(|| format!("{before}{}{after}", authorization(users)))
}

fn authorization(users: &[&Known]) -> String {
    let mut text = USERS_BEGIN.to_owned();
    for Known { module, site, public_key, permission } in users {
        // Writing to a string does not fail.
        let _written = write!(
            text,
            "  # {module} on {}\n  {{ nkey: {public_key}\n    permissions: {{\n      publish: {{ allow: {} }}\n      \
             subscribe: {{ allow: {} }}\n      allow_responses: {{ max: {ANSWERS_MAX}, expires: \"{ANSWER_S}s\" }}\n    }} }}\n",
            site.instance,
            list(&permission.publish),
            list(&permission.subscribe),
        );
    }
    text + "] }\n"
}

/// As in JSON, which the server reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| format!("\n        {}", quoted(text))).collect();
    format!("[{}\n      ]", texts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(public_key: &str) -> Known {
        let site = Site { domain: "plant".parse().unwrap(), instance: "line-1".parse().unwrap() };
        let permission = Permission { publish: vec!["a.b".into()], subscribe: vec!["c.> d".into()] };
        Known { module: Module::Console, site, public_key: public_key.into(), permission }
    }
    fn written(keys: &[&str]) -> String {
        let known: Vec<_> = keys.iter().map(|key| known(key)).collect();
        configuration("127.0.0.1:4222", Path::new("jetstream"), &known.iter().collect::<Vec<_>>())
    }
    fn again(text: &str) -> Option<String> {
        with_users(text, &[&known("UB")])
    }
    #[test]
    fn other_users_come_into_the_place_of_those_before() {
        assert_eq!(again(&written(&["UA", "UC"])), Some(written(&["UB"])));
    }
    #[test]
    fn what_an_administrator_wrote_stays() {
        let tls = "tls { cert_file: \"a\" }\n";
        let text = format!("# ours\n{}{tls}", written(&["UA"]));
        assert_eq!(again(&text), Some(format!("# ours\n{}{tls}", written(&["UB"]))));
    }
    #[track_caller]
    fn check_refused(text: &str) {
        assert_eq!(again(text), None, "{text}");
    }
    #[test]
    fn what_cradle_did_not_write_is_left_alone() {
        check_refused("");
        check_refused("listen: 1\nauthorization { users: [] }\n");
        check_refused(&written(&["UA"]).replace("\n] }\n", "\n]\n}\n"));
        check_refused(&format!("# {}", USERS_BEGIN.trim_end()));
        check_refused(&written(&["UA"]).repeat(2));
    }
}
