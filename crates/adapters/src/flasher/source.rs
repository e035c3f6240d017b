//! The image on its way to a board.

use ports::flasher::BoardFault;
use std::io::Read;

/// Reads exactly as many octets as were announced, and then the end.
pub(crate) struct Source<'a> {
    image: &'a mut dyn Read,
    left: u64,
    ended: bool,
}

impl<'a> Source<'a> {
    pub(crate) fn new(image: &'a mut dyn Read, length: u64) -> Self {
        Self { image, left: length, ended: false }
    }

    /// Fills `buffer`, or as much of it as the image still has; gives that part, empty at the end.
    ///
    /// The end is read together with the last octets, and not later: a reader that authenticates its contents reports a
    /// forgery only there, and the caller must learn it before it uses the last octets.
    pub(crate) fn fill<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b mut [u8], BoardFault> {
        if self.ended {
            return Ok(Default::default());
        }
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..len).unwrap_or_default();
        self.image.read_exact(part).map_err(|_| BoardFault::Source)?;
        self.left = self.left.saturating_sub(length_of(part));
        if self.left == 0 {
            self.ended = true;
            let more = std::io::copy(&mut Read::take(&mut *self.image, 1), &mut std::io::sink());
            if more.map_err(|_| BoardFault::Source)? > 0 {
                return Err(BoardFault::Source);
            }
        }
        Ok(part)
    }
}

/// The number of octets as files count them.
pub(crate) fn length_of(octets: &[u8]) -> u64 {
    let Ok(length) = u64::try_from(octets.len()) else { unreachable!("no machine has addresses of more than 64 bits") };
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(octets: &[u8], length: u64, expected: Result<usize, BoardFault>) {
        let mut reader = octets;
        let mut source = Source::new(&mut reader, length);
        let mut read = 0;
        let result = loop {
            match source.fill(&mut [0; 4]) {
                Ok([]) => break Ok(read),
                Ok(part) => read += part.len(),
                Err(fault) => break Err(fault),
            }
        };
        assert_eq!(result, expected);
    }

    #[test]
    fn the_announced_length() {
        check(&[1; 10], 10, Ok(10));
    }
    #[test]
    fn a_whole_number_of_buffers() {
        check(&[1; 8], 8, Ok(8));
    }
    #[test]
    fn nothing() {
        check(&[], 0, Ok(0));
    }
    #[test]
    fn one_octet_too_few() {
        check(&[1; 9], 10, Err(BoardFault::Source));
    }
    #[test]
    fn one_octet_too_many() {
        check(&[1; 11], 10, Err(BoardFault::Source));
    }
    #[test]
    fn octets_where_none_were_announced() {
        check(&[1], 0, Err(BoardFault::Source));
    }
}
