//! Leaks on purpose, one for each way out of the process, so that the canary suite can show that it looks everywhere.
//! Without the feature `leak-for-test` nothing of this exists.
//!
//! `STEADFAST_LEAKS` names a file with a line `CHANNEL VALUE` for each leak.

use std::path::Path;
use std::process::{Child, Command};

/// What goes on leaking until it is dropped.
pub struct Leaks {
    children: Vec<Child>,
}

impl Drop for Leaks {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The value for one channel.
#[must_use]
pub fn value(channel: &str) -> Option<String> {
    let text = std::fs::read_to_string(std::env::var_os("STEADFAST_LEAKS")?).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(channel)?.strip_prefix(' ')?.to_owned()))
}

#[expect(clippy::panic, reason = "a panic that carries a secret is one of the leaks")]
fn panic_with(value: String) {
    std::panic::panic_any(value);
}

/// Plants every leak that is asked for; `data` is the data directory.
#[must_use]
pub fn plant(data: &Path) -> Leaks {
    let mut leaks = Leaks { children: Vec::new() };
    if let Some(value) = value("log") {
        tracing::trace!(value, "planted");
    }
    if let Some(value) = value("metric") {
        let value: &'static str = value.leak();
        telemetry::signer_isolation_info("planted", "none", "off", value).set(1.0);
    }
    if let Some(value) = value("stderr") {
        eprintln!("planted: {value}");
    }
    if let Some(value) = value("file") {
        let _ = std::fs::write(data.join("planted"), hex::encode(value));
    }
    if let Some(value) = value("file-name") {
        let _ = std::fs::write(data.join(value), "planted");
    }
    if let Some(value) = value("memory") {
        // In another form than it was read in.
        let units: Vec<u8> = value.encode_utf16().flat_map(u16::to_be_bytes).collect();
        std::hint::black_box(units.leak());
    }
    if let Some(value) = value("cmdline") {
        let waiting = Command::new("sh").args(["-c", "sleep 600; exit", &value]).spawn();
        leaks.children.extend(waiting);
    }
    if let Some(value) = value("environ") {
        let waiting = Command::new("sleep").arg("600").env("PLANTED", value).spawn();
        leaks.children.extend(waiting);
    }
    if let Some(value) = value("panic") {
        // The program tells places alone; here somebody tells the words of the panic that he has caught.
        if let Err(words) = std::thread::spawn(move || panic_with(value)).join()
            && let Some(words) = words.downcast_ref::<String>()
        {
            eprintln!("planted: a panic said {words}");
        }
    }
    leaks
}
