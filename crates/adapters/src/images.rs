//! Images in files of this box.

use model::Fault;
use ports::vault::ImageSource;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Opens regular files by their path.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileImages;

impl ImageSource for FileImages {
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, Fault> {
        match crate::files::open_regular(Path::new(name)) {
            Ok(file) => Ok(Box::new(file)),
            Err(e) if e.kind() == ErrorKind::InvalidInput => Err(Fault::unavailable("the image is no regular file")),
            Err(_) => Err(Fault::unavailable("the image file cannot be opened")),
        }
    }
}
