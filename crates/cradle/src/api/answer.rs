//! What is answered: an object, or a problem.
//!
//! Source: RFC 9457.

use crate::cli::explain;
use crate::fault::{DISK_FULL_CODE, Exit, Failure};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use model::Reason;
use model::text::printable;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Longest text of a problem, in characters.
const TEXT_LEN_MAX: usize = 4000;
/// When it may be asked again, in seconds.
const RETRY_AFTER_S: &str = "1";

/// What went wrong, as the command line says it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Where the code is explained.
    r#type: String,
    /// What the code means.
    title: String,
    status: u16,
    /// What was not done, and why.
    detail: String,
    /// What is told to programs.
    code: &'static str,
    what: String,
    why: String,
    next: String,
}

/// The media type of problems.
pub(super) const PROBLEM: &str = "application/problem+json";

/// The status for a failure: whose fault it is, and whether retrying helps.
pub(super) fn status_of(failure: &Failure) -> StatusCode {
    // The mode, the seal and the quarantine are states that an operator changes.
    let states = [Reason::ModuleOff, Reason::WrongMode, Reason::Sealed, Reason::Quarantined, Reason::KeyOffline];
    match (failure.exit, failure.code) {
        // A name in a path that nothing can have.
        (Exit::Usage, "device" | "serial") => StatusCode::NOT_FOUND,
        (_, code) if states.iter().any(|reason| reason.code() == code) => StatusCode::CONFLICT,
        (_, code) if code == Reason::RateExceeded.code() => StatusCode::TOO_MANY_REQUESTS,
        (_, code) if code == Reason::AwaitingApproval.code() => StatusCode::CONFLICT,
        (_, DISK_FULL_CODE) => StatusCode::INSUFFICIENT_STORAGE,
        (_, "list-invalid" | "malformed") => StatusCode::UNPROCESSABLE_ENTITY,
        (Exit::Usage, _) => StatusCode::BAD_REQUEST,
        (Exit::NotAuthorised, _) => StatusCode::FORBIDDEN,
        (Exit::NotFound, _) => StatusCode::NOT_FOUND,
        (Exit::Conflict, _) => StatusCode::CONFLICT,
        (Exit::Refused, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (Exit::Unavailable | Exit::TryAgain, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Exit::Failed | Exit::Partial, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An answer with a status, as it is sent and kept.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// Whether a secret is in it, which is told once.
    pub(super) is_secret: bool,
}

impl Answer {
    pub(super) const fn of(body: Value) -> Self {
        Self { status: StatusCode::OK, body, is_secret: false }
    }

    pub(super) fn problem(failure: &Failure) -> Self {
        Self::problem_with(status_of(failure), failure)
    }

    /// A problem of HTTP itself, which has its own status.
    pub(super) fn problem_with(status: StatusCode, failure: &Failure) -> Self {
        let shown = |text: &str| text.lines().map(|line| printable(line, TEXT_LEN_MAX)).collect::<Vec<_>>().join("\n");
        let Failure { what, why, next, code, .. } = failure;
        let problem = Problem {
            r#type: format!("/v1/explanations/{code}"),
            title: explain::title(code).unwrap_or("something failed").to_owned(),
            status: status.as_u16(),
            detail: if why.is_empty() { shown(what) } else { format!("{}: {}", shown(what), shown(why)) },
            code,
            what: shown(what),
            why: shown(why),
            next: shown(next),
        };
        // A structure of texts and a number is JSON.
        Self { status, body: serde_json::to_value(problem).unwrap_or_default(), is_secret: false }
    }

    /// Whether asking for the same again may have another answer, because nothing was decided.
    pub(super) const fn is_passing(&self) -> bool {
        use StatusCode as S;
        matches!(self.status, S::SERVICE_UNAVAILABLE | S::INSUFFICIENT_STORAGE | S::TOO_MANY_REQUESTS)
    }

    pub(super) fn into_response(self) -> Response {
        let kind = if self.status.is_success() { "application/json" } else { PROBLEM };
        let text = format!("{}\n", crate::output::visible(&self.body.to_string()));
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if self.is_passing() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A request that is not as its description says.
pub(super) fn bad_request(what: impl Into<String>, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, "request", what)
        .because(why)
        .next("compare it with the description: `cradle api openapi`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(exit: Exit, code: &'static str, expected: u16) {
        assert_eq!(status_of(&Failure::new(exit, code, "it")).as_u16(), expected, "{code}");
    }
    #[test]
    fn each_exit_status_has_a_status_of_http() {
        check(Exit::Usage, "usage", 400);
        check(Exit::NotAuthorised, "operator", 403);
        check(Exit::NotFound, "no-crl", 404);
        check(Exit::Conflict, "already-revoked", 409);
        check(Exit::Refused, "no-grant", 422);
        check(Exit::TryAgain, "in-use", 503);
        check(Exit::Unavailable, "unavailable", 503);
        check(Exit::Failed, "corrupt", 500);
    }
    #[test]
    fn a_state_that_an_operator_can_change_is_a_conflict() {
        check(Exit::Unavailable, Reason::ModuleOff.code(), 409);
        check(Exit::Unavailable, Reason::Sealed.code(), 409);
    }
    #[test]
    fn a_name_that_nothing_can_have_is_not_found() {
        check(Exit::Usage, "serial", 404);
    }
    #[test]
    fn only_what_was_not_decided_may_be_asked_again() {
        assert!(Answer::problem(&Failure::new(Exit::TryAgain, "in-use", "it")).is_passing());
        assert!(!Answer::problem(&Failure::new(Exit::Refused, "no-grant", "it")).is_passing());
        assert!(!Answer::problem(&Failure::new(Exit::Failed, "corrupt", "it")).is_passing(), "half of it may be done");
    }
    #[test]
    fn what_could_turn_a_terminal_around_is_not_in_a_problem() {
        let answer = Answer::problem(&Failure::new(Exit::Usage, "request", "a\u{202e}b\u{1b}[2J"));
        let text = answer.body.to_string();
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}') && !text.contains("\\u001b"), "{text}");
    }
}
