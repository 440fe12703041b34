//! Runs the commands that print secrets.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result, Secret};

/// Runs a command and returns what it printed.
pub trait CommandRunner: Send + Sync {
    /// Returns the standard output; neither the output nor what the command printed to standard
    /// error may be part of an error.
    fn run(&self, line: &str) -> Result<Secret>;
}

/// Runs commands with `sh -c`, without input, their standard error discarded.
#[derive(Clone, Copy, Debug)]
pub struct ShellRunner {
    /// How long a command may take.
    pub timeout: Duration,
}

impl Default for ShellRunner {
    /// 30 seconds: enough for a password manager, not for one that waits for a person.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30) }
    }
}

/// More than any secret.
const MAX_OUTPUT: u64 = 1 << 20;

impl CommandRunner for ShellRunner {
    fn run(&self, line: &str) -> Result<Secret> {
        let failed = || Error::new(ErrorKind::ConfigInvalid, "run secret command");
        let mut child = Command::new("sh")
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed().because(error))?;
        let Some(output) = child.stdout.take() else {
            return Err(failed().because("it has no output"));
        };
        // Reading in a thread of its own: a pipe has no timeout.
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = output.take(MAX_OUTPUT).read_to_string(&mut text);
            let text = Secret::new(text);
            // The receiver is gone after a timeout; then nobody waits for the answer.
            let _ = sender.send(read.map(|_| text));
        });
        let Ok(read) = receiver.recv_timeout(self.timeout) else {
            // Both fail only if it has just ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed().with("timeout_seconds", self.timeout.as_secs_f64()));
        };
        let status = child.wait().map_err(|error| failed().because(error))?;
        if !status.success() {
            return Err(failed().because(status.to_string()));
        }
        // The cause could quote what was read, so it is left out.
        read.map_err(|_| failed().because("its output is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_what_was_printed() {
        let secret = ShellRunner::default().run("printf hunter2; echo noise >&2").unwrap();
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn failures_show_no_output() {
        for line in ["echo hunter2; echo hunter2 >&2; exit 3", "printf 'hunter2\\377'"] {
            let error = ShellRunner::default().run(line).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_command_that_waits_is_given_up() {
        let runner = ShellRunner { timeout: Duration::from_millis(100) };
        let start = std::time::Instant::now();
        assert!(runner.run("exec sleep 30").is_err());
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
