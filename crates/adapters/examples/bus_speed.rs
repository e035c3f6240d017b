//! How many calls a second the bus carries: inside one process, and over a nats-server at the address that is given.
//!
//! `cargo run --release -p adapters --example bus_speed -- nats://127.0.0.1:4222`

use adapters::bus::nats::{OpenFault, Setting, Site};
use adapters::bus::{LocalBus, NatsBus};
use adapters::clock::{Stopwatch, SystemClock};
use model::Module;
use model::contract::Subject;
use ports::bus::BusFault;
use ports::{Bus, Clock, Handler};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Calls on their way at the same time.
const DEPTH: usize = 16;
/// How long each measurement takes, in milliseconds.
const MEASURED_MS: u64 = 5_000;
const TO: Module = Module::Authority;

struct Echo;
impl Handler for Echo {
    fn handle(&self, _: Subject, message: &[u8]) -> Vec<u8> {
        message.to_vec()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let local = LocalBus::new(Arc::new(SystemClock));
    measure("local", &local, &local)?;
    match std::env::args().nth(1) {
        Some(server) => {
            let answers = open(&server, TO)?;
            measure("nats", &open(&server, Module::Console)?, &answers)?;
        }
        None => writeln!(std::io::stdout(), "nats: name a server to measure it")?,
    }
    Ok(())
}

fn open(server: &str, module: Module) -> Result<NatsBus, Box<dyn std::error::Error>> {
    let site = Site { domain: "speed".parse()?, instance: "box".parse()? };
    let setting = Setting { servers: vec![server.to_owned()], site, module, seed: None, trust: None };
    Ok(NatsBus::open(&setting, Arc::new(SystemClock))
        .map_err(|fault: OpenFault| format!("{fault}: {}", fault.next()))?)
}

fn measure(name: &str, calls: &dyn Bus, answers: &dyn Bus) -> Result<(), Box<dyn std::error::Error>> {
    let _served = answers.serve(TO, Arc::new(Echo)).map_err(|fault| format!("{fault:?}"))?;
    for len in [1024, 256 * 1024] {
        let (message, done, watch) = (vec![7; len], AtomicU64::new(0), Stopwatch::start());
        let call = || -> Result<(), BusFault> {
            while watch.ms() < MEASURED_MS {
                calls.call(TO, Subject::AuthorityCertify, &message, SystemClock.now().plus_s(30))?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..DEPTH).map(|_| scope.spawn(call)).collect();
            callers.into_iter().try_for_each(|caller| caller.join().unwrap_or(Err(BusFault::Broken)))
        })
        .map_err(|fault| format!("{fault:?}"))?;
        let a_second = done.load(Ordering::Relaxed) * 1000 / watch.ms().max(1);
        writeln!(std::io::stdout(), "{name:6} {len:7} octets {a_second:8} calls/s")?;
    }
    Ok(())
}
