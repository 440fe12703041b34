//! What the log of a recovering server says. Pure; the server is started with messages in
//! English.

/// Why a server that recovers waits, or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is at its target.
    AtTarget,
    /// A setting is lower than the original's; what the server says of it.
    Insufficient(String),
    /// Neither.
    Nothing,
}

/// Reads the log of one start, from its beginning.
pub(super) fn said(log: &str) -> Said {
    // Of both, the later one is why it stands still now.
    for line in log.lines().rev() {
        if line.contains("recovery stopping ") || line.contains("pausing at the end of recovery") {
            return Said::AtTarget;
        }
        if line.contains("is a lower setting than on the") {
            return Said::Insufficient(message(line).to_owned());
        }
    }
    Said::Nothing
}

/// Returns the last line that says why the server ended.
pub(super) fn fatal(log: &str) -> Option<&str> {
    let mut lines = log.lines().rev();
    lines.find(|line| line.contains("FATAL:") || line.contains("PANIC:")).map(message)
}

/// What follows the prefix and the severity.
fn message(line: &str) -> &str {
    for severity in ["FATAL:  ", "PANIC:  ", "DETAIL:  "] {
        if let Some((_, message)) = line.split_once(severity) {
            return message;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_to_stand_still_is_told_apart() {
        let target = "2026 LOG:  recovery stopping before commit of transaction 735, time 2026\n\
                      2026 LOG:  pausing at the end of recovery\n2026 HINT:  Execute";
        assert_eq!(said(target), Said::AtTarget);
        let low = "2026 WARNING:  hot standby is not possible because of insufficient parameter \
                   settings\n2026 DETAIL:  max_connections = 100 is a lower setting than on the \
                   primary server, where its value was 150.\n2026 LOG:  recovery has paused";
        let why = "max_connections = 100 is a lower setting than on the primary server, where its \
                   value was 150.";
        assert_eq!(said(low), Said::Insufficient(why.into()));
        assert_eq!(said(&format!("{low}\n{target}")), Said::AtTarget);
        let thirteen = "FATAL:  hot standby is not possible because max_connections = 5 is a lower \
                        setting than on the master server (its value was 100)";
        assert!(matches!(said(thirteen), Said::Insufficient(why) if why.starts_with("hot")));
        assert_eq!(said("LOG:  redo starts at 0/2000028"), Said::Nothing);
        assert_eq!(fatal("x FATAL:  a\ny FATAL:  b\nz LOG:  c"), Some("b"));
    }
}
