//! A look at a database and its server, to tell whether something can move from or to it.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::Result;
use backup_core::port::{DatabaseContent, Survey};

use super::restore::objects;
use crate::catalog::database::Database;
use crate::catalog::grants::Grants;
use crate::catalog::server::Server;
use crate::catalog::tables::{self, Kind, Table};
use crate::logical::discover::Look;
use crate::wire::code;
use crate::{Client, ConnectOptions, accounts, error_code, quote_text};

/// How many of a thing are named.
const NAMED: usize = 5;
/// Settings that change what a database means, or whether it can be loaded.
const SETTINGS: [&str; 2] = ["lower_case_table_names", "max_allowed_packet"];

/// Looks; changes nothing. A database that is not there has no content; fails as connecting does
/// where the server cannot be reached.
pub async fn survey(connect: &ConnectOptions) -> Result<Survey> {
    let mut client = Client::connect_to_server(connect).await?;
    let server = Server::read(&mut client, connect).await?;
    let grants = Grants::read(&mut client, connect.database()).await?;
    let seen = accounts::of_server(&mut client, server.flavor).await;
    let (roles, roles_hidden) = match seen {
        Ok(accounts) => (accounts.iter().map(ToString::to_string).collect(), false),
        Err(error) if error_code(&error).is_some() => (BTreeSet::new(), true),
        Err(error) => return Err(error),
    };
    let setting = |name: &&str| ((*name).to_owned(), server.variable(name).to_owned());
    let mut survey = Survey {
        location: connect.location(),
        database: connect.database().to_owned(),
        engine: crate::ENGINE.to_owned(),
        product: server.flavor.as_str().to_owned(),
        server_version: server.version.clone(),
        major: u32::from(server.number.0),
        minor: u32::from(server.number.1),
        client: connect.client_words(),
        may_create_databases: grants.may("CREATE"),
        may_create_roles: grants.may_everywhere("CREATE USER"),
        roles,
        roles_hidden,
        features: features(&mut client).await?,
        settings: SETTINGS.iter().map(setting).collect(),
        ..Survey::default()
    };
    if let Some(database) = Database::read(&mut client, connect.database()).await? {
        let found = tables::read(&mut client, connect.database()).await?;
        let look = Look { server, database, grants };
        survey.content = Some(content(&mut client, connect, &look, &found).await?);
    }
    client.close().await;
    Ok(survey)
}

async fn content(
    client: &mut Client,
    connect: &ConnectOptions,
    look: &Look,
    tables: &[Table],
) -> Result<DatabaseContent> {
    let mut locale = BTreeMap::new();
    look.database.to_facts(&mut locale);
    let name = connect.database();
    let named = |wanted: &dyn Fn(&Table) -> bool| -> Vec<String> {
        tables.iter().filter(|table| wanted(table)).map(|table| table.name.clone()).collect()
    };
    let text = quote_text(name);
    let events = format!(
        "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {text} \
         AND STATUS = 'ENABLED' ORDER BY 1"
    );
    let events = client.query(&events).await?.iter().map(|row| row.text(0)).collect();
    let mut objects = objects(client, name).await?;
    objects.truncate(NAMED);
    Ok(DatabaseContent {
        identity: Some(look.facts(connect).identity),
        objects,
        bytes: look.database.bytes,
        locale,
        owners: definers(client, &text).await?,
        needs: needs(tables),
        events,
        versioned: named(&|table| table.versioned),
        elsewhere: named(&|table| table.kind == Kind::Plain && !table.holds_rows()),
        ..DatabaseContent::default()
    })
}

/// Returns the accounts that objects act as.
async fn definers(client: &mut Client, database: &str) -> Result<BTreeSet<String>> {
    let of = |table: &str, schema: &str| {
        format!("SELECT DEFINER FROM information_schema.{table} WHERE {schema} = {database}")
    };
    let sql = [
        of("VIEWS", "TABLE_SCHEMA"),
        of("ROUTINES", "ROUTINE_SCHEMA"),
        of("TRIGGERS", "TRIGGER_SCHEMA"),
        of("EVENTS", "EVENT_SCHEMA"),
    ]
    .join(" UNION ");
    // MariaDB writes a role's missing host as nothing.
    let name = |text: String| text.strip_suffix('@').map(str::to_owned).unwrap_or(text);
    Ok(client.query(&sql).await?.iter().map(|row| name(row.text(0))).collect())
}

fn needs(tables: &[Table]) -> BTreeSet<String> {
    let plain = || tables.iter().filter(|table| table.kind == Kind::Plain);
    let engines = plain().map(|table| format!("engine {}", table.engine));
    let collations = plain()
        .flat_map(|table| &table.columns)
        .filter_map(|column| column.collation.as_ref())
        .map(|collation| format!("collation {collation}"));
    engines.chain(collations).collect()
}

/// Returns the engines and collations that the server has.
async fn features(client: &mut Client) -> Result<BTreeSet<String>> {
    let engines = "SELECT CONCAT('engine ', ENGINE) FROM information_schema.ENGINES \
                   WHERE SUPPORT IN ('YES', 'DEFAULT')";
    let mut rows = client.query(engines).await?;
    // MariaDB names some collations without their character set, and in full beside it.
    for column in ["FULL_COLLATION_NAME", "COLLATION_NAME"] {
        let sql = format!(
            "SELECT CONCAT('collation ', {column}) \
             FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
        );
        match client.query(&sql).await {
            Ok(found) => {
                rows.extend(found);
                break;
            }
            Err(error) if error_code(&error) == Some(code::UNKNOWN_COLUMN) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rows.iter().map(|row| row.text(0)).collect())
}
