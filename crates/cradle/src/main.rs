//! Cradle: from blank board to certified device.

mod api;
mod bench;
mod cli;
mod clock;
mod compose;
mod config;
mod demo;
mod doctor;
mod enrol;
mod fault;
mod joining;
mod lapsed;
mod line;
mod log;
mod machine;
mod mode;
mod operators;
mod output;
mod progress;
mod serve;
mod servers;
mod site;
mod survey;

fn main() -> std::process::ExitCode {
    cli::run()
}
