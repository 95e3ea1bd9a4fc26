//! Tests of the whole log: what it holds, what tampering is named, what a thief of today's keys cannot do.
//! Failing disks are in [`failing`].

mod failing;
mod support;

use crate::format::segment_name;
use crate::keys::Ratchet;
use crate::state;
use crate::*;
use domain::UnixNanos;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use secrets::SecretBytes;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use support::{BOOT, Bench, NOW, SMALL, at, entry};

#[test]
fn what_was_appended_is_found_and_verified_with_and_without_the_vault() {
    let bench = Bench::new();
    let (mut log, seed) = bench.create();
    for number in 0..25 {
        assert_eq!(log.append(&entry(number), at(number)).unwrap(), number + 2 + number / 10);
    }
    let report = bench.verify(&seed);
    assert_eq!((report.records, report.checkpoints, report.first_bad), (25, 3, None));
    assert_eq!((report.last_seq, report.sealed_seq, report.macs_checked), (28, 23, true));
    let public = verify(bench.dir(), seed.anchor(), None, Some(28)).unwrap();
    assert_eq!(public, VerifyReport { macs_checked: false, ..report });
    let tail = tail(bench.dir(), 2).unwrap();
    let Line::Record(last) = tail.last().unwrap() else { panic!("a record") };
    assert_eq!((last.seq, last.reason.as_str(), last.boot.as_str(), last.time), (28, "reason 24", BOOT, at(24).0));
}

#[test]
fn log_goes_on_after_a_restart_and_every_restart_seals_what_was_left() {
    let bench = Bench::new();
    let (log, seed) = bench.create();
    drop(log);
    for run in 0..12 {
        let mut log = bench.open(&seed).unwrap();
        for number in 0..run {
            log.append(&entry(number), at(number)).unwrap();
        }
        log.append_durably(&entry(99), NOW).unwrap();
    }
    let log = bench.open(&seed).unwrap();
    let report = bench.verify(&seed);
    assert_eq!((report.records, report.first_bad, report.last_seq), (66 + 12, None, log.seq()));
    assert_eq!(report.sealed_seq, report.last_seq, "the last open sealed what the last run left");
}

#[test]
fn segments_are_closed_by_size_and_all_are_kept() {
    let bench = Bench::new();
    let (mut log, seed) = bench.create_with(AuditBounds { segment_bytes: 2_000, ..SMALL });
    for number in 0..60 {
        log.append(&entry(number), at(number)).unwrap();
    }
    drop(log);
    let sizes: Vec<u64> = bench.segments().iter().map(|name| fs::metadata(bench.path(name)).unwrap().len()).collect();
    assert!(sizes.len() > 8 && sizes.iter().all(|size| *size <= 2_000), "{sizes:?}");
    assert_eq!(bench.verify(&seed).first_bad, None);
    let mut log = bench.open(&seed).unwrap();
    log.append(&entry(1), NOW).unwrap();
    assert_eq!(bench.verify(&seed).first_bad, None);
    fs::remove_file(bench.path(&bench.segments()[3])).unwrap();
    assert!(matches!(bench.verify(&seed).first_bad, Some(BadRecord { wrong: Wrong::Missing { .. }, .. })));
}

/// Twenty records and two checkpoints after the first, all synced and closed; line `n` has number `n`.
fn finished() -> (Bench, AuditSeed, Vec<String>) {
    let bench = Bench::new();
    let (mut log, seed) = bench.create();
    for number in 0..24 {
        log.append_durably(&entry(number), at(number)).unwrap();
        if number % 10 == 9 {
            log.checkpoint(at(number)).unwrap();
        }
    }
    drop(log);
    let lines: Vec<String> = bench.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 27);
    (bench, seed, lines)
}

fn position(seq: usize) -> usize {
    seq - 1
}

#[test]
fn every_kind_of_tampering_is_named_at_the_first_bad_record() {
    let (bench, seed, genuine) = finished();
    type Tamper = fn(&mut Vec<String>);
    let edit = |lines: &mut Vec<String>| {
        let line = &mut lines[position(7)];
        *line = line.replace("reason 5", "reason 6");
    };
    let table: [(&str, Tamper, BadRecord, BadRecord); 12] = [
        ("edit", edit, bad(7, Wrong::Altered), bad(7, Wrong::Altered)),
        (
            "edit of a MAC",
            |lines| flip_digit(&mut lines[position(7)], "\"mac\":\""),
            bad(7, Wrong::Altered),
            bad(7, Wrong::Altered),
        ),
        ("delete", |lines| drop(lines.remove(position(7))), missing(7, 8), missing(7, 8)),
        ("reorder", |lines| lines.swap(position(7), position(8)), missing(7, 8), missing(7, 8)),
        (
            "duplicate",
            |lines| lines.insert(position(8), lines[position(7)].clone()),
            bad(8, Wrong::Repeated { found: 7 }),
            bad(8, Wrong::Repeated { found: 7 }),
        ),
        (
            "truncate before the last seal",
            |lines| lines.truncate(15),
            bad(16, Wrong::CutOff { seen: 23 }),
            bad(16, Wrong::CutOff { seen: 23 }),
        ),
        ("delete of a checkpoint", |lines| drop(lines.remove(position(12))), missing(12, 13), missing(12, 13)),
        (
            "edit of a signature",
            |lines| flip_digit(&mut lines[position(12)], "\"signature\":\""),
            bad(12, Wrong::Altered),
            bad(2, Wrong::SealBroken { to: 12 }),
        ),
        (
            "unknown field",
            |lines| lines[position(9)] = lines[position(9)].replace("\"boot\"", "\"extra\":1,\"boot\""),
            bad(9, Wrong::Malformed),
            bad(9, Wrong::Malformed),
        ),
        (
            "same meaning in other bytes",
            |lines| lines[position(9)] = lines[position(9)].replace(",\"boot\"", ", \"boot\""),
            bad(9, Wrong::Malformed),
            bad(9, Wrong::Malformed),
        ),
        (
            "edit that hashes the following lines again",
            |lines| {
                lines[position(7)] = lines[position(7)].replace("reason 5", "reason 6");
                rehash(lines, position(8));
            },
            bad(7, Wrong::Altered),
            bad(2, Wrong::SealBroken { to: 12 }),
        ),
        (
            "renumbered after a delete",
            |lines| {
                lines.remove(position(7));
                for (index, line) in lines.iter_mut().enumerate().skip(position(7)) {
                    *line = line.replacen(&format!("\"seq\":{}", index + 2), &format!("\"seq\":{}", index + 1), 1);
                }
                rehash(lines, position(7));
            },
            bad(7, Wrong::Altered),
            bad(2, Wrong::SealBroken { to: 11 }),
        ),
    ];
    for (name, tamper, with_seed, without) in table {
        let mut lines = genuine.clone();
        tamper(&mut lines);
        assert_ne!(lines, genuine, "{name}");
        bench.put(&lines);
        assert_eq!(bench.verify(&seed).first_bad, Some(with_seed), "{name}, with the seed");
        let public = verify(bench.dir(), seed.anchor(), None, None).unwrap();
        assert_eq!(public.first_bad, Some(without), "{name}, without");
    }
    bench.put(&genuine);
    assert_eq!(bench.verify(&seed).first_bad, None, "the unchanged log verifies");
}

fn bad(seq: u64, wrong: Wrong) -> BadRecord {
    BadRecord { seq, wrong }
}

fn missing(seq: u64, found: u64) -> BadRecord {
    bad(seq, Wrong::Missing { found })
}

fn flip_digit(line: &mut String, after: &str) {
    let at = line.find(after).unwrap() + after.len();
    let other = if line.as_bytes()[at] == b'0' { "1" } else { "0" };
    line.replace_range(at..=at, other);
}

/// What somebody without any key can do: make the hashes fit again.
fn rehash(lines: &mut [String], from: usize) {
    for index in from..lines.len() {
        let digest = hex::encode(Sha256::digest(lines[index - 1].as_bytes()));
        let at = lines[index].find("\"prev\":\"").unwrap() + 8;
        lines[index].replace_range(at..at + 64, &digest);
    }
}

#[test]
fn end_cut_off_behind_the_last_seal_is_seen_against_the_exported_number() {
    let (bench, seed, mut lines) = finished();
    lines.truncate(25);
    bench.put(&lines);
    assert_eq!(bench.verify(&seed).first_bad, None, "nothing in the directory tells");
    let report = verify(bench.dir(), seed.anchor(), Some(&seed), Some(27)).unwrap();
    assert_eq!(report.first_bad, Some(bad(26, Wrong::CutOff { seen: 27 })));
}

#[test]
fn log_put_in_its_place_with_another_key_is_seen() {
    let (bench, seed, _) = finished();
    let (other, _, lines) = finished();
    bench.put(&lines);
    assert_eq!(verify(bench.dir(), seed.anchor(), None, None).unwrap().first_bad, Some(bad(1, Wrong::OtherAnchor)));
    assert!(
        verify(other.dir(), read_anchor(&other.path(ANCHOR_FILE)).unwrap(), None, None).unwrap().first_bad.is_none()
    );
}

/// The keys that a thief finds in the writer's state after `finished`, and the numbers of its next lines.
#[test]
fn keys_of_today_make_neither_a_mac_nor_a_seal_of_yesterday() {
    let (bench, seed, lines) = finished();
    let files = DiskFiles::open(bench.dir()).unwrap();
    let (stolen, _) = state::read(&files, &seed).unwrap();
    assert_eq!((stolen.seq, stolen.index), (23, 3));
    // The stolen key is the hash of the ones before, and is none of them; it fits its own line alone.
    let mac_of = |line: &str| {
        let parsed = format::parse(line.as_bytes()).unwrap();
        (parsed.body.to_vec(), parsed.mac)
    };
    let mut key = Ratchet::from_secret(stolen.mac_key.secret().duplicate().unwrap());
    for (index, line) in lines.iter().enumerate() {
        let (body, mac) = mac_of(line);
        let own = key.mac(&body).unwrap() == mac;
        assert_eq!(own, index == position(24), "line {}", index + 1);
    }
    for line in &lines[position(24)..] {
        let (body, mac) = mac_of(line);
        assert_eq!(key.mac(&body).unwrap(), mac, "positive control: from the stolen key on, MACs can be made");
        key = key.next().unwrap();
    }
    // Nor can he seal again: he holds the secret of the next checkpoint, not of any before.
    let own = [stolen.sealer.public().unwrap(), stolen.next_sealer.public().unwrap()].map(PublicKey::to_hex);
    for line in &lines[..position(24)] {
        if let Line::Checkpoint(checkpoint) = format::parse(line.as_bytes()).unwrap().line {
            assert!(!own.contains(&checkpoint.key));
        }
    }
    // With the open vault beside it he rewrites a sealed record, with its hashes and MACs, and signs with what he
    // has: it is seen by anybody, because the checkpoint's key is named by the one before it.
    let mut forged = lines.clone();
    forged[position(7)] = forged[position(7)].replace("reason 5", "reason 6");
    let mut keys = vec![seed.first_mac_key().unwrap()];
    for index in 0..forged.len() {
        keys.push(keys[index].next().unwrap());
    }
    for index in position(7)..forged.len() {
        rehash(&mut forged[..=index], index);
        let body = format::parse(forged[index].as_bytes()).unwrap().body.to_vec();
        let signed = forged[index].contains("\"signature\"");
        let text = format::with_mac(String::from_utf8(body.clone()).unwrap(), &keys[index].mac(&body).unwrap());
        forged[index] = if signed {
            let signature = stolen.sealer.sign(&format::signed_part(&text)).unwrap();
            format::with_signature(text, &signature)
        } else {
            format::closed(text)
        };
    }
    bench.put(&forged);
    assert_eq!(bench.verify(&seed).first_bad, Some(bad(12, Wrong::Altered)));
    let public = verify(bench.dir(), seed.anchor(), None, None).unwrap();
    assert_eq!(public.first_bad, Some(bad(2, Wrong::SealBroken { to: 12 })));
}

#[test]
fn no_key_lies_in_the_directory_in_clear_and_only_the_newest_state_is_kept() {
    let (bench, seed, _) = finished();
    let (state, _) = state::read(&DiskFiles::open(bench.dir()).unwrap(), &seed).unwrap();
    let file = fs::read(bench.path("state")).unwrap();
    for secret in [state.mac_key.expose(), state.sealer.expose(), state.next_sealer.expose()] {
        assert!(!file.windows(8).any(|window| window == &secret[..8]));
    }
    let zeros = file.chunks(512).filter(|slot| slot.iter().all(|byte| *byte == 0)).count();
    assert_eq!((zeros, file.len()), (1, 1024), "the state before is overwritten");
}

#[test]
fn state_of_another_vault_or_put_back_from_an_older_day_is_refused() {
    let bench = Bench::new();
    let (mut log, seed) = bench.create();
    let older = fs::read(bench.path("state")).unwrap();
    for number in 0..25 {
        log.append(&entry(number), at(number)).unwrap();
    }
    drop(log);
    let (_, other, _) = finished();
    assert!(matches!(bench.open(&other), Err(AuditError::StateUnusable)));
    let genuine = fs::read(bench.path("state")).unwrap();
    fs::write(bench.path("state"), older).unwrap();
    assert!(matches!(bench.open(&seed), Err(AuditError::Broken(_))), "two seals stand after it; only one can");
    fs::remove_file(bench.path("state")).unwrap();
    assert!(matches!(bench.open(&seed), Err(AuditError::StateUnusable)));
    fs::write(bench.path("state"), genuine).unwrap();
    assert!(bench.open(&seed).is_ok());
}

#[test]
fn damage_before_the_last_seal_refuses_to_open_and_damage_behind_it_is_set_aside_and_told() {
    let (bench, seed, genuine) = finished();
    let mut lines = genuine.clone();
    lines.truncate(20);
    bench.put(&lines);
    assert!(matches!(bench.open(&seed), Err(AuditError::Broken(BadRecord { wrong: Wrong::CutOff { .. }, .. }))));
    let mut lines = genuine.clone();
    lines[position(23)] = lines[position(23)].replace("\"signature\":\"", "\"signature\":\"0");
    bench.put(&lines);
    assert!(matches!(bench.open(&seed), Err(AuditError::Broken(_))));

    let mut lines = genuine;
    lines[position(26)] = lines[position(26)].replace("reason 22", "Reason 22");
    bench.put(&lines);
    let log = bench.open(&seed).unwrap();
    let report = bench.verify(&seed);
    assert_eq!((report.first_bad, report.damaged_files, report.last_seq), (None, 1, log.seq()));
    let tail = tail(bench.dir(), 2).unwrap();
    let Line::Record(told) = &tail[0] else { panic!("a record") };
    assert_eq!((told.seq, told.verb.as_str(), told.reason.as_str()), (26, "log_repaired", "it was edited"));
    let kept = bench.names().into_iter().find(|name| name.starts_with("damaged-")).unwrap();
    assert!(fs::read_to_string(bench.path(&kept)).unwrap().contains("Reason 22"), "the evidence is kept");
}

#[test]
fn half_a_line_at_the_end_is_set_aside() {
    let (bench, seed, lines) = finished();
    let mut text = lines[..26].join("\n") + "\n";
    text.push_str(&lines[26][..100]);
    fs::write(bench.path(&segment_name(1)), text).unwrap();
    assert_eq!(bench.verify(&seed).first_bad, Some(bad(27, Wrong::Malformed)));
    let log = bench.open(&seed).unwrap();
    assert_eq!((bench.verify(&seed).first_bad, log.seq()), (None, 28));
}

#[test]
fn proof_holds_for_its_record_and_key_alone() {
    let (bench, seed, lines) = finished();
    let proof = prove(bench.dir(), seed.anchor(), 15).unwrap();
    assert_eq!((proof.checkpoints.len(), proof.lines.len()), (2, 9));
    let text = serde_json::to_string(&proof).unwrap();
    let read: Proof = serde_json::from_str(&text).unwrap();
    let proven = verify_proof(&read, seed.anchor()).unwrap();
    assert_eq!(
        (proven.record.reason.as_str(), proven.sealed_by, &proven.line),
        ("reason 12", 23, &lines[position(15)])
    );
    let (_, other, _) = finished();
    assert!(verify_proof(&proof, other.anchor()).is_err());
    // Any changed line, left out line, or another number does not hold.
    let tampers: [fn(&mut Proof); 8] = [
        |proof| proof.lines[0] = proof.lines[0].replace("reason 12", "reason 13"),
        |proof| flip_digit(&mut proof.lines[3], "\"mac\":\""),
        |proof| flip_digit(proof.lines.last_mut().unwrap(), "\"signature\":\""),
        |proof| drop(proof.lines.remove(4)),
        |proof| drop(proof.lines.pop()),
        |proof| drop(proof.checkpoints.remove(1)),
        |proof| proof.seq = 16,
        |proof| proof.lines.clear(),
    ];
    for (number, tamper) in tampers.iter().enumerate() {
        let mut changed = proof.clone();
        tamper(&mut changed);
        assert!(verify_proof(&changed, seed.anchor()).is_err(), "tamper {number}");
    }
    assert!(matches!(prove(bench.dir(), seed.anchor(), 26), Err(AuditError::NotSealed { seq: 26 })));
    assert!(matches!(prove(bench.dir(), seed.anchor(), 12), Err(AuditError::NotSealed { .. })), "a seal is no record");
}

/// Reads the log with `serde_json`, `hmac` and `sha2` alone, from the description of the format.
#[test]
fn description_of_the_format_is_enough_to_check_a_log_by_hand() {
    let (bench, seed, lines) = finished();
    let bytes = seed.to_secret_bytes().unwrap();
    let (secret, chain) = (&bytes.expose()[1..33], &bytes.expose()[33..49]);
    let mac = |key: &[u8], parts: &[&[u8]]| -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    };
    let mut key = mac(secret, &[b"mac", chain]);
    let (mut prev, mut signer) = ("0".repeat(64), fs::read_to_string(bench.path("anchor.pub")).unwrap());
    for (line, seq) in lines.iter().zip(1_u64..) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((value["seq"].as_u64(), value["prev"].as_str()), (Some(seq), Some(prev.as_str())));
        let covered = &line[..line.find(",\"mac\":").unwrap()];
        assert_eq!(value["mac"].as_str().unwrap(), hex::encode(mac(&key, &[covered.as_bytes()])));
        if let Some(signature) = value["signature"].as_str() {
            assert_eq!(value["key"].as_str().unwrap(), signer.trim());
            let covered = &line[..line.find(",\"signature\":").unwrap()];
            let key = ed25519_dalek::VerifyingKey::from_bytes(&hex::decode(signer.trim()).unwrap().try_into().unwrap());
            let signature = ed25519_dalek::Signature::from_slice(&hex::decode(signature).unwrap()).unwrap();
            assert!(key.unwrap().verify_strict(covered.as_bytes(), &signature).is_ok());
            signer = value["next_key"].as_str().unwrap().to_owned();
        } else {
            assert_eq!(value["verb"], "halt");
        }
        key = Sha256::new().chain_update(b"ratchet").chain_update(&key).finalize().to_vec();
        prev = hex::encode(Sha256::digest(line.as_bytes()));
    }
}

#[test]
fn text_can_neither_break_a_line_nor_steer_a_terminal() {
    let bench = Bench::new();
    let (mut log, seed) = bench.create();
    let hostile = "a\n{\"seq\":9}\r\u{1b}[2J\u{9b}31m\u{202e}\"\\ \u{0}".to_owned() + &"\u{e9}".repeat(1_000);
    let mut entry = entry(1);
    (entry.actor, entry.reason) = (Name::clear(&hostile), hostile);
    log.append_durably(&entry, NOW).unwrap();
    let text = bench.text();
    assert_eq!(text.lines().count(), 2);
    assert!(!text.chars().any(|character| character.is_control() && character != '\n') && !text.contains('\u{202e}'));
    let Line::Record(record) = tail(bench.dir(), 1).unwrap().pop().unwrap() else { panic!("a record") };
    assert!(record.reason.starts_with("a?{\"seq\":9}??[2J?31m?\"\\ ?\u{e9}") && record.reason.len() <= 256);
    assert_eq!(bench.verify(&seed).first_bad, None);
}

#[test]
fn hidden_names_are_the_same_for_the_same_name_and_tell_nothing_else() {
    let bench = Bench::new();
    let (mut log, _) = bench.create();
    for name in ["203.0.113.7", "203.0.113.7", "203.0.113.8"] {
        let entry = AuditEntry { source: Name::hidden(name), ..entry(1) };
        log.append_durably(&entry, NOW).unwrap();
    }
    let sources: Vec<String> = tail(bench.dir(), 3)
        .unwrap()
        .into_iter()
        .map(|line| match line {
            Line::Record(record) => record.source,
            Line::Checkpoint(_) => panic!("records"),
        })
        .collect();
    assert_eq!(sources[0], sources[1]);
    assert_ne!(sources[0], sources[2]);
    assert!(sources[0].starts_with("hmac:") && sources[0].len() == 37 && !bench.text().contains("203.0.113"));
}

#[test]
fn checkpoint_comes_after_so_many_records_or_so_much_time_and_never_without_a_record() {
    let bench = Bench::new();
    let (mut log, seed) = bench.create();
    let minutes = |minutes: u64| UnixNanos(NOW.0 + minutes * 60_000_000_000);
    log.tick(minutes(60)).unwrap();
    assert_eq!(bench.verify(&seed).checkpoints, 1, "nothing to seal");
    log.append(&entry(1), minutes(60)).unwrap();
    log.tick(minutes(60)).unwrap();
    assert_eq!(bench.verify(&seed).checkpoints, 2, "the last seal was an hour ago");
    log.append(&entry(2), minutes(61)).unwrap();
    log.tick(minutes(69)).unwrap();
    assert_eq!(bench.verify(&seed).checkpoints, 2);
    log.tick(minutes(70)).unwrap();
    assert_eq!(bench.verify(&seed).checkpoints, 3);
    for number in 0..10 {
        log.append(&entry(number), minutes(70)).unwrap();
    }
    assert_eq!(bench.verify(&seed).checkpoints, 4);
}

#[test]
fn second_log_is_not_made_over_the_first() {
    let (bench, ..) = finished();
    let made = AuditLog::create(bench.dir(), BOOT, NOW, SMALL);
    assert!(matches!(made, Err(AuditError::AlreadyThere)));
}

#[test]
fn seed_survives_its_bytes_and_other_bytes_are_refused() {
    let (bench, seed, _) = finished();
    let bytes = seed.to_secret_bytes().unwrap();
    let read = AuditSeed::from_secret_bytes(&bytes).unwrap();
    assert_eq!((read.chain(), read.anchor()), (seed.chain(), seed.anchor()));
    assert_eq!(bench.verify(&read).first_bad, None);
    for wrong in [&bytes.expose()[1..], &[], &[bytes.expose(), &[0]].concat(), &[&[2], &bytes.expose()[1..]].concat()] {
        let wrong = SecretBytes::from_slice(wrong).unwrap();
        assert!(matches!(AuditSeed::from_secret_bytes(&wrong), Err(AuditError::BadSeed)));
    }
}

#[test]
fn entries_of_many_threads_form_one_chain() {
    struct Fixed;
    impl domain::Clock for Fixed {
        fn unix(&self) -> UnixNanos {
            NOW
        }
        fn mono(&self) -> domain::MonoNanos {
            domain::MonoNanos(0)
        }
    }
    let bench = Bench::new();
    let (log, seed) = bench.create();
    let shared = Arc::new(SharedAudit::new(log, Arc::new(Fixed)));
    let mut seqs: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let sink: Arc<dyn AuditSink> = shared.clone();
                scope.spawn(move || (0..25).map(|_| sink.append(entry(thread)).unwrap()).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), 200, "each entry has a number of its own");
    shared.seal().unwrap();
    let report = bench.verify(&seed);
    assert_eq!((report.records, report.first_bad, report.last_seq), (200, None, shared.seq().unwrap()));
}

#[test]
fn what_raises_risk_is_refused_unrecorded_and_what_lowers_it_goes_on() {
    let failed = || Err(AuditError::WriterDied);
    for verb in AuditVerb::ALL {
        let permission = fail_closed(failed(), verb.raises_risk());
        assert_eq!(matches!(permission, Permission::Refuse(_)), verb.raises_risk(), "{}", verb.as_str());
        assert!(matches!(fail_closed(Ok(7), verb.raises_risk()), Permission::Recorded(7)));
    }
    for (verb, raises) in [
        (AuditVerb::Halt, false),
        (AuditVerb::Pause, false),
        (AuditVerb::Stop, false),
        (AuditVerb::KeyWithdrawn, false),
        (AuditVerb::PolicyTightened, false),
        (AuditVerb::Unhalt, true),
        (AuditVerb::Resume, true),
        (AuditVerb::KeyLinked, true),
        (AuditVerb::KeyMoved, true),
        (AuditVerb::PolicyLoosened, true),
    ] {
        assert_eq!(verb.raises_risk(), raises, "{}", verb.as_str());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is appended, however it is cut into runs and segments, verifies; and one changed byte anywhere is
    /// named at its own line when the seed is there.
    #[test]
    fn any_log_verifies_and_any_changed_byte_is_named(
        texts in prop::collection::vec((any::<String>(), any::<bool>(), 0_u8..10), 1..40),
        place in any::<prop::sample::Index>(),
        change in 1_u8..=255,
    ) {
        let bench = Bench::new();
        let bounds = AuditBounds { segment_bytes: 3_000, records_per_checkpoint: 7, ..SMALL };
        let (mut log, seed) = bench.create_with(bounds);
        for (text, durable, dice) in &texts {
            let verb = if *durable { AuditVerb::Unhalt } else { AuditVerb::Halt };
            let entry = AuditEntry { verb, target: Name::clear(text), reason: text.clone(), ..entry(1) };
            log.append(&entry, NOW).unwrap();
            if *dice == 0 {
                log.tick(NOW).unwrap();
                drop(log);
                log = AuditLog::open(bench.dir(), &seed, BOOT, NOW, bounds).unwrap();
            }
        }
        log.checkpoint(NOW).unwrap();
        drop(log);
        let report = bench.verify(&seed);
        prop_assert_eq!((report.records, report.first_bad), (texts.len() as u64, None));

        let mut offset = place.index(bench.text().len());
        let mut first_line = 1;
        for name in bench.segments() {
            let mut bytes = fs::read(bench.path(&name)).unwrap();
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            if offset < bytes.len() {
                let line = first_line + bytes[..offset].iter().filter(|byte| **byte == b'\n').count() as u64;
                bytes[offset] ^= change;
                fs::write(bench.path(&name), &bytes).unwrap();
                let found = bench.verify(&seed).first_bad.map(|bad| bad.seq);
                prop_assert_eq!(found, Some(line));
                let public = verify(bench.dir(), seed.anchor(), None, None).unwrap().first_bad.map(|bad| bad.seq);
                prop_assert!(public.is_some_and(|seq| seq <= line), "{:?} for {}", public, line);
                break;
            }
            offset -= bytes.len();
            first_line += lines;
        }
    }
}

#[test]
fn bounds_are_those_of_the_design() {
    let bounds = AuditBounds::default();
    assert_eq!((bounds.records_per_checkpoint, bounds.checkpoint_every), (1_000, Duration::from_secs(600)));
}
