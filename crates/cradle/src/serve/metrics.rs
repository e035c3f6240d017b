//! A survey as Prometheus reads it.
//!
//! Source: OpenMetrics 1.0. `x509_cert_not_after` is the name that certificate dashboards know.

use crate::survey::Survey;
use model::UnixTime;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<u64, AtomicU64>>;

/// Registers a gauge for each set of labels.
fn gauges(registry: &mut Registry, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
    let family = Gauges::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}

/// All metrics, as text.
///
/// # Errors
/// None that could happen: writing into a String does not fail.
pub(super) fn text(survey: &Survey, errors: u64) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::default();
    let r = &mut registry;
    let version = vec![("version", survey.version.to_owned())];
    r.register("cradle_build", "The program that answers", Info::new(version));
    r.register("cradle_installation", "The installation that is watched", Info::new(installation(survey)));
    certificates(r, survey);
    lists(r, survey);
    expiry(r, survey);
    let codes = survey.findings.iter().fold(std::collections::BTreeMap::<_, u64>::new(), |mut codes, finding| {
        *codes.entry((finding.code, finding.severity)).or_default() += 1;
        codes
    });
    let findings = codes.into_iter().map(|((code, severity), count)| {
        let severity = if severity == crate::survey::Severity::Fail { "fail" } else { "warn" };
        (vec![("code", code.to_owned()), ("severity", severity.to_owned())], count)
    });
    gauges(r, "cradle_findings", "What needs attention, by code; `cradle explain CODE`", findings);
    records(r, survey);
    counter(r, "cradle_scrape_errors", "How often the installation could not be looked at", errors);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn installation(survey: &Survey) -> Labels {
    let mode = survey.mode.as_ref();
    vec![
        ("name", survey.name.clone()),
        ("organization", survey.organization.clone()),
        ("mode", mode.map(|mode| mode.mode.clone()).unwrap_or_default()),
        ("order", mode.map(|mode| mode.order.clone()).unwrap_or_default()),
    ]
}

fn certificates(registry: &mut Registry, survey: &Survey) {
    let counted = survey.authorities.iter().filter_map(|a| Some((a, a.certificates?)));
    let states = counted.clone().flat_map(|(authority, c)| {
        let states = [
            ("unconfirmed", c.unconfirmed),
            ("confirmed", c.confirmed),
            ("revoked", c.revoked),
            ("rejected", c.rejected),
            ("closed", c.closed),
        ];
        states.map(|(state, count)| (vec![("authority", authority.name.clone()), ("state", state.to_owned())], count))
    });
    let help = "Signatures by authority and what became of them; each counts once";
    gauges(registry, "cradle_certificates", help, states);
    // What was closed may have been signed, so it is revoked too.
    let revoked: u64 = counted.map(|(_, c)| c.revoked + c.rejected + c.closed).sum();
    counter(registry, "cradle_revocations", "Serial numbers that were revoked", revoked);
    counter(registry, "cradle_issuances", "Signatures that were intended", survey.signatures);
    let open = [(Vec::new(), survey.open_intents)];
    gauges(registry, "cradle_open_intents", "Intents of which nobody knows yet whether they were signed", open);
    let devices = survey.devices.into_iter().flat_map(|d| {
        let custody = [("planned", d.planned), ("made", d.made), ("provisioned", d.provisioned)];
        custody.map(|(custody, count)| (vec![("custody", custody.to_owned())], count))
    });
    gauges(registry, "cradle_devices", "Devices by how far they have come", devices);
    let stolen = survey.devices.into_iter().map(|d| (Vec::new(), d.stolen));
    gauges(registry, "cradle_devices_stolen", "Devices that are marked as stolen", stolen);
}

fn lists(registry: &mut Registry, survey: &Survey) {
    let now = survey.at;
    let mut each = |name: &str, help: &str, value: &dyn Fn(&crate::survey::ListNow) -> u64| {
        let values = survey.authorities.iter().filter_map(|authority| {
            let list = authority.crl.as_ref()?;
            Some((vec![("authority", authority.name.clone())], value(list)))
        });
        gauges(registry, name, help, values);
    };
    each("cradle_crl_number", "Number of the last list of revoked certificates", &|list| list.number);
    each("cradle_crl_age_seconds", "Age of the last list", &|list| now.since_ms(list.this_update) / 1000);
    each("cradle_crl_next_update_timestamp_seconds", "When the next list is due", &|list| list.next_update.s());
    each("cradle_crl_size_bytes", "Octets of the last list", &|list| list.octets);
    let makers =
        survey.makers.iter().filter_map(|maker| Some((vec![("maker", maker.name.clone())], maker.next_update?.s())));
    let help = "When the last list of what a maker revoked ends";
    gauges(registry, "cradle_maker_list_next_update_timestamp_seconds", help, makers);
}

fn expiry(registry: &mut Registry, survey: &Survey) {
    let row =
        |kind: &str, name: &str, at: UnixTime| (vec![("kind", kind.to_owned()), ("name", name.to_owned())], at.s());
    let authorities = survey.authorities.iter().filter_map(|a| Some(row("authority", &a.name, a.not_after?)));
    let modules = survey.modules.iter().map(|m| row("module", &m.name, m.not_after));
    let operators = survey.operators.iter().map(|o| row("operator", &o.name, o.not_after));
    let help = "When the certificate of an authority, module or operator expires, in seconds since 1970";
    gauges(registry, "x509_cert_not_after", help, authorities.chain(modules).chain(operators));
    let devices = survey
        .horizon
        .iter()
        .filter_map(|horizon| Some((vec![("within_days", horizon.within_days.to_string())], horizon.devices?)));
    gauges(
        registry,
        "cradle_certificates_expiring",
        "Certificates of devices that expire within so many days",
        devices,
    );
}

fn records(registry: &mut Registry, survey: &Survey) {
    counter(registry, "cradle_audit_entries", "Entries of the audit log", survey.audit.entries);
    let disk = &survey.disk;
    let mut one = |name: &str, help: &str, value: Option<u64>| {
        gauges(registry, name, help, value.map(|value| (Vec::new(), value)));
    };
    let latest = "The latest time in the audit log, in seconds since 1970";
    one("cradle_audit_latest_timestamp_seconds", latest, Some(survey.audit.latest.s()));
    one("cradle_database_size_bytes", "Octets of the database", Some(disk.database_octets));
    one("cradle_wal_size_bytes", "Octets of the database's write-ahead log", Some(disk.wal_octets));
    one("cradle_vault_size_bytes", "Octets of stored images", Some(disk.vault_octets));
    one("cradle_disk_free_bytes", "Octets that can still be written on the disk of the records", disk.free_octets);
    one("cradle_disk_size_bytes", "Octets of the disk of the records", disk.total_octets);
    let marks = "Octets that can still be written on the disk of the high-water marks, if it is another one";
    one("cradle_marks_disk_free_bytes", marks, disk.marks.map(|marks| marks.free_octets));
    one("cradle_in_use", "Whether a process writes at this moment", Some(u64::from(survey.held_by.is_some())));
}
