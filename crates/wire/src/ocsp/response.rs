//! `OCSPResponse`, written: first what is signed, then, with the signature, the whole.

use super::request::nonce_extension;
use super::{CertId, HashAlgorithm, IssuerIds, oids};
use model::UnixTime;
use model::contract::authority::RevocationReason;
use x509::write::tag;
use x509::{Extension, Name, PublicKey, SerialNumber, SignatureAlgorithm, Writer};

/// Why there is no answer: a response without a signature.
/// Source: RFC 6960 §4.2.1 (`OCSPResponseStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseStatus {
    /// The request is not one.
    MalformedRequest,
    /// The responder cannot answer, and does not know when it will.
    InternalError,
    /// The responder cannot answer now.
    TryLater,
    /// The request must be signed. We never ask for that.
    SigRequired,
    /// The responder does not answer for this issuer, or not to this requester.
    Unauthorized,
}

impl ResponseStatus {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::MalformedRequest, Self::InternalError, Self::TryLater, Self::SigRequired, Self::Unauthorized];

    /// The number in a response.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::SigRequired => 5,
            Self::Unauthorized => 6,
        }
    }

    /// The whole `OCSPResponse`.
    #[must_use]
    pub const fn encode(self) -> [u8; 5] {
        [tag::SEQUENCE, 3, tag::ENUMERATED, 1, self.code()]
    }
}

impl std::fmt::Display for ResponseStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MalformedRequest => "malformedRequest",
            Self::InternalError => "internalError",
            Self::TryLater => "tryLater",
            Self::SigRequired => "sigRequired",
            Self::Unauthorized => "unauthorized",
        })
    }
}

/// How a certificate stands.
/// Source: RFC 6960 §4.2.1 (`CertStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertStatus {
    /// Issued, and not revoked.
    Good,
    /// Revoked.
    Revoked {
        /// When.
        at: UnixTime,
        /// Why; [`RevocationReason::Unspecified`] is left out of the octets, as in a CRL.
        reason: RevocationReason,
    },
    /// Nothing is known of it.
    Unknown,
}

impl CertStatus {
    /// Never issued, by the extended definition of *revoked*: on hold since 1970. [`ResponseData::write`] adds the
    /// extension that must go with it.
    /// Source: RFC 6960 §2.2, §4.4.8.
    pub const NON_ISSUED: Self = Self::Revoked { at: UnixTime::from_s(0), reason: RevocationReason::CertificateHold };
}

/// Who answers: a `ResponderID`, encoded once.
/// Source: RFC 6960 §4.2.1, §4.2.2.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    der: Vec<u8>,
}

impl Identity {
    /// By key: SHA-1 of the contents of the BIT STRING, as the standard has it and no other way. It says which
    /// certificate to try; that the signature holds under it is what counts.
    #[must_use]
    pub fn by_key(key: &PublicKey) -> Self {
        let mut w = Writer::with_capacity(32);
        w.explicit(2, |w| {
            w.octet_string(HashAlgorithm::Sha1.hash(key.bits()).octets());
        });
        Self { der: w.finish() }
    }

    /// By the subject name of the responder's certificate.
    #[must_use]
    pub fn by_name(name: &Name) -> Self {
        let mut w = Writer::with_capacity(name.der().len() + 8);
        w.explicit(1, |w| {
            w.raw(name.der());
        });
        Self { der: w.finish() }
    }
}

/// The times of a response, encoded once for all responses of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    produced_at: UnixTime,
    this_update: UnixTime,
    next_update: UnixTime,
    produced_at_der: [u8; 17],
    updates_der: [u8; 36],
}

impl Moment {
    /// Encodes them, in whole seconds. The responder says which they may be.
    #[must_use]
    pub fn new(produced_at: UnixTime, this_update: UnixTime, next_update: UnixTime) -> Self {
        let mut updates_der = [0; 36];
        let next = [tag::CONTEXT_CONSTRUCTED, 17];
        let octets = generalized_time(this_update).into_iter().chain(next).chain(generalized_time(next_update));
        updates_der.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        let produced_at_der = generalized_time(produced_at);
        Self { produced_at, this_update, next_update, produced_at_der, updates_der }
    }
    /// When the response was signed.
    #[must_use]
    pub const fn produced_at(&self) -> UnixTime {
        self.produced_at
    }
    /// Since when what it says is known to be so.
    #[must_use]
    pub const fn this_update(&self) -> UnixTime {
        self.this_update
    }
    /// When there will be something newer.
    #[must_use]
    pub const fn next_update(&self) -> UnixTime {
        self.next_update
    }
}

// GeneralizedTime with tag and length; nothing is allocated, because there are three of them in each response.
fn generalized_time(at: UnixTime) -> [u8; 17] {
    let c = at.civil();
    let pairs = [c.year / 100, c.year % 100, c.month, c.day, c.hour, c.minute, c.second];
    let digit = |n: u64| b'0' + u8::try_from(n % 10).unwrap_or(0);
    let digits = pairs.into_iter().flat_map(|pair| [digit(pair / 10), digit(pair)]);
    let mut der = [b'Z'; 17];
    let octets = [tag::GENERALIZED_TIME, 15].into_iter().chain(digits);
    der.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
    der
}

/// One certificate in a response.
#[derive(Clone, Copy, Debug)]
pub struct Single<'a> {
    /// Which.
    pub certificate: Named<'a>,
    /// How it stands.
    pub status: CertStatus,
    /// `singleExtensions`; usually none.
    pub extensions: &'a [Extension],
}

/// How a certificate is named in a response.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// As the requester spelled it.
    Asked(&'a CertId<'a>),
    /// As we spell it, if nobody has asked yet.
    Ours(&'a IssuerIds, HashAlgorithm, &'a SerialNumber),
}

/// A `ResponseData` in DER: the octets that the responder signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseData {
    der: Vec<u8>,
}

impl ResponseData {
    /// Writes it.
    ///
    /// The extension that announces the extended definition of *revoked* is added if a status needs it.
    #[must_use]
    pub fn write<'a>(
        identity: &Identity,
        moment: &Moment,
        singles: impl ExactSizeIterator<Item = Single<'a>>,
        nonce: Option<&[u8]>,
    ) -> Self {
        let mut extended = false;
        let mut w = Writer::with_capacity(256 + identity.der.len() + singles.len() * 192);
        w.sequence(|w| {
            // Version 1 is the default and left out.
            w.raw(&identity.der).raw(&moment.produced_at_der);
            w.sequence(|w| {
                for single in singles {
                    extended |= single.status == CertStatus::NON_ISSUED;
                    single.write(moment, w);
                }
            });
            if extended || nonce.is_some() {
                w.explicit(1, |w| {
                    w.sequence(|w| {
                        if let Some(nonce) = nonce {
                            nonce_extension(nonce).write(w);
                        }
                        if extended {
                            extended_revoke().write(w);
                        }
                    });
                });
            }
        });
        Self { der: w.finish() }
    }

    /// The octets to sign.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Writes the whole `OCSPResponse`.
    ///
    /// Shape of `certificates`: DER, the responder's own first; none if the issuer itself signed.
    #[must_use]
    pub fn finish(self, algorithm: SignatureAlgorithm, signature: &[u8], certificates: &[&[u8]]) -> Vec<u8> {
        let certificates_len: usize = certificates.iter().map(|der| der.len()).sum();
        let mut w = Writer::with_capacity(self.der.len() + signature.len() + certificates_len + 96);
        w.sequence(|w| {
            w.value(tag::ENUMERATED, &[0]);
            w.explicit(0, |w| {
                w.sequence(|w| {
                    w.oid(oids::BASIC_RESPONSE).nested(tag::OCTET_STRING, |w| {
                        w.sequence(|w| {
                            w.raw(&self.der);
                            algorithm.write(w);
                            w.bit_string(signature);
                            if !certificates.is_empty() {
                                w.explicit(0, |w| {
                                    w.sequence(|w| {
                                        for der in certificates {
                                            w.raw(der);
                                        }
                                    });
                                });
                            }
                        });
                    });
                });
            });
        });
        w.finish()
    }
}

impl Single<'_> {
    fn write(&self, moment: &Moment, w: &mut Writer) {
        w.sequence(|w| {
            match self.certificate {
                Named::Asked(id) => {
                    w.raw(id.der());
                }
                Named::Ours(issuer, by, serial) => issuer.write(by, serial, w),
            }
            match self.status {
                CertStatus::Good => {
                    w.value(tag::CONTEXT, &[]);
                }
                CertStatus::Unknown => {
                    w.value(tag::CONTEXT | 2, &[]);
                }
                CertStatus::Revoked { at, reason } => {
                    w.nested(tag::CONTEXT_CONSTRUCTED | 1, |w| {
                        w.raw(&generalized_time(at));
                        if reason != RevocationReason::Unspecified {
                            w.explicit(0, |w| {
                                w.value(tag::ENUMERATED, &[reason.code()]);
                            });
                        }
                    });
                }
            }
            w.raw(&moment.updates_der);
            if !self.extensions.is_empty() {
                w.explicit(1, |w| Extension::write_all(self.extensions, w));
            }
        });
    }
}

fn extended_revoke() -> Extension {
    Extension::of(oids::EXTENDED_REVOKE, false, |w| {
        w.value(tag::NULL, &[]);
    })
}
