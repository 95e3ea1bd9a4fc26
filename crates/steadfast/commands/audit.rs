//! `steadfast audit`: checking, showing and proving what was done to keys and to trading.

use crate::cli::{AuditCommand, AuditProveArgs, AuditTailArgs, AuditVerifyArgs, Global};
use crate::report::{Exit, Trouble, causes};
use crate::{audit_trail, commands, term, unlock};
use audit::{ANCHOR_FILE, AuditError, AuditSeed, Line, Proof, PublicKey};
use order_signer::Custody;
use settings::Settings;
use std::path::{Path, PathBuf};

/// Longest file of a proof, in bytes.
const PROOF_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// `steadfast audit ...`
///
/// # Errors
/// [`Trouble`] that names the first record that does not fit.
pub fn run(global: &Global, command: &AuditCommand) -> Result<(), Trouble> {
    match command {
        AuditCommand::Verify(args) => match &args.proof {
            Some(proof) => verify_proof(global, args, proof),
            None => verify(global, args),
        },
        AuditCommand::Tail(args) => tail(global, args),
        AuditCommand::Prove(args) => prove(global, args),
    }
}

/// The settings, or the defaults where they cannot be read: evidence must be readable without them.
fn settings(global: &Global) -> Settings {
    commands::check::load(global, &[]).map(|loaded| loaded.settings).unwrap_or_default()
}

fn custody_dir(global: &Global, settings: &Settings) -> PathBuf {
    match (&global.data_dir, &settings.vault.path) {
        (Some(dir), None) => dir.join("custody"),
        _ => settings.vault_dir(),
    }
}

/// The directory of the log, which must be there.
fn log_dir(global: &Global) -> Result<PathBuf, Trouble> {
    let dir = custody_dir(global, &settings(global)).join(Custody::AUDIT_DIR);
    if dir.is_dir() {
        return Ok(dir);
    }
    Err(Trouble::new(Exit::NotFound, format!("there is no audit log at {}", dir.display()))
        .why("it begins when the first key is linked, or with the daemon's first start")
        .fix("name the data directory with --data-dir"))
}

fn anchor(dir: &Path, chosen: Option<&PathBuf>) -> Result<PublicKey, Trouble> {
    let file = chosen.cloned().unwrap_or_else(|| dir.join(ANCHOR_FILE));
    audit::read_anchor(&file).map_err(|error| {
        let why = match &error {
            AuditError::BadSeed => "it holds no public key".to_owned(),
            other => causes(other),
        };
        Trouble::new(Exit::Failure, format!("no first key can be read from {}", file.display()))
            .why(why)
            .fix("name a copy with --anchor, or take the vault's with --unlock")
    })
}

fn verify(global: &Global, args: &AuditVerifyArgs) -> Result<(), Trouble> {
    let dir = log_dir(global)?;
    let seed = if args.unlock { Some(seed(global)?) } else { None };
    let key = match (&args.anchor, &seed) {
        (None, Some(seed)) => seed.anchor(),
        (chosen, _) => anchor(&dir, chosen.as_ref())?,
    };
    let report =
        audit::verify(&dir, key, seed.as_ref(), args.seen).map_err(|error| audit_trail::trouble(&dir, &error))?;
    if global.json {
        let line = serde_json::json!({
            "log": dir, "ok": report.first_bad.is_none(), "records": report.records, "checkpoints": report.checkpoints,
            "last": report.last_seq, "sealed": report.sealed_seq, "macs_checked": report.macs_checked,
            "damaged_files": report.damaged_files, "anchor": key.to_hex(),
            "first_bad": report.first_bad.map(|bad| bad.seq), "why": report.first_bad.map(|bad| bad.wrong.to_string()),
        });
        term::data(&line.to_string());
    }
    if let Some(bad) = report.first_bad {
        return Err(Trouble::new(Exit::Failure, format!("the audit log {} is not as it was written", dir.display()))
            .why(bad)
            .fix(if report.macs_checked {
                "keep the directory as evidence; the records before are as they were written"
            } else {
                "keep the directory as evidence; steadfast audit verify --unlock names the very record"
            }));
    }
    if !global.json {
        let kind = if report.macs_checked { "chain, seals and records" } else { "chain and seals" };
        term::data(&format!(
            "audit log ok: {} records, {} seals, last {}; {kind} checked",
            report.records, report.checkpoints, report.last_seq
        ));
        let open = report.last_seq.saturating_sub(report.sealed_seq);
        if open > 0 && !report.macs_checked {
            term::say(global, &format!("note: the last {open} are not sealed yet; --unlock checks them too"));
        }
        if report.damaged_files > 0 {
            term::say(
                global,
                &format!("note: {} damaged end(s) were set aside in {}", report.damaged_files, dir.display()),
            );
        }
        if args.anchor.is_none() && !args.unlock {
            term::say(
                global,
                "note: the first key was taken from beside the log; a copy kept elsewhere (--anchor) proves more",
            );
        }
    }
    Ok(())
}

fn seed(global: &Global) -> Result<AuditSeed, Trouble> {
    let settings = settings(global);
    let dir = custody_dir(global, &settings);
    let vault = unlock::look(global, &dir, &settings.vault)?;
    let bytes = vault.get(Custody::AUDIT_SEED).ok_or_else(|| {
        Trouble::new(Exit::NotFound, "the vault knows of no audit log").fix("leave out --unlock, or name --data-dir")
    })?;
    AuditSeed::from_secret_bytes(bytes).map_err(|error| audit_trail::trouble(&dir, &error))
}

fn tail(global: &Global, args: &AuditTailArgs) -> Result<(), Trouble> {
    let dir = log_dir(global)?;
    let lines = audit::tail(&dir, args.lines).map_err(|error| audit_trail::trouble(&dir, &error))?;
    for line in &lines {
        let text = match (line, global.json) {
            (Line::Record(record), true) => serde_json::to_string(record),
            (Line::Checkpoint(checkpoint), true) => serde_json::to_string(checkpoint),
            (line, false) => Ok(plain(line)),
        };
        match text {
            Ok(text) => term::data(&text),
            Err(error) => return Err(Trouble::new(Exit::Failure, "a record cannot be shown").why(error)),
        }
    }
    Ok(())
}

fn plain(line: &Line) -> String {
    let time = |nanoseconds: u64| {
        jiff::Timestamp::from_nanosecond(i128::from(nanoseconds))
            .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
    };
    match line {
        Line::Checkpoint(seal) => {
            format!("{:>6} {}  sealed (checkpoint {})", seal.seq, time(seal.time), seal.checkpoint)
        }
        Line::Record(record) => {
            let mut text = format!("{:>6} {}  {} {}", record.seq, time(record.time), record.verb, record.decision);
            if !record.target.is_empty() {
                text.push_str(&format!(" {}", record.target));
            }
            text.push_str(&format!(", by {} from {}", record.actor, record.source));
            if !record.reason.is_empty() {
                text.push_str(&format!(": {}", record.reason));
            }
            text
        }
    }
}

fn prove(global: &Global, args: &AuditProveArgs) -> Result<(), Trouble> {
    let dir = log_dir(global)?;
    let key = anchor(&dir, args.anchor.as_ref())?;
    let proof = audit::prove(&dir, key, args.seq).map_err(|error| match error {
        AuditError::NotSealed { seq } => Trouble::new(Exit::NotFound, format!("there is no sealed record {seq}"))
            .why("there is none of this number, it is a seal itself, or no seal follows it yet")
            .fix("steadfast audit tail shows the numbers; a seal follows within ten minutes"),
        other => audit_trail::trouble(&dir, &other),
    })?;
    let text = serde_json::to_string_pretty(&proof);
    term::data(&text.map_err(|error| Trouble::new(Exit::Failure, "the proof cannot be written").why(error))?);
    term::say(global, "check it with: steadfast audit verify --proof FILE --anchor COPY-OF-anchor.pub");
    Ok(())
}

fn verify_proof(global: &Global, args: &AuditVerifyArgs, file: &Path) -> Result<(), Trouble> {
    let cannot =
        |why: String| Trouble::new(Exit::Failure, format!("cannot read a proof from {}", file.display())).why(why);
    let meta = std::fs::metadata(file).map_err(|error| cannot(error.to_string()))?;
    if meta.len() > PROOF_BYTES_MAX {
        return Err(cannot("it is too long".to_owned()));
    }
    let text = std::fs::read(file).map_err(|error| cannot(error.to_string()))?;
    let proof: Proof = serde_json::from_slice(&text).map_err(|error| cannot(error.to_string()))?;
    let key = match &args.anchor {
        Some(_) => anchor(Path::new("."), args.anchor.as_ref())?,
        None => anchor(&log_dir(global)?, None)?,
    };
    let proven = audit::verify_proof(&proof, key).map_err(|error| {
        let why = match &error {
            AuditError::BadProof { what } => (*what).to_owned(),
            other => causes(other),
        };
        Trouble::new(Exit::Failure, "the proof does not hold").why(why).fix("do not rely on what it says")
    })?;
    if global.json {
        let line = serde_json::json!({ "ok": true, "record": proven.record, "sealed_by": proven.sealed_by });
        term::data(&line.to_string());
    } else {
        term::data(&format!("the proof holds; sealed by record {}:", proven.sealed_by));
        term::data(&plain(&Line::Record(proven.record)));
    }
    Ok(())
}
