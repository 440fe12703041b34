//! `validate`: is the configuration usable? With `--repository`: are the sources protected?

use backup::ops::Standing;
use backup::ops::doctor::Check;
use backup_core::{ErrorKind, Result};

use crate::args::ValidateArgs;
use crate::exit::Ending;
use crate::session::Session;
use crate::verbs::doctor;

pub(super) async fn run(session: &Session, args: &ValidateArgs) -> Result<Ending> {
    let settings = session.settings()?;
    let mut checks = vec![Check::ok("configuration", "every key and value is usable")];
    checks.push(match settings.repository() {
        Ok(repository) => Check::ok("repository", &repository.url),
        Err(error) => Check::failure("repository", error),
    });
    checks.push(match settings.repository().and_then(|repository| repository.key().cloned()) {
        Ok(key) => Check::ok("key", format!("from {}", key.secret().place())),
        Err(error) => Check::failure("key", error),
    });
    for source in &settings.sources {
        let name = format!("source {}", source.name);
        checks.push(match session.composer().source(source) {
            Ok(_) => Check::ok(name, format!("{}, keeps {}", source.provider, source.retention)),
            Err(error) => Check::failure(name, error),
        });
    }
    if settings.sources.is_empty() {
        checks.push(Check::warning(
            "sources",
            "none is configured",
            "Set DATABASE_URL, or describe a source in backup.toml.",
        ));
    }
    for note in &settings.notes {
        checks.push(Check::warning("note", note, "Look at backup.toml and the environment."));
    }
    let mut ending = Ending::Ok;
    if args.repository {
        for source in session.standings(&[]).await? {
            let name = format!("protection of {}", source.source);
            if source.standing == Standing::Protected {
                checks.push(Check::ok(name, "fresh and verified"));
                continue;
            }
            ending = Ending::Found(ErrorKind::Suspect);
            let why = source.reasons.join(" ");
            checks.push(Check::unmet(name, source.standing.label(), why));
        }
    }
    doctor::show(session, "validate", &checks)?;
    if checks.iter().any(|check| check.failed() && check.error.is_some()) {
        return doctor::demand("validate", &checks);
    }
    Ok(ending)
}
