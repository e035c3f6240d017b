//! `cradle-agent`: follows a director and an image repository on a device, and keeps its certificate.

fn main() -> std::process::ExitCode {
    agent::main(std::env::args_os().skip(1)).into()
}
