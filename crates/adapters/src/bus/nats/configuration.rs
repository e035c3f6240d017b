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

/// The configuration of a server that listens there, keeps events there, and lets these in.
#[must_use]
pub fn configuration(listen: &str, store: &Path, users: &[&Known]) -> String {
    let mut text = format!(
        "# For nats-server, written by `cradle bus config`. Permissions follow contracts/callers.toml.\n\
         listen: {}\nmax_payload: {PAYLOAD_LEN_MIN}\njetstream {{ store_dir: {} }}\nauthorization {{ users: [\n",
        quoted(listen),
        quoted(&store.display().to_string()),
    );
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
