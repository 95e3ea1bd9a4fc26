//! The terminal: what goes where, colours, prompts, and the orderly end by signal.

use crate::cli::Global;
use crate::report::{Exit, Trouble};
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes a line of data to standard output; a closed pipe ends the program quietly.
pub fn data(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Writes a line of data to standard output, for programs that have more to do when nobody reads it any more:
/// `false` says that the pipe is closed.
#[must_use]
pub fn offer(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// Writes a line of messages to standard error, unless `--quiet`.
pub fn say(global: &Global, line: &str) {
    if !global.quiet {
        tell(line);
    }
}

/// Writes a line to standard error. That nobody reads it is no reason to fail.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Whether colours may be used on standard output.
#[must_use]
pub fn colours(global: &Global) -> bool {
    !global.no_color && std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal()
}

/// Whether a person can be asked: a terminal is there and `--no-input` is not.
#[must_use]
pub fn can_ask(global: &Global) -> bool {
    !global.no_input && std::io::stdin().is_terminal()
}

/// Asks for a secret without showing it. `instead` says how it can be given without a terminal.
///
/// # Errors
/// [`Trouble`] without a terminal or with `--no-input`.
pub fn ask_secret(global: &Global, prompt: &str, instead: &str) -> Result<zeroize::Zeroizing<String>, Trouble> {
    if !can_ask(global) {
        return Err(Trouble::new(Exit::Key, format!("cannot ask for the {}", prompt.trim_end_matches([':', ' '])))
            .why(if global.no_input { "--no-input forbids it" } else { "standard input is not a terminal" })
            .fix(instead));
    }
    ask_terminal(prompt)
}

/// Asks at the terminal that this program belongs to, whatever its standard input is.
///
/// # Errors
/// [`Trouble`] without a terminal.
pub fn ask_terminal(prompt: &str) -> Result<zeroize::Zeroizing<String>, Trouble> {
    rpassword::prompt_password(prompt)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| Trouble::new(Exit::Failure, "the terminal gave no answer").why(error))
}

/// Set by the first SIGINT or SIGTERM; the second ends the process with code 130 at once.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Whether the first signal has come.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Ends the program as the first signal would.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Listens for signals on a thread of its own.
    ///
    /// # Errors
    /// [`Trouble`] when the system does not let us listen.
    pub fn listen() -> Result<Self, Trouble> {
        let signal = Self::default();
        let seen = signal.clone();
        let cannot = |error: std::io::Error| Trouble::new(Exit::Failure, "cannot listen for signals").why(error);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
                let Ok(runtime) = runtime.map_err(|error| ready.send(Err(error))) else { return };
                runtime.block_on(async move {
                    use tokio::signal::unix::{SignalKind, signal};
                    let both =
                        signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
                    let (mut interrupt, mut terminate) = match both {
                        Ok(both) => {
                            let _ = ready.send(Ok(()));
                            both
                        }
                        Err(error) => {
                            let _ = ready.send(Err(error));
                            return;
                        }
                    };
                    loop {
                        tokio::select! {
                            _ = interrupt.recv() => {}
                            _ = terminate.recv() => {}
                        }
                        if seen.0.swap(true, Ordering::SeqCst) {
                            std::process::exit(Exit::Interrupted as i32);
                        }
                    }
                });
            })
            .map_err(cannot)?;
        match started.recv() {
            Ok(Ok(())) => Ok(signal),
            Ok(Err(error)) => Err(cannot(error)),
            Err(_) => Err(Trouble::new(Exit::Failure, "cannot listen for signals")),
        }
    }
}
