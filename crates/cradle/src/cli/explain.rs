//! `cradle explain`: what the code of an error means.

use super::Common;
use crate::fault::{Exit, Failure, Result, exit_of};
use model::Reason;
use serde_json::json;

/// Explain the code of an error.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The code; all codes if none is given.
    code: Option<String>,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result {
    let Some(code) = &arguments.code else {
        let rows: Vec<_> = Reason::ALL.iter().map(|r| row(*r)).collect();
        return common.out().rows(&["code", "exit", "what"], &rows);
    };
    let reason = Reason::by_code(code).ok_or_else(|| {
        Failure::new(Exit::NotFound, "code-unknown", format!("{code:?} is no code of a refusal"))
            .next("list them with `cradle explain`")
    })?;
    common.out().one(&row(reason), || {
        format!("{code}\n  what: {}\n  next: {}\n  exit: {}\n", reason.what(), reason.next(), exit_of(reason).status())
    })
}

fn row(reason: Reason) -> serde_json::Value {
    json!({"code": reason.code(), "what": reason.what(), "next": reason.next(), "exit": exit_of(reason).status()})
}
