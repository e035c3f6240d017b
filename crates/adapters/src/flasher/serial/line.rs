//! The line to a board: a tty, or in tests something that plays one.

use super::super::deadline::Deadline;
use super::super::fault;
use ports::flasher::BoardFault;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, Termios, ioctl_tiocexcl, ioctl_tiocnxcl, tcflush, tcgetattr,
    tcsetattr,
};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// Carries octets both ways.
pub(super) trait Line {
    /// Sends all of `octets`.
    ///
    /// # Errors
    /// [`BoardFault::Fixture`] if the line does not take them in time, or is gone.
    fn send(&mut self, octets: &[u8], deadline: &mut Deadline) -> Result<(), BoardFault>;

    /// Receives what is there, after at most `wait_ms` and not beyond the deadline; 0 octets if nothing came.
    ///
    /// # Errors
    /// [`BoardFault::Fixture`] if the line is gone.
    fn receive(&mut self, buffer: &mut [u8], deadline: &mut Deadline, wait_ms: u64) -> Result<usize, BoardFault>;
}

/// A tty in raw mode, for this process alone. Dropping it puts it back as it was.
pub(super) struct Tty {
    file: File,
    before: Termios,
}

impl Tty {
    /// Opens a tty with this speed, eight bits, no parity, one stop bit, no flow control.
    pub(super) fn open(path: &Path, baud_per_s: u32) -> Result<Self, BoardFault> {
        let opened = |error| fault::fixture(format_args!("{}: {error}", path.display()));
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(opened)?);
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| fault::fixture(format_args!("{} is in use by another station", path.display())))?;
        let before = match tcgetattr(&file) {
            Ok(before) => before,
            Err(Errno::NOTTY) => return Err(fault::fixture(format_args!("{} is no tty", path.display()))),
            Err(error) => return Err(opened(error)),
        };
        let mut raw = before.clone();
        raw.make_raw();
        raw.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        raw.control_modes &= !(ControlModes::CRTSCTS | ControlModes::CSTOPB);
        raw.set_speed(baud_per_s).map_err(opened)?;
        tcsetattr(&file, OptionalActions::Now, &raw).map_err(opened)?;
        let tty = Self { file, before };
        // So that no terminal program takes half of the answers. A getty that is there already must be turned off.
        ioctl_tiocexcl(&tty.file).map_err(opened)?;
        tcflush(&tty.file, QueueSelector::IOFlush).map_err(opened)?;
        Ok(tty)
    }

    fn wait(&self, flags: PollFlags, deadline: &mut Deadline, wait_ms: u64) -> Result<bool, BoardFault> {
        deadline.wait(&mut [PollFd::new(&self.file, flags)], wait_ms)
    }
}

fn gone(error: impl std::fmt::Display) -> BoardFault {
    fault::fixture(format_args!("the line is gone: {error}"))
}

impl Line for Tty {
    fn send(&mut self, octets: &[u8], deadline: &mut Deadline) -> Result<(), BoardFault> {
        let mut left = octets;
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(len) => left = left.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left_ms = deadline.left_ms();
                    if !self.wait(PollFlags::OUT, deadline, left_ms)? {
                        return Err(fault::fixture("the line takes no more octets"));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(gone(error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: &mut Deadline, wait_ms: u64) -> Result<usize, BoardFault> {
        if !self.wait(PollFlags::IN, deadline, wait_ms)? {
            return Ok(0);
        }
        match self.file.read(buffer) {
            Ok(0) => Err(gone("it was hung up")),
            Ok(len) => Ok(len),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            Err(error) => Err(gone(error)),
        }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        // A line that is gone cannot be put back. What is still on its way is not thrown away: the last thing that was said
        // may have told the board to give up a transfer.
        let _ = tcsetattr(&self.file, OptionalActions::Now, &self.before);
        let _ = ioctl_tiocnxcl(&self.file);
    }
}
