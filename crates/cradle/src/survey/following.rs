//! How sm follows repositories by itself.

use super::{Finding, Severity, said, said_if};
use crate::config::Config;
use crate::fault::Result;
use adapters::store::SqlStore;
use model::UnixTime;
use serde::Serialize;
use software::Standing;
use utoipa::ToSchema;

/// How sm follows repositories by itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FollowingNow {
    /// When all that they say was verified last.
    #[serde(serialize_with = "said_if")]
    #[schema(value_type = Option<String>)]
    pub(crate) last_success: Option<UnixTime>,
    #[serde(serialize_with = "said_if")]
    #[schema(value_type = Option<String>)]
    pub(crate) last_try: Option<UnixTime>,
    /// When a notice was heard last.
    #[serde(serialize_with = "said_if")]
    #[schema(value_type = Option<String>)]
    pub(crate) last_notice: Option<UnixTime>,
    /// When it looks next, if the mode lets it then.
    #[serde(serialize_with = "said_if")]
    #[schema(value_type = Option<String>)]
    pub(crate) next: Option<UnixTime>,
    /// How many reports the director has not taken yet, and why.
    pub(crate) reports_waiting: u64,
    pub(crate) reports_why: Option<String>,
    /// Why the last try failed.
    pub(crate) failed: Option<FailedNow>,
}

/// Why following fails.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FailedNow {
    #[serde(serialize_with = "said")]
    #[schema(value_type = String)]
    pub(crate) since: UnixTime,
    pub(crate) times: u64,
    pub(crate) code: String,
    pub(crate) what: String,
    /// Whether what came has expired.
    pub(crate) freeze: bool,
    // Whether it has failed for longer than looks are apart, and more than once.
    #[serde(skip)]
    lasts: bool,
}

/// How it stands, if the settings want it.
pub(super) fn following(config: &Config, store: &SqlStore, now: UnixTime) -> Result<Option<FollowingNow>> {
    let Some(software) = &config.software else { return Ok(None) };
    let standing = Standing::of(store)?.unwrap_or_default();
    let failed = standing.failed.as_ref().map(|failed| FailedNow {
        since: failed.since,
        times: failed.times,
        code: failed.code.clone(),
        what: failed.what.clone(),
        freeze: failed.is_freeze(),
        lasts: failed.times > 1 && now.since_ms(failed.since) > software.every_s.saturating_mul(1000),
    });
    Ok(Some(FollowingNow {
        reports_waiting: standing.reports_waiting,
        reports_why: standing.reports_why,
        last_success: standing.succeeded_at,
        last_try: standing.tried_at,
        last_notice: standing.noticed_at,
        next: standing.tried_at.map(|_| standing.next_at),
        failed,
    }))
}

impl FollowingNow {
    /// In words, on one line.
    pub(crate) fn words(&self) -> String {
        let at = |at: Option<UnixTime>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let failed = match &self.failed {
            Some(failed) => format!("; failed {} times since {}: {}", failed.times, failed.since, failed.what),
            None => String::new(),
        };
        let reports = match (self.reports_waiting, &self.reports_why) {
            (0, _) => String::new(),
            (n, why) => format!("; {n} reports wait: {}", why.as_deref().unwrap_or("they are on their way")),
        };
        format!("last whole {}, next look {}{failed}{reports}", at(self.last_success), at(self.next))
    }

    /// What needs attention: what has expired at once, all else when it lasts.
    pub(super) fn finding(&self) -> Option<Finding> {
        let failed = self.failed.as_ref()?;
        let finding = if failed.freeze {
            let what = "the repositories say only what has expired: somebody may keep this box from what is new";
            Finding::new("following-frozen", Severity::Fail, what)
                .next("ask whoever publishes, by another way, whether there is something newer")
        } else if failed.lasts {
            Finding::new("following-fails", Severity::Warn, "the repositories of software cannot be followed")
                .next("see [software] in cradle.toml, and the line; it is tried again by itself")
        } else {
            return None;
        };
        Some(finding.because(format!("{} times since {}: {}", failed.times, failed.since, failed.what)))
    }
}
