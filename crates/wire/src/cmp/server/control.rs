//! Controls of a certificate request that decide something.

use crate::cmp::oids;
use crate::cmp::template::cert_id;
use crate::read::{self, Result, bad};
use const_oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, Tag};
use x509::{BadDer, Name, SerialNumber};

/// Most controls of one request.
const CONTROLS_MAX: usize = 16;

/// The certificate that is to be updated, of `CertReqMessages` with one message: the control `oldCertID`, if there is one.
///
/// # Errors
/// [`BadDer`] if the octets are not those of one request, or there are two such controls, or one that names no certificate.
/// Source: RFC 4211 §6.5, RFC 9483 §4.1.3.
pub fn old_cert_id(messages: &[u8]) -> std::result::Result<Option<(Name, SerialNumber)>, BadDer> {
    let found = read::inside(messages, |r| {
        read::sequence(r, |r| {
            let message = read::contents(r, Tag::Sequence)?;
            // What follows the request, its proof, is read by who verifies it.
            let request = read::contents(&mut SliceReader::new(message)?, Tag::Sequence)?;
            read::inside(request, old_cert_id_of)
        })
    });
    found.map_err(|_| BadDer("CertReqMessages"))
}

fn old_cert_id_of(reader: &mut SliceReader<'_>) -> Result<Option<(Name, SerialNumber)>> {
    read::contents(reader, Tag::Integer)?;
    read::contents(reader, Tag::Sequence)?;
    if reader.is_finished() {
        return Ok(None);
    }
    read::sequence(reader, |r| {
        let (mut found, mut count) = (None, 0);
        while !r.is_finished() {
            count += 1;
            let named = read::sequence(r, |r| {
                let control = ObjectIdentifier::decode(r)?;
                let value = r.tlv_bytes()?;
                if control != oids::OLD_CERT_ID {
                    return Ok(None);
                }
                cert_id(value).map_or_else(|| bad(r), |named| Ok(Some(named)))
            })?;
            if count > CONTROLS_MAX || (found.is_some() && named.is_some()) {
                return bad(r);
            }
            found = found.or(named);
        }
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509::Writer;
    use x509::name::Attribute;

    fn name() -> Name {
        Name::write(&[Attribute { oid: x509::oids::COMMON_NAME, text: "Issuing".into() }])
    }
    fn control(w: &mut Writer, oid: ObjectIdentifier, number: u8) {
        w.sequence(|w| {
            w.oid(oid).sequence(|w| {
                w.explicit(4, |w| {
                    w.raw(name().der());
                });
                w.unsigned(&[number]);
            });
        });
    }
    #[track_caller]
    fn check(controls: &[(ObjectIdentifier, u8)], expected: Option<Option<u8>>) {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.sequence(|w| {
                w.sequence(|w| {
                    w.small(0).sequence(|_| {});
                    if !controls.is_empty() {
                        w.sequence(|w| controls.iter().for_each(|(oid, number)| control(w, *oid, *number)));
                    }
                });
                w.value(0x80, &[]);
            });
        });
        let serial = |n: u8| SerialNumber::new(&[n]).unwrap();
        let expected = expected.map(|found| found.map(|n| (name(), serial(n))));
        assert_eq!(old_cert_id(&w.finish()).ok(), expected);
    }

    #[test]
    fn one_among_others() {
        check(&[(oids::PBMAC1, 1), (oids::OLD_CERT_ID, 7), (oids::PBMAC1, 2)], Some(Some(7)));
    }
    #[test]
    fn none() {
        check(&[], Some(None));
        check(&[(oids::PBMAC1, 1)], Some(None));
    }
    #[test]
    fn two_are_refused() {
        check(&[(oids::OLD_CERT_ID, 7), (oids::OLD_CERT_ID, 7)], None);
    }
    #[test]
    fn more_than_sixteen_controls_are_refused() {
        check(&[(oids::PBMAC1, 1); 16], Some(None));
        check(&[(oids::PBMAC1, 1); 17], None);
    }
    #[test]
    fn what_is_no_request_is_refused() {
        for octets in [&[][..], &[0x30, 0], &[0x30, 2, 0x30, 0], &[5, 0]] {
            assert!(old_cert_id(octets).is_err());
        }
    }
}
