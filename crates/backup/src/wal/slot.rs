//! What replication slots are called.

use backup_core::SourceName;

/// Returns the name of the slot that receives the WAL of a source unless somebody says
/// otherwise: slot names have no capital letters, dashes or dots.
#[must_use]
pub fn slot_name(source: &SourceName) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let mut name = format!("backupctl_{}", source.as_str().chars().map(plain).collect::<String>());
    name.truncate(63);
    name
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_slot_is_named_as_servers_allow() {
        let name = |source: &str| super::slot_name(&source.parse().unwrap());
        assert_eq!(name("Shop-eu.1"), "backupctl_shop_eu_1");
        assert_eq!(name(&"x".repeat(60)).len(), 63);
    }
}
