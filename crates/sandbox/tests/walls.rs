//! What a process that has shut itself in can still do, tried in processes of their own, each with its control
//! outside the walls.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Names the attempt for the child.
const ATTEMPT: &str = "SANDBOX_ATTEMPT";
/// Its directory.
const DIRECTORY: &str = "SANDBOX_DIRECTORY";
/// Whether the walls are built before the attempt.
const WALLS: &str = "SANDBOX_WALLS";
/// What a child says of an attempt that worked.
const DONE: i32 = 40;
/// ... that the system refused.
const REFUSED: i32 = 41;

/// Not a test by itself: the children run it.
#[test]
fn attempt_of_a_child() {
    let Ok(attempt) = std::env::var(ATTEMPT) else { return };
    let directory = PathBuf::from(std::env::var(DIRECTORY).unwrap());
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = outside.local_addr().unwrap();
    let (left, right) = UnixStream::pair().unwrap();
    if std::env::var(WALLS).is_ok() {
        sandbox::hide().unwrap();
        sandbox::close_files(&directory).unwrap();
        assert!(sandbox::close_calls().unwrap());
    }
    let done = match attempt.as_str() {
        "write inside" => fs::write(directory.join("inside"), b"x")
            .and_then(|()| fs::rename(directory.join("inside"), directory.join("renamed")))
            .and_then(|()| fs::hard_link(directory.join("renamed"), directory.join("linked")))
            .and_then(|()| fs::remove_file(directory.join("linked")))
            .is_ok(),
        "talk on a socket it has" => {
            use std::io::{Read as _, Write as _};
            let mut heard = [0];
            (&left).write_all(b"x").is_ok() && (&right).read_exact(&mut heard).is_ok()
        }
        "read outside" => fs::read("/etc/passwd").is_ok(),
        "read its own environment" => fs::read("/proc/self/environ").is_ok(),
        "write outside" => fs::write(directory.parent().unwrap().join("outside"), b"x").is_ok(),
        "connect" => TcpStream::connect(address).is_ok(),
        "bind" => TcpListener::bind("127.0.0.1:0").is_ok(),
        "make a unix socket" => UnixStream::pair().is_ok(),
        "run a program" => Command::new("/bin/true").status().is_ok_and(|status| status.success()),
        "start a thread" => std::thread::Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok()),
        "make a directory" => fs::create_dir(directory.join("below")).is_ok(),
        "change a limit" => rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            rustix::process::Rlimit { current: Some(10), maximum: Some(10) },
        )
        .is_ok(),
        "be dumped again" => {
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable).is_ok()
        }
        other => panic!("unknown attempt {other}"),
    };
    std::process::exit(if done { DONE } else { REFUSED });
}

fn attempt(name: &str, walls: bool, directory: &Path) -> ExitStatus {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "attempt_of_a_child", "--nocapture", "--test-threads=1"]);
    child.env(ATTEMPT, name).env(DIRECTORY, directory);
    child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    if walls {
        child.env(WALLS, "1");
    }
    child.status().unwrap()
}

#[test]
fn everything_but_the_own_directory_and_the_own_sockets_is_out_of_reach() {
    // The harness of the children's tests has a thread beside the one that builds the walls; file rules bind the
    // thread that asked for them, call rules bind all.
    let parent = tempfile::tempdir().unwrap();
    for name in ["write inside", "talk on a socket it has"] {
        let directory = parent.path().join("custody");
        let _ = fs::create_dir(&directory);
        for walls in [false, true] {
            let _ = fs::remove_file(directory.join("renamed"));
            assert_eq!(attempt(name, walls, &directory).code(), Some(DONE), "{name}, walls: {walls}");
        }
    }
    for name in [
        "read outside",
        "read its own environment",
        "write outside",
        "connect",
        "bind",
        "make a unix socket",
        "run a program",
        "start a thread",
        "make a directory",
        "change a limit",
        "be dumped again",
    ] {
        let directory = parent.path().join(name.replace(' ', "-"));
        fs::create_dir(&directory).unwrap();
        let control = attempt(name, false, &directory);
        assert_eq!(control.code(), Some(DONE), "the control of `{name}` works without walls");
        let _ = fs::remove_dir(directory.join("below"));
        let behind = attempt(name, true, &directory);
        let killed = behind.signal() == Some(31);
        assert!(killed || behind.code() == Some(REFUSED), "`{name}` behind walls: {behind:?}");
    }
}
