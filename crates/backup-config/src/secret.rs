//! Secrets by reference, read only when they are needed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::{Error, ErrorKind, Result, Secret};

use crate::{CommandRunner, Environment};

/// Where a secret is. `Debug` and errors show the place, never the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// The setting, for errors: `BACKUP_PASSPHRASE`, `repository.passphrase`.
    setting: String,
    place: Place,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Inline(Secret),
    Env(String),
    File(PathBuf),
    Command(String),
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRef({} from {})", self.setting, self.place())
    }
}

impl SecretRef {
    /// Takes a secret that is known already; `setting` names it in errors.
    #[must_use]
    pub fn inline(setting: impl Into<String>, secret: Secret) -> Self {
        Self { setting: setting.into(), place: Place::Inline(secret) }
    }

    /// Parses a value of the configuration file: `env:NAME`, `file:PATH`, `command:LINE`,
    /// `value:TEXT`, or the secret itself.
    #[must_use]
    pub fn parse(setting: impl Into<String>, text: &str) -> Self {
        let place = if let Some(name) = text.strip_prefix("env:") {
            Place::Env(name.trim().to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            // `file:///etc/key` means the same as `file:/etc/key`.
            Place::File(path.strip_prefix("//").unwrap_or(path).into())
        } else if let Some(line) = text.strip_prefix("command:") {
            Place::Command(line.trim().to_owned())
        } else {
            Place::Inline(Secret::new(text.strip_prefix("value:").unwrap_or(text)))
        };
        Self { setting: setting.into(), place }
    }

    /// Parses a value that is a URL: like [`SecretRef::parse`], but `file://…` is the URL of a
    /// directory.
    #[must_use]
    pub fn parse_url(setting: impl Into<String>, text: &str) -> Self {
        if text.starts_with("file://") {
            return Self::inline(setting, Secret::new(text));
        }
        Self::parse(setting, text)
    }

    /// Looks for `NAME`, `NAME_FILE` and `NAME_COMMAND` in the environment. Two of them at once
    /// are an error: nobody could say which counts.
    pub fn from_environment(environment: &Environment, name: &str) -> Result<Option<Self>> {
        let mut found: Option<(String, Place)> = None;
        for suffix in ["", "_FILE", "_COMMAND"] {
            let variable = format!("{name}{suffix}");
            let Some(value) = environment.get(&variable)? else { continue };
            if let Some((other, _)) = &found {
                return Err(Error::new(ErrorKind::ConfigInvalid, "use environment variables")
                    .because(format!("{other} and {variable} are both set"))
                    .hint("Unset one of them."));
            }
            let place = match suffix {
                "_FILE" => Place::File(value.into()),
                "_COMMAND" => Place::Command(value.to_owned()),
                _ => Place::Env(variable.clone()),
            };
            found = Some((variable, place));
        }
        Ok(found.map(|(setting, place)| Self { setting, place }))
    }

    /// Returns the setting's name.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// Returns whether the secret itself stands in the configuration.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        matches!(self.place, Place::Inline(_))
    }

    /// Returns where it is, for people: `environment variable X`, `file /x`, `command`.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.place {
            Place::Inline(_) => "the configuration".to_owned(),
            Place::Env(name) => format!("environment variable {name}"),
            Place::File(path) => format!("file {}", path.display()),
            Place::Command(_) => "a command".to_owned(),
        }
    }

    pub(crate) fn relative_to(mut self, directory: &Path) -> Self {
        if let Place::File(path) = &self.place {
            self.place = Place::File(directory.join(path));
        }
        self
    }
}

/// Reads secrets from where they are.
#[derive(Clone)]
pub struct Secrets {
    environment: Environment,
    runner: Arc<dyn CommandRunner>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Creates a reader; commands are run by `runner`.
    #[must_use]
    pub fn new(environment: Environment, runner: Arc<dyn CommandRunner>) -> Self {
        Self { environment, runner }
    }

    /// Returns the secret if that has no side effect: commands are not run, and what cannot be
    /// read now is not an error yet.
    pub(crate) fn peek(&self, reference: &SecretRef) -> Option<Secret> {
        let reference = self.settle(reference).ok()?;
        if matches!(reference.place, Place::Command(_)) {
            return None;
        }
        self.resolve(&reference).ok()
    }

    /// Returns the secret, without the newline that ends a file or a command's output. Blocks
    /// while a command runs. An absent or empty secret is `ConfigInvalid`.
    pub fn resolve(&self, reference: &SecretRef) -> Result<Secret> {
        let reference = &self.settle(reference)?;
        let secret = match &reference.place {
            Place::Inline(secret) => secret.clone(),
            Place::Env(name) => Secret::new(self.environment.get(name)?.unwrap_or_default()),
            Place::File(path) => {
                read_file(path).map_err(|error| failed(reference).because(error))?
            }
            Place::Command(line) => {
                let output = self.runner.run(line);
                without_newline(&output.map_err(|error| {
                    failed(reference)
                        .because(error)
                        .hint("Run the command by hand; it must print the secret and exit with 0.")
                })?)
            }
        };
        if secret.expose().is_empty() {
            let hint = match &reference.place {
                Place::Env(name) => format!("Set {name}, {name}_FILE or {name}_COMMAND."),
                _ => "Put the secret there, or name another place.".to_owned(),
            };
            return Err(failed(reference).because("it is empty").hint(hint));
        }
        Ok(secret)
    }
}

impl Secrets {
    /// `env:NAME` means `NAME_FILE` and `NAME_COMMAND` too.
    fn settle(&self, reference: &SecretRef) -> Result<SecretRef> {
        let mut reference = reference.clone();
        if let Place::Env(name) = &reference.place {
            let found = SecretRef::from_environment(&self.environment, name)?;
            reference.place = found.map_or(reference.place, |found| found.place);
        }
        Ok(reference)
    }
}

fn read_file(path: &Path) -> std::io::Result<Secret> {
    let secret = Secret::new(std::fs::read_to_string(path)?);
    Ok(without_newline(&secret))
}

fn without_newline(secret: &Secret) -> Secret {
    let text = secret.expose();
    let text = text.strip_suffix('\n').unwrap_or(text);
    Secret::new(text.strip_suffix('\r').unwrap_or(text))
}

fn failed(reference: &SecretRef) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "read secret")
        .with("setting", &reference.setting)
        .with("from", reference.place())
}
