//! Writes the seeds of every target: `cargo run --package fuzz-bodies --example seeds -- DIRECTORY`.

use fuzz_bodies::TARGETS;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let root: PathBuf = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("fuzz/seeds"), PathBuf::from);
    for target in TARGETS {
        let folder = root.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (seed, number) in (target.seeds)().iter().zip(0_u32..) {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
