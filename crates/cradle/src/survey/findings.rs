//! What needs somebody's attention: each finding with a code, a cause and what to do.

use super::following::FollowingNow;
use super::{AuthorityNow, DAY_S, HolderNow, Survey};
use crate::clock;
use model::UnixTime;
use serde::Serialize;
use utoipa::ToSchema;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    /// It works, and will not for ever.
    Warn,
    /// It does not work, or others are told what is not true any more.
    Fail,
}

/// Something that needs attention.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) next: String,
}

/// All findings there are: code, what it means, what to do. `cradle explain` knows them.
pub(crate) const FINDINGS: [(&str, &str, &str); 23] = [
    ("authority-expired", "an authority's certificate has expired", "make another with `cradle ca create`"),
    ("authority-expiring", "an authority's certificate expires soon", "make its successor with `cradle ca create`"),
    ("authority-unfinished", "the making of an authority was interrupted", "repeat `cradle ca create`"),
    ("authority-waits", "an authority waits for a certificate that is signed elsewhere", "`cradle ca install`"),
    (
        "clock-ahead",
        "the clock is far ahead of the latest record, and nothing is recorded",
        "set the clock; if it is right: `cradle clock accept`",
    ),
    ("clock-behind", "the clock is behind the latest record", "set the clock; nothing is issued until then"),
    ("crl-due", "a list of revoked certificates must be renewed soon", "`cradle crl issue AUTHORITY`"),
    ("crl-missing", "certificates were revoked, and no list says so", "`cradle crl issue AUTHORITY`"),
    ("crl-overdue", "a list of revoked certificates is older than it says it may be", "`cradle crl issue AUTHORITY`"),
    ("disk-low", "the disk is nearly full", "make room: a full disk stops issuing, and loses nothing"),
    (
        "following-fails",
        "sm cannot follow its repositories, for longer than looks are apart",
        "see `cradle status` for the reason, and [software] in cradle.toml; it is tried again by itself",
    ),
    (
        "following-frozen",
        "what the repositories say has expired: somebody may keep this box from what is new",
        "ask whoever publishes, by another way, whether there is something newer",
    ),
    (
        "foreign-open",
        "it is not known what a foreign authority made of a request, and its grant stays reserved",
        "repeat the request, or `cradle ca settle AUTHORITY`",
    ),
    (
        "holder-expired",
        "the certificate of a module or an operator has expired",
        "`cradle operator renew NAME --expired`, then `cradle module renew --all --expired`",
    ),
    (
        "holder-expiring",
        "the certificate of a module or an operator expires soon",
        "`cradle operator renew NAME` or `cradle module renew --all`",
    ),
    (
        "intents-open",
        "a command ended between intent and record",
        "the next mode in which the authority is awake closes them",
    ),
    (
        "maker-list-due",
        "a maker's list of revoked certificates ends soon",
        "get the present one, then `cradle maker revoked MAKER LIST`",
    ),
    (
        "maker-list-missing",
        "there is no list of what a maker revoked, and nobody enrols with its certificates",
        "`cradle maker revoked MAKER LIST`",
    ),
    (
        "maker-list-overdue",
        "a maker's list of revoked certificates has ended, and nobody enrols with its certificates",
        "get the present one, then `cradle maker revoked MAKER LIST`",
    ),
    (
        "marks-lost",
        "the high-water marks are gone, or began anew after the last backup",
        "put them back, or take a backup: `cradle backup create FILE`",
    ),
    ("mode-interrupted", "a change of mode was interrupted", "order the mode again: `cradle mode set`"),
    ("mode-missing", "no mode was ever ordered", "`cradle init` was not finished: make the installation anew"),
    ("restored", "the installation was restored from a backup, and issues nothing yet", "`cradle backup confirm`"),
];

/// A certificate that others depend on is replaced with care; a quarter of a year is not too long for it.
const EXPIRING_S: u64 = 90 * DAY_S;
/// A list is due so long before it is overdue: a long weekend.
pub(super) const CRL_DUE_S: u64 = 4 * DAY_S;
/// Less room than this, or than a twentieth of the disk, is little; never more than `ROOM_PLENTY`.
const ROOM_MIN: u64 = 256 * 1024 * 1024;
const ROOM_PLENTY: u64 = 8 * 1024 * 1024 * 1024;
/// What is refused at issuing, too: see the store.
const CLOCK_SLACK_MS: u64 = 5_000;

impl Finding {
    pub(crate) fn new(code: &'static str, severity: Severity, what: impl Into<String>) -> Self {
        Self { code, severity, what: what.into(), why: String::new(), next: String::new() }
    }
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}

/// Everything in a survey that needs attention, the worst first.
pub(super) fn of(survey: &Survey) -> Vec<Finding> {
    let now = survey.at;
    let mut all: Vec<Finding> = Vec::new();
    for authority in &survey.authorities {
        all.extend(certificate_of(survey, authority));
        // The lists of a foreign authority are its own.
        if !authority.is_foreign() {
            all.extend(list_of(authority, now));
        }
        all.extend(open_with(authority));
    }
    for (kind, holders) in [("module", &survey.modules), ("operator", &survey.operators)] {
        all.extend(holders.iter().filter_map(|holder| holder_finding(kind, holder, now)));
    }
    all.extend(survey.makers.iter().filter_map(|maker| maker.finding(now)));
    all.extend(restored(survey));
    all.extend(lost_marks(survey));
    all.extend(mode(survey));
    all.extend(survey.following.as_ref().and_then(FollowingNow::finding));
    all.extend(intents(survey));
    all.extend(disk(survey.disk.free_octets, survey.disk.total_octets));
    all.extend(
        survey.disk.marks.and_then(|marks| disk(Some(marks.free_octets), Some(marks.total_octets))).map(of_marks),
    );
    all.extend(clock(now, survey.audit.latest));
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

fn restored(survey: &Survey) -> Option<Finding> {
    survey.quarantined.then(|| {
        Finding::new("restored", Severity::Fail, "this installation was restored from a backup, and issues nothing yet")
            .because("somebody has to say that all that is known of the time after the backup was read back")
            .next("`cradle backup confirm`")
    })
}

fn lost_marks(survey: &Survey) -> Option<Finding> {
    let marks = &survey.marks;
    let why = "a backup needs the marks of the time after it; without them only two operators can restore it, and what \
               was issued and revoked since is not known then";
    let (severity, what) = match (marks.there, marks.lost_at) {
        (false, _) => (Severity::Fail, format!("the high-water marks are gone from {}", marks.directory)),
        (true, Some(entry)) => {
            (Severity::Warn, format!("the high-water marks were gone, and began anew at audit entry {entry}"))
        }
        (true, None) => return None,
    };
    let next = "put the directory back if it was moved (`marks` in cradle.toml names it); else take a backup now, in the \
                place of all before: `cradle backup create FILE`";
    Some(Finding::new("marks-lost", severity, what).because(why).next(next))
}

pub(super) fn days(from: UnixTime, to: UnixTime) -> u64 {
    to.since_ms(from) / 1000 / DAY_S
}

/// An authority without a certificate: it waits for one from elsewhere, or its making was interrupted.
fn unfinished(survey: &Survey, authority: &AuthorityNow) -> Finding {
    let name = &authority.name;
    let issuer = authority.issuer.as_ref().and_then(|above| survey.authorities.iter().find(|a| a.name == *above));
    match issuer.filter(|issuer| issuer.key == ports::keystore::OFFLINE) {
        Some(issuer) => Finding::new(
            "authority-waits",
            Severity::Warn,
            format!("authority {name} waits for its certificate"),
        )
        .because(format!("it was requested, and {}, whose key is elsewhere, signs it", issuer.name))
        .next(format!(
            "`cradle ca sign` where that key is, then here, in the mode ceremony: `cradle ca install {name} CERT.pem`"
        )),
        None => Finding::new("authority-unfinished", Severity::Warn, format!("authority {name} has no certificate"))
            .because("its making was interrupted, or it was requested and its certificate was not installed")
            .next("repeat the same `cradle ca create`, or `cradle ca install`, in the mode ceremony"),
    }
}

fn certificate_of(survey: &Survey, authority: &AuthorityNow) -> Option<Finding> {
    let (name, now) = (&authority.name, survey.at);
    let Some(not_after) = authority.not_after else { return Some(unfinished(survey, authority)) };
    let next = match &authority.issuer {
        Some(issuer) if issuer != name => format!("`cradle ca create NAME --profile PROFILE --issuer {issuer}` in the mode ceremony, and devices' profiles to it"),
        _ => "`cradle ca create NAME --profile root` in the mode ceremony, and give its certificate to those who trust this one".to_owned(),
    };
    expiry(not_after, now).map(|(severity, when)| {
        let code = if severity == Severity::Fail { "authority-expired" } else { "authority-expiring" };
        Finding::new(code, severity, format!("authority {name}: its certificate {when}"))
            .because("what it issues cannot outlive it, and nobody accepts it afterwards")
            .next(next)
    })
}

fn expiry(not_after: UnixTime, now: UnixTime) -> Option<(Severity, String)> {
    if not_after < now {
        return Some((Severity::Fail, format!("expired {} days ago", days(not_after, now))));
    }
    (not_after < now.plus_s(EXPIRING_S)).then(|| (Severity::Warn, format!("expires in {} days", days(now, not_after))))
}

fn open_with(authority: &AuthorityNow) -> Option<Finding> {
    let (name, open) = (&authority.name, authority.unsettled);
    (open > 0).then(|| {
        let what = format!("it is not known what {name} made of {open} requests");
        Finding::new("foreign-open", Severity::Warn, what)
            .because("a command ended while it was asked, or its answer proved nothing; the grants stay reserved")
            .next(format!("repeat the requests (`cradle station run`), or `cradle ca settle {name}`"))
    })
}

fn list_of(authority: &AuthorityNow, now: UnixTime) -> Option<Finding> {
    let name = &authority.name;
    let next = format!("`cradle crl issue {name}` in the mode certificate-management");
    let Some(list) = &authority.crl else {
        let revoked = authority.certificates.map_or(0, |c| c.revoked);
        return (revoked > 0).then(|| {
            Finding::new(
                "crl-missing",
                Severity::Fail,
                format!("authority {name} never signed a list of revoked certificates"),
            )
            .because(format!("it has revoked {revoked}, and nobody can know"))
            .next(next)
        });
    };
    if list.overdue {
        let late = days(list.next_update, now);
        let finding = Finding::new("crl-overdue", Severity::Fail, format!("CRL {} of {name} is overdue", list.number));
        return Some(
            finding
                .because(format!(
                    "the next one was promised for {}, {late} days ago; who checks lists refuses all its certificates",
                    list.next_update
                ))
                .next(next),
        );
    }
    (list.next_update < now.plus_s(CRL_DUE_S)).then(|| {
        Finding::new("crl-due", Severity::Warn, format!("CRL {} of {name} is due", list.number))
            .because(format!("the next one is promised for {}", list.next_update))
            .next(next)
    })
}

fn holder_finding(kind: &str, holder: &HolderNow, now: UnixTime) -> Option<Finding> {
    let (severity, when) = expiry(holder.not_after, now)?;
    let code = if severity == Severity::Fail { "holder-expired" } else { "holder-expiring" };
    let finding = Finding::new(code, severity, format!("{kind} {}: its certificate {when}", holder.name));
    Some(finding.because("without it nobody on the bus believes what it says, and it does not start").next(renewal(
        kind,
        &holder.name,
        severity,
    )))
}

/// The command that renews a certificate. What has expired is renewed without a mode: nobody could order one.
fn renewal(kind: &str, name: &str, severity: Severity) -> String {
    let command =
        if kind == "operator" { format!("cradle operator renew {name}") } else { "cradle module renew --all".into() };
    match severity {
        Severity::Warn => format!("`{command}` in the mode certificate-management"),
        Severity::Fail => format!("`{command} --expired`"),
    }
}

fn mode(survey: &Survey) -> Option<Finding> {
    let Some(mode) = &survey.mode else {
        let finding = Finding::new("mode-missing", Severity::Fail, "no mode was ever ordered");
        return Some(
            finding.because("`cradle init` was interrupted").next("remove the directory and run `cradle init` again"),
        );
    };
    // While a command runs it may be in the middle of the change.
    let to = mode.changing_to.as_ref().filter(|_| survey.held_by.is_none())?;
    let finding = Finding::new("mode-interrupted", Severity::Warn, format!("a change of mode to {to} was interrupted"));
    Some(
        finding
            .because("until it is repeated only what both modes allow is awake")
            .next(format!("`cradle mode set {}`", mode.order)),
    )
}

fn intents(survey: &Survey) -> Option<Finding> {
    let open = survey.open_intents;
    (open > 0 && survey.held_by.is_none()).then(|| {
        Finding::new(
            "intents-open",
            Severity::Warn,
            format!("{open} signatures were intended, and nobody knows whether they were made"),
        )
        .because("a command ended between intent and record")
        .next("`cradle mode set certificate-management`: the authority closes and revokes them when it starts")
    })
}

/// Whether so little room is left that somebody should look.
pub(crate) fn disk(free: Option<u64>, total: Option<u64>) -> Option<Finding> {
    let (free, total) = free.zip(total)?;
    let little = (total / 20).clamp(ROOM_MIN, ROOM_PLENTY);
    (free < little).then(|| {
        let severity = if free < ROOM_MIN { Severity::Fail } else { Severity::Warn };
        Finding::new("disk-low", severity, format!("{} MiB are left on the disk of the records", free / 1024 / 1024))
            .because("when it is full nothing is issued any more; what was answered stays")
            .next("make room, or move the data directory to a larger disk")
    })
}

/// The same of the disk of the high-water marks.
pub(crate) fn of_marks(finding: Finding) -> Finding {
    let what = finding.what.replace("of the records", "of the high-water marks");
    Finding { what, next: "make room there, or keep the marks on a larger disk".into(), ..finding }
}

/// Whether the clock is behind what was recorded, or far ahead of it.
fn clock(now: UnixTime, latest: UnixTime) -> Option<Finding> {
    if clock::is_ahead(now, latest) {
        let finding = Finding::new("clock-ahead", Severity::Fail, "the clock is far ahead of the latest record");
        return Some(
            finding
                .because(clock::why(now, latest))
                .next("set the clock; if it is right, an operator says so once: `cradle clock accept`"),
        );
    }
    (now.plus_ms(CLOCK_SLACK_MS) < latest).then(|| {
        Finding::new("clock-behind", Severity::Fail, "the clock is behind the latest record")
            .because(format!("it says {now}; something was recorded at {latest}"))
            .next("set the clock; certificates are refused until it has caught up")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * 1024 * 1024;

    #[track_caller]
    fn room(free: u64, total: u64, expected: Option<Severity>) {
        assert_eq!(disk(Some(free), Some(total)).map(|f| f.severity), expected);
    }
    #[test]
    fn a_twentieth_of_the_disk_is_little() {
        room(4 * GIB, 100 * GIB, Some(Severity::Warn));
        room(6 * GIB, 100 * GIB, None);
    }
    #[test]
    fn eight_gibibytes_are_plenty_on_any_disk() {
        room(9 * GIB, 10_000 * GIB, None);
        room(7 * GIB, 10_000 * GIB, Some(Severity::Warn));
    }
    #[test]
    fn a_quarter_of_a_gibibyte_is_needed_on_any_disk() {
        room(ROOM_MIN - 1, GIB, Some(Severity::Fail));
        room(ROOM_MIN, GIB, None);
    }

    const NOW: UnixTime = UnixTime::from_s(1_800_000_000);

    #[track_caller]
    fn expires(not_after: UnixTime, expected: Option<Severity>) {
        assert_eq!(expiry(not_after, NOW).map(|(severity, _)| severity), expected);
    }
    #[test]
    fn the_last_second_is_not_expired() {
        expires(NOW, Some(Severity::Warn));
        expires(NOW.minus_s(1), Some(Severity::Fail));
    }
    #[test]
    fn ninety_days_are_soon() {
        expires(NOW.plus_s(EXPIRING_S - 1), Some(Severity::Warn));
        expires(NOW.plus_s(EXPIRING_S), None);
        expires(UnixTime::NO_EXPIRY, None);
    }
    #[test]
    fn a_clock_within_the_slack_is_not_behind() {
        assert!(clock(NOW, NOW.plus_ms(CLOCK_SLACK_MS)).is_none());
        assert!(clock(NOW, NOW.plus_ms(CLOCK_SLACK_MS + 1)).is_some());
    }

    #[test]
    fn every_finding_is_explained() {
        let sources = [include_str!("findings.rs"), include_str!("following.rs"), include_str!("makers.rs")];
        let made = sources.iter().flat_map(|source| source.split("Finding::new("));
        let made = made.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
        let mut count = 0;
        for code in made.filter(|code| code.bytes().all(|c| c.is_ascii_lowercase() || c == b'-')) {
            assert!(FINDINGS.iter().any(|(known, ..)| *known == code), "{code}");
            count += 1;
        }
        assert!(count >= 14, "{count}");
    }
}
