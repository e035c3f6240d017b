//! How fast images go into the vault and out of it, against AES-256-GCM alone.
//!
//! `cargo bench -p vault -- DIRECTORY...`; without a directory, in memory only.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::as_conversions, reason = "a benchmark")]

use adapters::vault::{CHUNK_LEN, DirectoryVault, VaultPrivateKey};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ports::Entropy;
use ports::vault::Vault;
use std::hint::black_box;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;

const LEN: usize = 512 << 20;
const ROUNDS: usize = 5;

struct Random;
impl Entropy for Random {
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).unwrap();
    }
}

// The best of some rounds, in MB/s: what disturbs only makes it slower.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn measure(what: &str, mut round: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = std::time::Instant::now();
        round();
        best = best.min(start.elapsed().as_secs_f64());
    }
    let speed = LEN as f64 / best / 1e6;
    println!("{what:<40} {speed:8.0} MB/s");
    speed
}

fn drain(source: &mut dyn Read) {
    let mut chunk = vec![0; CHUNK_LEN];
    while source.read(&mut chunk).unwrap() > 0 {
        black_box(&mut chunk);
    }
}

fn main() {
    let image: Vec<u8> = (0..LEN).map(|n| ((n * 31) >> 3) as u8).collect();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let seal = |n: usize, chunk: &mut [u8]| {
        let mut nonce = [0; 12];
        nonce.iter_mut().zip(n.to_le_bytes()).for_each(|(to, from)| *to = from);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let _tag = black_box(key.seal_in_place_separate_tag(nonce, Aad::empty(), black_box(chunk)).unwrap());
    };
    let mut chunk = vec![7; CHUNK_LEN];
    measure("AES-256-GCM alone, in the cache", || (0..LEN / CHUNK_LEN).for_each(|n| seal(n, &mut chunk)));
    let bare = measure("AES-256-GCM alone, over the image", || {
        for (n, from) in image.chunks_exact(CHUNK_LEN).enumerate() {
            chunk.copy_from_slice(from);
            seal(n, &mut chunk);
        }
    });
    for directory in std::env::args().skip(1).filter(|argument| !argument.starts_with('-')) {
        println!("{directory}:");
        into_and_out_of(Path::new(&directory), &image, bare);
    }
}

fn into_and_out_of(directory: &Path, image: &[u8], bare: f64) {
    let directory = tempfile::tempdir_in(directory).unwrap();
    let key = VaultPrivateKey::generate(&Random).unwrap();
    let vault = DirectoryVault::open(directory.path(), vec![key.public_key()], Some(key), Arc::new(Random)).unwrap();
    let clear = directory.path().join("in-the-clear");
    let write = measure("  written in the clear, durable", || {
        let mut file = std::fs::File::create(&clear).unwrap();
        let mut source = Cursor::new(image);
        let mut chunk = vec![0; CHUNK_LEN];
        while let read @ 1.. = source.read(&mut chunk).unwrap() {
            file.write_all(chunk.get(..read).unwrap()).unwrap();
        }
        file.sync_all().unwrap();
    });
    let read = measure("  read in the clear", || drain(&mut std::fs::File::open(&clear).unwrap()));
    std::fs::remove_file(&clear).unwrap();
    let mut last = None;
    let into = measure("  put, durable", || {
        if let Some(name) = last.take() {
            vault.remove(&name).unwrap();
        }
        last = Some(vault.put(&mut Cursor::new(image), LEN as u64).unwrap());
    });
    let name = last.unwrap();
    let out_of = measure("  open and read", || drain(&mut vault.open(&name).unwrap()));
    println!("  of AES-256-GCM alone: put {:.2}, read {:.2}", into / bare, out_of / bare);
    // What is left of the medium's own speed if AES-256-GCM is done before or after, and nothing else.
    let serial = |io: f64| 1.0 / (1.0 / io + 1.0 / bare);
    println!("  of medium and AES-256-GCM in turn: put {:.2}, read {:.2}", into / serial(write), out_of / serial(read));
}
