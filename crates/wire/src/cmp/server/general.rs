//! Values of general messages, and of the header.

use crate::cmp::shape::write_time;
use model::UnixTime;
use x509::Writer;

/// The certificates of a root that follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 9810")]
pub struct RootUpdate<'a> {
    pub new_with_new: &'a [u8],
    pub new_with_old: Option<&'a [u8]>,
    pub old_with_new: Option<&'a [u8]>,
}

/// Writes `RootCaKeyUpdateContent`. Source: RFC 9810 §5.3.19.15.
#[must_use]
pub fn write_root_update(update: &RootUpdate<'_>) -> Vec<u8> {
    let mut w = Writer::with_capacity(4096);
    w.sequence(|w| {
        w.raw(update.new_with_new);
        for (n, der) in [(0, update.new_with_old), (1, update.old_with_new)] {
            if let Some(der) = der {
                w.explicit(n, |w| {
                    w.raw(der);
                });
            }
        }
    });
    w.finish()
}

/// Writes `CACertsValue`. Source: RFC 9810 §5.3.19.14.
#[must_use]
pub fn write_certificates(certificates: &[&[u8]]) -> Vec<u8> {
    let mut w = Writer::with_capacity(4096);
    w.sequence(|w| {
        for der in certificates {
            w.raw(der);
        }
    });
    w.finish()
}

/// Writes `ConfirmWaitTimeValue`: until when a confirmation is waited for. Source: RFC 9810 §5.1.1.2.
#[must_use]
pub fn confirm_wait_time(until: UnixTime) -> Vec<u8> {
    let mut w = Writer::with_capacity(20);
    write_time(until, &mut w);
    w.finish()
}
