//! Cradle: from blank board to certified device.

mod bench;
mod cli;
mod compose;
mod config;
mod demo;
mod fault;
mod line;
mod mode;
mod output;
mod progress;

fn main() -> std::process::ExitCode {
    cli::run()
}
