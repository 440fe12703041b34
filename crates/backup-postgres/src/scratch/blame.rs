//! Whether a failure is the machine's fault or the snapshot's.

use backup_core::{Error, ErrorKind};

/// Signs that a failure is about the machine, and what to do about it.
const ENVIRONMENT: [(&str, &str); 20] = [
    ("extension control file", "Install the extension's package on the drill's server."),
    ("could not access file", "Install the shared library on the drill's server."),
    ("could not load library", "Install the shared library on the drill's server."),
    ("shared_preload_libraries", "Drill on a server that preloads that library (--to)."),
    ("invalid locale name", "Install the source's locale on the drill's server."),
    ("invalid LC_COLLATE locale name", "Install the source's locale on the drill's server."),
    ("could not create locale", "Install the source's locale on the drill's server."),
    ("collation", "Install the source's locales, or an ICU of its version, there."),
    ("role \"", "Create the role on the drill's server, or let roles be created."),
    ("tablespace \"", "Create the tablespace on the drill's server."),
    ("No space left on device", "Free space where the drill puts its data, or name another place."),
    ("out of memory", "Give the drill's server more memory, or use fewer jobs."),
    ("incompatible with operating system", "Install the source's locale on this machine."),
    ("incompatible with server", "Use server programs built as the source's are."),
    ("could not create shared memory", "Give the machine more shared memory."),
    ("could not map anonymous shared memory", "Give the machine more memory."),
    ("could not create semaphores", "Raise the machine's limits of semaphores."),
    ("Permission denied", "Let the drill's user read and write where it puts its data."),
    ("Too many open files", "Raise the limit of open files of the drill's user."),
    ("too many clients", "Use fewer jobs, or raise max_connections."),
];

/// Turns a failure that is about the machine into one that says so; what stays `Failed` blames
/// the snapshot.
pub(super) fn blame(error: Error) -> Error {
    if error.kind() != ErrorKind::Failed {
        return error;
    }
    let text = error.to_string();
    let names_nothing = |sign: &str| sign.ends_with('"') && !text.contains("does not exist");
    let sign = ENVIRONMENT
        .iter()
        .find(|(sign, _)| text.contains(sign) && !names_nothing(sign))
        .filter(|(sign, _)| *sign != "collation" || text.contains("does not exist"));
    match sign {
        Some((_, hint)) => error.into_kind(ErrorKind::Unsupported).hint(*hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_and_snapshots_are_told_apart() {
        let kind = |text: &str| {
            let error = Error::new(ErrorKind::Failed, "restore schema").because(text.to_owned());
            let error = blame(error);
            assert_eq!(error.remedy().is_some(), error.kind() == ErrorKind::Unsupported, "{text}");
            error.kind()
        };
        for machine in [
            "could not open extension control file \"/usr/share/x.control\": No such file",
            "could not access file \"$libdir/postgis-3\": No such file or directory",
            "role \"app\" does not exist",
            "collation \"de_DE\" for encoding \"UTF8\" does not exist",
            "could not extend file: No space left on device",
            "FATAL: database locale is incompatible with operating system",
        ] {
            assert_eq!(kind(machine), ErrorKind::Unsupported, "{machine}");
        }
        for snapshot in [
            "invalid input syntax for type integer: \"x\"",
            "duplicate key value violates unique constraint \"role \"",
            "relation \"collation\" already exists",
            "PANIC: could not locate a valid checkpoint record",
            "FATAL: recovery ended before configured recovery target was reached",
        ] {
            assert_eq!(kind(snapshot), ErrorKind::Failed, "{snapshot}");
        }
    }
}
