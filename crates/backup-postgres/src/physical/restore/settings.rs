//! The settings of a restored copy: `postgresql.auto.conf`. Pure.

use std::collections::BTreeMap;

use backup_core::port::{RecoveryAction, RecoverySettings, RecoveryTarget, RecoveryTimeline};

/// Settings of the original that would make a copy do what the original did: recover to an old
/// target, follow an old primary, run its commands. Each with the value that does nothing, which
/// takes the place of what `postgresql.conf` says.
const NEUTRAL: &[(&str, &str)] = &[
    ("restore_command", ""),
    ("archive_cleanup_command", ""),
    ("recovery_end_command", ""),
    ("recovery_target", ""),
    ("recovery_target_action", "pause"),
    ("recovery_target_inclusive", "on"),
    ("recovery_target_lsn", ""),
    ("recovery_target_name", ""),
    ("recovery_target_time", ""),
    ("recovery_target_timeline", "latest"),
    ("recovery_target_xid", ""),
    ("recovery_min_apply_delay", "0"),
    ("primary_conninfo", ""),
    ("primary_slot_name", ""),
    ("synchronous_standby_names", ""),
];
/// Not known to every server, so that it can only be left out.
const LEFT_OUT: &str = "promote_trigger_file";

/// Returns the content of `postgresql.auto.conf`: what the original's said, without what would
/// mislead a copy; then that made harmless wherever else it is set; and then the recovery's
/// settings, which therefore win.
pub(crate) fn auto_conf(original: &str, recovery: &RecoverySettings) -> String {
    let own = own(recovery);
    let mut text = String::new();
    for line in original.lines() {
        let name = line.split(['=', ' ', '\t']).next().unwrap_or_default().to_ascii_lowercase();
        let replaced = own.iter().any(|(own, _)| *own == name);
        let neutral = NEUTRAL.iter().any(|(neutral, _)| *neutral == name);
        if !replaced && !neutral && name != LEFT_OUT {
            text.push_str(line);
            text.push('\n');
        }
    }
    // Before the target: a server takes an empty target behind another for a second one.
    for (name, value) in NEUTRAL {
        if own.iter().all(|(own, _)| own != name) {
            text.push_str(&format!("{name} = '{value}'\n"));
        }
    }
    for (name, value) in own {
        text.push_str(&format!("{name} = '{}'\n", quoted(&value)));
    }
    text
}

fn own(recovery: &RecoverySettings) -> Vec<(String, String)> {
    let mut own: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: String| own.push((name.to_owned(), value));
    if !recovery.keep_archiving {
        set("archive_mode", "off".to_owned());
    }
    if let Some(command) = &recovery.restore_command {
        set("restore_command", command.clone());
    }
    match &recovery.target {
        None => {}
        Some(RecoveryTarget::Immediate) => set("recovery_target", "immediate".to_owned()),
        Some(RecoveryTarget::Time(time)) => set("recovery_target_time", time.clone()),
        Some(RecoveryTarget::Lsn(lsn)) => set("recovery_target_lsn", lsn.to_string()),
        Some(RecoveryTarget::Xid(xid)) => set("recovery_target_xid", xid.to_string()),
        Some(RecoveryTarget::Name(name)) => set("recovery_target_name", name.clone()),
    }
    if recovery.exclusive {
        set("recovery_target_inclusive", "off".to_owned());
    }
    match recovery.timeline {
        None => {}
        Some(RecoveryTimeline::Latest) => set("recovery_target_timeline", "latest".to_owned()),
        Some(RecoveryTimeline::Current) => set("recovery_target_timeline", "current".to_owned()),
        Some(RecoveryTimeline::Number(number)) => {
            set("recovery_target_timeline", number.to_string());
        }
    }
    match recovery.action {
        None => {}
        Some(RecoveryAction::Pause) => set("recovery_target_action", "pause".to_owned()),
        Some(RecoveryAction::Promote) => set("recovery_target_action", "promote".to_owned()),
        Some(RecoveryAction::Shutdown) => set("recovery_target_action", "shutdown".to_owned()),
    }
    own.extend(recovery.settings.iter().cloned());
    own
}

/// Returns a `postgresql.conf` for a cluster that kept its own elsewhere (as Debian does):
/// what the copy needs to recover.
pub(crate) fn minimal_conf(settings: &BTreeMap<String, String>) -> String {
    let mut text = "# The cluster kept its configuration outside of its data directory; these are \
                    the settings a copy needs.\n"
        .to_owned();
    for (name, value) in settings {
        text.push_str(&format!("{name} = '{}'\n", quoted(value)));
    }
    text
}

/// Quotes and backslashes are special inside quoted values; a line break would end one.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "''").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::Lsn;

    /// What the text sets in the end: the last line of a setting wins.
    fn effective(text: &str) -> BTreeMap<&str, &str> {
        let lines = text.lines().filter_map(|line| line.split_once(" = "));
        lines.map(|(name, value)| (name, value.trim_matches('\''))).collect()
    }

    #[test]
    fn a_copy_does_not_do_what_the_original_did() {
        let original = "# Do not edit this file manually!\nwork_mem = '64MB'\n\
            restore_command = 'old'\nrecovery_target_time = '2020-01-01'\n\
            primary_conninfo = 'host=x'\npromote_trigger_file = 'x'\narchive_mode = 'on'\n";
        let text = auto_conf(original, &RecoverySettings::default());
        assert!(
            text.starts_with("# Do not edit this file manually!\nwork_mem = '64MB'\n"),
            "{text}"
        );
        assert!(text.ends_with("archive_mode = 'off'\n") && !text.contains("old"), "{text}");
        assert!(!text.contains("promote_trigger_file"), "unknown from version 16 on");
        // What postgresql.conf sets is overruled, whether this file had it or not.
        let stale = "recovery_end_command = 'x'\narchive_cleanup_command = 'x'\n\
            recovery_target = 'immediate'\nrecovery_target_inclusive = 'off'\n\
            recovery_min_apply_delay = '1h'\nrecovery_target_timeline = '7'\n\
            synchronous_standby_names = 'x'\n";
        let both = format!("{stale}{text}");
        let set = effective(&both);
        for (name, value) in NEUTRAL {
            assert_eq!(set.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn recovery_settings_become_the_servers() {
        let recovery = RecoverySettings {
            restore_command: Some("fetch '%f' \"%p\" \\x".into()),
            target: Some(RecoveryTarget::Lsn(Lsn(0x16_B374_D848))),
            exclusive: true,
            timeline: Some(RecoveryTimeline::Number(10)),
            action: Some(RecoveryAction::Promote),
            keep_archiving: true,
            settings: vec![("hot_standby".into(), "on".into())],
            ..RecoverySettings::default()
        };
        let text = auto_conf("", &recovery);
        let own = "restore_command = 'fetch ''%f'' \"%p\" \\\\x'\n\
             recovery_target_lsn = '16/B374D848'\nrecovery_target_inclusive = 'off'\n\
             recovery_target_timeline = '10'\nrecovery_target_action = 'promote'\n\
             hot_standby = 'on'\n";
        // Behind every empty target: the server would take one that follows for a second target.
        let neutral = text.strip_suffix(own).unwrap();
        assert!(neutral.contains("recovery_target_time = ''\n"), "{neutral}");
        assert!(!neutral.contains("recovery_target_lsn"), "{neutral}");
        assert_eq!(effective(neutral).len(), NEUTRAL.len() - 5);
    }
}
