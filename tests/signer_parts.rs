//! What the signer process is made of: the crates below it, and what runs before the first statement of `main`.
//!
//! Both lists are checked in beside this file, so that a change of either is a change that somebody reads.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::process::Command;

/// Most registry crates below the signer.
const CRATES_MAX: usize = 80;

/// The names in a checked-in list.
fn listed(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The registry crates in what `cargo tree --prefix none` prints: those of the workspace have a path behind them.
fn registry_crates(tree: &str) -> BTreeSet<String> {
    let lines = tree.lines().filter(|line| !line.is_empty() && !line.contains("(/"));
    lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// What is in one list alone, for people.
fn difference(found: &BTreeSet<String>, listed: &BTreeSet<String>) -> Vec<String> {
    let new = found.difference(listed).map(|name| format!("+ {name}"));
    new.chain(listed.difference(found).map(|name| format!("- {name}"))).collect()
}

#[test]
fn the_signer_depends_on_the_listed_crates_and_on_no_others() {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--offline", "-p", "order-signer", "-e", "normal", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let found = registry_crates(std::str::from_utf8(&output.stdout).unwrap());
    let change = difference(&found, &listed(include_str!("signer_parts/crates.txt")));
    assert!(change.is_empty(), "read what is new, then change tests/signer_parts/crates.txt: {change:#?}");
    assert!(found.contains("hmac") && found.contains("rustix"), "the tree was read: {found:?}");
    assert!(found.len() <= CRATES_MAX, "{} registry crates are below the signer", found.len());
}

#[test]
fn a_crate_more_or_less_is_seen() {
    let tree =
        "order-signer v0.1.0 (/x/crates/order-signer)\nhmac v0.13.0\n\nhmac v0.13.0 (*)\nevil v1.0.0 (proc-macro)\n";
    let found = registry_crates(tree);
    assert_eq!(difference(&found, &listed("# words\nhmac\nsha2\n")), ["+ evil", "- sha2"]);
}

#[test]
fn nothing_unlisted_runs_before_the_first_statement_of_main() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_steadfast")).unwrap();
    let found = elf::started_before_main(&bytes).expect("an executable with symbols");
    let change = difference(&found, &listed(include_str!("signer_parts/init_array.txt")));
    assert!(change.is_empty(), "read what is new, then change tests/signer_parts/init_array.txt: {change:#?}");
}

#[test]
fn names_are_compared_without_what_changes_with_each_compiler() {
    for (name, plain) in [
        ("_RNvNtCsjrHSEGnQ3l9_3std4args", "_RNvNtC3std4args"),
        ("_ZN3std4argsE17h0123456789abcdefE", "_ZN3std4argsE"),
        ("frame_dummy", "frame_dummy"),
    ] {
        assert_eq!(elf::without_hashes(name), plain);
    }
}

#[test]
fn a_function_planted_before_main_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("planted.c"), dir.path().join("planted"));
    let text = "__attribute__((constructor)) static void planted(void) {}\nint main(void) { return 0; }\n";
    std::fs::write(&source, text).unwrap();
    assert!(Command::new("cc").arg(&source).arg("-o").arg(&program).status().unwrap().success());
    let found = elf::started_before_main(&std::fs::read(&program).unwrap()).unwrap();
    assert!(found.contains("planted"), "{found:?}");
}

/// As much of the format of executables as this needs (ELF 64, little-endian).
mod elf {
    use std::collections::BTreeSet;

    const SYMBOLS: u32 = 2;
    const RELOCATIONS: u32 = 4;
    const INIT_ARRAY: u32 = 14;

    struct Section {
        kind: u32,
        address: u64,
        offset: usize,
        size: usize,
        link: usize,
    }

    fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
        bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }

    fn word(bytes: &[u8], offset: usize) -> Option<u64> {
        at(bytes, offset).map(u64::from_le_bytes)
    }

    fn half(bytes: &[u8], offset: usize) -> Option<u32> {
        at(bytes, offset).map(u32::from_le_bytes)
    }

    fn size(bytes: &[u8], offset: usize) -> Option<usize> {
        word(bytes, offset).and_then(|value| value.try_into().ok())
    }

    fn sections(bytes: &[u8]) -> Option<Vec<Section>> {
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let (first, count) = (size(bytes, 40)?, u16::from_le_bytes(at(bytes, 60)?));
        (0..usize::from(count))
            .map(|index| {
                let head = first + index * 64;
                Some(Section {
                    kind: half(bytes, head + 4)?,
                    address: word(bytes, head + 16)?,
                    offset: size(bytes, head + 24)?,
                    size: size(bytes, head + 32)?,
                    link: half(bytes, head + 40)?.try_into().ok()?,
                })
            })
            .collect()
    }

    /// The functions that the loader calls before `main`, by their names.
    pub(crate) fn started_before_main(bytes: &[u8]) -> Option<BTreeSet<String>> {
        let sections = sections(bytes)?;
        let arrays: Vec<&Section> = sections.iter().filter(|section| section.kind == INIT_ARRAY).collect();
        let mut targets = Vec::new();
        for array in &arrays {
            for place in (0..array.size).step_by(8) {
                // A position-independent program holds its addresses as relocations; others hold them in place.
                let address = array.address + u64::try_from(place).ok()?;
                targets.push(relocated(bytes, &sections, address).or_else(|| word(bytes, array.offset + place))?);
            }
        }
        targets.into_iter().map(|target| name(bytes, &sections, target)).collect()
    }

    fn relocated(bytes: &[u8], sections: &[Section], address: u64) -> Option<u64> {
        sections.iter().filter(|section| section.kind == RELOCATIONS).find_map(|section| {
            let entries = (section.offset..section.offset + section.size).step_by(24);
            entries.filter(|entry| word(bytes, *entry) == Some(address)).find_map(|entry| word(bytes, entry + 16))
        })
    }

    fn name(bytes: &[u8], sections: &[Section], address: u64) -> Option<String> {
        let symbols = sections.iter().find(|section| section.kind == SYMBOLS)?;
        let texts = sections.get(symbols.link)?;
        let entry = (symbols.offset..symbols.offset + symbols.size)
            .step_by(24)
            // Functions (kind 2) that begin there.
            .find(|entry| {
                word(bytes, entry + 8) == Some(address) && bytes.get(entry + 4).is_some_and(|info| info & 15 == 2)
            })?;
        let start = texts.offset + usize::try_from(half(bytes, entry)?).ok()?;
        let text = bytes.get(start..)?.split(|byte| *byte == 0).next()?;
        let text = std::str::from_utf8(text).ok()?;
        Some(without_hashes(text))
    }

    /// A mangled name without what changes with each build or compiler: the hash at its end, as names were mangled
    /// once, or the hash before the name of a crate.
    pub(crate) fn without_hashes(name: &str) -> String {
        let name = name.rsplit_once("17h").filter(|(_, hash)| hash.len() == 17).map_or(name, |(name, _)| name);
        let mut parts = name.split("Cs");
        let mut whole = parts.next().unwrap_or("").to_owned();
        for part in parts {
            let hash = part.split_once('_').filter(|(hash, _)| hash.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            whole.push_str(if hash.is_some() { "C" } else { "Cs" });
            whole.push_str(hash.map_or(part, |(_, rest)| rest));
        }
        whole
    }
}
