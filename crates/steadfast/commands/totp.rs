//! `steadfast totp`: one-time codes of the operator, kept in the vault, set up while the daemon is stopped.

use crate::audit_trail::{Trail, by_person};
use crate::cli::{Global, TotpCodeArgs, TotpCommand};
use crate::data_dir::DataDir;
use crate::report::{Exit, Trouble};
use crate::term::{can_ask, data, say};
use crate::{commands, term, unlock};
use access::{Enrolled, RecoveryCodes, StepUpRefusal, TotpRecord, qr};
use audit::{AuditVerb, Decision};
use clock::SystemClock;
use domain::Clock as _;
use order_signer::Custody;
use std::io::BufRead as _;
use std::sync::Arc;
use zeroize::Zeroizing;

/// First codes that a person may mistype.
const TRIES: usize = 3;

/// `steadfast totp ...`
///
/// # Errors
/// [`Trouble`]: not done, and why.
pub fn run(global: &Global, command: &TotpCommand) -> Result<(), Trouble> {
    let loaded = commands::check::load(global, &[]).map_err(|problems| commands::check::trouble(&problems))?;
    let settings = loaded.settings;
    let _dir = DataDir::open(settings.data_dir()).map_err(|trouble| {
        if trouble.what.ends_with("is in use") {
            trouble.fix("stop the daemon first: its vault holds the codes")
        } else {
            trouble
        }
    })?;
    let mut custody = unlock::open(global, &settings.vault_dir(), &settings.vault)?;
    let trail = Trail::open(&mut custody, &settings.vault_dir(), Arc::new(SystemClock))?;
    match command {
        TotpCommand::Enroll => enroll(global, &mut custody, &trail, &settings.data_dir().display().to_string()),
        TotpCommand::Verify(args) => verify(global, args, &mut custody),
        TotpCommand::Disable(args) => disable(global, args, &mut custody, &trail),
        TotpCommand::Recovery(args) => recovery(global, args, &mut custody, &trail),
    }
}

fn enroll(global: &Global, custody: &mut Custody, trail: &Trail, data_dir: &str) -> Result<(), Trouble> {
    if custody.step_up().is_some() {
        return Err(Trouble::new(Exit::Key, "one-time codes are set up already")
            .why("a second authenticator would have another seed")
            .fix("steadfast totp disable, then enroll again; lost recovery codes: steadfast totp recovery"));
    }
    if global.no_input {
        return Err(Trouble::new(Exit::Key, "cannot ask for the first code").why("--no-input forbids it"));
    }
    let broken = |error: access::RecordFault| Trouble::new(Exit::Failure, "no codes can be made").why(error);
    let Enrolled { mut record, recovery } = TotpRecord::enroll(now()).map_err(broken)?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let uri = record.provisioning_uri(&format!("{host} {data_dir}"));
    if global.json {
        data(&serde_json::json!({ "uri": &**uri }).to_string());
    } else {
        data(&qr(&uri).map_err(broken)?);
        say(global, "scan it with an authenticator, or give it this address by hand; whoever sees it can make codes:");
        data(&uri);
    }
    let mut tries = 0;
    loop {
        let code = ask(global, "first code: ")?;
        match record.verify(&code, now()) {
            Ok(()) => break,
            Err(refusal) if tries + 1 >= TRIES => {
                return Err(
                    refused(refusal).fix("nothing was stored; is the clock of this machine and of the phone right?")
                );
            }
            Err(refusal) => {
                tries += 1;
                say(global, &format!("{refusal}; once more"));
            }
        }
    }
    trail.record(by_person(AuditVerb::CodesEnrolled, Decision::Allowed))?;
    order_signer::save_codes(custody, &record).map_err(refused)?;
    if global.json {
        data(&serde_json::json!({ "enrolled": true, "recovery": shown(&recovery) }).to_string());
        return Ok(());
    }
    say(global, "codes are set up: unhalt and new API keys need one from the next start on");
    show(global, &recovery);
    Ok(())
}

fn verify(global: &Global, args: &TotpCodeArgs, custody: &mut Custody) -> Result<(), Trouble> {
    spend(global, args, custody)?;
    let left = order_signer::code_record(custody).map_err(refused)?.recovery_left();
    if global.json {
        data(&serde_json::json!({ "right": true, "recovery_left": left }).to_string());
    } else {
        data(&format!("the code is right; {left} recovery codes are left"));
    }
    Ok(())
}

fn disable(global: &Global, args: &TotpCodeArgs, custody: &mut Custody, trail: &Trail) -> Result<(), Trouble> {
    spend(global, args, custody)?;
    trail.record(by_person(AuditVerb::CodesDisabled, Decision::Allowed))?;
    custody.set_step_up(None).map_err(|error| commands::keys::custody_trouble(&error))?;
    if global.json {
        data(&serde_json::json!({ "enrolled": false }).to_string());
    } else {
        data("one-time codes are off: whoever holds the token or an admin API key can lift a halt");
    }
    Ok(())
}

fn recovery(global: &Global, args: &TotpCodeArgs, custody: &mut Custody, trail: &Trail) -> Result<(), Trouble> {
    spend(global, args, custody)?;
    let mut record = order_signer::code_record(custody).map_err(refused)?;
    let codes =
        record.renew_recovery().map_err(|error| Trouble::new(Exit::Failure, "no codes can be made").why(error))?;
    trail.record(by_person(AuditVerb::RecoveryRenewed, Decision::Allowed))?;
    order_signer::save_codes(custody, &record).map_err(refused)?;
    if global.json {
        data(&serde_json::json!({ "recovery": shown(&codes) }).to_string());
    } else {
        show(global, &codes);
    }
    Ok(())
}

/// Takes a code from the command line or a person, and spends it.
fn spend(global: &Global, args: &TotpCodeArgs, custody: &mut Custody) -> Result<(), Trouble> {
    // Nobody types a code only to hear that there are none.
    order_signer::code_record(custody).map_err(refused)?;
    let code = match &args.code {
        Some(code) => Zeroizing::new(code.clone()),
        None => ask(global, "one-time code: ")?,
    };
    order_signer::check_code(custody, code.trim(), SystemClock.unix()).map_err(refused)
}

/// A code from the terminal, unseen, or a line of standard input.
fn ask(global: &Global, prompt: &str) -> Result<Zeroizing<String>, Trouble> {
    if can_ask(global) {
        return term::ask_secret(global, prompt, "give it as an argument");
    }
    let mut line = Zeroizing::new(String::new());
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(length) if length > 0 && !global.no_input => Ok(Zeroizing::new(line.trim().to_owned())),
        _ => {
            Err(Trouble::new(Exit::Key, "no code was given").fix("type it, or write it to standard input, a line each"))
        }
    }
}

/// What a person reads about a code that was not taken.
pub(super) fn refused(refusal: StepUpRefusal) -> Trouble {
    let trouble = Trouble::new(Exit::Key, refusal.to_string());
    match refusal {
        StepUpRefusal::NotEnrolled => trouble.fix("steadfast totp enroll"),
        StepUpRefusal::Wrong | StepUpRefusal::Replayed => {
            trouble.fix("use the next code; without the authenticator a recovery code does as well")
        }
        StepUpRefusal::Locked { .. } => trouble.fix("wait; each further wrong code doubles the time"),
        StepUpRefusal::Unavailable => Trouble { exit: Exit::Failure, ..trouble }
            .fix("check the disk's room and the permissions of the custody directory"),
    }
}

fn show(global: &Global, codes: &RecoveryCodes) {
    say(global, "recovery codes, each good once in place of a code; keep them on paper, they are shown this once:");
    for code in codes {
        data(code);
    }
}

fn shown(codes: &RecoveryCodes) -> Vec<&str> {
    codes.iter().map(|code| code.as_str()).collect()
}

fn now() -> u64 {
    SystemClock.unix().0 / 1_000_000_000
}
