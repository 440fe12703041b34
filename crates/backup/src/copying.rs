//! The same repository in a second place.

use std::sync::Arc;

use backup_config::Environment;
use backup_core::port::{Clock, Observer, Store};
use backup_core::{Error, ErrorKind, Result};

use crate::compose::Composer;
use crate::settings::settings_from_nothing;

/// What stands before the names of variables that hold for the second place only.
const PREFIX: &str = "COPY_";

/// Variables of stores, by family: of one family all are taken from one place. Others of Azure, and
/// Google's, are read from the process by the services' own rules, and hold for both places.
const FAMILIES: [&str; 2] = ["AWS_", "AZURE_STORAGE_"];

/// Opens the store at `url` for a copy. `COPY_AWS_ACCESS_KEY_ID` and the like hold for it; where no
/// variable of a family (`AWS_`, `AZURE_STORAGE_`) is set so, the plain ones do; `COPY_` before
/// anything else of a store is `ConfigInvalid`. With `probe` the
/// store is asked whether it refuses what exists, which writes a few small objects.
pub async fn second_store(
    environment: &Environment,
    url: &str,
    probe: bool,
    clock: &Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
) -> Result<Arc<dyn Store>> {
    let environment = second_environment(environment, url)?;
    let settings = settings_from_nothing(&environment)?;
    let composer = Composer::new(environment, Arc::clone(clock));
    composer.store(settings.repository()?, probe, observer).await
}

fn second_environment(environment: &Environment, url: &str) -> Result<Environment> {
    let mut variables = vec![("BACKUP_REPOSITORY".to_owned(), url.to_owned())];
    for name in environment.names() {
        let own = name.strip_prefix(PREFIX);
        let plain = own.unwrap_or(name);
        let Some(family) = FAMILIES.iter().find(|family| plain.starts_with(*family)) else {
            if own.is_some_and(|own| own.starts_with("AZURE_") || own.starts_with("GOOGLE_")) {
                return Err(Error::new(ErrorKind::ConfigInvalid, "use environment variable")
                    .with("variable", name)
                    .because("it cannot be given to the second place alone")
                    .hint(
                        "Copy with an environment in which the plain variable is the second \
                         place's, or name an Azure account by COPY_AZURE_STORAGE_KEY or \
                         COPY_AZURE_STORAGE_SAS_TOKEN.",
                    ));
            }
            continue;
        };
        let overridden = || {
            let prefix = format!("{PREFIX}{family}");
            environment.names().any(|name| name.starts_with(&prefix))
        };
        if (own.is_some() || !overridden())
            && let Some(value) = environment.get(name)?
        {
            variables.push((plain.to_owned(), value.to_owned()));
        }
    }
    Ok(Environment::from_pairs(variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_two_places_are_never_mixed() {
        let environment = Environment::from_pairs([
            ("AWS_ACCESS_KEY_ID", "first"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AZURE_STORAGE_ACCOUNT", "shop"),
            ("COPY_AWS_ACCESS_KEY_ID", "second"),
            ("COPY_AWS_SECRET_ACCESS_KEY_FILE", "/run/key"),
            ("BACKUP_PASSPHRASE", "hunter3"),
        ]);
        let second = second_environment(&environment, "s3://b/x").unwrap();
        let names: Vec<_> = second.names().collect();
        assert_eq!(
            names,
            [
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY_FILE",
                "AZURE_STORAGE_ACCOUNT",
                "BACKUP_REPOSITORY"
            ]
        );
        assert_eq!(second.get("AWS_ACCESS_KEY_ID").unwrap(), Some("second"));
        // What the service's own rules read cannot be told apart: it is refused, not ignored.
        for name in ["COPY_GOOGLE_APPLICATION_CREDENTIALS", "COPY_AZURE_CLIENT_SECRET"] {
            let environment = Environment::from_pairs([(name, "x")]);
            let error = second_environment(&environment, "gs://b/x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{name}");
        }
    }
}
