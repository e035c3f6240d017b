//! What km keeps of makers: who gave devices their first certificate before they came here.

use super::identity::Idevid;
use super::{AuditSink, StoreFault};
use model::contract::maker::MakerLists;
use model::{DeviceId, MakerName, Reason, UnixTime};
use x509::{Certificate, CertificateList};

/// Most makers that are known at a time; each costs whoever shows a certificate a look at its name.
pub const MAKERS_MAX: usize = 64;

/// Who made devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MakerRow {
    /// The name.
    pub maker: MakerName,
    /// The certificate of the authority that signs those of devices, in DER; none once it is trusted no more.
    pub certificate: Option<Vec<u8>>,
    /// Whether a list of revoked certificates must be there.
    pub lists: MakerLists,
    /// The number of the last list that was taken, here or before a restore; 0: none.
    pub number: u64,
    /// Until when that list is in time; none if it is not there.
    pub next_update: Option<UnixTime>,
}

/// What km keeps of makers.
pub trait MakerStore: AuditSink {
    /// All makers by name, those that are trusted no more, too.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn makers(&self) -> Result<Vec<MakerRow>, StoreFault>;

    /// The last list of revoked certificates that was taken from a maker, in DER.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn maker_list(&self, maker: &MakerName) -> Result<Option<Vec<u8>>, StoreFault>;

    /// Sets or takes a maker's certificate. The number of its last list stays, unless the key is another: its lists are counted
    /// anew then, and none is there. Setting the same again changes nothing.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn set_maker(
        &self,
        maker: &MakerName,
        authority: Option<(&Certificate, MakerLists)>,
        at: UnixTime,
    ) -> Result<(), StoreFault>;

    /// Takes a list of revoked certificates, whose signature was verified before, if it is none older than the last one. The same one
    /// again changes nothing.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::MakerUnknown`] or [`Reason::MakerListNotNewer`].
    fn take_maker_list(
        &self,
        maker: &MakerName,
        list: &CertificateList,
        der: &[u8],
        at: UnixTime,
    ) -> Result<Result<(), Reason>, StoreFault>;

    /// The device that a list expects with this certificate of a maker's.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn device_with(&self, idevid: &Idevid) -> Result<Option<DeviceId>, StoreFault>;
}
