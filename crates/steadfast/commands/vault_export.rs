//! `steadfast vault export --age`: the keys, encrypted for somebody else, readable with the `age` tool alone.
//!
//! What is encrypted: one JSON object a line, as the vault holds it; `key`, `secret` and `passphrase` in base64. It never
//! is on a disk in clear. Revoked keys are in it without their secrets.

use crate::audit_trail::by_person;
use crate::cli::{Global, VaultExportArgs};
use crate::commands::vault::{Place, write_new};
use crate::report::{Exit, Trouble};
use crate::term;
use ::age::{Encryptor, Recipient, x25519};
use audit::{AuditVerb, Decision, Name};
use std::io::Write as _;

/// Writes the export.
///
/// # Errors
/// [`Trouble`]: a recipient that is none, a file that is there already.
pub(super) fn export(global: &Global, place: &Place, args: &VaultExportArgs) -> Result<(), Trouble> {
    let mut recipients = Vec::new();
    for text in &args.recipients {
        recipients.push(text.parse::<x25519::Recipient>().map_err(|why| {
            Trouble::new(Exit::Usage, format!("`{text}` is not an age recipient"))
                .why(why)
                .fix("age-keygen makes a pair; the recipient begins with age1")
        })?);
    }
    let name = args.file.display().to_string();
    let failed = |why: &dyn std::fmt::Display| {
        Trouble::new(Exit::Failure, format!("the export {name} cannot be written")).why(why).fix("nothing was exported")
    };
    if args.file.exists() {
        return Err(failed(&"there is a file of this name").fix("name a file that is not there yet"));
    }
    let (custody, _, trail) = place.open(global)?;
    let words = format!("for {}", args.recipients.join(", "));
    trail.record(by_person(AuditVerb::VaultExported, Decision::Allowed).about(Name::clear(&name)).because(words))?;
    let encryptor = Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn Recipient))
        .map_err(|error| failed(&error))?;
    let mut encrypted = Vec::new();
    let mut writer = encryptor.wrap_output(&mut encrypted).map_err(|error| failed(&error))?;
    let vault = custody.vault();
    let mut count = 0_usize;
    for id in vault.ids().filter(|id| custody.is_key(*id)) {
        if let Some(record) = vault.get(id) {
            let written = writer.write_all(record.expose()).and_then(|()| writer.write_all(b"\n"));
            written.map_err(|error| failed(&error))?;
            count = count.saturating_add(1);
        }
    }
    writer.finish().map_err(|error| failed(&error))?;
    secrets::scrub_stack();
    write_new(&args.file, &encrypted).map_err(|error| failed(&error))?;
    term::data(&format!("{count} key(s) exported to {name}"));
    term::say(global, "read it with: age --decrypt --identity KEYFILE FILE");
    Ok(())
}
