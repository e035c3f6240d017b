//! Images in files of this box.

use model::Fault;
use ports::vault::ImageSource;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::Read;

/// Opens regular files by their path.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileImages;

impl ImageSource for FileImages {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Fault> {
        // A pipe or a device could keep sm waiting for ever; NONBLOCK lets them be opened, and the check turns them away.
        let file = open(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(|_| Fault::unavailable("the image file cannot be opened"))?;
        let file = File::from(file);
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Box::new(file)),
            _ => Err(Fault::unavailable("the image is no regular file")),
        }
    }
}
