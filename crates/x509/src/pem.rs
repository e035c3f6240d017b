//! PEM: text around DER.

use pem_rfc7468::LineEnding;

/// Longest PEM text that is read, in octets.
pub const PEM_LEN_MAX: usize = 1024 * 1024;

/// Writes one PEM block. Source: RFC 7468.
#[must_use]
pub fn encode(label: &'static str, der: &[u8]) -> String {
    match pem_rfc7468::encode_string(label, LineEnding::LF, der) {
        Ok(text) => text,
        Err(_) => unreachable!("labels are constants of ours, and text grows to what is needed"),
    }
}

/// Reads the first PEM block of a text: label and DER. `None` if there is none, or it is not well formed.
#[must_use]
pub fn decode(text: &[u8]) -> Option<(String, Vec<u8>)> {
    if text.len() > PEM_LEN_MAX {
        return None;
    }
    let begin = text.windows(BEGIN.len()).position(|w| w == BEGIN)?;
    let block = text.get(begin..)?;
    let end = block.windows(END.len()).position(|w| w == END)?;
    let tail = block.get(end + END.len()..)?;
    let close = tail.windows(DASHES.len()).position(|w| w == DASHES)?;
    let block = block.get(..end + END.len() + close + DASHES.len())?;
    let (label, der) = pem_rfc7468::decode_vec(block).ok()?;
    Some((label.to_owned(), der))
}

/// Every block of a text in PEM; absent if there is none, if one is damaged, or if there is something between them that
/// is no text.
///
/// Limits: as [`decode`].
#[must_use]
pub fn blocks(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))?.as_bytes();
    let mut found = Vec::new();
    while let Some(begin) = rest.windows(BEGIN.len()).position(|w| w == BEGIN) {
        let block = rest.get(begin..)?;
        let end = block.windows(END.len()).position(|w| w == END)?;
        found.push(decode(block)?.1);
        rest = block.get(end + END.len()..)?;
    }
    if found.is_empty() { None } else { Some(found) }
}

/// The blocks of one label of a text in PEM; what has another label is passed over, and not decoded. Absent if there is none of
/// this label, or if one of them is damaged.
///
/// Limits: as [`decode`].
#[must_use]
pub fn blocks_labelled(text: &[u8], label: &str) -> Option<Vec<Vec<u8>>> {
    let first = [BEGIN, label.as_bytes(), DASHES].concat();
    let (mut rest, mut found) = (text, Vec::new());
    while let Some(begin) = rest.windows(BEGIN.len()).position(|w| w == BEGIN) {
        let block = rest.get(begin..)?;
        if block.starts_with(&first) {
            found.push(decode(block)?.1);
        }
        rest = block.get(BEGIN.len()..)?;
    }
    if found.is_empty() { None } else { Some(found) }
}

/// Reads octets that may be PEM of this label, or DER already.
#[must_use]
pub fn der_or_pem(octets: &[u8], labels: &[&str]) -> Option<Vec<u8>> {
    if octets.first() == Some(&0x30) {
        return Some(octets.to_vec());
    }
    decode(octets).filter(|(label, _)| labels.contains(&label.as_str())).map(|(_, der)| der)
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = encode("CERTIFICATE", &[1, 2, 3]);
        assert_eq!(decode(text.as_bytes()), Some(("CERTIFICATE".into(), vec![1, 2, 3])));
    }
    #[test]
    fn text_in_front_is_passed_over() {
        let text = format!("subject=x\n{}", encode("X509 CRL", &[1]));
        assert_eq!(decode(text.as_bytes()), Some(("X509 CRL".into(), vec![1])));
    }
    #[test]
    fn blocks_of_one_label() {
        let (key, one, two) = (encode("PRIVATE KEY", &[1]), encode("CERTIFICATE", &[2]), encode("CERTIFICATE", &[3]));
        let all = format!("text\n{one}{key}{two}");
        assert_eq!(blocks_labelled(all.as_bytes(), "CERTIFICATE"), Some(vec![vec![2], vec![3]]));
        assert_eq!(blocks_labelled(all.as_bytes(), "PRIVATE KEY"), Some(vec![vec![1]]));
        assert_eq!(blocks_labelled(all.as_bytes(), "X509 CRL"), None);
        assert_eq!(blocks_labelled(key.as_bytes(), "KEY"), None);
        let damaged = format!("{one}{}", two.replace("Aw==", "A!=="));
        assert_eq!(blocks_labelled(damaged.as_bytes(), "CERTIFICATE"), None);
    }
    #[test]
    fn other_labels_are_refused() {
        assert_eq!(der_or_pem(encode("PRIVATE KEY", &[1]).as_bytes(), &["CERTIFICATE"]), None);
    }
    #[track_caller]
    fn check_blocks(text: &[u8], expected: Option<&[&[u8]]>) {
        assert_eq!(blocks(text), expected.map(|all| all.iter().map(|der| der.to_vec()).collect()));
    }
    #[test]
    fn several_blocks_are_read_in_order() {
        let text = format!("one\n{}two\n{}\n", encode("A", &[1]), encode("B", &[2]));
        check_blocks(text.as_bytes(), Some(&[&[1], &[2]]));
    }
    #[test]
    fn a_damaged_block_after_a_whole_one_is_refused() {
        check_blocks(format!("{}-----BEGIN B-----\nAA", encode("A", &[1])).as_bytes(), None);
    }
    #[test]
    fn what_is_no_text_has_no_blocks() {
        check_blocks(format!("\0{}", encode("A", &[1])).as_bytes(), None);
        check_blocks(b"", None);
    }
    #[test]
    fn half_a_block_is_refused() {
        assert_eq!(decode(b"-----BEGIN X-----\nAAAA\n"), None);
    }
}
