//! A server, a repository in memory, and a database that changes from day to day.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use backup::ops::drill::{DrillReceipt, DrillRequest, rehearse};
use backup::ops::verify::Depth;
use backup::ops::{BackupRequest, Interrupt, Plausibility};
use backup::postgres::ConnectOptions;
use backup::postgres::scratch::GivenServer;
use backup::postgres::tools::ToolPaths;
use backup::repository::{NewKey, Repository, Settings};
use backup::{KeySecret, Secret};
use backup_core::port::{Clock, NoObserver, Observer, PartSource};
use backup_core::{Snapshot, SnapshotKind};
use backup_testkit::MemoryStore;
use backup_testkit::parts::{Wrong, WrongParts};
use backup_testkit::postgres::Cluster;

pub(crate) struct World<'a> {
    cluster: &'a Cluster,
    repository: Repository,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    tools: ToolPaths,
}

const SCHEMA: &str = "\
    create table people (id int primary key, name text not null unique, born date); \
    create table orders (id bigserial primary key, person int references people, \
      total numeric(10,2) check (total >= 0), note text, placed timestamptz); \
    create index on orders (placed); \
    create table tags (tag text); \
    create table left_twin (n int, t text); create table right_twin (n int, t text); \
    insert into left_twin select n, 'left ' || n from generate_series(1, 50) n; \
    insert into right_twin select n, 'right ' || n from generate_series(1, 50) n; \
    create sequence ticket; \
    create view rich as select person, sum(total) from orders group by person; \
    create function twice(n int) returns int language sql as 'select n * 2'; \
    insert into people select n, 'person ' || n, date '1970-01-01' + n from generate_series(1, 300) n;";

impl<'a> World<'a> {
    pub(crate) async fn new(cluster: &'a Cluster) -> Self {
        cluster.sql("postgres", "create database shop");
        cluster.sql("shop", SCHEMA);
        let clock = backup::system_clock();
        let secret = KeySecret::KeyFile(backup::generate_key_file().unwrap());
        let key = NewKey { secret, label: "test".into() };
        let store = Arc::new(MemoryStore::new().near());
        let repository =
            Repository::init(store, Arc::clone(&clock), vec![key], Settings::default())
                .await
                .unwrap();
        let tools = ToolPaths::only(vec![cluster.bin("pg_dump").parent().unwrap().to_owned()]);
        Self { cluster, repository, clock, observer: Arc::new(NoObserver), tools }
    }

    /// A day passes: rows come, change and go.
    pub(crate) fn change(&self, day: usize) {
        self.cluster.sql(
            "shop",
            &format!(
                "insert into orders (person, total, note, placed) select 1 + (n * {seed}) % 300, \
                   (n * {seed}) % 9999 / 7.0, case when n % 5 = 0 then null else md5((n + {day})::text) end, \
                   timestamptz '2026-01-01 00:00:00.123456+00' + n * interval '61 minutes' \
                 from generate_series(1, {many}) n; \
                 update people set name = name || '.' where id % 17 = {day} % 17; \
                 delete from orders where id % 23 = {day} % 23; \
                 insert into tags values ('day {day}'), ('same'); \
                 select setval('ticket', {day} + 100)",
                seed = 13 + day * 7,
                many = 150 + day % 11 * 20,
            ),
        );
    }

    pub(crate) async fn back_up(&self) -> Snapshot {
        let provider = backup::provider(&self.cluster.url("shop"), &self.tools).unwrap();
        let request = BackupRequest {
            source: "shop".parse().unwrap(),
            kind: SnapshotKind::Logical,
            jobs: two(),
            max_rate: None,
            physical: <_>::default(),
            accept_new_identity: false,
            plausibility: Plausibility::default(),
            verify: Depth::Exists,
            set: None,
        };
        let (clock, observer) = (&self.clock, &self.observer);
        backup::ops::backup(
            &self.repository,
            provider.as_ref(),
            &request,
            clock,
            observer,
            &Interrupt::never(),
        )
        .await
        .unwrap()
        .record
        .snapshot
    }

    pub(crate) async fn drill(&self, snapshot: &Snapshot) -> DrillReceipt {
        let (target, request) = (self.target(), self.request());
        let (clock, observer) = (&self.clock, &self.observer);
        let never = Interrupt::never();
        let repository = &self.repository;
        backup::ops::drill::drill(repository, &target, snapshot, &request, clock, observer, &never)
            .await
            .unwrap()
    }

    /// Drills a snapshot whose parts come back with something wrong.
    pub(crate) async fn drill_wrong(&self, snapshot: &Snapshot, wrong: Wrong) -> DrillReceipt {
        let parts = self.repository.reader(snapshot).await.unwrap();
        let parts: Arc<dyn PartSource> = Arc::new(WrongParts::new(parts, wrong));
        let (target, request) = (self.target(), self.request());
        let (clock, observer) = (&self.clock, &self.observer);
        rehearse(parts, snapshot, &target, &request, clock, observer, &Interrupt::never())
            .await
            .unwrap()
            .receipt
    }

    /// Databases of drills that are still there.
    pub(crate) fn leftovers(&self) -> String {
        let sql = "select count(*) from pg_database where datname like 'backup_drill_%'";
        self.cluster.sql("postgres", sql).trim().to_owned()
    }

    fn target(&self) -> GivenServer {
        let url = self.cluster.url("postgres");
        let connect = ConnectOptions::parse(&url).unwrap();
        GivenServer::new(Secret::new(url), connect, self.tools.clone())
    }

    fn request(&self) -> DrillRequest {
        DrillRequest {
            jobs: two(),
            assertions: Vec::new(),
            smoke: None,
            limit: Duration::from_secs(60),
            disaster: false,
            point: None,
            program: "test".into(),
            keys: Vec::new(),
        }
    }
}

fn two() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(1)
}
