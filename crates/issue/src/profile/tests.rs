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
    let asked = Asked::nothing();
    let conferred = profile.confer(&device(), "Example", &asked, &mut Vec::new()).unwrap();
    assert_eq!(conferred.subject.to_string(), "CN=sensor SN1");
    assert_eq!(conferred.extensions.len(), 1);
    assert!(profile.confer(&"operator:alice".parse().unwrap(), "Example", &asked, &mut Vec::new()).is_none());
    assert_eq!((profile.version(), profile.shards(), profile.approvals()), (1, 1, 0));
    assert_eq!((profile.requesters(), profile.protocols()), (None, None));
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
fn an_end_that_is_no_moment_is_refused() {
    for end in ["20301331235959Z", "20301231235959", "203012312359Z", "+0301231235959Z", "20301231235960Z"] {
        check("99991231235959Z", end, "validity");
    }
}
#[test]
fn an_end_on_a_certain_day() {
    let toml = GOOD.replace("99991231235959Z", "20301231235959Z");
    let profile = Profile::read("test".parse().unwrap(), &toml).unwrap();
    assert_eq!(profile.validity(UnixTime::from_s(100)).1.to_string(), "2030-12-31T23:59:59Z");
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

/// The good profile with something in the place of what stands there.
#[track_caller]
fn with(from: &str, to: &str) -> Result<Profile, BadProfile> {
    assert!(GOOD.contains(from), "the test changes nothing");
    Profile::read("test".parse().unwrap(), &GOOD.replace(from, to))
}
#[track_caller]
fn extension(lines: &str, place: &'static str, ok: bool) {
    let read = with("key_usage =", &format!("{lines}\nkey_usage ="));
    assert_eq!(read.map(|_| ()).map_err(|bad| bad.place), if ok { Ok(()) } else { Err(place) }, "{lines}");
}
#[track_caller]
fn enrolment(lines: &str, ok: bool) {
    let read = Profile::read("test".parse().unwrap(), &format!("{GOOD}[enrolment]\n{lines}"));
    assert_eq!(read.map(|_| ()).map_err(|bad| bad.place), if ok { Ok(()) } else { Err("enrolment") }, "{lines}");
}
#[track_caller]
fn alt_name(line: &str, ok: bool) {
    let read = with("{ uri = \"{urn}\" }", line);
    assert_eq!(read.map(|_| ()).map_err(|bad| bad.place), if ok { Ok(()) } else { Err("subject_alt_name") }, "{line}");
}
#[track_caller]
fn attribute(line: &str, ok: bool) {
    let read = with("{ type = \"CN\", value = \"{device_type} {serial}\" }", line);
    assert_eq!(read.map(|_| ()).map_err(|bad| bad.place), if ok { Ok(()) } else { Err("subject") }, "{line}");
}
/// The rest of an authority's profile, in the place of a device's.
fn authority(lines: &str) -> Result<Profile, BadProfile> {
    let toml = GOOD
        .replace("subject_kind = \"device\"", "subject_kind = \"authority\"")
        .replace("ra_verified = true", "ra_verified = false")
        .replace("{device_type} {serial}", "{name}")
        .replace("subject_alt_name = [{ uri = \"{urn}\" }]", "")
        .replace("[\"digital-signature\"]", "[\"key-cert-sign\", \"crl-sign\"]\nbasic_constraints = { ca = true }");
    Profile::read("test".parse().unwrap(), &format!("{toml}\n{lines}"))
}
#[track_caller]
fn constraints(line: &str, ok: bool) {
    let read = authority(&format!("name_constraints = {line}"));
    assert_eq!(read.map(|_| ()).map_err(|bad| bad.place), if ok { Ok(()) } else { Err("name_constraints") }, "{line}");
}

#[test]
fn weak_key_types_are_called_weak() {
    let bad = with("[\"p256\"]", "[\"rsa1024\"]").unwrap_err();
    assert_eq!(bad.to_string(), "key_types: \"rsa1024\" is weak");
}
#[test]
fn version_zero_is_refused() {
    check("ra_verified", "version = 0\nra_verified", "version");
    assert_eq!(with("ra_verified", "version = 7\nra_verified").unwrap().version(), 7);
}
#[test]
fn what_stands_twice_is_refused() {
    check("[\"factory\"]", "[\"factory\", \"factory\"]", "issuers");
    check("[\"p256\"]", "[\"p256\", \"p256\"]", "key_types");
    check("[\"digital-signature\"]", "[\"digital-signature\", \"digital-signature\"]", "key_usage");
}
#[test]
fn attributes_by_number() {
    attribute("{ type = \"1.3.6.1.4.1.37244.2.1\", value = \"FFF1\" }", true);
    attribute("{ type = \"1.3.6.01\", value = \"FFF1\" }", false);
    attribute("{ type = \"9.9.9\", value = \"FFF1\" }", false);
}
#[test]
fn an_attribute_twice_is_refused_and_a_unit_is_not() {
    attribute("{ type = \"CN\", value = \"a\" }, { type = \"CN\", value = \"b\" }", false);
    attribute("{ type = \"OU\", value = \"a\" }, { type = \"OU\", value = \"b\" }", true);
}
#[test]
fn an_attribute_has_one_source() {
    attribute("{ type = \"CN\", value = \"a\", request = {} }", false);
    attribute("{ type = \"CN\" }", false);
    attribute("{ type = \"CN\", request = {} }", true);
}
#[test]
fn an_e_mail_address_in_the_subject_is_refused() {
    attribute("{ type = \"1.2.840.113549.1.9.1\", value = \"a@b.example\" }", false);
}
#[test]
fn countries_are_two_capital_letters() {
    attribute("{ type = \"C\", value = \"DE\" }", true);
    for wrong in ["de", "DEU", "D1", "\\u00c4A"] {
        attribute(&format!("{{ type = \"C\", value = \"{wrong}\" }}"), false);
    }
}
#[test]
fn letters_that_a_serial_number_cannot_have_are_refused() {
    attribute("{ type = \"serialNumber\", value = \"{serial}_\" }", false);
    attribute("{ type = \"serialNumber\", value = \"{serial}\\u00e4\" }", false);
}
#[test]
fn letters_that_nobody_sees_are_refused() {
    attribute("{ type = \"CN\", value = \"a\\u202eb\" }", false);
    attribute("{ type = \"CN\", value = \"a\\nb\" }", false);
}
#[test]
fn a_closing_brace_alone_is_refused() {
    attribute("{ type = \"CN\", value = \"a}\" }", false);
}
#[test]
fn limits_of_requested_attributes() {
    attribute("{ type = \"CN\", request = { len_max = 64 } }", true);
    attribute("{ type = \"CN\", request = { len_max = 65 } }", false);
    attribute("{ type = \"CN\", request = { len_max = 0 } }", false);
    attribute("{ type = \"CN\", request = { count_max = 2 } }", false);
    attribute("{ type = \"CN\", request = { kind = \"dns\" } }", false);
}
#[test]
fn alternative_names_of_every_kind() {
    alt_name("{ uri = \"urn:example:{serial}\" }", true);
    alt_name("{ dns = \"{serial}.example\" }", true);
    alt_name("{ email = \"{serial}@a.example\" }", true);
    alt_name("{ ip = \"10.0.0.1\" }, { ip = \"2001:db8::1\" }", true);
    alt_name("{ hardware_module_name = { type = \"1.3.6.1.4.1.{maker_pen}.1\", serial = \"{serial}\" } }", true);
    alt_name("{ permanent_identifier = \"{serial}\" }", true);
}
#[test]
fn alternative_names_that_are_none() {
    alt_name("{ uri = \"x\" }", false);
    alt_name("{ uri = \"urn:\\u00e4\" }", false);
    alt_name("{ dns = \"a b\" }", false);
    alt_name("{ dns = \"10.0.0.1\" }", false);
    alt_name("{ dns = \"\\u00e4.example\" }", false);
    alt_name("{ email = \"a\" }", false);
    alt_name("{ email = \"a@*.example\" }", false);
    alt_name("{ ip = \"10.0.0.256\" }", false);
    alt_name("{ hardware_module_name = { type = \"x.{maker_pen}\", serial = \"{serial}\" } }", false);
    alt_name("{ permanent_identifier = \"a b\" }", false);
    alt_name("{ permanent_identifier = \"\" }", false);
    alt_name("{}", false);
    alt_name("{ dns = \"a.example\", uri = \"urn:a:b\" }", false);
}
#[test]
fn a_device_with_the_name_of_a_module_is_refused() {
    alt_name("{ uri = \"cradle:module:authority:{serial}\" }", false);
    alt_name("{ uri = \"CRADLE:operator:{serial}\" }", false);
}
#[test]
fn requested_names_without_a_limit_are_refused() {
    alt_name("{ request = { kind = \"dns\" } }", false);
    alt_name("{ request = { kind = \"dns\", ends_with = [\"example\"] } }", false);
    alt_name("{ request = { kind = \"dns\", ends_with = [\".*.example\"] } }", false);
    alt_name("{ request = { kind = \"dns\", ends_with = [\".example\"] } }", true);
    alt_name("{ request = { kind = \"email\" } }", false);
    alt_name("{ request = { kind = \"email\", ends_with = [\"@a.example\"] } }", true);
    alt_name("{ request = { kind = \"uri\" } }", false);
    alt_name("{ request = { kind = \"uri\", starts_with = [\"urn:example:\"] } }", true);
    alt_name("{ request = { kind = \"ip\" } }", false);
    alt_name("{ request = { kind = \"ip\", within = [\"10.0.0.0/8\"] } }", true);
    alt_name("{ request = { kind = \"ip\", within = [\"10.0.0.1/8\"] } }", false);
    alt_name("{ request = { ends_with = [\".example\"] } }", false);
}
#[test]
fn requested_names_that_would_be_those_of_devices_are_refused() {
    alt_name("{ request = { kind = \"uri\", starts_with = [\"urn:\"] } }", false);
    alt_name("{ request = { kind = \"uri\", starts_with = [\"URN:dev:ops:32473-\"] } }", false);
    alt_name("{ request = { kind = \"uri\", starts_with = [\"cradle:module:\"] } }", false);
}
#[test]
fn sixteen_requested_names() {
    alt_name("{ request = { kind = \"dns\", ends_with = [\".example\"], count_max = 16 } }", true);
    alt_name("{ request = { kind = \"dns\", ends_with = [\".example\"], count_max = 17 } }", false);
}
#[test]
fn purposes_by_name_and_number() {
    extension("extended_key_usage = [\"client-auth\", \"1.3.6.1.4.1.32473.7\"]", "", true);
    extension("extended_key_usage = [\"all\"]", "extended_key_usage", false);
    extension("extended_key_usage = [\"1.3.06\"]", "extended_key_usage", false);
    extension("extended_key_usage = [\"2.5.29.37.0\"]", "extended_key_usage", false);
    extension("extended_key_usage = [\"client-auth\", \"client-auth\"]", "extended_key_usage", false);
}
#[test]
fn purposes_that_stand_alone() {
    extension("extended_key_usage = [\"ocsp-signing\"]\nocsp_nocheck = true", "", true);
    extension("extended_key_usage = [\"ocsp-signing\", \"client-auth\"]", "extended_key_usage", false);
    extension("extended_key_usage = [\"time-stamping\"]", "extended_key_usage", false);
    extension("extended_key_usage = [\"time-stamping\"]\nextended_key_usage_critical = true", "", true);
    extension("extended_key_usage_critical = true", "extended_key_usage", false);
}
#[test]
fn nocheck_is_for_responders() {
    extension("extended_key_usage = [\"client-auth\"]\nocsp_nocheck = true", "ocsp_nocheck", false);
}
#[test]
fn a_purpose_that_the_key_usage_does_not_serve_is_refused() {
    check(
        "[\"digital-signature\"]",
        "[\"content-commitment\"]\nextended_key_usage = [\"server-auth\"]",
        "extended_key_usage",
    );
}
#[test]
fn keys_that_cannot_encipher() {
    check("[\"digital-signature\"]", "[\"key-encipherment\"]", "key_usage");
    check("[\"digital-signature\"]", "[\"data-encipherment\"]", "key_usage");
    assert!(with("[\"digital-signature\"]", "[\"key-agreement\"]").is_ok());
    let rsa = GOOD.replace("[\"p256\"]", "[\"rsa2048\"]");
    let read = |usage: &str| Profile::read("test".parse().unwrap(), &rsa.replace("digital-signature", usage));
    assert!(read("key-encipherment").is_ok());
    assert_eq!(read("key-agreement").unwrap_err().place, "key_usage");
}
#[test]
fn a_leaf_that_signs_lists_is_refused() {
    check("[\"digital-signature\"]", "[\"digital-signature\", \"crl-sign\"]", "extensions");
}
#[test]
fn an_authority_with_a_purpose_is_refused() {
    assert!(authority("").is_ok());
    assert_eq!(authority("extended_key_usage = [\"ocsp-signing\"]").unwrap_err().place, "extensions");
}
#[test]
fn an_authority_whose_name_is_asked_for_is_refused() {
    let toml =
        "description = \"\"\nsubject_kind = \"authority\"\nissuers = []\nkey_types = [\"p256\"]\nra_verified = false
        subject = [{ type = \"CN\", request = {} }]
        [validity]\nlifetime_s = 1\nbackdate_s = 0\nissuer_expiry = \"refuse\"
        [extensions]\nkey_usage = [\"key-cert-sign\"]\nbasic_constraints = { ca = true }";
    assert_eq!(Profile::read("test".parse().unwrap(), toml).unwrap_err().place, "subject");
}
#[test]
fn a_station_vouches_for_devices_only() {
    let toml =
        GOOD.replace("subject_kind = \"device\"", "subject_kind = \"operator\"").replace("{device_type} {serial}", "x");
    let read = Profile::read("test".parse().unwrap(), &toml.replace("{urn}", "urn:a:b"));
    assert_eq!(read.unwrap_err().place, "extensions");
}
#[test]
fn no_name_at_all_is_refused() {
    let toml =
        GOOD.replace("{ type = \"CN\", value = \"{device_type} {serial}\" }", "").replace("{ uri = \"{urn}\" }", "");
    assert_eq!(Profile::read("test".parse().unwrap(), &toml).unwrap_err().place, "subject");
}
#[test]
fn name_constraints_of_every_kind() {
    constraints(
        "{ permitted = [{ dns = \"a.example\" }, { uri = \".a.example\" }, { email = \"a@b.example\" }] }",
        true,
    );
    constraints("{ excluded = [{ ip = \"10.0.0.0/8\" }] }", true);
    constraints("{ permitted = [{ directory_name = [{ type = \"O\", value = \"{organization}\" }] }] }", true);
}
#[test]
fn name_constraints_that_are_none() {
    constraints("{}", false);
    constraints("{ permitted = [{}] }", false);
    constraints("{ permitted = [{ dns = \"*.example\" }] }", false);
    constraints("{ permitted = [{ uri = \"http://a.example\" }] }", false);
    constraints("{ permitted = [{ ip = \"10.0.0.1/8\" }] }", false);
    constraints("{ permitted = [{ directory_name = [{ type = \"O\", value = \"{serial}\" }] }] }", false);
    constraints("{ permitted = [{ directory_name = [{ type = \"O\", request = {} }] }] }", false);
}
#[test]
fn name_constraints_of_a_leaf_are_refused() {
    extension("name_constraints = { permitted = [{ dns = \"a.example\" }] }", "extensions", false);
}
#[test]
fn policies() {
    extension("policies = [{ oid = \"1.3.6.1.4.1.32473.1\", cps = \"https://a.example/cps\" }]", "", true);
    extension("policies = [{ oid = \"1.3.6.1.4.1.32473.1\", cps = \"x\" }]", "policies", false);
    extension("policies = [{ oid = \"x\" }]", "policies", false);
    extension("policies = [{ oid = \"1.2.3\" }, { oid = \"1.2.3\" }]", "policies", false);
}
#[test]
fn pointers() {
    extension("crl_distribution_point = \"http://a.example/{authority}-{shard}.crl\"\nshards = 16", "", true);
    extension("crl_distribution_point = \"http://a.example/{serial}.crl\"", "crl_distribution_point", false);
    extension("crl_distribution_point = \"http://a.example/a.crl\"\nshards = 16", "crl_distribution_point", false);
    extension("crl_distribution_point = \"http://a.example/{shard}.crl\"\nshards = 4097", "shards", false);
    extension("shards = 0", "shards", false);
    let access = "authority_information_access";
    extension("authority_information_access = { ocsp = \"http://a.example/{authority}\" }", access, true);
    extension("authority_information_access = { ocsp = \"http://a.example/{shard}\" }", access, false);
    extension("authority_information_access = { ca_issuers = \"a\" }", access, false);
    extension("authority_information_access = {}", access, false);
}
#[test]
fn custom_extensions() {
    extension("custom = [{ oid = \"1.3.6.1.4.1.32473.2\", der = \"0500\" }]", "", true);
    extension("custom = [{ oid = \"1.3.6.1.4.1.32473.2\", critical = true, utf8_string = \"{serial}\" }]", "", true);
    extension("custom = [{ oid = \"1.3.6.1.4.1.32473.2\", octet_string = \"{serial}\" }]", "", true);
    let request = |r: &str| format!("custom = [{{ oid = \"1.3.6.1.4.1.32473.2\", request = {r} }}]");
    extension(&request("{ shape = \"octet-string\", len_min = 32, len_max = 32 }"), "", true);
    extension(&request("{ shape = \"octet-string\", len_min = 33, len_max = 32 }"), "custom", false);
    extension(&request("{ shape = \"octet-string\", len_min = 0, len_max = 32 }"), "custom", false);
    extension(&request("{ shape = \"octet-string\", len_min = 1, len_max = 4097 }"), "custom", false);
}
#[test]
fn custom_extensions_that_are_none() {
    for der in ["05", "050005", "0x", ""] {
        extension(&format!("custom = [{{ oid = \"1.3.6.1.4.1.32473.2\", der = \"{der}\" }}]"), "custom", false);
    }
    extension("custom = [{ oid = \"1.3.6.1.4.1.32473.2\" }]", "custom", false);
    extension("custom = [{ oid = \"2.5.29.19\", der = \"30030101ff\" }]", "custom", false);
    extension("custom = [{ oid = \"1.3.6.1.5.5.7.1.1\", der = \"0500\" }]", "custom", false);
    extension("custom = [{ oid = \"1.2.3\", der = \"0500\" }, { oid = \"1.2.3\", der = \"0500\" }]", "custom", false);
}
#[test]
fn more_extensions_than_a_reader_takes_are_refused() {
    let custom = |n| (0..n).map(|n| format!("{{ oid = \"1.2.{n}\", der = \"0500\" }}")).collect::<Vec<_>>().join(", ");
    extension(&format!("custom = [{}]", custom(25)), "custom", true);
    extension(&format!("custom = [{}]", custom(26)), "custom", false);
}
#[test]
fn who_may_ask() {
    enrolment("requesters = [\"device\", \"operator\", \"provisioning\"]", true);
    enrolment("requesters = [\"anybody\"]", false);
    enrolment("requesters = []", false);
    enrolment("requesters = [\"device\", \"device\"]", false);
    enrolment("protocols = []", false);
    enrolment("protocols = [\"est\", \"est\"]", false);
    enrolment("approvals = 16", true);
    enrolment("approvals = 17", false);
}
#[test]
fn a_requester_or_protocol_that_is_not_named_is_refused() {
    let toml = format!("{GOOD}[enrolment]\nrequesters = [\"device\"]\nprotocols = [\"est\"]");
    let profile = Profile::read("test".parse().unwrap(), &toml).unwrap();
    assert_eq!(profile.admit(Requester::Device, Protocol::Est), Ok(()));
    assert_eq!(profile.admit(Requester::Operator, Protocol::Est), Err(Reason::CallerNotAllowed));
    assert_eq!(profile.admit(Requester::Device, Protocol::Cmp), Err(Reason::CallerNotAllowed));
    let open = Profile::read("test".parse().unwrap(), GOOD).unwrap();
    assert_eq!(open.admit(Requester::Module(Module::Gateway), Protocol::Scep), Ok(()));
}
#[test]
fn every_shard_is_used() {
    let profile =
        with("key_usage =", "crl_distribution_point = \"http://a.example/{shard}\"\nshards = 3\nkey_usage =").unwrap();
    let shard = |last: u8| profile.shard(&SerialNumber::new(&[1, 0, last]).unwrap());
    assert_eq!([0, 1, 2, 3].map(shard), [1, 2, 3, 1]);
}
