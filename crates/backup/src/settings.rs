//! Reading the configuration of this process.

use std::path::Path;
use std::sync::Arc;

use backup_config::{ConfigFile, Environment, Inputs, Overrides, Secrets, Settings, ShellRunner};
use backup_core::{Error, ErrorKind, Result};

/// Reads `config`, or what BACKUP_CONFIG names, or `backup.toml` in the working directory, and
/// merges it with the environment and `overrides`. Errors name the variable, or file and line.
pub fn load_settings(
    config: Option<&Path>,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Settings> {
    let directory = std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::ConfigInvalid, "find working directory").because(error)
    })?;
    let named = environment.get("BACKUP_CONFIG")?.map(Path::new);
    let file = ConfigFile::find(config.or(named), &directory)?;
    let secrets = Secrets::new(environment.clone(), Arc::new(ShellRunner::default()));
    Settings::load(&Inputs {
        overrides,
        environment,
        file: file.as_ref(),
        directory: &directory,
        secrets: &secrets,
    })
}
