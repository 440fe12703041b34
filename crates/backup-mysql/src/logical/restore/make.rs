//! Making objects.

use backup_core::{Error, ErrorKind, Result};

use super::session::STRICT;
use crate::accounts::RoleMap;
use crate::schema::{Item, Kind, moved, renamed, without_definer};
use crate::wire::code;
use crate::{Client, error_code, quote_name, quote_text};

/// What an object refers to that is not there yet: tables, views, routines, triggers.
const NOT_YET: [u16; 5] = [1146, 1305, 1356, 3670, 4031];
/// An account that does not exist, or that may not be named by this user.
const ACCOUNT: [u16; 2] = [1449, code::SPECIAL_ACCESS_DENIED];

/// How objects are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How<'a> {
    /// The source's database, whose name defaults may hold.
    pub(crate) from: &'a str,
    /// The database that objects are made in; nothing for whichever is selected.
    pub(crate) to: Option<&'a str>,
    /// Leave definers out: whoever restores is the definer then.
    pub(crate) no_owner: bool,
    /// Definers under other names.
    pub(crate) roles: &'a RoleMap,
    /// Switch events off.
    pub(crate) quiet: bool,
}

/// Makes objects in an order in which each finds what it refers to; what is left in the end is
/// an error, except what was broken at the source already, or needs another database: that is returned with
/// its error.
///
/// `made` is told of each object that is there now.
pub(super) async fn all(
    client: &mut Client,
    items: &[&Item],
    how: How<'_>,
    made: &mut Vec<(Kind, String)>,
) -> Result<Vec<(String, Error)>> {
    let mut waiting: Vec<&Item> = items.to_vec();
    loop {
        let before = waiting.len();
        let mut left = Vec::new();
        let mut lacking = Vec::new();
        let mut last = None;
        for item in waiting {
            match one(client, item, how, made).await {
                Ok(()) => {}
                Err(error) if item.why_missing().is_some() && error_code(&error).is_some() => {
                    left.push(item);
                    lacking.push((item.name.clone(), error));
                }
                Err(error) if error_code(&error).is_some_and(|code| NOT_YET.contains(&code)) => {
                    left.push(item);
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match last {
            _ if left.len() < before && !left.is_empty() => waiting = left,
            None => return Ok(lacking),
            Some(error) => return Err(error),
        }
    }
}

/// Makes one object, and tells `made` of it.
pub(super) async fn one(
    client: &mut Client,
    item: &Item,
    how: How<'_>,
    made: &mut Vec<(Kind, String)>,
) -> Result<()> {
    let named = |error: Error| {
        let account = error_code(&error).is_some_and(|code| ACCOUNT.contains(&code));
        let outer = Error::new(ErrorKind::Failed, "create object")
            .with("object", format!("{} {}", item.kind.word(), item.name));
        let outer = outer.because(error);
        if account {
            return outer.hint(
                "Its definer cannot be named by this user (SUPER, or SET USER): restore as an \
                 administrator, with --map-role OLD=NEW, or with --no-owner, so that whoever \
                 restores is the definer.",
            );
        }
        outer
    };
    for statement in settings(item) {
        client.execute(&statement).await.map_err(named)?;
    }
    let sql = statement(item, how);
    let done = client.execute(&sql).await.map_err(named);
    if done.is_ok() {
        made.push((item.kind, item.name.clone()));
    }
    // Whatever comes next begins with our own settings again.
    client
        .execute(&format!(
            "SET sql_mode = '{STRICT}', character_set_client = utf8mb4, \
             collation_connection = utf8mb4_general_ci, time_zone = '+00:00'"
        ))
        .await?;
    done?;
    if item.kind == Kind::Event && how.quiet {
        let off = format!("ALTER EVENT {} DISABLE", quote_name(&item.name));
        client.execute(&off).await.map_err(named)?;
    }
    if let (Kind::Sequence, Some(next)) = (item.kind, item.next_value) {
        let set = format!("DO SETVAL({}, {next}, 0)", quote_name(&item.name));
        client.execute(&set).await.map_err(named)?;
    }
    Ok(())
}

/// Returns an object's statement as it is given to a server.
pub(crate) fn statement(item: &Item, how: How<'_>) -> String {
    // Defaults that take from a sequence name its database.
    let sql = item.sql.replace(&format!("nextval({}.", quote_name(how.from)), "nextval(");
    let sql = match item.kind {
        Kind::View => moved(&sql, how.from, how.to).unwrap_or(sql),
        _ => sql,
    };
    if how.no_owner { without_definer(&sql) } else { renamed(&sql, how.roles) }
}

/// Returns the statements that put a session under the settings an object was made with.
pub(crate) fn settings(item: &Item) -> Vec<String> {
    let mut set = Vec::new();
    if let Some(mode) = &item.sql_mode {
        set.push(format!("sql_mode = {}", quote_text(mode)));
    }
    if let Some(charset) = item.charset.as_deref().filter(|charset| is_sent_as(charset, &item.sql))
    {
        set.push(format!("character_set_client = {}", quote_text(charset)));
    }
    if let Some(zone) = &item.time_zone {
        set.push(format!("time_zone = {}", quote_text(zone)));
    }
    if let Some(collation) = &item.collation {
        set.push(format!("collation_connection = {}", quote_text(collation)));
    }
    if set.is_empty() { Vec::new() } else { vec![format!("SET {}", set.join(", "))] }
}

/// Whether a statement, which we have in UTF-8, is the same bytes in the character set it was
/// given in. Otherwise it is given in UTF-8, and means the same.
fn is_sent_as(charset: &str, sql: &str) -> bool {
    let wide = ["ucs2", "utf16", "utf16le", "utf32"].contains(&charset);
    let unicode = ["utf8", "utf8mb3", "utf8mb4"].contains(&charset);
    let plain = charset.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain && (unicode || (sql.is_ascii() && !wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_given_under_the_settings_they_were_made_with() {
        let mut item = Item::new(Kind::Event, "e", "CREATE EVENT é");
        item.sql_mode = Some("ANSI_QUOTES".into());
        item.time_zone = Some("SYSTEM".into());
        item.charset = Some("latin1".into());
        item.collation = Some("latin1_swedish_ci".into());
        assert_eq!(
            settings(&item),
            [
                "SET sql_mode = 'ANSI_QUOTES', time_zone = 'SYSTEM', collation_connection = 'latin1_swedish_ci'"
            ]
        );
        item.sql = "CREATE EVENT e".into();
        assert!(settings(&item)[0].contains("character_set_client = 'latin1'"));
    }

    #[test]
    fn defaults_take_from_the_restored_sequence() {
        let item = Item::new(
            Kind::Table,
            "t",
            "CREATE TABLE `t` (\n `a` int DEFAULT nextval(`shop`.`s`)\n)",
        );
        let how = How {
            from: "shop",
            to: None,
            no_owner: false,
            roles: &RoleMap::default(),
            quiet: false,
        };
        assert!(statement(&item, how).contains("nextval(`s`)"));
    }
}
