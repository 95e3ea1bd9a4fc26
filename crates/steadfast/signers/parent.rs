//! The daemon's side of the signer process: starts it, hears its greeting, keeps its ends.

use super::{Boot, IsolationReached, cannot, child};
use crate::report::{Exit, Trouble};
use domain::{Clock, Epoch, InstanceTag, MonoNanos, VenueId};
use messages::{Control, HaltReason, KeyDuty, Note};
use order_path::SignerSeat;
use order_signer::Identity;
use order_signer::process::{
    Greeting, LinkWait, OrderPage, Packets, ProcessSeat, ReadySigner, RemoteStore, SignerLink, pair,
};
use signing::{Isolation, MemoryKind, SignerHello, SignerPort};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest wait for a greeting when nobody is asked: a key derivation of the largest cost, on a slow machine.
const GREETING_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a person to type a passphrase.
const PERSON_MAX: Duration = Duration::from_secs(600);

/// Restarts in [`RESTARTS_WITHIN`] after which the daemon ends.
const RESTARTS_MAX: usize = 5;
/// See [`RESTARTS_MAX`].
const RESTARTS_WITHIN: Duration = Duration::from_secs(60);

/// A running signer process and the daemon's ends of its sockets.
pub struct SignerProcess {
    child: Child,
    boot: Boot,
    ready: ReadySigner,
    identity: Identity,
    orders: Arc<Mutex<SignerLink>>,
    cancels: Arc<Mutex<SignerLink>>,
    store: RemoteStore,
    lost: Lost,
}

/// Hears how the process was lost.
type Heard = Box<dyn Fn(&'static str) + Send>;

/// Hears that the process has gone or is silent.
#[derive(Clone, Default)]
pub struct Lost(Arc<Mutex<Option<Heard>>>);

impl Lost {
    fn set(&self, heard: Option<Heard>) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = heard;
    }

    fn tell(&self, how: &'static str) {
        if let Some(heard) = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_ref() {
            heard(how);
        }
    }
}

struct Born {
    child: Child,
    ready: ReadySigner,
    identity: Identity,
    orders: Packets,
    page: OrderPage,
    custody: Packets,
    cancels: Packets,
}

impl SignerProcess {
    /// Starts the process and waits until it is ready to sign.
    ///
    /// # Errors
    /// [`Trouble`]: what the process said, such as a wrong passphrase.
    pub fn start(boot: Boot, clock: &Arc<dyn Clock>) -> Result<Self, Trouble> {
        let born = bear(&boot)?;
        let wait = if boot.spin { LinkWait::Spin } else { LinkWait::Block };
        let hello = hello(&born);
        let lost = Lost::default();
        let (heard, heard_too) = (lost.clone(), lost.clone());
        let orders = SignerLink::new(born.orders, wait, hello, Arc::clone(clock), Box::new(move |how| heard.tell(how)))
            .map_err(|error| cannot(&error))?;
        orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner).over(born.page);
        let cancels = SignerLink::new(
            born.cancels,
            LinkWait::Block,
            hello,
            Arc::clone(clock),
            Box::new(move |how| heard_too.tell(how)),
        )
        .map_err(|error| cannot(&error))?;
        let store = RemoteStore::new(born.custody).map_err(|error| cannot(&error))?;
        Ok(Self { child: born.child, boot, ready: born.ready, identity: born.identity, orders, cancels, store, lost })
    }

    /// Tag and epoch of this run.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// How it is kept apart.
    #[must_use]
    pub fn isolation(&self) -> IsolationReached {
        IsolationReached {
            level: "process",
            landlock: sandbox::FileWall::from_name(&self.ready.landlock).map_or("none", sandbox::FileWall::as_str),
            seccomp: self.ready.seccomp,
            memory: match self.ready.memory.as_str() {
                "memfd_secret" => "memfd_secret",
                "mlock" => "mlock",
                _ => "plain",
            },
        }
    }

    /// The order path's seat for a venue account.
    #[must_use]
    pub fn seat(&self, id: VenueId) -> Box<dyn SignerSeat> {
        Box::new(Seat(ProcessSeat::new(Arc::clone(&self.orders), id)))
    }

    /// The emergency thread's signer for a venue account.
    #[must_use]
    pub fn emergency(&self, id: VenueId) -> Box<dyn SignerPort> {
        Box::new(ProcessSeat::new(Arc::clone(&self.cancels), id))
    }

    /// The keys.
    #[must_use]
    pub fn store(&self) -> RemoteStore {
        self.store.clone()
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.ready.pid
    }
}

/// Where the keeper of the process tells what happens.
pub struct KeeperWires {
    /// Tells the order path something.
    pub control: Box<dyn Fn(Control) + Send>,
    /// The process is up (true) or not.
    pub up: Box<dyn Fn(bool) + Send>,
    /// There is no signer any more, and there will be none.
    pub gone: Box<dyn Fn(String) + Send>,
}

/// Keeps the process alive: halts when it is lost, and starts another where nobody has to be asked.
pub struct SignerKeeper {
    lost: Lost,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl SignerProcess {
    /// Watches over the process on a thread of its own.
    ///
    /// # Errors
    /// [`Trouble`] when the system gives no thread.
    pub fn keep(self, wires: KeeperWires, clock: &Arc<dyn Clock>) -> Result<SignerKeeper, Trouble> {
        let (told, hears) = std::sync::mpsc::sync_channel(1);
        let lost = self.lost.clone();
        // A second word about the same loss finds no room, and needs none.
        lost.set(Some(Box::new(move |how| {
            let _ = told.try_send(how);
        })));
        let clock = Arc::clone(clock);
        let thread = std::thread::Builder::new()
            .name("signer-keeper".to_owned())
            .spawn(move || self.watch(&hears, &wires, &*clock))
            .map_err(|error| cannot(&error))?;
        Ok(SignerKeeper { lost, thread: Some(thread) })
    }

    fn watch(mut self, hears: &Receiver<&'static str>, wires: &KeeperWires, clock: &dyn Clock) {
        let mut restarts: Vec<MonoNanos> = Vec::new();
        while let Some(how) = self.next_loss(hears) {
            (wires.up)(false);
            tracing::error!(how, "the signer process is lost; nothing new is signed");
            let note = Note::from(what_happened(how)).unwrap_or_default();
            (wires.control)(Control::Halt(HaltReason::SignerLost, note));
            // A silent one may wake up: it must not sign beside its successor.
            let _ = self.child.kill();
            let _ = self.child.wait();
            let now = clock.mono();
            restarts.retain(|at| now.since(*at) < RESTARTS_WITHIN);
            if restarts.len() >= RESTARTS_MAX {
                return (wires.gone)(format!("it was lost {RESTARTS_MAX} times within a minute"));
            }
            restarts.push(now);
            if !self.boot.unlock.is_unattended() {
                return (wires.gone)("its passphrase was typed, and nobody can be asked now".to_owned());
            }
            if let Err(trouble) = self.restart(hears) {
                return (wires.gone)(trouble.to_string());
            }
            telemetry::actor_restarts_total("order-signer", how).increment(1);
            (wires.up)(true);
            (wires.control)(Control::SignerBack(self.identity.epoch));
            tracing::warn!(epoch = self.identity.epoch.get(), "a new signer process signs; trading stays halted");
        }
    }

    /// Waits until the process is lost; `None`: nobody uses it any more.
    fn next_loss(&mut self, hears: &Receiver<&'static str>) -> Option<&'static str> {
        loop {
            fail_point::step("signer-keeper");
            match hears.recv_timeout(Duration::from_millis(200)) {
                Ok(how) => return Some(how),
                Err(RecvTimeoutError::Disconnected) => return None,
                // It may end while nothing is asked of it.
                Err(RecvTimeoutError::Timeout) => {
                    if matches!(self.child.try_wait(), Ok(Some(_))) {
                        return Some("dead");
                    }
                }
            }
        }
    }

    fn restart(&mut self, hears: &Receiver<&'static str>) -> Result<(), Trouble> {
        let born = bear(&self.boot)?;
        if born.identity.tag != self.identity.tag {
            return Err(Trouble::new(Exit::Failure, "the custody directory has another tag than before"));
        }
        let hello = hello(&born);
        // The keys' duties first: what the order path then asks for may be signed.
        self.store.replace(born.custody).map_err(|error| cannot(&error))?;
        let mut orders = self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut cancels = self.cancels.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        orders.replace(born.orders, Some(born.page), hello).map_err(|error| cannot(&error))?;
        cancels.replace(born.cancels, None, hello).map_err(|error| cannot(&error))?;
        // Whoever tells of a loss holds one of the two locks: a word that waits here is about the former process.
        while hears.try_recv().is_ok() {}
        drop((orders, cancels));
        (self.child, self.ready, self.identity) = (born.child, born.ready, born.identity);
        Ok(())
    }
}

impl Drop for SignerKeeper {
    fn drop(&mut self) {
        self.lost.set(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A process's seat: its duty is told over the custody socket, by the key manager, and not by the order path.
struct Seat(ProcessSeat);

impl SignerPort for Seat {
    fn hello(&self) -> SignerHello {
        self.0.hello()
    }

    fn set_clock_offset(&mut self, offset_ns: i64) -> Result<(), messages::SignRefusal> {
        self.0.set_clock_offset(offset_ns)
    }

    fn set_account_mode(&mut self, mode: messages::AccountMode) -> Result<(), messages::SignRefusal> {
        self.0.set_account_mode(mode)
    }

    fn sign(&mut self, intent: &messages::SignIntent) -> Result<signing::SignedRequest, messages::SignRefusal> {
        self.0.sign(intent)
    }

    fn sign_candidate(
        &mut self,
        intent: &messages::SignIntent,
    ) -> Result<signing::SignedRequest, messages::SignRefusal> {
        self.0.sign_candidate(intent)
    }
}

impl SignerSeat for Seat {
    fn set_duty(&mut self, _duty: KeyDuty) {}
}

fn hello(born: &Born) -> SignerHello {
    let memory = match born.ready.memory.as_str() {
        "memfd_secret" => MemoryKind::SecretMap,
        "mlock" => MemoryKind::Locked,
        _ => MemoryKind::Plain,
    };
    SignerHello { tag: born.identity.tag, epoch: born.identity.epoch, isolation: Isolation::Process, memory }
}

fn bear(boot: &Boot) -> Result<Born, Trouble> {
    let (orders, inherited) = pair().map_err(|error| cannot(&error))?;
    let (custody, custody_end) = pair().map_err(|error| cannot(&error))?;
    let (cancels, cancels_end) = pair().map_err(|error| cannot(&error))?;
    let (page, page_end) = OrderPage::create().map_err(|error| cannot(&error))?;
    close_on_exec().map_err(|error| cannot(&error))?;
    let program = std::env::current_exe().map_err(|error| cannot(&error))?;
    let mut child = Command::new(program)
        .arg(child::ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(inherited.into_descriptor()))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| cannot(&error))?;
    let frame = serde_json::to_vec(boot).map_err(|error| cannot(&error))?;
    let greeting = orders
        .send_with(&frame, &[custody_end.descriptor(), cancels_end.descriptor(), page_end.as_fd()])
        .and_then(|()| orders.wait_at_most(Some(if boot.may_ask { PERSON_MAX } else { GREETING_MAX })))
        .map_err(|error| cannot(&error))
        .and_then(|()| greeting(&orders));
    // The child has its own copies now.
    drop((custody_end, cancels_end, page_end));
    match greeting {
        Ok(ready) => {
            let identity = identity(&ready)
                .ok_or_else(|| Trouble::new(Exit::Failure, "the signer process said something else than its epoch"))?;
            Ok(Born { child, ready, identity, orders, page, custody, cancels })
        }
        Err(trouble) => {
            drop(orders);
            // One that said why has said it; one that was ended by the system did not.
            match (child.wait(), trouble.exit) {
                (Ok(status), Exit::Failure) if status.code().is_none() => {
                    Err(trouble.why(format!("it ended with {status}")))
                }
                _ => Err(trouble),
            }
        }
    }
}

/// What a person reads of a halt after the loss of the process; fits a [`Note`].
fn what_happened(how: &str) -> &'static str {
    match how {
        // Longer than `SignerLink::PATIENCE`: on a busy machine it may only have got no time to run.
        "silent" => "the signer process did not answer for 250 ms; it was ended, and another one is started",
        _ => "the signer process has ended by itself; another one is started",
    }
}

/// Marks every descriptor from 3 up to be closed when a program is started: what this process was itself given by
/// whoever started it carries no such mark.
fn close_on_exec() -> std::io::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        if let Some(number) = number.filter(|number| *number > 2) {
            // One that was closed meanwhile needs no mark.
            let _ = fcntl(number, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
    }
    Ok(())
}

fn identity(ready: &ReadySigner) -> Option<Identity> {
    let tag: InstanceTag = ready.tag.parse().ok()?;
    Some(Identity { tag, epoch: Epoch::new(ready.epoch).ok()? })
}

fn greeting(orders: &Packets) -> Result<ReadySigner, Trouble> {
    let mut frame = vec![0_u8; child::BOOT_MAX];
    let len = orders.receive(&mut frame).map_err(|error| cannot(&error))?;
    let said = frame.get(..len).and_then(|bytes| serde_json::from_slice(bytes).ok());
    match said {
        Some(Greeting::Ready(ready)) => Ok(ready),
        Some(Greeting::Failed(failure)) => {
            let mut trouble = Trouble::new(Exit::from_code(failure.exit), failure.what);
            trouble.why = failure.why;
            trouble.fix = failure.fix;
            Err(trouble)
        }
        None => Err(Trouble::new(Exit::Failure, "the signer process cannot be understood")
            .fix("report this; signer.mode = \"inline\" does without it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halt_says_whether_the_signer_was_silent_or_has_ended() {
        let notes = ["silent", "dead"].map(|how| Note::from(what_happened(how)).unwrap());
        assert!(notes[0].contains("250 ms") && notes[1].contains("ended by itself"), "{notes:?}");
        assert_eq!(SignerLink::PATIENCE.as_millis(), 250, "as the note says");
    }
}
