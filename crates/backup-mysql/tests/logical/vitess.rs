//! Databases behind Vitess's rules.

use std::num::NonZeroUsize;
use std::time::Duration;

use backup_core::port::SourceOptions;
use backup_core::{ErrorKind, FindingKind};
use backup_mysql::logical::{LogicalSource, discover};
use backup_mysql::{ConnectOptions, VitessReading};
use backup_testkit::MemoryParts;
use backup_testkit::mariadb::MariaDb;
use backup_testkit::vitess::{Keyspace, Limits, Mishap, Vitess};

use crate::support::{
    Hooked, Taken, connect, restore, same_dump, source_options, take, take_hooked,
};

const SCHEMA: &str = "\
CREATE TABLE big (id bigint unsigned PRIMARY KEY AUTO_INCREMENT, note varchar(400), f float, b bit(5),
  g int GENERATED ALWAYS AS (id + 1) VIRTUAL, KEY note (note)) DEFAULT CHARSET=utf8mb4;
CREATE TABLE words (word varchar(40) CHARACTER SET latin1, n int, kind enum('ä','b') CHARACTER SET latin1,
  raw varbinary(9), PRIMARY KEY (word, n)) DEFAULT CHARSET=utf8mb4;
CREATE TABLE loose (a int, j json);
CREATE TABLE empty (id int PRIMARY KEY);
CREATE TABLE _vt_hld_6ace8bcef73211ea87e9f875a4d24e90_20200915120410_ (id int PRIMARY KEY);
CREATE VIEW few AS SELECT id FROM big WHERE id < 10;";

fn fill(server: &MariaDb, database: &str, from: u32, to: u32) {
    server.sql(
        database,
        &format!(
            "INSERT INTO big (id, note, f, b) SELECT seq, CONCAT('ü🦀', REPEAT('x', seq MOD 300)), seq / 7, seq MOD 32
               FROM seq_{from}_to_{to};
             INSERT INTO words SELECT CONCAT('wörd', seq MOD 50), seq, 'ä', x'00ff0a' FROM seq_{from}_to_{to} WHERE seq < {from} + 900;
             INSERT INTO loose SELECT seq, '{{\"a\": [1, null]}}' FROM seq_1_to_300;
             ANALYZE TABLE big, words;"
        ),
    );
}

struct World {
    server: MariaDb,
    vitess: Vitess,
}

impl World {
    fn start(settings: &[&str]) -> Option<Self> {
        let server = MariaDb::start(settings)?;
        server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4");
        server.sql("shop", SCHEMA);
        fill(&server, "shop", 1, 40_000);
        let vitess = Vitess::before(server.port(), vec![Keyspace::new("shop", &["-"])]);
        // What is read must be streamed, and no transaction may be needed.
        let transaction = Duration::ZERO;
        vitess.limit(Limits { rows: 100, transaction, ..Limits::default() });
        Some(Self { server, vitess })
    }

    fn connect(&self) -> ConnectOptions {
        let url = self.vitess.url("root", "shop");
        ConnectOptions::parse(&url).unwrap().with_vitess(VitessReading::Frozen)
    }

    async fn open(&self, jobs: usize) -> LogicalSource {
        let jobs = NonZeroUsize::new(jobs).unwrap();
        let options = SourceOptions { jobs, ..source_options() };
        LogicalSource::open(self.connect(), &options).await.unwrap()
    }

    async fn taken(&self) -> backup_core::Result<Taken> {
        take(self.open(3).await, MemoryParts::default()).await
    }

    /// The copy is the source, but for what Vitess keeps for itself.
    async fn comes_back(&self, taken: &Taken) {
        self.server.sql("", "DROP DATABASE IF EXISTS copy");
        restore(taken, &connect(&self.server, "copy")).await.unwrap();
        self.server.sql(
            "copy",
            "CREATE TABLE _vt_hld_6ace8bcef73211ea87e9f875a4d24e90_20200915120410_ (id int PRIMARY KEY)",
        );
        same_dump(&self.server, "shop", "copy");
    }
}

#[tokio::test]
async fn a_branch_that_stands_still_is_read_in_pieces_and_comes_back() {
    let Some(world) = World::start(&["--log-bin", "--server-id=1"]) else { return };
    let taken = world.taken().await.unwrap();
    let facts = &taken.snapshot.evidence.facts;
    assert_eq!((facts["consistency"].as_str(), facts["frozen_by"].as_str()), ("frozen", "gtid"));
    assert_eq!(facts["vitess"], "8.0.40-Vitess");
    assert!(!taken.snapshot.is_suspect());
    let part = taken.snapshot.part("table/big").unwrap();
    assert!(part.segments > 1, "read by ranges of its key");
    assert!(
        taken
            .snapshot
            .part("table/_vt_hld_6ace8bcef73211ea87e9f875a4d24e90_20200915120410_")
            .is_none()
    );
    assert!(taken.snapshot.evidence.findings.iter().any(|one| one.message.contains("_vt_hld_")));
    world.comes_back(&taken).await;

    // What breaks off in the middle goes on behind its last row, here and there.
    world.vitess.trap("FROM `big`", 7_000, Mishap::Cut, 2);
    world.vitess.trap("FROM `big`", 0, Mishap::Fail, 1);
    world.vitess.trap("FROM `words`", 333, Mishap::Fail, 3);
    world.vitess.trap("COUNT(*) FROM `words`", 0, Mishap::Cut, 1);
    // Rows without a key begin again, with everything else.
    world.vitess.trap("FROM `loose`", 100, Mishap::Cut, 1);
    let again = world.taken().await.unwrap();
    assert_eq!(again.snapshot.evidence.tables, taken.snapshot.evidence.tables);
    world.comes_back(&again).await;
}

#[tokio::test]
async fn a_table_that_cannot_be_read_fails_the_backup_by_its_name() {
    let Some(world) = World::start(&[]) else { return };
    // As other tools were seen to take it for the whole table.
    world.vitess.trap("AS BINARY), `raw` FROM `words`", 0, Mishap::EndEarly, 1);
    let error = failure(world.taken().await);
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.to_string().contains("words"), "{error}");

    world.vitess.trap("AS BINARY), `raw` FROM `words`", 0, Mishap::Fail, usize::MAX);
    let error = failure(world.taken().await);
    assert!(error.to_string().contains("shop.words"), "{error}");

    // What a killed restore into the keyspace left is no database yet.
    world
        .server
        .sql("shop", "CREATE TABLE backup_unfinished_restore (snapshot varchar(64) PRIMARY KEY)");
    let error = failure(world.taken().await);
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error}");
    assert!(error.to_string().contains("a restore into it is under way"), "{error}");

    // A row that no message holds.
    let Some(world) = World::start(&[]) else { return };
    world.vitess.limit(Limits { bytes: 60_000, ..Limits::default() });
    world.server.sql("shop", "INSERT INTO loose VALUES (1, JSON_QUOTE(REPEAT('y', 100000)))");
    let error = failure(world.taken().await);
    assert!(error.to_string().contains("shop.loose"), "{error}");
}

fn failure(taken: backup_core::Result<Taken>) -> backup_core::Error {
    match taken {
        Ok(_) => panic!("it cannot be read"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn every_shard_is_read_and_the_other_keyspaces_are_told() {
    let Some(server) = MariaDb::start(&[]) else { return };
    let keyspace = Keyspace::new("shop", &["-80", "80-"]);
    server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4");
    for (at, database) in keyspace.databases().iter().enumerate() {
        server.sql("", &format!("CREATE DATABASE `{database}` CHARACTER SET utf8mb4"));
        server.sql(database, SCHEMA);
        let from = 1 + 20_000 * u32::try_from(at).unwrap();
        fill(&server, database, from, from + 19_999);
        server.sql(
            database,
            "CREATE TABLE regions (id int PRIMARY KEY, name varchar(9)); INSERT INTO regions
               SELECT seq, CONCAT('r', seq) FROM seq_1_to_7;
             CREATE TABLE own (id int PRIMARY KEY AUTO_INCREMENT, of int)",
        );
        let rows = if at == 0 { "(1)" } else { "(2), (3)" };
        server.sql(database, &format!("INSERT INTO own (of) VALUES {rows}"));
    }
    let all = vec![keyspace, Keyspace::new("lookup", &["-"])];
    let world = World { vitess: Vitess::before(server.port(), all), server };
    let taken = world.taken().await.unwrap();
    let rows = |name: &str| {
        let tables = &taken.snapshot.evidence.tables;
        tables.iter().find(|table| table.name == name).unwrap().rows
    };
    // Every shard has the same 300 rows of `loose`, and the same of `regions`: reference tables.
    let all = [rows("big"), rows("words"), rows("loose"), rows("regions"), rows("own")];
    assert_eq!(all, [40_000, 1_800, 300, 7, 3]);
    let facts = &taken.snapshot.evidence.facts;
    assert_eq!((facts["shards"].as_str(), facts["frozen_by"].as_str()), ("-80, 80-", "read twice"));
    let findings = &taken.snapshot.evidence.findings;
    // Keys that each shard counts for itself come twice: no table takes both.
    assert!(taken.snapshot.is_suspect());
    for part in [
        "2 shards",
        "not covered, each needs a source of its own: lookup",
        "they are stored once: loose, regions",
        "a restore fails for: own (",
    ] {
        assert!(findings.iter().any(|one| one.message.contains(part)), "{part}: {findings:#?}");
    }
    let error = restore(&taken, &connect(&world.server, "copy")).await.err().unwrap();
    assert!(error.to_string().contains("own"), "{error}");
    world.server.sql("", "DROP TABLE `shop/-80`.own, `shop/80-`.own");
    let taken = world.taken().await.unwrap();
    assert!(!taken.snapshot.is_suspect(), "{:?}", taken.snapshot.evidence.findings);
    restore(&taken, &connect(&world.server, "copy")).await.unwrap();
    assert_eq!(world.server.sql("copy", "SELECT COUNT(*), SUM(id) FROM regions"), "7\t28\n");
    let sum = "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('|', id, note, f, b + 0))) FROM ";
    let parts = "(SELECT * FROM `shop/-80`.big UNION ALL SELECT * FROM `shop/80-`.big) t";
    assert_eq!(
        world.server.sql("copy", &format!("{sum} big")),
        world.server.sql("copy", &format!("{sum} {parts}"))
    );

    // The first shard alone tells which tables there are: what others have besides is not missed.
    world.server.sql("", "CREATE TABLE `shop/80-`.late (id int PRIMARY KEY)");
    world.server.sql("", "ALTER TABLE `shop/80-`.regions ADD COLUMN x int");
    let error = failure(world.taken().await);
    assert!(error.to_string().contains("late, regions"), "{error}");
}

#[tokio::test]
async fn whoever_writes_to_what_should_stand_still_is_found_out() {
    let Some(world) = World::start(&[]) else { return };
    let url = world.server.url("shop");
    // One reader has read `big` when it comes to `words`.
    let hook = move || {
        let port = ConnectOptions::parse(&url).unwrap();
        let write = async move {
            let mut client = backup_mysql::Client::connect(&port).await.unwrap();
            client.execute("UPDATE big SET note = 'late' WHERE id = 1").await.unwrap();
        };
        std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(write))
            .join()
            .unwrap();
    };
    let sink = Hooked::new(MemoryParts::default(), "table/words", hook);
    let taken = take_hooked(world.open(1).await, sink).await.unwrap();
    let asked = world.vitess.log();
    let reads = asked.iter().filter(|sql| sql.contains("AS BINARY), `raw` FROM `words`")).count();
    assert_eq!(reads, 4, "everything was copied again, and proved again");
    world.comes_back(&taken).await;
}

#[tokio::test]
async fn a_live_database_is_read_only_if_it_is_said_and_is_never_a_protection() {
    let Some(world) = World::start(&[]) else { return };
    for (reading, hint) in
        [(VitessReading::Refused, "no backup is possible"), (VitessReading::ByCopy, "a branch")]
    {
        let connect = world.connect().with_vitess(reading);
        let error = LogicalSource::open(connect.clone(), &source_options()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.remedy().unwrap().contains("fuzzy=true"), "{error:?}");
        let found = discover(&connect).await.unwrap();
        assert!(found.findings.iter().any(|one| one.message.contains(hint)), "{found:#?}");
    }
    // One that does not say what it is, as some are set up.
    world.vitess.call_itself("8.0.40");
    let connect = world.connect().with_vitess(VitessReading::Refused);
    let error = LogicalSource::open(connect, &source_options()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let url = format!("{}?fuzzy=true", world.vitess.url("root", "shop"));
    let connect = ConnectOptions::parse(&url).unwrap();
    let source = LogicalSource::open(connect, &source_options()).await.unwrap();
    let taken = take(source, MemoryParts::default()).await.unwrap();
    assert!(taken.snapshot.is_suspect());
    assert_eq!(taken.snapshot.evidence.facts["consistency"], "fuzzy");
    let doubt =
        taken.snapshot.evidence.findings.iter().find(|one| one.kind == FindingKind::Suspect);
    assert!(doubt.unwrap().message.starts_with("fuzzy: "));
}
