//! What can be found in the memory of the signer process, by whom.

use super::client::{Client, Intent};
use super::rig::Rig;
use super::scan::{Hit, Needles, may_read_others, nothing};
use rustix::process::Signal;
use std::process::Command;

/// The secrets of hits, each once.
fn secrets_of(hits: &[Hit]) -> std::collections::BTreeSet<&'static str> {
    hits.iter().map(|hit| hit.secret).collect()
}

/// Signatures before the memory is looked at.
const SIGNATURES: u64 = 10_000;

/// What must be nowhere; what may stand in headers that are on their way is apart.
fn needles(rig: &Rig) -> (Needles, Needles) {
    let (mut secret, mut headers) = (Needles::new(), Needles::new());
    secret.add_secret("API secret", &rig.values.secret);
    secret.add_mac_states("API secret", rig.values.secret.as_bytes());
    secret.add_secret("vault passphrase", &rig.values.vault);
    super::vault_keys::add(&mut secret, &rig.dir.path().join("custody/keys.vault"), &rig.values.vault);
    headers.add_secret("API key", &rig.values.key);
    headers.add_secret("API passphrase", &rig.values.passphrase);
    (secret, headers)
}

/// Signs so many requests of every kind.
fn sign_much(rig: &Rig) {
    let mut client = Client::new(rig);
    client.offset(0);
    let mut signed = 0;
    while signed < SIGNATURES {
        let intent = match signed % 10 {
            0 => Intent::login(),
            1 => Intent::cancel_all("BTCUSDT"),
            2 => Intent::balances(),
            _ => client.order(),
        };
        assert!(client.ask(&intent).is_some(), "{intent:?} was not signed");
        signed += 1;
    }
}

#[test]
fn no_secret_is_in_the_memory_of_the_signer_after_ten_thousand_signatures() {
    if !may_read_others("the scan of the signer's memory") {
        return;
    }
    let rig = Rig::start();
    let (secret, headers) = needles(&rig);
    let (hits, looked_at) = secret.find_in_process("signer before its first signature", rig.id()).unwrap();
    assert!(looked_at > 4 << 20, "only {looked_at} bytes could be read");
    nothing("before the first signature", &hits);
    sign_much(&rig);
    let (hits, looked_at) = secret.find_in_process("signer", rig.id()).unwrap();
    println!("looked at {looked_at} bytes of the signer, its secrets in {} memory", rig.ready.memory);
    nothing("after the signatures", &hits);
    let (hits, _) = headers.find_in_process("signer", rig.id()).unwrap();
    nothing("API key and passphrase stand in no memory of the signer that can be read", &hits);

    // What nobody hides is found there: the scan reads the signer's ordinary memory.
    let mut known = Needles::new();
    known.add_secret("custody directory", &rig.dir.path().join("custody").display().to_string());
    let (hits, _) = known.find_in_process("signer", rig.id()).unwrap();
    assert!(!hits.is_empty(), "the signer knows where its files are");

    // The same look at this very process, which holds all values and has computed signatures with none of the care.
    let (hits, _) = secret.find_in_process("this process", std::process::id()).unwrap();
    assert!(hits.iter().any(|hit| hit.form == "MAC state"), "the scan finds the states of a key");
    assert_eq!(secrets_of(&hits).len(), 3, "the scan finds what is there: {:?}", secrets_of(&hits));
    let (hits, _) = headers.find_in_process("this process", std::process::id()).unwrap();
    assert_eq!(secrets_of(&hits).len(), 2, "the scan finds what is there: {:?}", secrets_of(&hits));
}

#[test]
fn a_signer_that_is_aborted_leaves_no_core_file() {
    let aborted = |rig: Rig| {
        let (process, dir) = (rig.id(), rig.dir.path().to_owned());
        sign_much(&rig);
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        assert_eq!(core.split_whitespace().rev().nth(1), Some("0"), "{core}");
        let (secret, _) = needles(&rig);
        let (status, _kept) = rig.end_by(Signal::ABORT);
        let dumped = std::os::unix::process::ExitStatusExt::core_dumped(&status);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::ABORT.as_raw()));
        assert!(!dumped, "the system says that a core was written");
        let mut hits = Vec::new();
        secret.find_in_files(&dir.join("custody"), &mut hits);
        nothing("files of custody", &hits);
    };
    // Cores are allowed to this process and those that it starts, as far as the machine allows it.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    let most = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Core, most).unwrap();
    aborted(Rig::start());
    // Another program that is ended in the same way may leave one: the limit was not in the way.
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", other.id())).unwrap();
    let _ = other.kill();
    let _ = other.wait();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    if limit.maximum != Some(0) {
        assert_ne!(core.split_whitespace().rev().nth(2), Some("0"), "cores were allowed: {core}");
    }
}

#[test]
fn nobody_but_the_superuser_reads_the_memory_of_the_signer() {
    if !may_read_others("starting processes as another user") {
        return;
    }
    let read_as = |user: &str, process: u32| {
        let script = format!("exec 3</proc/{process}/mem");
        Command::new("setpriv")
            .args(["--reuid", user, "--regid", user, "--clear-groups", "--bounding-set", "-all", "sh", "-c", &script])
            .output()
            .unwrap()
            .status
            .success()
    };
    let rig = Rig::start();
    assert!(!read_as("65534", rig.id()), "another user reads the signer's memory");
    // The same user without the superuser's capabilities.
    assert!(!read_as("0", rig.id()), "a process of the same user reads the signer's memory");
    // The same look at a process that has not hidden itself.
    let mut open = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sleep", "60"])
        .spawn()
        .unwrap();
    super::until("the program to be started", || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", open.id())).unwrap();
        (name.trim() == "sleep").then_some(())
    });
    let could = read_as("65534", open.id());
    let _ = open.kill();
    let _ = open.wait();
    assert!(could, "the look itself works on a process of the same user");
}
