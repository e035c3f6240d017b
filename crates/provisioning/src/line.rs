//! The way of a tray through the station. Two halves that never share a mode: [`Station::software`] runs while km is
//! off, [`Station::certificates`] while sm is off. Whoever conducts the line changes the mode between them.

use crate::release::Release;
use crate::station::{Label, Leaves, Station, Watch, Work};
use crate::tray::{Place, Stage, Tray};
use model::contract::identity::{Admit, BoardSeen};
use model::lifecycle::Device;
use model::{Fault, Reason};
use ports::flasher::Identity;

/// What to do with a board that does not carry the software yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flashing {
    /// Flash it.
    Allowed,
    /// Set it aside: in the mode in which devices are certified nothing is flashed.
    Forbidden,
}

impl Station {
    /// The first half: who is there, may it be provisioned, and the verified software onto it.
    ///
    /// # Errors
    /// [`Fault`] if the whole tray cannot be worked on; what concerns one board is in its report.
    pub fn software(
        &self,
        tray: &mut Tray,
        release: &Release,
        flashing: Flashing,
        watch: &dyn Watch,
    ) -> Result<(), Fault> {
        self.identify(tray, watch);
        self.refuse_twins(tray);
        self.admit(tray)?;
        self.flash(tray, release, flashing, watch)
    }

    /// The second half: a certificate for the key of each board that was flashed, written, proved and recorded.
    ///
    /// # Errors
    /// [`Fault`] if the whole tray cannot be worked on; what concerns one board is in its report.
    pub fn certificates(&self, tray: &mut Tray, watch: &dyn Watch) -> Result<(), Fault> {
        self.certify(tray, watch)
    }

    fn identify(&self, tray: &mut Tray, watch: &dyn Watch) {
        let places: Vec<&mut Place> = tray.places.iter_mut().collect();
        let ours = &self.setting.device_type.name;
        self.with_hands(places, |n, place| {
            watch.progress(n, Work::Identify, 0, 1);
            match place.board.identify() {
                Ok(Identity { board, serial, device_type }) => {
                    place.label = Some(Label { board, serial });
                    if device_type != *ours {
                        let detail = format!("the board says {device_type}, this station is for {ours}");
                        place.leave(Leaves { fault: Reason::WrongType.into(), detail });
                    }
                }
                Err(fault) => place.leave(fault),
            }
            watch.progress(n, Work::Identify, 1, 1);
        });
    }

    /// Two boards with one serial number in one tray: nobody can tell which is the copy, so both are set aside. The
    /// same board twice is one board.
    fn refuse_twins(&self, tray: &mut Tray) {
        let labels: Vec<Option<Label>> = tray.places.iter().map(|place| place.label.clone()).collect();
        for (n, place) in tray.places.iter_mut().enumerate() {
            let Some(label) = place.label.clone().filter(|_| matches!(place.at, Stage::Unknown)) else { continue };
            let twin = |other: &Option<Label>| {
                other.as_ref().is_some_and(|o| o.serial == label.serial && o.board != label.board)
            };
            let again = |other: &Option<Label>| other.as_ref().is_some_and(|o| *o == label);
            if labels.iter().any(twin) {
                let detail = "two boards in this tray carry this serial number".to_owned();
                place.leave(Leaves { fault: Reason::SerialTaken.into(), detail });
            } else if labels.iter().take(n).any(again) {
                let detail = "the same board stands in this tray twice".to_owned();
                place.leave(Leaves { fault: Reason::AlreadyProvisioned.into(), detail });
            }
        }
    }

    fn admit(&self, tray: &mut Tray) -> Result<(), Fault> {
        let device_type = &self.setting.device_type.name;
        let mut waiting: Vec<(&mut Place, Label)> = tray
            .places
            .iter_mut()
            .filter(|place| matches!(place.at, Stage::Unknown))
            .filter_map(|place| place.label.clone().map(|label| (place, label)))
            .collect();
        let seen = |label: &Label| {
            let Label { board, serial } = label.clone();
            BoardSeen { board, serial, device_type: device_type.clone() }
        };
        let boards: Vec<_> = waiting.iter().map(|(_, label)| seen(label)).collect();
        if boards.is_empty() {
            return Ok(());
        }
        let admissions = self.setting.link.call(&Admit { boards })?.admissions;
        if admissions.len() != waiting.len() {
            return Err(Fault::unavailable("the registry answered for another number of boards"));
        }
        for ((place, label), admission) in waiting.iter_mut().zip(admissions) {
            match admission {
                Ok(id) => place.at = Stage::Registered(Device::admitted(id, label.board.clone())),
                Err(fault) => place.leave(fault),
            }
        }
        Ok(())
    }
}
