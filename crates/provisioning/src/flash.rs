//! Verified software onto blank boards. Algorithm: "software onto a blank device", steps 3 and 4.

use crate::line::Flashing;
use crate::release::Release;
use crate::station::{Leaves, Station, Watch, Work};
use crate::tray::{Place, Stage, Tray};
use model::contract::identity::{Step, StepDone};
use model::lifecycle::{Device, Flashed, Registered};
use model::report::{Did, Reported};
use model::{Fault, Reason};
use ports::flasher::{BoardFault, Part};
use ports::reports::Outbox;
use ports::store::line::Job;

/// What was done to one board.
struct Done {
    device: Device<Flashed>,
    duration_ms: u64,
    retries: u64,
    // The image stood on the board already, and was read back from it.
    continued: bool,
}

impl Station {
    pub(crate) fn flash(
        &self,
        tray: &mut Tray,
        release: &Release,
        flashing: Flashing,
        watch: &dyn Watch,
    ) -> Result<(), Fault> {
        let registered: Vec<_> = tray
            .places
            .iter_mut()
            .enumerate()
            .filter_map(|(n, place)| match place.take() {
                Stage::Registered(device) => Some((n, place, device)),
                other => {
                    place.at = other;
                    None
                }
            })
            .collect();
        let worked = self.with_hands(registered, |_, (n, place, device)| {
            let id = device.id().clone();
            let outcome = self.flash_one(n, place, device, (release, flashing), watch);
            (place, id, outcome)
        });
        let mut done = Vec::new();
        for (place, id, outcome) in worked {
            match outcome {
                Ok(flashed) => done.push((place, flashed)),
                Err(leaves) => place.at = Stage::Left(leaves, Some(id)),
            }
        }
        self.record_flashed(done, release)
    }

    fn flash_one(
        &self,
        n: usize,
        place: &mut Place,
        device: Device<Registered>,
        (release, flashing): (&Release, Flashing),
        watch: &dyn Watch,
    ) -> Result<Done, Leaves> {
        let (image, length) = (release.image(), release.length());
        let began = self.now();
        let continued = place.board.installed(length)? == Some(image);
        if !continued && flashing == Flashing::Forbidden {
            return Err(Reason::SoftwareMissing.into());
        }
        let retries = if continued { 0 } else { self.write_image(n, place, release, watch)? };
        watch.progress(n, Work::Flash, length, length);
        place.board.write(Part::TrustAnchors, self.setting.trust_anchors.as_bytes())?;
        let duration_ms = self.now().since_ms(began);
        Ok(Done { device: device.flashed(image), duration_ms, retries, continued })
    }

    /// Writes the image until it is read back as it was written. Gives the number of repetitions.
    fn write_image(&self, n: usize, place: &mut Place, release: &Release, watch: &dyn Watch) -> Result<u64, Leaves> {
        let length = release.length();
        for retries in 0..=self.setting.flash_retries {
            let mut source = release.open()?;
            let mut progress = |done| watch.progress(n, Work::Flash, done, length);
            match place.board.flash(&mut source, length, &mut progress) {
                Ok(()) => return Ok(retries),
                Err(BoardFault::Mismatch) if retries < self.setting.flash_retries => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(BoardFault::Mismatch.into())
    }

    /// Recorded at ics first, then durable here: an interruption between the two is mended by recording again, which
    /// changes nothing at ics but its log.
    fn record_flashed(&self, done: Vec<(&mut Place, Done)>, release: &Release) -> Result<(), Fault> {
        if done.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = done.iter().map(|(_, d)| d.device.id().clone()).collect();
        let before = self.setting.store.jobs(&ids)?;
        let job = |((_, d), before): (&(&mut Place, Done), Option<Job>)| {
            let device = d.device.id().clone();
            let none = Job { device, image: None, transaction_id: None, key: None, finished: false };
            Job { image: Some(release.image()), ..before.unwrap_or(none) }
        };
        let recorded: Vec<bool> =
            before.iter().map(|b| b.as_ref().is_some_and(|b| b.image == Some(release.image()))).collect();
        let jobs: Vec<Job> = done.iter().zip(before).map(job).collect();
        // A board that was found flashed, and recorded so, is not recorded again: nothing is counted twice.
        let news = |(continued, recorded): (bool, bool)| !(continued && recorded);
        let new: Vec<bool> = done.iter().map(|(_, d)| d.continued).zip(recorded).map(news).collect();
        let steps = done.iter().zip(&new).filter(|(_, new)| **new).map(|((_, d), _)| StepDone {
            device: d.device.id().clone(),
            board: d.device.board().clone(),
            step: Step::Flashed { image: release.image(), duration_ms: d.duration_ms, retries: d.retries },
        });
        let steps: Vec<_> = steps.collect();
        let flashed = steps.iter().map(|step| step.device.to_string()).collect();
        self.report_flashed(flashed, release)?;
        let mut results = self.record(steps)?.into_iter();
        self.setting.store.set_jobs(&jobs)?;
        self.setting.store.raise_release_floor(&self.setting.device_type.name, release.counter())?;
        for ((place, d), new) in done.into_iter().zip(new) {
            let short = || Err(Fault::unavailable("the registry answered for another number of boards"));
            let result = if new { results.next().unwrap_or_else(short) } else { Ok(()) };
            match result {
                Ok(()) => place.at = Stage::Flashed(d.device),
                Err(fault) => place.at = Stage::Left(fault.into(), Some(d.device.id().clone())),
            }
        }
        Ok(())
    }

    /// Leaves a report for the director, if there is one, which sm takes there: durable before anything is recorded, so that none is
    /// forgotten. A board that is flashed again after an interruption is reported again.
    fn report_flashed(&self, devices: Vec<String>, release: &Release) -> Result<(), Fault> {
        let directed = self.setting.primary.as_ref().filter(|primary| primary.director_root.is_some());
        let Some(primary) = directed.filter(|_| !devices.is_empty()) else { return Ok(()) };
        let image = Reported {
            device_type: self.setting.device_type.name.clone(),
            release: release.title().to_owned(),
            release_counter: release.counter(),
            image: release.image(),
            devices,
        };
        let outbox = Outbox::of(self.setting.releases.as_ref(), &self.setting.link);
        outbox.put(&primary.device, self.now(), Did::Flashed, vec![image])?;
        Ok(())
    }
}
