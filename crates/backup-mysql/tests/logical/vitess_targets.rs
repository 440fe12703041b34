//! Restoring behind Vitess's rules.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use backup_core::ErrorKind;
use backup_core::port::{NoObserver, RestoreOptions};
use backup_mysql::ConnectOptions;
use backup_mysql::logical::{Examination, examine};
use backup_testkit::mariadb::MariaDb;
use backup_testkit::vitess::{Keyspace, Limits, Vitess};

use crate::support::{Taken, back_up, connect, restore_options, restore_with};

const SHOP: &str = "\
CREATE TABLE ids (id int PRIMARY KEY, half int GENERATED ALWAYS AS (id DIV 2) STORED, KEY h (half));
CREATE TABLE words (word varchar(40) CHARACTER SET latin1, n int, kind enum('ä','b') CHARACTER SET latin1,
  raw varbinary(9), j json, t timestamp(3) NULL, PRIMARY KEY (word, n)) DEFAULT CHARSET=utf8mb4;
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, parent int, CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parents (id));
INSERT INTO ids (id) SELECT seq FROM seq_1_to_25000;
INSERT INTO words SELECT CONCAT('wörd\\'', seq MOD 50), seq, 'ä', x'00ff0a', '[1]', '2026-01-01 00:00:00.123'
  FROM seq_1_to_500;
INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1, 1), (2, NULL);
CREATE VIEW few AS SELECT id FROM ids WHERE id < 10;";

struct World {
    server: MariaDb,
    vitess: Vitess,
    taken: Taken,
}

impl World {
    async fn start() -> Option<Self> {
        let server = MariaDb::start(&[])?;
        server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4; CREATE DATABASE copy CHARACTER SET utf8mb4");
        server.sql("shop", SHOP);
        let vitess = Vitess::before(server.port(), vec![Keyspace::new("copy", &["-"])]);
        vitess.limit(Limits { transaction: Duration::ZERO, ..Limits::default() });
        let taken = back_up(&connect(&server, "shop")).await.unwrap();
        Some(Self { server, vitess, taken })
    }

    fn to(&self, keyspace: &str) -> ConnectOptions {
        ConnectOptions::parse(&self.vitess.url("root", keyspace)).unwrap()
    }

    /// Restores, and returns the error in words with its hint; nothing of it is left then.
    async fn refused(&self, keyspace: &str, options: RestoreOptions) -> (ErrorKind, String) {
        let error = restore_with(&self.taken, &self.to(keyspace), options).await.err().unwrap();
        assert_eq!(self.server.sql("copy", "SHOW TABLES"), "", "{error}");
        (error.kind(), format!("{error} {}", error.remedy().unwrap()))
    }
}

fn no_owner() -> RestoreOptions {
    RestoreOptions { no_owner: true, ..restore_options() }
}

#[tokio::test]
async fn an_empty_keyspace_is_filled_by_statements_within_the_limits() {
    let Some(world) = World::start().await else { return };
    let report = restore_with(&world.taken, &world.to("copy"), no_owner()).await.unwrap();
    assert_eq!((report.tables, report.rows), (4, 25_503));
    let inserts: Vec<usize> = world
        .vitess
        .log()
        .iter()
        .filter(|sql| sql.starts_with("INSERT INTO `ids`"))
        .map(|sql| sql.matches("),(").count() + 1)
        .collect();
    assert_eq!(inserts.iter().sum::<usize>(), 25_000);
    assert!(inserts.iter().all(|rows| *rows <= 10_000), "{inserts:?}");
    let how = Examination {
        jobs: NonZeroUsize::MIN,
        owners: false,
        role_map: Vec::new(),
        observer: Arc::new(NoObserver),
    };
    let found = examine(&world.to("copy"), &world.taken.snapshot, &*world.taken.parts, &how).await;
    let found = found.unwrap();
    assert_eq!(found.schema_differences, Vec::<String>::new());
    assert_eq!(found.evidence.tables, world.taken.snapshot.evidence.tables);
    // Nothing is overwritten, and what Vitess keeps for itself does not count.
    let error = restore_with(&world.taken, &world.to("copy"), no_owner()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let internal = "_vt_hld_6ace8bcef73211ea87e9f875a4d24e90_20200915120410_";
    world.server.sql("", "DROP DATABASE copy; CREATE DATABASE copy CHARACTER SET utf8mb4");
    world.server.sql("copy", &format!("CREATE TABLE {internal} (id int)"));
    restore_with(&world.taken, &world.to("copy"), no_owner()).await.unwrap();
}

#[tokio::test]
async fn what_vitess_does_not_take_is_named_and_nothing_is_written() {
    let Some(world) = World::start().await else { return };
    let (kind, said) = world.refused("copy", restore_options()).await;
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(said.contains("the definer of view few") && said.contains("--no-owner"), "{said}");
    assert_eq!(world.refused("elsewhere", no_owner()).await.0, ErrorKind::NotFound);

    world.vitess.keyspaces(|all| all.push(Keyspace::new("wide", &["-80", "80-"])));
    let (kind, said) = world.refused("wide", no_owner()).await;
    assert!(kind == ErrorKind::Unsupported && said.contains("sharded"), "{said}");

    world.vitess.keyspaces(|all| all[0].safe_migrations = true);
    let (kind, said) = world.refused("copy", no_owner()).await;
    assert!(kind == ErrorKind::Unsupported && said.contains("safe migrations on"), "{said}");
    world.vitess.keyspaces(|all| {
        all[0].safe_migrations = false;
        all[0].no_foreign_keys = true;
    });
    let (kind, said) = world.refused("copy", no_owner()).await;
    assert!(
        kind == ErrorKind::Unsupported && said.contains("foreign keys of table: children"),
        "{said}"
    );
    assert!(
        !world.vitess.log().iter().any(|sql| sql.starts_with("INSERT INTO `ids`")),
        "before any row"
    );

    let trigger = "CREATE TRIGGER tr BEFORE INSERT ON ids FOR EACH ROW SET NEW.id = NEW.id";
    world.server.sql("shop", trigger);
    let taken = back_up(&connect(&world.server, "shop")).await.unwrap();
    let error = restore_with(&taken, &world.to("copy"), no_owner()).await.err().unwrap();
    assert!(error.to_string().contains("trigger tr"), "{error}");
    let tables = vec!["words".to_owned(), "parents".to_owned()];
    let options = RestoreOptions { tables, ..no_owner() };
    assert_eq!(restore_with(&taken, &world.to("copy"), options).await.unwrap().rows, 501);
}
