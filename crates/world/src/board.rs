//! Boards in a fixture: they fall silent, refuse, lose their key, and carry what is written to them.

use crate::hub::{Hub, locked};
use crate::keys::key;
use crate::template::{DEVICE_TYPE, Stuck, name, request_of};
use adapters::keystore::memory::MemoryKey;
use model::contract::authority::Evidence;
use model::{BoardId, DeviceSerial, DeviceType, Digest};
use ports::Signer;
use ports::flasher::{Board, BoardFault, Identity, KeyOffer, Part};
use std::io::Read;
use std::sync::{Arc, Mutex};
use x509::KeyType;

/// A board, as it lies there.
#[derive(Debug)]
pub struct Hardware {
    pub(crate) id: BoardId,
    pub(crate) serial: DeviceSerial,
    device_type: DeviceType,
    /// Another key for each time that it was erased.
    erased: u32,
    image: Option<Digest>,
    /// Whether it signs requests itself.
    signs: bool,
}

impl Hardware {
    /// The n-th board, labelled as the serial number of this number.
    pub(crate) fn new(n: u64, label: u64) -> Result<Self, Stuck> {
        Ok(Self {
            id: name(&format!("BOARD-{n:04}"))?,
            serial: name(&serial_of(label))?,
            device_type: name(DEVICE_TYPE)?,
            erased: 0,
            image: None,
            signs: !n.is_multiple_of(3),
        })
    }

    /// Its key, if keys can be made at all.
    pub(crate) fn key(&self) -> Result<Arc<MemoryKey>, BoardFault> {
        key(&format!("{} {}", self.id, self.erased)).map_err(|e| BoardFault::Refused(e.to_string()))
    }
}

/// The n-th serial number.
pub(crate) fn serial_of(n: u64) -> String {
    format!("SN{n:04}")
}

/// A board in the hands of a station.
pub(crate) struct Placed {
    pub(crate) hub: Arc<Hub>,
    pub(crate) hardware: Arc<Mutex<Hardware>>,
    pub(crate) is_silent: bool,
}

impl Placed {
    fn step(&mut self) -> Result<(), BoardFault> {
        self.hub.pass(20);
        if self.hub.strikes(|w| w.board / 4) {
            self.is_silent = true;
        }
        if self.is_silent {
            return Err(BoardFault::Silent);
        }
        if self.hub.strikes(|w| w.board / 4) {
            return Err(BoardFault::Refused("not now".to_owned()));
        }
        Ok(())
    }
}

impl Board for Placed {
    fn identify(&mut self) -> Result<Identity, BoardFault> {
        self.step()?;
        if self.hub.strikes(|w| w.board / 4) {
            let mut hardware = locked(&self.hardware);
            (hardware.erased, hardware.image) = (hardware.erased + 1, None);
            self.hub.log(|| format!("  {} was erased", hardware.id));
        }
        let hardware = locked(&self.hardware);
        let (board, serial, device_type) = (hardware.id.clone(), hardware.serial.clone(), hardware.device_type.clone());
        Ok(Identity { board, serial, device_type })
    }

    fn installed(&mut self, _: u64) -> Result<Option<Digest>, BoardFault> {
        self.step()?;
        Ok(locked(&self.hardware).image)
    }

    fn flash(&mut self, image: &mut dyn Read, length: u64, progress: &mut dyn FnMut(u64)) -> Result<(), BoardFault> {
        self.step()?;
        let mut octets = Vec::new();
        image.read_to_end(&mut octets).map_err(|_| BoardFault::Source)?;
        if u64::try_from(octets.len()) != Ok(length) {
            return Err(BoardFault::Source);
        }
        if self.hub.strikes(|w| w.board / 2) {
            return Err(BoardFault::Mismatch);
        }
        locked(&self.hardware).image = Some(x509::sha256(&octets));
        progress(length);
        self.step()
    }

    fn write(&mut self, what: Part, octets: &[u8]) -> Result<(), BoardFault> {
        self.step()?;
        if what == Part::CertificateChain {
            // The device's own stands first.
            let der = x509::pem::decode(octets).map(|(_, der)| der);
            let der = der.ok_or_else(|| BoardFault::Refused("no certificate".to_owned()))?;
            let said = locked(&self.hub.oracle).saw(&der);
            self.hub.judge(said);
        }
        self.step()
    }

    fn key(&mut self, _: KeyType) -> Result<KeyOffer, BoardFault> {
        self.step()?;
        let hardware = locked(&self.hardware);
        let key = hardware.key()?;
        if !hardware.signs {
            return Ok(KeyOffer::PublicKey(key.public_key().spki().to_vec()));
        }
        match request_of(key.as_ref()) {
            Ok(Evidence::Pkcs10(der)) => Ok(KeyOffer::CertificationRequest(der.0)),
            Ok(Evidence::Crmf(_)) => Err(BoardFault::Refused("another request".to_owned())),
            Err(fault) => Err(BoardFault::Refused(fault.to_string())),
        }
    }

    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, BoardFault> {
        self.step()?;
        if self.hub.strikes(|w| w.board / 4) {
            locked(&self.hardware).erased += 1;
        }
        let key = locked(&self.hardware).key()?;
        key.sign(challenge).map_err(|fault| BoardFault::Refused(fault.to_string()))
    }
}
