//! Server processes that cannot outlive the test process, however it ends.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::tools;

/// A request to start something, answered on the enclosed channel.
type Order = (Command, Sender<io::Result<Child>>);

/// Starts `program` so that the kernel sends it `signal` when this process dies, as user `nobody`
/// when `unprivileged` and this process is root. `arrange` finishes the command.
pub(crate) fn spawn(
    program: &std::path::Path,
    signal: &str,
    unprivileged: bool,
    arrange: impl FnOnce(&mut Command),
) -> io::Result<Child> {
    let mut command = wrapped(program, Some(signal), unprivileged);
    arrange(&mut command);
    let (answer, answered) = channel();
    let orders = keeper()?;
    let sent = orders.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer));
    sent.map_err(io::Error::other)?;
    answered.recv().map_err(io::Error::other)?
}

/// A command line for `program`, as user `nobody` when `unprivileged` and this process is root.
pub(crate) fn wrapped(
    program: &std::path::Path,
    death_signal: Option<&str>,
    unprivileged: bool,
) -> Command {
    let mut words = Vec::new();
    if let Some(signal) = death_signal {
        words.extend(["--pdeathsig".to_owned(), signal.to_owned()]);
    }
    if unprivileged && tools::is_root() {
        words.extend(["--reuid=nobody", "--regid=nogroup", "--clear-groups"].map(str::to_owned));
    }
    if words.is_empty() || tools::find_program("setpriv").is_none() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(words).arg(program);
    command
}

/// Sends a signal to a child that has not been waited for, so its number cannot be another's.
pub(crate) fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let number = i32::try_from(child.id()).map_err(io::Error::other)?;
    let pid = Pid::from_raw(number).ok_or_else(|| io::Error::other("no process number"))?;
    kill_process(pid, signal).map_err(io::Error::from)
}

/// Waits for the child's end; false when it still runs after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        if begun.elapsed() >= limit {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The death signal follows the *thread* that started a process, and a test's thread ends with the
/// test: one thread that lives as long as this process starts them all.
fn keeper() -> io::Result<&'static Mutex<Sender<Order>>> {
    static KEEPER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    if let Some(keeper) = KEEPER.get() {
        return Ok(keeper);
    }
    let (orders, incoming) = channel::<Order>();
    std::thread::Builder::new().name("server-keeper".to_owned()).spawn(move || {
        for (mut command, answer) in incoming {
            // Whoever asked may be gone; then nobody would stop the child but its death signal.
            let _ = answer.send(command.spawn());
        }
    })?;
    // Two first callers at once: the loser's thread ends when its sender is dropped here.
    Ok(KEEPER.get_or_init(|| Mutex::new(orders)))
}
