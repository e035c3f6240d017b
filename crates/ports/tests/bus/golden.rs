//! A sealed call and its answer as they are on the bus, in `contracts/envelope.json`: other programs can read them
//! (`testdata/make/open_envelope.py`), and what is written now is what was written then.

use crate::support::{Draft, NOW, everybody, home, key};
use model::octets::Base64;
use model::{Digest, Module};
use ports::Signer;
use ports::envelope::{ANSWER, CALL, Claims, Opened};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::path::PathBuf;

/// One line for each member, so that a program can take the octets of a message out without writing them anew.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    /// SubjectPublicKeyInfo in DER.
    caller_key: Base64,
    answerer_key: Base64,
    call: Box<RawValue>,
    answer: Box<RawValue>,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../contracts/envelope.json")
}

fn written_now() -> Golden {
    let raw = |octets: Vec<u8>| RawValue::from_string(String::from_utf8(octets).unwrap()).unwrap();
    let spki = |module| Base64(key(home(module)).public_key().spki().to_vec());
    let call = Draft::mark().seal();
    let asked = Opened::open(CALL, &call, &everybody(), NOW).unwrap();
    let draft = Draft::mark();
    let claims = Claims {
        from: Module::Identity,
        to: Module::Console,
        at: NOW.plus_ms(12),
        standing: None,
        answers: Some(asked.digest()),
        body: Digest::new([0; 32]),
        ..draft.claims
    };
    let answer = Draft {
        typ: ANSWER,
        claims,
        body: r#"{"Ok":{}}"#.to_owned(),
        signed_by: home(Module::Identity),
        ..Draft::mark()
    };
    Golden {
        caller_key: spki(Module::Console),
        answerer_key: spki(Module::Identity),
        call: raw(call.clone()),
        answer: raw(answer.seal()),
    }
}

#[test]
fn a_sealed_message_is_what_it_was() {
    let text = serde_json::to_string_pretty(&written_now()).unwrap() + "\n";
    #[expect(clippy::disallowed_methods, reason = "the golden file is written anew only when somebody asks for it")]
    if std::env::var("CRADLE_BLESS").is_ok() {
        std::fs::write(path(), &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path()).unwrap(), text, "CRADLE_BLESS=1 writes it anew; is that meant?");
}
#[test]
fn what_was_sealed_is_opened() {
    let text = std::fs::read(path()).unwrap();
    let golden: Golden = serde_json::from_slice(&text).unwrap();
    let directory = everybody();
    let call = Opened::open(CALL, golden.call.get().as_bytes(), &directory, NOW).unwrap();
    let answer = Opened::open(ANSWER, golden.answer.get().as_bytes(), &directory, NOW).unwrap();
    assert_eq!(call.body().get(), crate::support::MARK);
    assert_eq!(answer.claims().answers, Some(call.digest()));
    assert_eq!((call.caller().to_string(), answer.caller().to_string()), ("console:box".into(), "identity:box".into()));
}
