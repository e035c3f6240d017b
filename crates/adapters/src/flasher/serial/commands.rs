//! What is typed at the bootloader, and what its answers mean.

use super::super::fault;
use super::super::offer::Offer;
use super::SerialConfig;
use super::template::Template;
use model::octets::from_hex;
use ports::flasher::BoardFault;
use serde::Deserialize;

/// Commands of the bootloader, with places in braces.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandTemplates {
    /// What is typed first each time the board is taken up: commands that find the disk.
    #[serde(default)]
    pub prepare: Vec<String>,
    /// Fills `{length}` octets of memory at `{address}` with `{fill}`.
    #[serde(default = "defaults::clear")]
    pub clear: String,
    /// Receives a file by YMODEM at `{address}`.
    #[serde(default = "defaults::load")]
    pub load: String,
    /// Writes `{blocks}` blocks from `{address}` to the disk at `{block}`.
    pub write: String,
    /// Reads `{blocks}` blocks from the disk at `{block}` to `{address}`.
    pub read: String,
    /// Prints `==> ` and the CRC-32 of `{length}` octets at `{address}`.
    #[serde(default = "defaults::crc32")]
    pub crc32: String,
    /// Prints `==> ` and the SHA-256 of `{length}` octets at `{address}`. Not every bootloader can; where it can, it is
    /// used instead of the CRC, and the board can tell what is installed.
    pub sha256: Option<String>,
}

/// Commands that print one line: a value, or `name=value`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityCommands {
    /// Shows what the hardware says.
    pub board: String,
    /// Shows what the label says.
    pub serial: String,
    /// Shows what it is.
    pub device_type: String,
}

/// Commands for a key that the bootloader can use. Octets are hexadecimal, both ways.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCommands {
    /// Makes a key of `{key_type}` if there is none, and prints what `offer` says, in DER.
    pub key: String,
    /// What `key` prints.
    pub offer: Offer,
    /// Signs `{challenge}`.
    pub prove: String,
}

mod defaults {
    pub(super) fn clear() -> String {
        "mw.b {address} {fill} {length}".to_owned()
    }
    pub(super) fn load() -> String {
        "loady {address}".to_owned()
    }
    pub(super) fn crc32() -> String {
        "crc32 {address} {length}".to_owned()
    }
}

/// Commands that were checked.
pub(super) struct Commands {
    pub(super) prepare: Vec<Template>,
    pub(super) clear: Template,
    pub(super) load: Template,
    pub(super) write: Template,
    pub(super) read: Template,
    pub(super) crc32: Template,
    pub(super) sha256: Option<Template>,
    pub(super) identity: Option<[Template; 3]>,
    pub(super) key: Option<(Template, Offer, Template)>,
}

impl Commands {
    pub(super) fn new(config: &SerialConfig) -> Result<Self, BoardFault> {
        let CommandTemplates { prepare, clear, load, write, read, crc32, sha256 } = &config.commands;
        let disk = &["address", "block", "blocks"];
        let memory = &["address", "length"];
        let plain = |text: &String| Template::new(text, &[]);
        let identity = config.identity.as_ref().map(|identity| {
            let IdentityCommands { board, serial, device_type } = identity;
            Ok::<_, BoardFault>([plain(board)?, plain(serial)?, plain(device_type)?])
        });
        let key = config.key.as_ref().map(|KeyCommands { key, offer, prove }| {
            Ok::<_, BoardFault>((Template::new(key, &["key_type"])?, *offer, Template::new(prove, &["challenge"])?))
        });
        Ok(Self {
            prepare: prepare.iter().map(plain).collect::<Result<_, _>>()?,
            clear: Template::new(clear, &["address", "fill", "length"])?,
            load: Template::new(load, &["address"])?,
            write: Template::new(write, disk)?,
            read: Template::new(read, disk)?,
            crc32: Template::new(crc32, memory)?,
            sha256: sha256.as_ref().map(|text| Template::new(text, memory)).transpose()?,
            identity: identity.transpose()?,
            key: key.transpose()?,
        })
    }
}

/// What follows the last `==> `, as octets.
pub(super) fn checksum<const LEN: usize>(output: &str) -> Result<[u8; LEN], BoardFault> {
    let octets = output.rsplit_once("==> ").and_then(|(_, digits)| from_hex(digits.trim()).ok());
    octets
        .and_then(|octets| octets.try_into().ok())
        .ok_or_else(|| fault::refused(format_args!("no checksum in the board's answer: {output}")))
}

/// The one line that was printed, without `name=`.
pub(super) fn value(output: &str) -> Result<&str, BoardFault> {
    let mut lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line.rsplit_once('=').map_or(line, |(_, value)| value)),
        _ => Err(fault::refused(format_args!("one line expected from the board: {output}"))),
    }
}

/// The one line that was printed, as octets.
pub(super) fn octets(output: &str) -> Result<Vec<u8>, BoardFault> {
    from_hex(value(output)?).map_err(|_| fault::refused(format_args!("no hexadecimal digits: {output}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn crc(output: &str, expected: Option<[u8; 4]>) {
        assert_eq!(checksum::<4>(output).ok(), expected);
    }
    #[test]
    fn a_checksum() {
        crc("crc32 for 84000000 ... 840003ff ==> b83afff4", Some([0xb8, 0x3a, 0xff, 0xf4]));
    }
    #[test]
    fn a_checksum_with_a_digit_too_few() {
        crc("==> b83afff", None);
    }
    #[test]
    fn a_checksum_with_digits_too_many() {
        crc("==> b83afff400", None);
    }
    #[test]
    fn no_checksum() {
        crc("Unknown command 'crc32' - try 'help'", None);
    }

    #[track_caller]
    fn one(output: &str, expected: Option<&str>) {
        assert_eq!(value(output).ok(), expected);
    }
    #[test]
    fn a_variable() {
        one("serial#=SN1\r\n", Some("SN1"));
    }
    #[test]
    fn a_bare_value() {
        one("\r\nSN1\r\n", Some("SN1"));
    }
    #[test]
    fn two_lines_are_refused() {
        one("SN1\nSN2", None);
    }
    #[test]
    fn no_line_is_refused() {
        one(" \r\n", None);
    }
    #[test]
    fn other_letters_are_no_octets() {
        assert_eq!((octets("k=0aff").ok(), octets("k=0x").ok()), (Some(vec![10, 255]), None));
    }
}
