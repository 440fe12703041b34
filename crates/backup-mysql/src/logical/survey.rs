//! A look at a database and its server, to tell whether something can move from or to it.

use std::collections::BTreeMap;

use backup_core::Result;
use backup_core::port::{DatabaseContent, Survey};

use crate::catalog::database::Database;
use crate::catalog::grants::Grants;
use crate::catalog::server::Server;
use crate::catalog::tables;
use crate::logical::discover::Look;
use crate::{Client, ConnectOptions};

/// Looks; changes nothing. A database that is not there has no content; fails as connecting does
/// where the server cannot be reached.
pub async fn survey(connect: &ConnectOptions) -> Result<Survey> {
    let mut client = Client::connect_to_server(connect).await?;
    let server = Server::read(&mut client, connect).await?;
    let grants = Grants::read(&mut client, connect.database()).await?;
    let mut survey = Survey {
        location: connect.location(),
        database: connect.database().to_owned(),
        server_version: server.version.clone(),
        major: u32::from(server.number.0),
        may_create_databases: grants.may("CREATE"),
        may_create_roles: grants.may_everywhere("CREATE USER"),
        ..Survey::default()
    };
    if let Some(database) = Database::read(&mut client, connect.database()).await? {
        let found = tables::read(&mut client, connect.database()).await?;
        let mut locale = BTreeMap::new();
        database.to_facts(&mut locale);
        let bytes = database.bytes;
        let look = Look { server, database, grants };
        survey.content = Some(DatabaseContent {
            identity: Some(look.facts(connect).identity),
            objects: found.into_iter().take(5).map(|table| table.name).collect(),
            bytes,
            locale,
            ..DatabaseContent::default()
        });
    }
    client.close().await;
    Ok(survey)
}
