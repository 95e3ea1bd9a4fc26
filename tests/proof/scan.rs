//! Looks for secrets in bytes, files and the memory of processes, in every form in which they could have got there.
//!
//! A hit is a window of a form, so that a piece of a secret is found as well as the whole.

use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes of a process that are looked at in one piece.
const PIECE: usize = 1 << 20;
/// Bits by which most places are passed over.
const FILTER_BITS: usize = 1 << 22;
/// Hits that are kept for each source: the first ones tell where it comes from.
const HITS_MAX: usize = 12;

/// What is looked for.
pub(crate) struct Needles {
    /// For each length of a window: the windows, and what they are part of.
    by_length: BTreeMap<usize, HashMap<Vec<u8>, (&'static str, &'static str)>>,
    /// Which first four bytes any window has, by their hash.
    filter: Vec<bool>,
}

/// One place where a piece of a secret stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    /// Where: a file, a channel, or a mapping of a process.
    pub(crate) place: String,
    /// Which secret.
    pub(crate) secret: &'static str,
    /// In which form.
    pub(crate) form: &'static str,
    /// What stands around it.
    pub(crate) around: String,
}

fn slot(four: [u8; 4]) -> usize {
    (u32::from_le_bytes(four).wrapping_mul(0x9E37_79B1) >> 10) as usize % FILTER_BITS
}

impl Needles {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { by_length: BTreeMap::new(), filter: vec![false; FILTER_BITS] }
    }

    /// Adds every window of `length` bytes of `bytes`; shorter texts are added whole.
    pub(crate) fn add(&mut self, secret: &'static str, form: &'static str, bytes: &[u8], length: usize) {
        let length = length.min(bytes.len());
        assert!(length >= 6, "{secret} is too short to be told from chance");
        for window in bytes.windows(length) {
            let first: [u8; 4] = window[..4].try_into().unwrap();
            self.filter[slot(first)] = true;
            let windows = self.by_length.entry(length).or_default();
            windows.entry(window.to_vec()).or_insert((secret, form));
        }
    }

    /// Adds a secret in all its forms.
    pub(crate) fn add_secret(&mut self, secret: &'static str, text: &str) {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        let bytes = text.as_bytes();
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        self.add(secret, "raw", bytes, 12);
        self.add(secret, "reversed", &reversed, 12);
        self.add(secret, "hex", hex::encode(bytes).as_bytes(), 24);
        self.add(secret, "HEX", hex::encode_upper(bytes).as_bytes(), 24);
        for before in 0..3_usize {
            // What stands before it shifts the groups of six bits; the characters at the ends depend on neighbours.
            let shifted = [&vec![b'x'; before][..], bytes].concat();
            for engine in [STANDARD, URL_SAFE] {
                let encoded = engine.encode(&shifted);
                let own = &encoded[(before * 8).div_ceil(6)..(shifted.len() * 8) / 6];
                self.add(secret, "base64", own.as_bytes(), 16);
            }
        }
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        self.add(secret, "UTF-16LE", &little, 24);
        self.add(secret, "UTF-16BE", &big, 24);
        let every: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        let needed: String = text.chars().map(percent).collect();
        self.add(secret, "URL", every.as_bytes(), 36);
        self.add(secret, "URL", every.to_ascii_lowercase().as_bytes(), 36);
        self.add(secret, "URL", needed.as_bytes(), 12);
        let json = serde_json::to_string(text).unwrap();
        self.add(secret, "JSON", &json.as_bytes()[1..json.len() - 1], 12);
        let escaped: String = utf16.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        self.add(secret, "JSON", escaped.as_bytes(), 72);
    }

    /// Adds what a MAC key is turned into: whoever has the two states can sign without the key.
    pub(crate) fn add_mac_states(&mut self, secret: &'static str, key: &[u8]) {
        const START: [u32; 8] =
            [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
        for (form, pad) in [("inner pad", 0x36_u8), ("outer pad", 0x5c)] {
            assert!(key.len() <= 64, "a longer key is hashed first");
            let mut block = [pad; 64];
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            self.add(secret, form, &block[..key.len()], 12);
            let mut state = START;
            sha2::block_api::compress256(&mut state, &[block]);
            // That these really are the states: closed without a message they are the digest of the block.
            let (mut closed, mut end) = (state, [0_u8; 64]);
            (end[0], end[62]) = (0x80, 2);
            sha2::block_api::compress256(&mut closed, &[end]);
            let digest: Vec<u8> = closed.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(digest, sha2::Sha256::digest(block).as_slice());
            let bytes = |order: &[usize]| -> Vec<u8> { order.iter().flat_map(|at| state[*at].to_le_bytes()).collect() };
            // As an array, and as processors with instructions for the hash hold it.
            self.add(secret, "MAC state", &bytes(&[0, 1, 2, 3, 4, 5, 6, 7]), 12);
            self.add(secret, "MAC state", &bytes(&[5, 4, 1, 0]), 12);
            self.add(secret, "MAC state", &bytes(&[7, 6, 3, 2]), 12);
        }
    }

    /// Looks through bytes.
    pub(crate) fn find(&self, place: &str, bytes: &[u8]) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        self.each(bytes, &mut |at, (secret, form)| {
            // The windows of one copy overlap: told once.
            let told = hits.last().is_some_and(|hit| (hit.secret, hit.form) == (secret, form) && hits.len() > HITS_MAX);
            if !told && hits.len() < 20 * HITS_MAX {
                let around = bytes.get(at.saturating_sub(48)..(at + 80).min(bytes.len())).unwrap_or(&[]);
                hits.push(Hit {
                    place: format!("{place}+{at:#x}"),
                    secret,
                    form,
                    around: around.escape_ascii().to_string(),
                });
            }
        });
        hits
    }

    fn each(&self, bytes: &[u8], hit: &mut dyn FnMut(usize, (&'static str, &'static str))) {
        let Some(last) = bytes.len().checked_sub(6) else { return };
        const EMPTY: [u8; 4096] = [0; 4096];
        let mut at = 0;
        while at <= last {
            // Most memory is empty; a window that begins in the last bytes of it is not.
            if bytes[at] == 0 && bytes.get(at..at + EMPTY.len()) == Some(&EMPTY[..]) {
                at += EMPTY.len() - 64;
                continue;
            }
            let [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            if self.filter[slot([a, b, c, d])] {
                for (length, windows) in &self.by_length {
                    let found = bytes.get(at..at + length).and_then(|window| windows.get(window));
                    if let Some(found) = found {
                        hit(at, *found);
                        at += length / 2;
                        break;
                    }
                }
            }
            at += 1;
        }
    }

    /// Looks through a file, or a directory and everything beneath it.
    pub(crate) fn find_in_files(&self, path: &Path, hits: &mut Vec<Hit>) -> usize {
        let Ok(kind) = fs::symlink_metadata(path) else { return 0 };
        if kind.is_dir() {
            let Ok(entries) = fs::read_dir(path) else { return 0 };
            return entries.filter_map(Result::ok).map(|entry| self.find_in_files(&entry.path(), hits)).sum();
        }
        if !kind.is_file() {
            return 0;
        }
        let name = path.display().to_string();
        hits.extend(self.find(&format!("name of {name}"), name.as_bytes()));
        hits.extend(self.find(&name, &fs::read(path).unwrap_or_default()));
        1
    }

    /// Looks through all memory of a process that can be read, but the pages that are made for secrets; also says how
    /// many bytes that were. (Where the system has memory that not even the superuser reads, those pages are of it.)
    pub(crate) fn find_in_process(&self, what: &str, process: u32) -> std::io::Result<(Vec<Hit>, usize)> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
        let places_for_secrets = locked(&fs::read_to_string(format!("/proc/{process}/smaps"))?);
        let memory = File::open(format!("/proc/{process}/mem"))?;
        let (mut hits, mut looked_at) = (Vec::new(), 0);
        // One window more than a piece, so that none falls between two.
        let overlap = self.by_length.keys().last().copied().unwrap_or(0);
        let mut piece = vec![0_u8; PIECE + overlap];
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let Some((start, end)) = words.next().and_then(|range| range.split_once('-')) else { continue };
            let for_secrets = places_for_secrets.contains(start);
            if for_secrets || !words.next().is_some_and(|rights| rights.starts_with('r')) {
                continue;
            }
            let name = words.nth(3).unwrap_or("anonymous");
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let (mut at, end) = (address(start), address(end));
            while at < end {
                let most = usize::try_from(end - at).unwrap().min(piece.len());
                let read = memory.read_at(&mut piece[..most], at).unwrap_or(0);
                let bytes = &piece[..read];
                looked_at += read.min(PIECE);
                if bytes.iter().any(|byte| *byte != 0) {
                    hits.extend(self.find(&format!("{what}: {name} {at:#x}"), bytes));
                }
                at += if read == 0 { 0x1000 } else { u64::try_from(read.min(PIECE)).unwrap() };
            }
        }
        Ok((hits, looked_at))
    }
}

/// Where the mappings begin that are locked into memory and left out of core files: pages for secrets.
fn locked(smaps: &str) -> BTreeSet<String> {
    let (mut begins, mut found) = ("", BTreeSet::new());
    for line in smaps.lines() {
        let first = line.split(' ').next().unwrap_or("");
        if let Some((start, _)) = first.split_once('-').filter(|_| !first.contains(':')) {
            begins = start;
        }
        let flags: Vec<&str> = line.strip_prefix("VmFlags:").unwrap_or("").split_whitespace().collect();
        if flags.contains(&"lo") && flags.contains(&"dd") {
            found.insert(begins.to_owned());
        }
    }
    found
}

fn percent(character: char) -> String {
    if character.is_ascii_alphanumeric() || "-_.~".contains(character) {
        character.to_string()
    } else {
        character.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
    }
}

/// Fails with all hits.
pub(crate) fn nothing(what: &str, hits: &[Hit]) {
    let shown: Vec<String> = hits
        .iter()
        .take(40)
        .map(|hit| format!("  {} as {} in {}: {}", hit.secret, hit.form, hit.place, hit.around))
        .collect();
    assert!(hits.is_empty(), "{what}: {} pieces of secrets\n{}", hits.len(), shown.join("\n"));
}

/// Whether this process may read the memory of others; in an unattended run it must.
pub(crate) fn may_read_others(what: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let unattended = std::env::var_os("CI").is_some_and(|value| value != "false" && value != "0" && !value.is_empty());
    assert!(!unattended, "{what} needs the superuser: run it as root");
    println!("skipped: {what} needs the superuser");
    false
}
