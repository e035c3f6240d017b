use super::*;

const GOOD: &str = r#"
    description = "a device"
    subject_kind = "device"
    issuers = ["factory"]
    key_types = ["p256"]
    ra_verified = true
    subject = [{ type = "CN", value = "{device_type} {serial}" }]
    subject_alt_name = [{ uri = "{urn}" }]
    [validity]
    not_after = "99991231235959Z"
    backdate_s = 60
    issuer_expiry = "refuse"
    [extensions]
    key_usage = ["digital-signature"]
"#;

#[track_caller]
fn check(from: &str, to: &str, place: &str) {
    assert!(GOOD.contains(from), "the test changes nothing");
    let read = Profile::read("test".parse().unwrap(), &GOOD.replace(from, to));
    assert_eq!(read.map(|_| ()).map_err(|bad| bad.place), Err(place), "{to}");
}
fn device() -> Entity {
    "urn:dev:ops:32473-sensor-SN1".parse().unwrap()
}

#[test]
fn a_good_profile() {
    let profile = Profile::read("test".parse().unwrap(), GOOD).unwrap();
    assert_eq!(profile.subject(&device(), "Example").unwrap().to_string(), "CN=sensor SN1");
    assert!(profile.alt_name(&device(), "Example").unwrap().is_some());
    assert!(profile.subject(&"operator:alice".parse().unwrap(), "Example").is_none());
    let (not_before, not_after) = profile.validity(UnixTime::from_ms(100_500));
    assert_eq!((not_before.s(), not_after), (40, UnixTime::NO_EXPIRY));
}
#[test]
fn a_lifetime_counts_both_ends() {
    let toml = GOOD.replace("not_after = \"99991231235959Z\"", "lifetime_s = 10");
    let profile = Profile::read("test".parse().unwrap(), &toml).unwrap();
    assert_eq!(profile.validity(UnixTime::from_s(100)).1.s(), 109);
}
#[test]
fn unknown_fields_are_refused() {
    check("ra_verified", "extra = 1\nra_verified", "file");
}
#[test]
fn unknown_key_types_are_refused() {
    check("[\"p256\"]", "[\"p256\", \"dsa\"]", "key_types");
}
#[test]
fn no_key_type_is_refused() {
    check("[\"p256\"]", "[]", "key_types");
}
#[test]
fn unknown_attributes_are_refused() {
    check("type = \"CN\"", "type = \"XY\"", "subject");
}
#[test]
fn unknown_variables_are_refused() {
    check("{serial}", "{secret}", "subject");
}
#[test]
fn variables_of_another_kind_are_refused() {
    check("{serial}", "{name}", "subject");
}
#[test]
fn an_open_brace_is_refused() {
    check("{serial}", "{serial", "subject");
}
#[test]
fn a_wildcard_is_refused() {
    check("{ uri = \"{urn}\" }", "{ dns = \"*.{serial}.example\" }", "subject_alt_name");
}
#[test]
fn another_end_is_refused() {
    check("99991231235959Z", "20301231235959Z", "validity");
}
#[test]
fn two_ends_are_refused() {
    check("backdate_s", "lifetime_s = 5\nbackdate_s", "validity");
}
#[test]
fn a_beginning_long_ago() {
    check("backdate_s = 60", "backdate_s = 604801", "validity");
}
#[test]
fn two_hundred_years_are_refused() {
    check("not_after = \"99991231235959Z\"", "lifetime_s = 6400000000", "validity");
}
#[test]
fn a_leaf_that_signs_certificates_is_refused() {
    check("\"digital-signature\"", "\"key-cert-sign\"", "extensions");
}
#[test]
fn a_device_that_is_an_authority_is_refused() {
    check("[\"digital-signature\"]", "[\"key-cert-sign\"]\nbasic_constraints = { ca = true }", "extensions");
}
#[test]
fn a_leaf_without_issuer_is_refused() {
    check("[\"factory\"]", "[]", "extensions");
}
#[test]
fn a_crl_distribution_point_that_is_no_uri_is_refused() {
    check("key_usage =", "crl_distribution_point = \"x\"\nkey_usage =", "crl_distribution_point");
}
#[test]
fn a_long_file_is_refused() {
    let long = format!("{GOOD}#{}", "x".repeat(PROFILE_LEN_MAX));
    assert!(Profile::read("test".parse().unwrap(), &long).is_err());
}
