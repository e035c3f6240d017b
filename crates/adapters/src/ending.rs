//! The end of the process where going on would be worse.

/// Ends the process because going on could lose or falsify records: a failed fsync, or no randomness.
///
/// No destructor runs: an engine that is closed in order would write more to a medium that has just lied.
pub(crate) fn die(why: &str) -> ! {
    #[expect(clippy::print_stderr, reason = "the last words of the process")]
    {
        eprintln!(
            "cradle: fatal: {why}; the process ends so that nothing false is recorded. Start it again when the cause is mended."
        );
    }
    std::process::abort()
}
