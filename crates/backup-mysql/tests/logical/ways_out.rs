//! Drills and exports: other ways in which a snapshot comes back.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use backup_core::ErrorKind;
use backup_core::port::{DrillOptions, DrillTarget, NoObserver, PartSource};
use backup_mysql::logical::{ExportOptions, export};
use backup_mysql::scratch::{GivenServer, LocalServer};
use backup_testkit::mariadb::MariaDb;

use crate::support::{back_up, connect, same_dump, shop};

fn options() -> DrillOptions {
    DrillOptions { jobs: NonZeroUsize::new(2).unwrap(), observer: Arc::new(NoObserver) }
}

#[tokio::test]
async fn a_drill_starts_a_server_asks_it_and_leaves_nothing() {
    let Some(server) = MariaDb::start(&[]) else { return };
    shop(&server);
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    let folder = tempfile::Builder::new().prefix("bmd").tempdir().unwrap();
    open_to_all(folder.path());
    let given = GivenServer::new(backup_core::Secret::new(server.url("x")), connect(&server, "x"));
    let targets: [Box<dyn DrillTarget>; 2] =
        [Box::new(LocalServer::in_folder(folder.path())), Box::new(given)];
    for target in targets {
        let mut place = target.open(&taken.snapshot, &options()).await.unwrap();
        place.restore(&taken.snapshot, Arc::clone(&parts)).await.unwrap();
        let found = place.examine(&taken.snapshot, &parts).await.unwrap();
        assert_eq!(found.schema_differences, Vec::<String>::new());
        assert_eq!(found.evidence.row_sets(), taken.snapshot.evidence.row_sets());
        let check = place.check_indexes().await.unwrap();
        assert!(check.checked > 15 && check.problems.is_empty(), "{check:?}");
        let limit = Duration::from_secs(60);
        let answer = place.ask("SELECT COUNT(*) FROM parts", limit).await.unwrap();
        assert_eq!(answer.as_deref(), Some("2000"));
        // A question cannot change what it asks.
        assert!(place.ask("DELETE FROM parts", limit).await.is_err());
        place.remove().await.unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(!server.sql("", "SHOW DATABASES").contains("backup_drill"));
}

#[tokio::test]
async fn an_export_is_loaded_by_the_servers_own_program() {
    let Some(server) = MariaDb::start(&[]) else { return };
    shop(&server);
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    let folder = tempfile::tempdir().unwrap();
    let options = |file_per_table, tables: &[&str]| ExportOptions {
        file_per_table,
        tables: tables.iter().map(|name| (*name).to_owned()).collect(),
        schemas: Vec::new(),
        observer: Arc::new(NoObserver),
    };
    for (name, file_per_table) in [("one", false), ("many", true)] {
        let into = folder.path().join(name);
        let how = options(file_per_table, &[]);
        let report = export(&taken.snapshot, &parts, &into, &how).await.unwrap();
        assert_eq!(report.files.len(), if file_per_table { 1 + report.tables as usize } else { 1 });
        let script = std::fs::read(into.join("database.sql")).unwrap();
        assert!(String::from_utf8(script).is_ok());
        server.sql(
            "",
            &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"),
        );
        let mut load = server.command("mariadb");
        load.arg(name).current_dir(&into);
        let file = std::fs::File::open(into.join("database.sql")).unwrap();
        let output = load.stdin(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        same_dump(&server, "shop", name);
    }
    let (how, full) = (options(false, &[]), folder.path().join("one"));
    let again = export(&taken.snapshot, &parts, &full, &how).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    let some = folder.path().join("some");
    let report = export(&taken.snapshot, &parts, &some, &options(false, &["parts"])).await.unwrap();
    assert_eq!(report.tables, 1);
}

fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}
