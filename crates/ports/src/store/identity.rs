//! What ics keeps.

use super::{AuditSink, StoreFault};
use model::contract::authority::GrantOffer;
use model::contract::identity::{BadLine, BoardSeen, Difference, StepDone};
use model::lifecycle::Custody;
use model::text::BadName;
use model::{
    BoardId, DeviceId, DeviceSerial, Digest, MakerName, OperatorName, ProfileName, Reason, StationName, SupplierName,
    UnixTime,
};
use x509::{PublicKey, SerialNumber};

/// The certificate that a device brings from who made it: the one that this maker's authority gave this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idevid {
    /// The name under which the maker's authority is trusted.
    pub maker: MakerName,
    /// The serial number of the certificate.
    pub serial: SerialNumber,
}

impl std::fmt::Display for Idevid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.maker, self.serial)
    }
}

const BAD_IDEVID: BadName =
    BadName { kind: "certificate of a maker's", shape: "its serial number, 1 to 20 octets in hexadecimal digits" };

impl std::str::FromStr for Idevid {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let (maker, serial) = text.split_once(' ').unwrap_or((text, ""));
        let serial = SerialNumber::from_hex(serial).ok_or(BAD_IDEVID)?;
        Ok(Self { maker: maker.parse()?, serial })
    }
}

/// A device that a list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDevice {
    /// Its name.
    pub id: DeviceId,
    /// The hardware it must be on, if the list says so.
    pub board: Option<BoardId>,
    /// The certificate that it brings, if the list says so.
    pub idevid: Option<Idevid>,
    /// What it may be certified as.
    pub profile: ProfileName,
    /// The line of the list, counted from 1.
    pub line: u64,
}

/// A list whose every line was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// What it is called in records.
    pub name: String,
    /// Digest of its octets.
    pub digest: Digest,
    /// Until when its devices may be certified.
    pub until: UnixTime,
    /// Whose it is and which of theirs; none of the operator's own.
    pub supplied: Option<Supplied>,
    /// The operator's own list that it takes the place of: the last one of this name.
    pub replaces: Option<String>,
    /// Its devices.
    pub devices: Vec<ListedDevice>,
}

/// What makes a list one of a supplier's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplied {
    /// Whose.
    pub supplier: SupplierName,
    /// Which of theirs; higher ones only.
    pub sequence: u64,
    /// The list of theirs that it takes the place of: what that one named and this one does not is taken back.
    pub supersedes: Option<u64>,
}

/// Somebody whose signed lists are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupplierRow {
    /// The name.
    pub supplier: SupplierName,
    /// The SubjectPublicKeyInfo; none once it is revoked.
    pub key: Option<Vec<u8>>,
    /// The number of the last list that was taken; 0: none.
    pub sequence: u64,
}

/// What is known of a serial number that a list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub id: DeviceId,
    /// What it may be certified as.
    pub profile: ProfileName,
    /// The hardware that the list asks for.
    pub listed_board: Option<BoardId>,
    /// The certificate that it brings from its maker.
    pub idevid: Option<Idevid>,
    /// The hardware that carries the name.
    pub board: Option<BoardId>,
    /// How far it has come.
    pub custody: Custody,
    /// Whether it is provisioned, or a certificate was issued for it: what is consumed stays so.
    pub consumed: bool,
    /// Where the list that has the last word is kept.
    pub list: u64,
    /// The line of it; 0 if that list took the device back.
    pub line: u64,
    /// Who signed that list.
    pub supplier: Option<SupplierName>,
    /// Until when the device may be certified.
    pub until: UnixTime,
}

impl Standing {
    /// Whether nothing was done with it yet, so that its words may still change.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.custody == Custody::Planned && self.board.is_none() && !self.consumed
    }
}

/// What a line means for a device that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It was taken back, and is expected anew.
    Anew,
    /// Nothing changes.
    Known,
    /// The same words, and another end.
    Renewed,
    /// Other words than in the list that this one supersedes.
    Changed,
    /// Another supplier listed it.
    OtherSupplier,
    /// It stands with another type.
    OtherType,
    /// It stands with another profile.
    OtherProfile,
    /// It stands with another board.
    OtherBoard,
    /// It stands with another certificate of a maker's.
    OtherIdevid,
}

/// Compares a line with what is known of its serial number. A line belongs to who said it first: nobody else changes
/// it, and the same words of the operator and of a supplier are no contradiction. `supersedes` is where the list that
/// this one takes the place of is kept.
#[must_use]
pub fn judge(
    line: &ListedDevice,
    until: UnixTime,
    by: Option<&SupplierName>,
    supersedes: Option<u64>,
    standing: &Standing,
) -> Judgement {
    let withdrawn = standing.line == 0;
    if withdrawn && standing.is_untouched() {
        return Judgement::Anew;
    }
    let other = if line.id.device_type != standing.id.device_type || line.id.maker_pen != standing.id.maker_pen {
        Some(Judgement::OtherType)
    } else if line.profile != standing.profile {
        Some(Judgement::OtherProfile)
    } else {
        // A list may come to know what the hardware said. What a list asked for is forgotten when it is taken back.
        let learns = line.board.is_some() && line.board == standing.board;
        let same = if withdrawn { line.board.is_none() } else { line.board == standing.listed_board };
        let same_idevid = withdrawn || line.idevid == standing.idevid;
        let other = (!same_idevid).then_some(Judgement::OtherIdevid);
        if same || learns { other } else { Some(Judgement::OtherBoard) }
    };
    if by != standing.supplier.as_ref() {
        let both_suppliers = by.is_some() && standing.supplier.is_some();
        return if both_suppliers { Judgement::OtherSupplier } else { other.unwrap_or(Judgement::Known) };
    }
    let superseded = supersedes == Some(standing.list);
    match other {
        Some(_) if superseded && standing.is_untouched() => Judgement::Changed,
        Some(other) => other,
        None if standing.consumed => Judgement::Known,
        None if withdrawn => Judgement::Anew,
        None if superseded || until > standing.until => Judgement::Renewed,
        None => Judgement::Known,
    }
}

/// What a list changes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListChanges {
    /// Devices that were not expected.
    pub new: u64,
    /// Devices that were known, with the same words.
    pub known: u64,
    /// Devices that the superseded list named with other words.
    pub changed: u64,
    /// Devices that the superseded list named and this one does not.
    pub removed: u64,
    /// What changes, by device. At most [`model::contract::identity::DIFFERENCES_MAX`].
    pub differences: Vec<Difference>,
}

/// What came of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOutcome {
    /// Imported.
    Imported(ListChanges),
    /// These lines say something else than an earlier list; nothing was imported. At most [`CONTRADICTIONS_MAX`].
    Contradicts(Vec<BadLine>),
    /// The list as a whole may not be taken.
    Refused(Reason),
}

/// Most contradictions that are named; who has more has the wrong file.
pub const CONTRADICTIONS_MAX: usize = 20;

/// What is known of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// Where the store keeps it.
    pub row: u64,
    /// Its name.
    pub id: DeviceId,
    /// What it may be certified as.
    pub profile: ProfileName,
    /// The list that named it first.
    pub list: String,
    /// How far it has come.
    pub custody: Custody,
    /// Whether it is marked as stolen.
    pub stolen: bool,
    /// The certificate that it brings from its maker.
    pub idevid: Option<Idevid>,
    /// The hardware that carries the name.
    pub board: Option<BoardId>,
    /// The image that was flashed.
    pub image: Option<Digest>,
    /// Its key.
    pub key: Option<Digest>,
    /// Serial number of its certificate.
    pub certificate: Option<String>,
    /// The station that worked on it last.
    pub station: Option<StationName>,
    /// When it was touched last.
    pub at: UnixTime,
}

/// Which devices.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeviceFilter {
    /// Of this serial number.
    pub serial: Option<DeviceSerial>,
    /// That have come so far.
    pub custody: Option<Custody>,
    /// Behind this row.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}

/// Grants that ics has not left at km yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingGrants {
    /// Where they come from.
    pub origin: String,
    /// The grants.
    pub offers: Vec<GrantOffer>,
    /// Their rows, to be given back when they are left.
    pub rows: Vec<u64>,
}

/// What ics keeps.
pub trait IdentityStore: AuditSink {
    /// Imports a list, all of it or nothing, with the grants that follow from it to be left at km. That the supplier
    /// signed it was verified before. What a superseding list takes back has no unconsumed grant from then on.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn import(&self, list: &List, at: UnixTime) -> Result<ListOutcome, StoreFault>;

    /// What an import would come to. Nothing is changed.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn compare(&self, list: &List) -> Result<ListOutcome, StoreFault>;

    /// All suppliers by name, revoked ones too.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn suppliers(&self) -> Result<Vec<SupplierRow>, StoreFault>;

    /// Sets or takes a supplier's key. The number of its last list stays. Setting the same key again changes nothing.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn set_supplier(&self, supplier: &SupplierName, key: Option<&PublicKey>, at: UnixTime) -> Result<(), StoreFault>;

    /// The oldest grants that are not left at km yet, of one list.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn pending(&self, limit: usize) -> Result<Option<PendingGrants>, StoreFault>;

    /// Forgets grants that were left at km.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn deposited(&self, rows: &[u64]) -> Result<(), StoreFault>;

    /// Binds boards to the names on their labels, or says why not.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn admit(&self, boards: &[BoardSeen], at: UnixTime) -> Result<Vec<Result<DeviceId, Reason>>, StoreFault>;

    /// Records what a station did.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn done(
        &self,
        station: &StationName,
        operator: &OperatorName,
        steps: &[StepDone],
        at: UnixTime,
    ) -> Result<Vec<Result<(), Reason>>, StoreFault>;

    /// Marks a device as stolen or takes the mark back.
    ///
    /// # Errors
    /// [`StoreFault`]; the inner error is [`Reason::NotOnList`].
    fn mark(&self, device: &DeviceId, stolen: bool, at: UnixTime) -> Result<Result<(), Reason>, StoreFault>;

    /// Devices in the order of their lists.
    ///
    /// # Errors
    /// [`StoreFault`]
    fn devices(&self, filter: &DeviceFilter) -> Result<Vec<DeviceRow>, StoreFault>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use Judgement as J;

    const UNTIL: UnixTime = UnixTime::from_s(100);
    fn line() -> ListedDevice {
        let id = "urn:dev:ops:32473-sensor-SN1".parse().unwrap();
        ListedDevice { id, board: None, idevid: None, profile: "idevid".parse().unwrap(), line: 2 }
    }
    fn with_board(board: &str) -> ListedDevice {
        ListedDevice { board: board.parse().ok(), ..line() }
    }
    /// In list 1 of acme, with nothing done yet.
    fn standing() -> Standing {
        Standing {
            id: line().id,
            profile: line().profile,
            listed_board: None,
            idevid: None,
            board: None,
            custody: Custody::Planned,
            consumed: false,
            list: 1,
            line: 2,
            supplier: "acme".parse().ok(),
            until: UNTIL,
        }
    }
    fn consumed() -> Standing {
        Standing { custody: Custody::Provisioned, consumed: true, board: "chip-1".parse().ok(), ..standing() }
    }
    fn bound() -> Standing {
        Standing { board: "chip-1".parse().ok(), ..standing() }
    }
    fn taken_back(standing: Standing) -> Standing {
        Standing { line: 0, ..standing }
    }
    #[track_caller]
    fn check(by: &str, supersedes: Option<u64>, line: ListedDevice, standing: Standing, expected: Judgement) {
        let by: Option<SupplierName> = by.parse().ok();
        assert_eq!(judge(&line, UNTIL, by.as_ref(), supersedes, &standing), expected);
    }
    fn longer(standing: Standing) -> Standing {
        Standing { until: UNTIL.minus_s(1), ..standing }
    }

    #[test]
    fn the_same_words_change_nothing() {
        check("acme", None, line(), standing(), J::Known);
    }
    #[test]
    fn a_later_end_is_given_to_what_is_not_consumed() {
        check("acme", None, line(), longer(standing()), J::Renewed);
        check("acme", None, line(), longer(consumed()), J::Known);
    }
    #[test]
    fn a_new_version_takes_over_what_is_not_consumed() {
        check("acme", Some(1), line(), standing(), J::Renewed);
        check("acme", Some(1), line(), consumed(), J::Known);
    }
    #[test]
    fn another_supplier_contradicts_even_with_the_same_words() {
        check("zenith", None, line(), standing(), J::OtherSupplier);
    }
    #[test]
    fn the_operator_changes_nothing_of_a_suppliers() {
        check("", None, line(), longer(standing()), J::Known);
        check("", None, with_board("chip-1"), standing(), J::OtherBoard);
    }
    #[test]
    fn a_supplier_changes_nothing_of_the_operators() {
        check("acme", None, line(), Standing { supplier: None, ..longer(standing()) }, J::Known);
        check("acme", None, with_board("chip-1"), Standing { supplier: None, ..standing() }, J::OtherBoard);
    }
    #[test]
    fn other_words_need_a_new_version_of_the_very_list() {
        check("acme", None, with_board("chip-1"), standing(), J::OtherBoard);
        check("acme", Some(2), with_board("chip-1"), standing(), J::OtherBoard);
        check("acme", Some(1), with_board("chip-1"), standing(), J::Changed);
    }
    #[test]
    fn other_words_for_what_somebody_worked_on_contradict() {
        check("acme", Some(1), with_board("chip-2"), bound(), J::OtherBoard);
        check("acme", Some(1), with_board("chip-2"), consumed(), J::OtherBoard);
        check("acme", Some(1), with_board("chip-2"), Standing { custody: Custody::Made, ..standing() }, J::OtherBoard);
        check("acme", Some(1), with_board("chip-2"), Standing { consumed: true, ..standing() }, J::OtherBoard);
    }
    #[test]
    fn a_list_may_learn_what_the_hardware_said() {
        check("acme", None, with_board("chip-1"), bound(), J::Known);
    }
    #[test]
    fn another_certificate_of_a_makers_needs_a_new_version_before_anything_was_issued() {
        let of = |text: &str| text.parse::<Idevid>().ok();
        let (one, other) = (of("zenith 0a"), of("zenith 0b"));
        let line = || ListedDevice { idevid: one.clone(), ..line() };
        check("acme", None, line(), Standing { idevid: one.clone(), ..standing() }, J::Known);
        for had in [None, other] {
            let had = || Standing { idevid: had.clone(), ..standing() };
            check("acme", None, line(), had(), J::OtherIdevid);
            check("", None, line(), had(), J::OtherIdevid);
            check("acme", Some(1), line(), had(), J::Changed);
            check("acme", Some(1), line(), Standing { consumed: true, ..had() }, J::OtherIdevid);
        }
        assert_eq!(of("zenith 00:0A"), one);
        for bad in ["zenith", "zenith ", "zenith 0x", "Zenith 0a", " 0a", "zenith 00"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
    #[test]
    fn another_type_or_profile_is_named() {
        let id = "urn:dev:ops:32473-gateway-SN1".parse().unwrap();
        check("acme", None, ListedDevice { id, ..line() }, standing(), J::OtherType);
        let profile = "ldevid".parse().unwrap();
        check("acme", None, ListedDevice { profile, ..line() }, standing(), J::OtherProfile);
    }
    #[test]
    fn what_was_taken_back_untouched_is_anybodys() {
        check("zenith", None, with_board("chip-7"), taken_back(standing()), J::Anew);
        check("", None, line(), taken_back(standing()), J::Anew);
    }
    #[test]
    fn what_was_taken_back_after_somebody_worked_on_it_is_its_suppliers() {
        check("zenith", None, line(), taken_back(bound()), J::OtherSupplier);
        check("acme", None, line(), taken_back(bound()), J::Anew);
        check("acme", None, with_board("chip-1"), taken_back(bound()), J::Anew);
        check("acme", None, with_board("chip-2"), taken_back(bound()), J::OtherBoard);
    }
}
