//! Names of roles and targets as names of files: percent-encoded, so that none of them leads anywhere.

use super::fault::BadMetadata;
use x509::sha256;

/// Longest file name, in octets, with room for a version, a hash or a suffix: file systems take 255.
const FILE_NAME_LEN_MAX: usize = 180;
/// Longest name of a target, in octets.
pub const TARGET_NAME_LEN_MAX: usize = 1024;

/// Whether a delegated role may be called so: its file can be written, whatever is in the name.
pub(super) fn is_role_name(name: &str) -> bool {
    !name.is_empty() && percent_encoded(name).len() <= FILE_NAME_LEN_MAX
}

/// The file of a role: its name, percent-encoded, with a suffix. Nothing in it separates folders.
pub(super) fn role_file(role: &str) -> String {
    format!("{}.json", percent_encoded(role))
}

/// The same with a version in front.
pub(super) fn versioned(version: u64, file: &str) -> String {
    format!("{version}.{file}")
}

/// The name under which a target can be kept: one name without folders, whatever is in it, and never `.` or `..`.
pub(super) fn target_file(name: &str) -> String {
    let encoded = percent_encoded(name);
    // A name that is too long for a file has its digest instead; a point in front would hide it, or lead upwards.
    match encoded.strip_prefix('.') {
        _ if encoded.len() > FILE_NAME_LEN_MAX => sha256(name.as_bytes()).to_string(),
        Some(rest) => format!("%2E{rest}"),
        None => encoded,
    }
}

/// Where a target is, below the address of all targets. Source: TUF 1.0.34 §5.7.3, §6.2.
pub(super) fn target_path(name: &str, hash: Option<&str>) -> String {
    let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
    let mut path = String::new();
    for part in folder.split('/').filter(|_| !folder.is_empty()) {
        path.push_str(&percent_encoded(part));
        path.push('/');
    }
    if let Some(hash) = hash {
        path.push_str(hash);
        path.push('.');
    }
    path.push_str(&percent_encoded(file));
    path
}

/// Refuses names that no target has: empty, too long, absolute, upwards, or with characters that are none.
pub(super) fn check_target_name(name: &str) -> Result<(), BadMetadata> {
    let plain = !name.chars().any(|c| c.is_control() || c == '\\');
    let parts = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if plain && parts && name.len() <= TARGET_NAME_LEN_MAX { Ok(()) } else { Err(BadMetadata::BadTargetName) }
}

// As RFC 3986 §2.3 lets pass, and nothing else.
fn percent_encoded(text: &str) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(octet));
        } else {
            encoded.extend(['%', digit(octet >> 4), digit(octet & 15)]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_files_beside_each_other() {
        for (role, file) in [
            ("supplier", "supplier.json"),
            ("../targets", "..%2Ftargets.json"),
            ("?", "%3F.json"),
            ("a b/c%", "a%20b%2Fc%25.json"),
            ("ä", "%C3%A4.json"),
        ] {
            assert_eq!(role_file(role), file);
        }
    }
    #[test]
    fn targets_are_kept_beside_each_other() {
        for (name, file) in [("a/b.img", "a%2Fb.img"), (".", "%2E"), ("..", "%2E."), (".a", "%2Ea")] {
            assert_eq!(target_file(name), file);
        }
    }
    #[test]
    fn a_long_name_is_kept_under_its_digest() {
        assert_eq!(target_file(&"a".repeat(180)), "a".repeat(180));
        assert_eq!(target_file(&"a".repeat(181)).len(), 64);
    }
    #[test]
    fn the_hash_stands_before_the_last_part() {
        assert_eq!(target_path("dir/sub/file.img", Some("ab")), "dir/sub/ab.file.img");
        assert_eq!(target_path("file.img", Some("ab")), "ab.file.img");
        assert_eq!(target_path("d r/fi?e", None), "d%20r/fi%3Fe");
    }
    #[test]
    fn names_of_targets() {
        for name in ["a", "a/b", "a..b", ".a", "a b", "ä"] {
            assert_eq!(check_target_name(name), Ok(()), "{name:?}");
        }
        for name in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a\nb", "a\0"] {
            assert_eq!(check_target_name(name), Err(BadMetadata::BadTargetName), "{name:?}");
        }
        assert_eq!(check_target_name(&"a".repeat(TARGET_NAME_LEN_MAX)), Ok(()));
        assert_eq!(check_target_name(&"a".repeat(TARGET_NAME_LEN_MAX + 1)), Err(BadMetadata::BadTargetName));
    }
    #[test]
    fn names_of_roles() {
        assert!(is_role_name(&"a".repeat(180)) && is_role_name(".."));
        assert!(!is_role_name("") && !is_role_name(&"a".repeat(181)) && !is_role_name(&"ä".repeat(31)));
    }
}
