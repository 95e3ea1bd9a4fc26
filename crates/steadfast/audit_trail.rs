//! The program's side of the audit log: opened with the seed where the vault is open, handed to whoever records.

use crate::audit_queue::AuditQueue;
use crate::report::{Exit, Trouble, causes};
use crate::term;
use audit::{
    AuditBounds, AuditEntry, AuditError, AuditLog, AuditSeed, AuditSink, AuditVerb, Decision, Name, Permission,
    SharedAudit, fail_closed,
};
use domain::{Clock, MonoNanos};
use messages::{HaltReason, KeyState};
use order_signer::Custody;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A log that is open for writing in this process.
pub struct Trail {
    log: Arc<SharedAudit>,
    dir: PathBuf,
}

impl Trail {
    /// Opens the log of a custody directory, or begins one and keeps its seed in the vault.
    ///
    /// # Errors
    /// [`Trouble`]: the log is not whole, or cannot be written; nothing that raises risk may be done then.
    pub fn open(custody: &mut Custody, custody_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let dir = custody_dir.join(Custody::AUDIT_DIR);
        let (boot, now, bounds) = (boot_id(), clock.unix(), AuditBounds::default());
        let seed = custody
            .audit_seed()
            .map(AuditSeed::from_secret_bytes)
            .transpose()
            .map_err(|error| trouble(&dir, &error))?;
        let wrap = |log| Self { log: Arc::new(SharedAudit::new(log, Arc::clone(&clock))), dir: dir.clone() };
        if let Some(seed) = &seed
            && dir.exists()
        {
            return AuditLog::open(&dir, seed, &boot, now, bounds).map(wrap).map_err(|error| trouble(&dir, &error));
        }
        if dir.exists() {
            // Of a vault that was made anew, or of a first start that was cut short: kept, never written over.
            let kept = custody_dir.join(format!("{}.before-{}", Custody::AUDIT_DIR, now.0 / 1_000_000_000));
            std::fs::rename(&dir, &kept).map_err(|error| cannot_begin(&dir).why(error))?;
        }
        let begun = AuditLog::create(&dir, &boot, now, bounds).and_then(|(mut log, fresh)| {
            if let Some(seed) = &seed {
                let entry = AuditEntry::by_system(AuditVerb::LogRepaired, Decision::Done)
                    .about(Name::clear(format!("log {}", hex::encode(seed.chain()))))
                    .because("its directory was gone; this log begins in its place");
                log.append_durably(&entry, now)?;
            }
            Ok((log, fresh.to_secret_bytes()?, fresh.anchor()))
        });
        let (log, bytes, anchor) = begun.map_err(|error| {
            let _ = std::fs::remove_dir_all(&dir);
            cannot_begin(&dir).why(causes(&error))
        })?;
        if let Err(error) = custody.keep_audit_seed(bytes) {
            let _ = std::fs::remove_dir_all(&dir);
            return Err(crate::commands::keys::custody_trouble(&error));
        }
        if seed.is_some() {
            term::tell(&format!(
                "warning: the audit log was gone; a new one begins in {}. Its first key is {}",
                dir.display(),
                anchor.to_hex()
            ));
        }
        Ok(wrap(log))
    }

    /// The log itself.
    #[must_use]
    pub fn log(&self) -> Arc<SharedAudit> {
        Arc::clone(&self.log)
    }

    /// Where others record.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn AuditSink> {
        Arc::clone(&self.log) as Arc<dyn AuditSink>
    }

    /// Records something that is about to be done.
    ///
    /// # Errors
    /// [`Trouble`] when it raises risk and cannot be recorded: do not do it.
    pub fn record(&self, entry: AuditEntry) -> Result<(), Trouble> {
        record(&*self.log, &self.dir, entry)
    }

    /// The vault was opened by the daemon, after so many wrong passphrases.
    ///
    /// # Errors
    /// [`Trouble`] when it cannot be recorded.
    pub fn unlocked(&self, failed_before: u32) -> Result<(), Trouble> {
        let words =
            if failed_before == 0 { String::new() } else { format!("after {failed_before} wrong passphrase(s)") };
        self.record(AuditEntry::by_system(AuditVerb::VaultUnlocked, Decision::Done).because(words))
    }

    /// A vault was made at the terminal.
    ///
    /// # Errors
    /// [`Trouble`] when it cannot be recorded.
    pub fn vault_created(&self) -> Result<(), Trouble> {
        self.record(by_person(AuditVerb::VaultCreated, Decision::Done))
    }

    /// A key is about to be linked at the terminal.
    ///
    /// # Errors
    /// [`Trouble`] when it cannot be recorded.
    pub fn linking(&self, alias: &str, role: &str, state: &KeyState, fingerprint: &str) -> Result<(), Trouble> {
        let words = format!("{role} key {fingerprint}, found {}", state.as_str());
        self.record(by_person(AuditVerb::KeyLinked, Decision::Allowed).about(Name::clear(alias)).because(words))
    }

    /// Seals everything; before the end of a command.
    pub fn seal(&self) {
        if let Err(error) = self.log.seal() {
            tracing::error!(error = %causes(&error), "the audit log could not be sealed");
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.seal();
    }
}

/// Keeps a flood of refused authentications from filling the disk: so many are recorded a minute, the rest is counted.
#[derive(Debug, Default)]
pub struct RefusalLimit {
    minute: u64,
    told: u32,
    left_out: u64,
}

impl RefusalLimit {
    /// Records in one minute.
    const PER_MINUTE: u32 = 10;

    /// Whether a refusal now is recorded, and then how many before it were not.
    pub fn admit(&mut self, now: MonoNanos) -> Option<u64> {
        let minute = now.0 / 60_000_000_000;
        if minute != self.minute {
            (self.minute, self.told) = (minute, 0);
        }
        if self.told >= Self::PER_MINUTE {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.told = self.told.saturating_add(1);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// An entry by whoever sits at the terminal.
#[must_use]
pub fn by_person(verb: AuditVerb, decision: Decision) -> AuditEntry {
    let user = format!("uid {}", rustix::process::getuid().as_raw());
    AuditEntry::by_system(verb, decision).from(Name::clear(user), Name::clear("terminal"))
}

/// The program starts.
///
/// # Errors
/// [`Trouble`] when it cannot be recorded.
pub fn started(sink: &dyn AuditSink, custody_dir: &Path, mode: &str) -> Result<(), Trouble> {
    let version = concat!("version ", env!("CARGO_PKG_VERSION"));
    let entry = AuditEntry::by_system(AuditVerb::Start, Decision::Allowed).about(Name::clear(mode)).because(version);
    record(sink, &custody_dir.join(Custody::AUDIT_DIR), entry)
}

fn record(sink: &dyn AuditSink, log_dir: &Path, entry: AuditEntry) -> Result<(), Trouble> {
    let raises = entry.verb.raises_risk();
    match fail_closed(sink.append(entry), raises) {
        Permission::Recorded(_) => Ok(()),
        Permission::GoOnUnrecorded(error) => {
            term::tell(&format!("warning: it could not be recorded in the audit log: {}", causes(&error)));
            Ok(())
        }
        Permission::Refuse(error) => Err(trouble(log_dir, &error)),
    }
}

/// Trading was halted, whoever wanted it. Never waits.
pub fn halted(queue: &AuditQueue, reason: HaltReason, note: &str) {
    let words = if note.is_empty() { reason.as_str().to_owned() } else { format!("{}: {note}", reason.as_str()) };
    queue.post(AuditEntry::by_system(AuditVerb::Halt, Decision::Done).because(words));
}

/// An older vault was refused.
pub fn rollback_refused(custody_dir: &Path, vault: &vault::Vault, refusal: &dyn std::error::Error) {
    let entry = by_person(AuditVerb::RollbackRefused, Decision::Refused).because(causes(refusal));
    if let Err(trouble) = record_beside(custody_dir, vault, &entry) {
        term::tell(&format!("warning: the refusal could not be recorded in the audit log\n{trouble}"));
    }
}

/// Records something about a vault that is not in force, and on which no custody may be built yet: its seed is that of
/// the log. `false`: it is from before there was a log.
///
/// # Errors
/// [`Trouble`] when it cannot be recorded.
pub fn record_beside(custody_dir: &Path, vault: &vault::Vault, entry: &AuditEntry) -> Result<bool, Trouble> {
    let dir = custody_dir.join(Custody::AUDIT_DIR);
    let Some(bytes) = vault.get(Custody::AUDIT_SEED) else { return Ok(false) };
    let now = clock::SystemClock.unix();
    let seed = AuditSeed::from_secret_bytes(bytes).map_err(|error| trouble(&dir, &error))?;
    AuditLog::open(&dir, &seed, &boot_id(), now, AuditBounds::default())
        .and_then(|mut log| {
            log.append_durably(entry, now)?;
            log.checkpoint(now)
        })
        .map_err(|error| trouble(&dir, &error))?;
    Ok(true)
}

/// Which boot of the machine this is; empty where the system does not say.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn cannot_begin(dir: &Path) -> Trouble {
    Trouble::new(Exit::Failure, format!("the audit log {} cannot be begun", dir.display()))
        .fix("check the disk's room and the directory's permissions, then try again; nothing was changed")
}

/// What a person reads about a log that cannot be used.
#[must_use]
pub fn trouble(dir: &Path, error: &AuditError) -> Trouble {
    let name = dir.display();
    match error {
        AuditError::Broken(_) | AuditError::StateUnusable | AuditError::BadSeed => {
            Trouble::new(Exit::Failure, format!("the audit log {name} is not as it was written"))
                .why(causes(error))
                .fix(format!("steadfast audit verify --unlock; keep the directory as evidence (mv {name} ELSEWHERE):\na new log begins with the next start. Nothing was changed"))
        }
        _ => Trouble::new(Exit::Failure, format!("the audit log {name} cannot be written")).why(causes(error)).fix(
            "check the disk's room and the directory's permissions; what raises risk is not done unrecorded",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_of_refusals_leaves_ten_records_a_minute_and_the_number_of_the_rest() {
        let mut limit = RefusalLimit::default();
        let at = |second: u64| MonoNanos(second * 1_000_000_000);
        let admitted: Vec<u64> = (0..1_000).filter_map(|_| limit.admit(at(59))).collect();
        assert_eq!(admitted, [0; 10]);
        assert_eq!(limit.admit(at(60)), Some(990));
        assert_eq!(limit.admit(at(61)), Some(0));
    }
}
