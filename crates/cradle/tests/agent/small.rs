//! The program as it goes onto devices: how large it is, and how much memory it takes for a large image. `rigs/agent` builds it and
//! runs this.

use crate::common::text;
use crate::front::Line;
use crate::house::{House, PROGRAM, image};

const MIB: u64 = 1024 * 1024;
/// What a device has room for.
const PROGRAM_LEN_MAX: u64 = 4 * MIB;
const MEMORY_MAX: u64 = 8 * MIB;
const IMAGE_LEN: u64 = 256 * MIB;

fn mib(octets: u64) -> String {
    format!("{}.{:02}", octets / MIB, octets % MIB * 100 / MIB)
}

/// The highest that the system has seen, as long as the process is there.
fn memory_of_a_round(house: &House) -> u64 {
    let mut agent = house.agent(&[], &["update"]).spawn().unwrap();
    let path = format!("/proc/{}/status", agent.id());
    let mut memory = 0;
    while agent.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let high = high.and_then(|high| high.trim().trim_end_matches(" kB").parse::<u64>().ok());
        memory = memory.max(high.unwrap_or(0) * 1024);
    }
    assert!(agent.wait().unwrap().success());
    memory
}

#[test]
#[ignore = "rigs/agent runs it, with the program as it is built for devices"]
fn a_large_image_made_of_a_delta_takes_little_memory() {
    std::env::var_os(PROGRAM).expect("rigs/agent sets it");
    let house = House::new("agent-small-delta");
    let served = house.serve();
    let line = Line::to(served.1);
    let base = image(usize::try_from(IMAGE_LEN).unwrap(), 9);
    // The end is where the beginning was, and much is new: the delta refers to all of the image before.
    let (front, back) = base.split_at(base.len() / 3);
    let os = [back, &image(8 << 20, 3), front].concat();
    crate::deltas::carrying(&house, &format!("https://localhost:{}", line.port), &base);
    let delta = crate::deltas::direct(&house, 2, &base, &os);
    let memory = memory_of_a_round(&house);
    assert!(house.b.read("device/slot-B") == os);
    let fetched = line.fetched();
    println!(
        "memory: {} of {} MiB; {} MiB came for {} MiB, by a delta of {}",
        mib(memory),
        mib(MEMORY_MAX),
        mib(fetched),
        mib(IMAGE_LEN + (8 << 20)),
        mib(delta),
    );
    assert!(fetched < delta * 11 / 10 + MIB, "more came than the delta");
    assert!(memory > MIB && memory <= MEMORY_MAX, "it takes too much memory");
}

#[test]
#[ignore = "rigs/agent runs it, with the program as it is built for devices"]
fn a_large_image_over_a_bad_line_takes_little_memory() {
    let program = std::env::var_os(PROGRAM).expect("rigs/agent sets it");
    let program_len = std::fs::metadata(program).unwrap().len();
    let house = House::new("agent-small");
    let served = house.serve();
    let line = Line::to(served.1);
    house.configure(&format!("https://localhost:{}", line.port));
    house.b.write("device/at-once", "");
    let os = image(usize::try_from(IMAGE_LEN).unwrap(), 9);
    house.direct(2, "os.img", &os, 2);
    line.cut(10, IMAGE_LEN / 11);
    let memory = memory_of_a_round(&house);
    assert!(house.b.read("device/slot-B") == os);
    let fetched = line.fetched();
    println!(
        "program: {} of {} MiB; memory: {} of {} MiB; {} MiB came for {} MiB, cut {} times",
        mib(program_len),
        mib(PROGRAM_LEN_MAX),
        mib(memory),
        mib(MEMORY_MAX),
        mib(fetched),
        mib(IMAGE_LEN),
        10 - line.cuts_left(),
    );
    assert_eq!((line.cuts_left(), text(&house.b.read("device/slot")).trim().to_owned()), (0, "B".to_owned()));
    assert!(fetched < IMAGE_LEN * 11 / 10, "it came more than once");
    assert!(program_len <= PROGRAM_LEN_MAX, "the program is too large");
    assert!(memory > MIB && memory <= MEMORY_MAX, "it takes too much memory");
}
