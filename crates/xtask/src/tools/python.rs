//! The S3 server of the tests (moto): the one on the path where it works, else in an environment
//! of its own so that nothing of the system's Python changes.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{run, works};

const MOTO: &str = "moto[server,s3]==5.2.5";

/// Provides `moto_server`; says which one is used.
pub(super) fn install(folder: &Path) -> Result<String> {
    let environment = folder.join("py");
    let own = environment.join("bin/moto_server");
    if works(&own.to_string_lossy(), &["--help"]) {
        return Ok("moto_server there".to_owned());
    }
    if works("moto_server", &["--help"]) {
        return Ok("moto_server found on PATH".to_owned());
    }
    let python =
        if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&environment))?;
    run(Command::new(environment.join("bin/python")).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        MOTO,
    ]))?;
    Ok(format!("installed {MOTO}"))
}
