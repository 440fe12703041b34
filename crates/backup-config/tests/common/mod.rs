//! Loads settings from text.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use backup_config::{ConfigFile, Environment, Inputs, Overrides, Secrets, Settings, ShellRunner};
use backup_core::Result;

pub(crate) fn secrets(environment: &Environment) -> Secrets {
    Secrets::new(environment.clone(), Arc::new(ShellRunner::default()))
}

pub(crate) fn load(
    overrides: &Overrides,
    environment: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Settings> {
    let environment = Environment::from_pairs(environment.iter().copied());
    let file = file.map(|text| ConfigFile { path: "backup.toml".into(), text: text.to_owned() });
    Settings::load(&Inputs {
        overrides,
        environment: &environment,
        file: file.as_ref(),
        directory: Path::new("/srv/app"),
        secrets: &secrets(&environment),
    })
}

#[allow(dead_code, reason = "not every test file reads the environment")]
pub(crate) fn from_env(environment: &[(&str, &str)]) -> Result<Settings> {
    load(&Overrides::default(), environment, None)
}

#[allow(dead_code, reason = "not every test file loads files")]
pub(crate) fn from_file(text: &str) -> Result<Settings> {
    load(&Overrides::default(), &[], Some(text))
}
