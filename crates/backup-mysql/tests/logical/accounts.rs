//! Accounts and grants of the server.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{NoObserver, PartSource, RestoreOptions};
use backup_core::{ErrorKind, Finding, Result};
use backup_mysql::ConnectOptions;
use backup_mysql::logical::{Examination, ExportOptions, LogicalSource, examine, export};
use backup_testkit::MemoryParts;
use backup_testkit::mariadb::MariaDb;

use crate::support::{Taken, connect, restore_options, restore_with, source_options, take};

/// Everything that accounts can be: passwords, plugins, limits, roles of roles, privileges of every
/// reach.
const ACCOUNTS: &str = "\
CREATE DATABASE shop; CREATE DATABASE crm;
CREATE TABLE shop.t (a int, b int); CREATE TABLE crm.t (a int);
CREATE USER app@localhost IDENTIFIED BY 'secret' WITH MAX_QUERIES_PER_HOUR 100;
CREATE USER 'o''dd`x'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('x') OR unix_socket ACCOUNT LOCK;
CREATE USER owner@'10.%'; CREATE USER stranger@localhost; CREATE USER dba@localhost IDENTIFIED BY 'dba';
CREATE ROLE reader; CREATE ROLE boss; GRANT reader TO boss WITH ADMIN OPTION;
GRANT SELECT ON shop.* TO reader;
GRANT boss TO app@localhost; SET DEFAULT ROLE boss FOR app@localhost;
GRANT SELECT, INSERT ON shop.* TO app@localhost WITH GRANT OPTION;
GRANT SELECT (a), UPDATE (b) ON shop.t TO 'o''dd`x'@'%';
GRANT SELECT ON crm.* TO app@localhost; GRANT SELECT ON crm.* TO stranger@localhost;
GRANT PROCESS, RELOAD ON *.* TO dba@localhost; GRANT PROXY ON app@localhost TO dba@localhost;
CREATE DEFINER=owner@'10.%' PROCEDURE shop.p() SELECT 1;
CREATE DEFINER=app@localhost VIEW shop.v AS SELECT a FROM shop.t;
GRANT EXECUTE ON PROCEDURE shop.p TO app@localhost;
INSERT INTO shop.t VALUES (1, 2);";

async fn back_up_with_accounts(server: &MariaDb) -> Result<Taken> {
    let source = LogicalSource::open(connect(server, "shop"), &source_options()).await?;
    take(source.with_accounts().await?, MemoryParts::default()).await
}

fn creating() -> RestoreOptions {
    RestoreOptions { create_roles: true, ..restore_options() }
}

/// What the server says of an account.
fn shown(server: &MariaDb, account: &str) -> String {
    let mut text = String::new();
    if account.contains('@') {
        text.push_str(&server.sql("", &format!("SHOW CREATE USER {account}")));
    }
    text.push_str(&server.sql("", &format!("SHOW GRANTS FOR {account}")));
    text
}

#[tokio::test]
async fn accounts_come_back_with_their_passwords_and_grants() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", ACCOUNTS);
    let taken = back_up_with_accounts(&server).await.unwrap();
    let hash = server.sql("", "SELECT PASSWORD('secret')").trim().to_owned();
    assert!(hash.starts_with('*') && !format!("{:?}", taken.snapshot).contains(&hash));
    assert_eq!(taken.snapshot.evidence.facts["accounts"], "11");

    let other = MariaDb::start(&[]).unwrap();
    other.sql("", "CREATE USER dba@localhost IDENTIFIED BY 'another'; CREATE DATABASE crm");
    let before = shown(&other, "dba@localhost");
    let report = restore_with(&taken, &connect(&other, "shop"), creating()).await.unwrap();
    for account in ["app@localhost", "`o'dd``x`@'%'", "owner@'10.%'", "reader", "boss"] {
        let mut was = shown(&server, account);
        // What holds elsewhere does not come along.
        was = was.lines().filter(|line| !line.contains("`crm`")).collect::<Vec<_>>().join("\n");
        assert_eq!(shown(&other, account).trim_end(), was.trim_end(), "{account}");
    }
    let said = |word: &str| report.findings.iter().any(|found| found.message.contains(word));
    assert!(said("in other databases is left out: app@localhost on crm"), "{report:?}");
    assert!(said("left as they are, with what they may do: dba@localhost, root@"), "{report:?}");
    assert!(!said("may do on the whole server"), "{report:?}");
    assert_eq!(shown(&other, "dba@localhost"), before);
    assert_eq!(other.sql("", "SELECT COUNT(*) FROM mysql.user WHERE User = 'stranger'"), "0\n");
    assert!(!format!("{report:?}").contains(&hash));
    // The password is what it was, and so is what it opens.
    let app = ConnectOptions::parse(&other.url_of("app:secret", "shop")).unwrap();
    let mut client = backup_mysql::Client::connect(&app).await.unwrap();
    assert_eq!(client.first("SELECT a FROM v").await.unwrap().unwrap().text(0), "1");

    // Nothing is created that was not asked for; a restore says what there is.
    let third = MariaDb::start(&[]).unwrap();
    let report = restore_with(&taken, &connect(&third, "full"), creating()).await.unwrap();
    let said = |word: &str| report.findings.iter().any(|found| found.message.contains(word));
    assert!(said("dba@localhost may do on the whole server what it may at the source: GRANT"));
    third.sql(
        "",
        "DROP DATABASE full; DROP USER app@localhost, `o'dd``x`@'%', owner@'10.%', dba@localhost;
         DROP ROLE boss, reader",
    );
    let report = restore_with(&taken, &connect(&third, "shop"), restore_options()).await.unwrap();
    assert!(report.findings.iter().any(|found| found.message.contains("11 accounts")));
    assert_eq!(third.sql("", "SELECT COUNT(*) FROM mysql.user WHERE User = 'app'"), "0\n");

    let folder = tempfile::tempdir().unwrap();
    let options = ExportOptions {
        file_per_table: false,
        tables: Vec::new(),
        schemas: Vec::new(),
        observer: Arc::new(NoObserver),
    };
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    export(&taken.snapshot, &parts, &folder.path().join("out"), &options).await.unwrap();
    let script = std::fs::read_to_string(folder.path().join("out/accounts.sql")).unwrap();
    assert!(script.contains(&hash));
    // All but what is there already; the scripts are the source's, for its own names.
    let mine: Vec<&str> = script.lines().filter(|line| !line.contains("`root`@")).collect();
    third.sql("", "CREATE DATABASE crm");
    third.sql("shop", &mine.join("\n"));
    assert_eq!(shown(&third, "app@localhost"), shown(&server, "app@localhost"));
}

#[tokio::test]
async fn definers_and_accounts_take_new_names() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", ACCOUNTS);
    let taken = back_up_with_accounts(&server).await.unwrap();
    let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
    let role_map = vec![pair("app", "web"), pair("reader", "looker"), pair("owner@10.%", "web")];
    let options = RestoreOptions { role_map: role_map.clone(), ..creating() };
    let to = connect(&server, "shop_eu");
    restore_with(&taken, &to, options).await.unwrap();
    let definer = |kind: &str, name: &str| {
        let shown = server.sql("shop_eu", &format!("SHOW CREATE {kind} {name}"));
        shown.split("DEFINER=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    assert_eq!(definer("VIEW", "v"), "`web`@`localhost`");
    assert_eq!(definer("PROCEDURE", "p"), "`web`@`10.%`");
    let grants = server.sql("", "SHOW GRANTS FOR web@localhost");
    for wanted in [
        "GRANT SELECT, INSERT ON `shop\\\\_eu`.* TO `web`@`localhost` WITH GRANT OPTION",
        "GRANT EXECUTE ON PROCEDURE `shop_eu`.`p` TO `web`@`localhost`",
    ] {
        assert!(grants.contains(wanted), "{wanted}: {grants}");
    }
    // A role that the server has, and that may do what it may there, is not given away.
    assert!(!grants.contains("boss"), "{grants}");
    assert!(server.sql("", "SHOW GRANTS FOR looker").contains("SELECT ON `shop\\\\_eu`.*"));
    // Asked with the same names, it is what the snapshot holds; with others it is not.
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    let mut how = Examination {
        jobs: NonZeroUsize::MIN,
        owners: true,
        role_map,
        observer: Arc::new(NoObserver),
    };
    let found = examine(&to, &taken.snapshot, &*parts, &how).await.unwrap();
    assert_eq!(found.schema_differences, Vec::<String>::new());
    how.role_map.clear();
    let found = examine(&to, &taken.snapshot, &*parts, &how).await.unwrap();
    assert_eq!(found.schema_differences.len(), 2, "{:?}", found.schema_differences);
}

#[tokio::test]
async fn what_cannot_be_is_told_before_and_a_failure_leaves_no_accounts() {
    let Some(server) = MariaDb::start(&["--plugin-load-add=auth_ed25519"]) else { return };
    server.sql("", ACCOUNTS);
    server.sql(
        "",
        "CREATE USER looks@localhost; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO looks@localhost;",
    );
    let looks = ConnectOptions::parse(&server.url_of("looks", "shop")).unwrap();
    let source = LogicalSource::open(looks, &source_options()).await.unwrap();
    let error = source.with_accounts().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error}");
    assert!(error.remedy().unwrap().contains("GRANT SELECT ON `mysql`.*"), "{error:?}");

    // One that another server cannot check: nothing of the others stays, in a new database and in
    // one that was there.
    server.sql(
        "",
        "CREATE USER zoe@localhost IDENTIFIED VIA ed25519 USING PASSWORD('secret');
         GRANT SELECT ON shop.* TO zoe@localhost",
    );
    let taken = back_up_with_accounts(&server).await.unwrap();
    let other = MariaDb::start(&[]).unwrap();
    other.sql("", "CREATE DATABASE empty_one");
    for database in ["shop", "empty_one"] {
        let to = connect(&other, database);
        let error = restore_with(&taken, &to, creating()).await.err().unwrap();
        assert!(error.to_string().contains("zoe@localhost"), "{error}");
        let hash =
            server.sql("", "SELECT authentication_string FROM mysql.user WHERE User = 'zoe'");
        assert!(!format!("{error:?}").contains(hash.trim()), "{error:?}");
        let left = "SELECT COUNT(*) FROM mysql.user WHERE User IN ('app', 'reader', 'owner')";
        assert_eq!(other.sql("", left), "0\n");
    }
    assert!(!other.sql("", "SHOW DATABASES").contains("shop"));
    assert_eq!(other.sql("empty_one", "SHOW TABLES"), "");

    // A user that may not create accounts is told before anything is written.
    other.sql("", "CREATE USER poor@localhost; GRANT ALL ON poor.* TO poor@localhost");
    let poor = ConnectOptions::parse(&other.url_of("poor", "poor")).unwrap();
    let error = restore_with(&taken, &poor, creating()).await.err().unwrap();
    assert!(error.remedy().unwrap().contains("GRANT CREATE USER ON *.*"), "{error:?}");
}

#[tokio::test]
async fn an_account_that_a_killed_restore_only_meant_to_make_is_not_dropped() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", ACCOUNTS);
    let taken = back_up_with_accounts(&server).await.unwrap();
    let other = MariaDb::start(&[]).unwrap();
    let id = taken.snapshot.id.to_string();
    // Killed before it made `app`, which an administrator did afterwards, and after it made `zoe`.
    other.sql(
        "",
        &format!(
            "CREATE DATABASE shop; CREATE DATABASE crm;
             CREATE TABLE shop.backup_unfinished_restore (snapshot varchar(64) PRIMARY KEY);
             INSERT INTO shop.backup_unfinished_restore VALUES ('{id}');
             CREATE TABLE shop.backup_unfinished_accounts (n int AUTO_INCREMENT PRIMARY KEY,
               account text NOT NULL, made tinyint NOT NULL DEFAULT 0);
             INSERT INTO shop.backup_unfinished_accounts (account, made)
               VALUES ('`zoe`@`localhost`', 1), ('`app`@`localhost`', 0), ('`reader`', 0);
             CREATE USER zoe@localhost; CREATE USER app@localhost IDENTIFIED BY 'mine';"
        ),
    );
    let before = shown(&other, "app@localhost");
    let report = restore_with(&taken, &connect(&other, "shop"), creating()).await.unwrap();
    assert_eq!(shown(&other, "app@localhost"), before);
    assert_eq!(other.sql("", "SELECT COUNT(*) FROM mysql.user WHERE User = 'zoe'"), "0\n");
    let said = |found: &Finding| found.message.ends_with("they stay as they are: app@localhost");
    assert!(report.findings.iter().any(said), "{report:?}");
    assert!(!other.sql("shop", "SHOW TABLES").contains("backup_unfinished"));
}
