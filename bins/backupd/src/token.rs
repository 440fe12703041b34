//! `backupd token`: the tokens of the HTTP server, also while no daemon runs.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use backup::catalog::SqliteCatalog;
use backup::config::{Environment, Overrides};
use backup::daemon::state_directory;
use backup_api::audit::Outcome;
use backup_api::port::{Ledger, Role};
use backup_api::{Recorder, make_token};
use backup_core::port::Catalog;
use backup_core::{Error, ErrorKind, Result};

use crate::args::TokenVerb;
use crate::web::StateLedger;

pub(crate) async fn run(config: Option<&Path>, verb: TokenVerb) -> Result<()> {
    let environment = Environment::from_process();
    let settings = backup::load_settings(config, &environment, &Overrides::default())?;
    let directory = state_directory(&settings, &environment)?;
    let clock = backup::system_clock();
    // A catalog is not made here: that it is missing tells the daemon to rebuild it.
    let path = directory.join("catalog.db");
    let catalog: Arc<dyn Catalog> = match path.exists() {
        true => Arc::new(SqliteCatalog::open(&path, clock.now())?.0),
        false => Arc::new(SqliteCatalog::in_memory()?),
    };
    let ledger = Arc::new(StateLedger::new(&directory, catalog));
    let recorder = Recorder::new(ledger.clone(), Arc::clone(&clock));
    match verb {
        TokenVerb::Add { name, role, expires } => {
            let role = Role::of(&role).ok_or_else(|| {
                Error::new(ErrorKind::Usage, "make token")
                    .with("role", role.escape_debug())
                    .hint("Roles are viewer, operator and admin.")
            })?;
            let expires =
                expires.map(|text| text.parse()).transpose().map_err(|error: jiff::Error| {
                    Error::new(ErrorKind::Usage, "read when the token ends")
                        .hint("Write it as 2027-01-01T00:00:00Z.")
                        .because(error)
                })?;
            let (token, record) = make_token(&name, role, clock.now(), expires)?;
            recorder.append("local", "command", "make_token", &name, Outcome::Allowed).await?;
            ledger.keep_token(&record).await?;
            say(token.expose())
        }
        TokenVerb::List => {
            for token in ledger.tokens().await? {
                let end = match (token.revoked_at, token.expires_at) {
                    (Some(at), _) => format!("revoked {at}"),
                    (None, Some(at)) => format!("ends {at}"),
                    (None, None) => "good".to_owned(),
                };
                say(&format!("{}  {:8}  {}  {end}", token.id, token.role.as_str(), token.name))?;
            }
            Ok(())
        }
        TokenVerb::Revoke { id } => {
            recorder.append("local", "command", "revoke_token", &id, Outcome::Allowed).await?;
            ledger.revoke_token(&id, clock.now()).await
        }
    }
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")
        .map_err(|error| Error::new(ErrorKind::Failed, "write to standard output").because(error))
}
