//! What must not work, and what it says.

use backup_core::ErrorKind;
use backup_core::port::Target;
use backup_postgres::logical::{LogicalSource, LogicalTarget};
use backup_postgres::tools::ToolPaths;
use backup_testkit::postgres::Cluster;

use crate::round_trip::start;
use crate::support::{
    MemoryParts, Taken, back_up, connect, restore, restore_options, source_options, tools,
};

async fn small(cluster: &Cluster, tools: &ToolPaths) -> Taken {
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql(
        "shop",
        "CREATE SCHEMA app AUTHORIZATION owner_one; CREATE TABLE app.t (id integer PRIMARY KEY); \
         ALTER TABLE app.t OWNER TO owner_one; GRANT SELECT ON app.t TO auditor; \
         INSERT INTO app.t SELECT generate_series(1, 5000)",
    );
    back_up(&cluster.url("shop"), tools, MemoryParts::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_holds_anything_is_left_alone() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    let taken = small(&cluster, &tools).await;
    for (name, sql) in [
        ("has_table", "CREATE TABLE mine (a integer)"),
        ("has_schema", "CREATE SCHEMA mine"),
        ("has_function", "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
        ("has_type", "CREATE TYPE mine AS ENUM ('a')"),
        ("has_object", "SELECT lo_create(5)"),
    ] {
        cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        cluster.sql(name, sql);
        let error =
            restore(&taken, &cluster.url(name), &tools, restore_options(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.remedy().unwrap().contains("new database name"), "{error:?}");
        let tables = cluster.sql(name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'app'");
        assert_eq!(tables.trim(), "0", "{name}");
    }
    // An extension is not somebody's data.
    cluster.sql("postgres", "CREATE DATABASE has_extension");
    cluster.sql("has_extension", "CREATE EXTENSION hstore");
    restore(&taken, &cluster.url("has_extension"), &tools, restore_options(1)).await.unwrap();
    assert_eq!(cluster.sql("has_extension", "SELECT count(*) FROM app.t").trim(), "5000");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_roles_are_named_at_once_and_every_way_out_works() {
    let Some(source) = start(15) else { return };
    let Some(other) = Cluster::start(17).or_else(|| Cluster::start(15)) else { return };
    let tools = tools(&[&source, &other]);
    let taken = small(&source, &tools).await;
    let error = restore(&taken, &other.url("copy"), &tools, restore_options(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = error.to_string();
    assert!(
        text.contains("owner_one (owns objects)") && text.contains("auditor (has privileges)"),
        "{text}"
    );
    let there = other.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'copy'");
    assert_eq!(there.trim(), "0", "a failed plan writes nothing");

    let mut bare = restore_options(2);
    (bare.no_owner, bare.no_privileges) = (true, true);
    restore(&taken, &other.url("bare"), &tools, bare).await.unwrap();
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 't'";
    assert_eq!(other.sql("bare", owner).trim(), "postgres");

    other.sql("postgres", "CREATE ROLE \"New Owner\"; CREATE ROLE reader");
    let mut mapped = restore_options(2);
    mapped.role_map = vec![
        ("owner_one".to_owned(), "New Owner".to_owned()),
        ("auditor".to_owned(), "reader".to_owned()),
    ];
    restore(&taken, &other.url("mapped"), &tools, mapped).await.unwrap();
    assert_eq!(other.sql("mapped", owner).trim(), "New Owner");
    let may = "SELECT has_table_privilege('reader', 'app.t', 'SELECT')";
    assert_eq!(other.sql("mapped", may).trim(), "t");

    let mut created = restore_options(2);
    created.create_roles = true;
    restore(&taken, &other.url("created"), &tools, created).await.unwrap();
    assert_eq!(other.sql("created", owner).trim(), "owner_one");
    let login =
        "SELECT rolcanlogin, rolpassword IS NULL FROM pg_authid WHERE rolname = 'owner_one'";
    assert_eq!(other.sql("postgres", login).trim(), "f|t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_names_every_table_before_anything_is_copied() {
    let Some(cluster) = start(16).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    cluster.sql(
        "postgres",
        "CREATE ROLE weak LOGIN; CREATE TABLE open (a integer); GRANT SELECT ON open TO weak; \
         CREATE TABLE hidden_one (a integer); CREATE TABLE hidden_two (a integer)",
    );
    let url = cluster.url("postgres").replace("postgres@", "weak@");
    let error = back_up(&url, &tools, MemoryParts::default()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    let text = error.to_string();
    assert!(text.contains("public.hidden_one, public.hidden_two"), "{text}");
    assert!(!text.contains("public.open"), "{text}");

    // With the right it works, without password hashes, and says so.
    cluster.sql("postgres", "GRANT SELECT ON hidden_one, hidden_two TO weak");
    let taken = back_up(&url, &tools, MemoryParts::default()).await.unwrap();
    assert!(taken.findings().contains("password hashes"), "{}", taken.findings());

    // Row security would hide rows.
    cluster.sql(
        "postgres",
        "ALTER TABLE hidden_one ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON hidden_one USING (false)",
    );
    let error = back_up(&url, &tools, MemoryParts::default()).await.err().unwrap();
    assert!(error.to_string().contains("row security hides rows of: public.hidden_one"), "{error}");
    assert!(error.remedy().unwrap().contains("BYPASSRLS"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn older_or_missing_programs_are_refused_before_anything_starts() {
    let (Some(new), Some(old)) = (start(18), start(14)) else { return };
    for tools in [tools(&[&old]), ToolPaths::only(Vec::new())] {
        let options = source_options(1);
        let opened = LogicalSource::open(connect(&new.url("postgres")), &tools, &options).await;
        let error = opened.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("18 or newer"), "{error}");
        assert!(error.remedy().unwrap().contains("postgresql-client-18"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_add_up_fail_the_restore_and_leave_nothing() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    let mut taken = small(&cluster, &tools).await;
    let mut parts = std::mem::take(&mut taken.parts);
    let list = std::sync::Arc::get_mut(&mut parts).unwrap();
    list.change_attribute("table/app.t", "rows", "5001");
    taken.parts = parts;
    let error =
        restore(&taken, &cluster.url("copy"), &tools, restore_options(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert!(error.to_string().contains("5001") && error.to_string().contains("5000"), "{error}");
    let there = cluster.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'copy'");
    assert_eq!(there.trim(), "0");

    // Asked to, it keeps what it made, marked: only the same restore may replace that.
    let mut target =
        LogicalTarget::new(connect(&cluster.url("copy")), tools.clone(), restore_options(2))
            .keep_failed(true);
    let parts: std::sync::Arc<dyn backup_core::port::PartSource> = taken.parts.clone();
    let error = target.restore(&taken.snapshot, parts).await.unwrap_err();
    assert!(error.to_string().contains("kept"), "{error}");
    let plan = target.plan(&taken.snapshot).await.unwrap();
    assert_eq!(plan.steps[0].action, "replace unfinished database");
    taken.snapshot.id = backup_core::SnapshotId([8; 16]);
    let error = target.plan(&taken.snapshot).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.remedy().unwrap().contains("interrupted restore"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_where_there_was_much_is_suspect() {
    let Some(cluster) = start(15).or_else(|| start(17)) else { return };
    let tools = tools(&[&cluster]);
    let before = small(&cluster, &tools).await;
    assert!(!before.snapshot.is_suspect(), "{}", before.findings());
    cluster.sql("shop", "TRUNCATE app.t");
    let parts = MemoryParts::after(&before.snapshot);
    let after = back_up(&cluster.url("shop"), &tools, parts).await.unwrap();
    assert!(after.snapshot.is_suspect());
    assert!(after.findings().contains("app.t has no rows; it had 5000"), "{}", after.findings());

    cluster.sql("postgres", "CREATE DATABASE blank");
    let blank = back_up(&cluster.url("blank"), &tools, MemoryParts::default()).await.unwrap();
    assert!(blank.snapshot.is_suspect() && blank.findings().contains("no tables"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tablespaces_and_extensions_that_are_not_there() {
    let Some(source) = Cluster::builder(17).setting("allow_in_place_tablespaces", "on").start()
    else {
        return;
    };
    let Some(other) = Cluster::start(18) else { return };
    source.sql("postgres", "CREATE TABLESPACE fast LOCATION ''");
    source.sql("postgres", "CREATE DATABASE shop");
    source.sql(
        "shop",
        "CREATE TABLE t TABLESPACE fast AS SELECT 1 AS a; CREATE INDEX i ON t (a) TABLESPACE fast",
    );
    let tools = tools(&[&source, &other]);
    let mut taken = back_up(&source.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let space = "SELECT count(*) FROM pg_class WHERE reltablespace <> 0 AND relname IN ('t', 'i')";
    restore(&taken, &source.url("same"), &tools, restore_options(1)).await.unwrap();
    assert_eq!(source.sql("same", space).trim(), "2");
    let report = restore(&taken, &other.url("copy"), &tools, restore_options(1)).await.unwrap();
    assert!(report.findings.iter().any(|f| f.message.contains("tablespaces fast")), "{report:?}");
    assert_eq!(other.sql("copy", space).trim(), "0");

    let facts = &mut taken.snapshot.evidence.facts;
    facts
        .insert("extensions".to_owned(), "{\"plpgsql\":\"1.0\",\"not_packaged\":\"2\"}".to_owned());
    let error = restore(&taken, &other.url("more"), &tools, restore_options(1)).await.unwrap_err();
    assert!(error.to_string().contains("not installed on the server: not_packaged"), "{error}");
}
