//! A project's database, on a real server: copied as a role that is no superuser, restored into
//! another project and onto a plain server, and asked what it is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use backup_core::port::{
    NoObserver, PartSource, Provider, RestoreOptions, RestoreReport, SourceOptions,
};
use backup_core::{
    Error, ErrorKind, FindingKind, Result, Snapshot, SnapshotId, SnapshotKind, WriterId,
};
use backup_postgres::ConnectOptions;
use backup_postgres::logical::{Examination, LogicalTarget, examine};
use backup_postgres::tools::ToolPaths;
use backup_provider_supabase::{SupabaseConfig, SupabaseProvider};
use backup_testkit::MemoryParts;
use backup_testkit::postgres::Cluster;
use backup_testkit::supabase::Project;

/// What projects run today.
const MAJOR: u32 = 17;

fn tools(cluster: &Cluster) -> ToolPaths {
    let folder: PathBuf = cluster.bin("pg_dump").parent().unwrap().to_path_buf();
    ToolPaths::only(vec![folder])
}

fn provider(project: &Project) -> SupabaseProvider {
    let config = SupabaseConfig::parse(&project.url(), tools(project.cluster())).unwrap();
    SupabaseProvider::new(config)
}

fn options() -> RestoreOptions {
    RestoreOptions {
        jobs: NonZeroUsize::new(2).unwrap(),
        tables: Vec::new(),
        schemas: Vec::new(),
        no_owner: false,
        no_privileges: false,
        create_roles: true,
        role_map: Vec::new(),
        without_extensions: Vec::new(),
        ordered: false,
        recovery: <_>::default(),
        delta: false,
        tablespaces: Vec::new(),
        files: <_>::default(),
        observer: Arc::new(NoObserver),
    }
}

struct Taken {
    snapshot: Snapshot,
    parts: Arc<MemoryParts>,
}

impl Taken {
    fn source(&self) -> Arc<dyn PartSource> {
        Arc::clone(&self.parts) as Arc<dyn PartSource>
    }

    fn findings(&self) -> String {
        let findings = self.snapshot.evidence.findings.iter();
        findings.map(|f| format!("{:?}: {}\n", f.kind, f.message)).collect()
    }

    fn rows(&self, table: &str) -> Option<u64> {
        let mut tables = self.snapshot.evidence.tables.iter();
        tables.find(|one| format!("{}.{}", one.schema, one.name) == table).map(|one| one.rows)
    }

    async fn restore_into(
        &self,
        project: &Project,
        options: RestoreOptions,
    ) -> Result<RestoreReport> {
        let mut target = provider(project).open_target(&options).await?;
        target.plan(&self.snapshot).await?;
        target.restore(&self.snapshot, self.source()).await
    }
}

async fn back_up(project: &Project) -> Result<Taken> {
    let options = SourceOptions {
        kind: SnapshotKind::Logical,
        jobs: NonZeroUsize::new(2).unwrap(),
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::new(NoObserver),
    };
    let mut source = provider(project).open_source(&options).await?;
    let parts = MemoryParts::default();
    let evidence = source.copy_to(&parts).await?;
    let parts = parts.commit()?;
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let snapshot = Snapshot {
        id: SnapshotId([7; 16]),
        source: "project".parse().unwrap(),
        identity: source.facts().identity.clone(),
        kind: SnapshotKind::Logical,
        sequence: 1,
        previous: None,
        set: None,
        started_at: now,
        finished_at: now,
        writer: WriterId([0; 16]),
        program: "test".to_owned(),
        read_bytes: 0,
        added_bytes: 0,
        stored_bytes: 0,
        parts: parts.list().to_vec(),
        evidence,
    };
    Ok(Taken { snapshot, parts: Arc::new(parts) })
}

/// What a customer would look at, as one text.
const QUESTIONS: &str = "\
    SELECT 'users', count(*), sum(hashtext(u::text)) FROM auth.users u \
    UNION ALL SELECT 'identities', count(*), sum(hashtext(i::text)) FROM auth.identities i \
    UNION ALL SELECT 'sessions', count(*), sum(hashtext(i::text)) FROM auth.sessions i \
    UNION ALL SELECT 'tokens', count(*), sum(hashtext(i::text)) FROM auth.refresh_tokens i \
    UNION ALL SELECT 'objects', count(*), sum(hashtext(o::text)) FROM storage.objects o \
    UNION ALL SELECT 'buckets', count(*), sum(hashtext(o::text)) FROM storage.buckets o \
    UNION ALL SELECT 'profiles', count(*), sum(hashtext(p::text)) FROM public.profiles p \
    UNION ALL SELECT 'todos', count(*), sum(hashtext(t::text)) FROM public.todos t \
    UNION ALL SELECT 'notes', count(*), sum(hashtext(n::text)) FROM public.private_notes n \
    UNION ALL SELECT 'counts', count(*), sum(n) FROM public.counts \
    UNION ALL SELECT 'events', count(*), sum(hashtext(e::text)) FROM app.events e \
    UNION ALL SELECT 'history', count(*), 0 FROM supabase_migrations.schema_migrations \
    UNION ALL SELECT 'policies', count(*), sum(hashtext(p::text)) FROM pg_policies p \
    UNION ALL SELECT 'published', count(*), sum(hashtext(p::text)) FROM pg_publication_tables p \
      WHERE pubname = 'supabase_realtime' \
    UNION ALL SELECT 'triggers', count(*), sum(hashtext(pg_get_triggerdef(oid))) FROM pg_trigger \
      WHERE NOT tgisinternal \
    UNION ALL SELECT 'privileges', count(*), \
      sum(hashtext(c.relname || a.grantee::regrole::text || a.privilege_type)) FROM pg_class c \
      JOIN pg_namespace n ON n.oid = relnamespace, aclexplode(coalesce(c.relacl, \
      acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner))) a \
      WHERE n.nspname IN ('public', 'app') AND c.relkind NOT IN ('i', 'c') \
    UNION ALL SELECT 'defaults', count(*), sum(hashtext(pg_get_userbyid(defaclrole) || defaclacl::text)) \
      FROM pg_default_acl WHERE defaclrole = 'postgres'::regrole \
    UNION ALL SELECT 'next todo', nextval('public.todos_id_seq'), nextval('auth.refresh_tokens_id_seq')";

#[tokio::test(flavor = "multi_thread")]
async fn a_project_moves_into_another_as_it_was() {
    let Some(project) = Project::used(MAJOR) else { return };
    let taken = back_up(&project).await.unwrap();
    assert!(!taken.snapshot.is_suspect(), "{}", taken.findings());
    assert_eq!(taken.rows("auth.users"), Some(200));
    assert_eq!(taken.rows("supabase_migrations.schema_migrations"), Some(1));
    // Nobody's rows, and what this role may not even read.
    for table in ["realtime.messages_2026_01_01", "realtime.subscription", "_realtime.tenants"] {
        assert_eq!(taken.rows(table), None, "{table}");
    }
    let said = taken.findings();
    assert!(said.contains("files in Storage"), "{said}");
    assert!(said.contains("realtime.messages_2026_01_01"), "{said}");
    assert!(!said.contains("Vault"), "no secret is missed where there is none: {said}");

    let Some(other) = Project::fresh(MAJOR) else { return };
    let report = taken.restore_into(&other, options()).await.unwrap();
    let warnings: Vec<_> = report.findings.iter().filter(|f| f.kind != FindingKind::Note).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(other.sql(QUESTIONS), project.sql(QUESTIONS));
    // Whoever restores makes no row twice: the trigger on auth.users did not fire, and does now.
    other.sql(
        "INSERT INTO auth.users (id, raw_user_meta_data) VALUES \
         ('11111111-0000-4000-8000-000000000000', '{\"name\": \"New\"}')",
    );
    let sql = "SELECT display_name FROM public.profiles WHERE id::text LIKE '1111%'";
    assert_eq!(other.sql(sql).trim(), "New");
    // A stranger sees of a private table as much as before: nothing.
    for role in ["anon", "authenticated"] {
        let sql = format!("SELECT has_table_privilege('{role}', 'public.private_notes', 'SELECT')");
        assert_eq!(other.sql(&sql).trim(), "f", "{role}");
    }
    // Who is logged in sees his own rows only.
    let mine = "SET request.jwt.claim.sub = '00000000-0000-4000-8000-000000000007'; \
         SET ROLE authenticated; SELECT count(*) FROM public.todos";
    assert_eq!(other.sql(mine).trim(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_restored_on_a_plain_server_and_compared() {
    let Some(project) = Project::used(MAJOR) else { return };
    project.sql(
        "CREATE FUNCTION public.note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    );
    project.admin(
        "CREATE EVENT TRIGGER note_ddl ON sql_drop EXECUTE FUNCTION public.note_ddl(); \
         ALTER ROLE postgres SUPERUSER; ALTER EVENT TRIGGER note_ddl OWNER TO postgres; \
         ALTER ROLE postgres NOSUPERUSER; \
         INSERT INTO vault.secrets (name, secret) VALUES ('key', 'x')",
    );
    let taken = back_up(&project).await.unwrap();
    assert!(taken.findings().contains("the 1 secrets in Vault"), "{}", taken.findings());
    let Some(plain) = Cluster::start(MAJOR) else { return };
    let tools = tools(&plain);
    let connect = ConnectOptions::parse(&plain.url("copy")).unwrap();
    let mut target = LogicalTarget::new(connect.clone(), tools.clone(), options());
    target.plan_and_restore(&taken).await.unwrap();
    let shown = "SELECT count(*) FROM auth.users JOIN public.profiles USING (id)";
    assert_eq!(plain.sql("copy", shown).trim(), "200");
    let triggers = "SELECT string_agg(evtname, ',') FROM pg_event_trigger";
    assert_eq!(plain.sql("copy", triggers).trim(), "note_ddl", "the customer's own");
    let how = Examination {
        jobs: NonZeroUsize::MIN,
        owners: true,
        privileges: true,
        observer: Arc::new(NoObserver),
    };
    let found = examine(&connect, &tools, &taken.snapshot, &*taken.parts, &how).await.unwrap();
    let source = &taken.snapshot.evidence;
    assert_eq!(found.schema_differences, Vec::<String>::new());
    assert_eq!(found.evidence.row_sets(), source.row_sets());
    assert_eq!(found.evidence.sequences, source.sequences);
    assert_eq!(found.evidence.objects, source.objects);
    assert_eq!(found.evidence.schema, source.schema);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_counted_beside_the_database_fails_no_copy() {
    let Some(project) = Project::used(MAJOR) else { return };
    project.sql(
        "INSERT INTO storage.objects (bucket_id, name, metadata) VALUES \
         ('avatars', 'a', '{\"size\": \"large\"}'), ('avatars', 'b', '{\"size\": \"-\"}')",
    );
    project.admin("REVOKE ALL ON vault.secrets FROM postgres");
    let taken = back_up(&project).await.unwrap();
    let said = taken.findings();
    assert!(said.contains("Warning: the 14 files in Storage (24.0 KiB)"), "{said}");
    assert!(said.contains("Warning: secrets in Vault could not be counted"), "{said}");
    assert!(said.contains("permission denied"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_somebody_uses_is_not_restored_into() {
    let Some(project) = Project::used(MAJOR) else { return };
    let taken = back_up(&project).await.unwrap();
    let Some(other) = Project::fresh(MAJOR) else { return };
    let refused = |error: Error, what: &str| {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert!(error.to_string().contains(what), "{error}");
    };
    other.sql("INSERT INTO auth.users (id) VALUES ('11111111-0000-4000-8000-000000000000')");
    refused(taken.restore_into(&other, options()).await.unwrap_err(), "rows of auth.users");
    other.sql("TRUNCATE auth.users CASCADE; CREATE TABLE public.mine (a integer)");
    refused(taken.restore_into(&other, options()).await.unwrap_err(), "table public.mine");
    // Webhooks are switched off there: said before anything is written.
    other.sql("DROP TABLE public.mine");
    other.admin("DROP SCHEMA supabase_functions CASCADE");
    let error = taken.restore_into(&other, options()).await.unwrap_err();
    refused(error, "supabase_functions.http_request");
    assert_eq!(other.sql("SELECT count(*) FROM auth.users").trim(), "0");
    // An older project.
    let Some(older) = Project::fresh(MAJOR) else { return };
    older.admin("ALTER TABLE auth.users DROP COLUMN is_anonymous CASCADE");
    refused(taken.restore_into(&older, options()).await.unwrap_err(), "auth.users has no column");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_are_only_called_like_the_hosts_are_the_customers() {
    let Some(project) = Project::used(MAJOR) else { return };
    project.sql(
        "CREATE SCHEMA etl; CREATE TABLE etl.runs (a integer); INSERT INTO etl.runs VALUES (1), (2); \
         CREATE TABLE public.parent (a integer)",
    );
    project.admin(
        "CREATE SCHEMA repack; CREATE TABLE repack.log (a integer); \
         CREATE SCHEMA tiger; CREATE TABLE tiger.child () INHERITS (public.parent); \
         INSERT INTO tiger.child VALUES (7); GRANT USAGE ON SCHEMA tiger TO postgres; \
         GRANT SELECT ON tiger.child TO postgres",
    );
    let taken = back_up(&project).await.unwrap();
    assert_eq!(taken.rows("etl.runs"), Some(2));
    assert_eq!(taken.rows("tiger.child"), Some(1), "a child's rows are its parent's");
    assert_eq!(taken.rows("repack.log"), None);
    // The target has no such schema: it is made, whoever it was.
    let Some(other) = Project::fresh(MAJOR) else { return };
    taken.restore_into(&other, options()).await.unwrap();
    assert_eq!(other.sql("SELECT count(*) FROM etl.runs").trim(), "2");
    assert_eq!(other.sql("SELECT a FROM public.parent").trim(), "7");
    let error = taken.restore_into(&other, options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_changed_of_the_hosts_comes_or_is_named() {
    let Some(project) = Project::used(MAJOR) else { return };
    let grantable = "GRANT ALL ON auth.users TO postgres WITH GRANT OPTION";
    project.admin(&format!(
        "{grantable}; DROP PUBLICATION supabase_realtime; \
         CREATE PUBLICATION supabase_realtime FOR ALL TABLES; \
         ALTER PUBLICATION supabase_realtime OWNER TO postgres; \
         GRANT USAGE ON SCHEMA auth TO reporting; \
         CREATE INDEX mine_idx ON auth.users (created_at)"
    ));
    project.sql("GRANT SELECT ON auth.users TO reporting");
    let taken = back_up(&project).await.unwrap();
    let Some(other) = Project::fresh(MAJOR) else { return };
    other.admin(grantable);
    let report = taken.restore_into(&other, options()).await.unwrap();
    let said: String = report.findings.iter().map(|f| format!("{}\n", f.message)).collect();
    for what in ["publication supabase_realtime", "SCHEMA auth", "index auth.mine_idx"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let may = "SELECT has_table_privilege('reporting', 'auth.users', 'SELECT')";
    assert_eq!(other.sql(may).trim(), "t");
    let published = "SELECT string_agg(tablename, ' ' ORDER BY tablename) \
         FROM pg_publication_tables WHERE schemaname IN ('public', 'app')";
    assert_eq!(other.sql(published), project.sql(published));
}

#[tokio::test(flavor = "multi_thread")]
async fn hypertables_are_refused_by_name() {
    let Some(project) = Project::used(MAJOR) else { return };
    // What the extension leaves in the catalog, as far as it is asked.
    project.admin(
        "CREATE SCHEMA _timescaledb_catalog; CREATE SCHEMA _timescaledb_internal; \
         CREATE TABLE _timescaledb_catalog.hypertable (schema_name name, table_name name); \
         INSERT INTO _timescaledb_catalog.hypertable VALUES ('app', 'events'); \
         GRANT USAGE ON SCHEMA _timescaledb_catalog TO PUBLIC; \
         GRANT SELECT ON _timescaledb_catalog.hypertable TO PUBLIC; \
         UPDATE pg_catalog.pg_extension SET extname = 'timescaledb' WHERE extname = 'pgcrypto'",
    );
    let error = back_up(&project).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("app.events"), "{error}");
    assert!(error.remedy().unwrap().contains("DROP EXTENSION timescaledb"));
    let found = provider(&project).discover().await.unwrap();
    let said: String = found.findings.iter().map(|f| format!("{}\n", f.message)).collect();
    assert!(said.contains("no backup is possible while there are hypertables"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn some_tables_come_alone_and_defaults_stay() {
    let Some(project) = Project::used(MAJOR) else { return };
    let taken = back_up(&project).await.unwrap();
    let Some(other) = Project::fresh(MAJOR) else { return };
    let mut some = options();
    some.tables = vec!["public.private_notes".to_owned()];
    let defaults =
        "SELECT defaclobjtype, defaclacl FROM pg_default_acl ORDER BY 1, defaclacl::text";
    let before = other.sql(defaults);
    taken.restore_into(&other, some).await.unwrap();
    assert_eq!(other.sql("SELECT count(*) FROM public.private_notes").trim(), "500");
    assert_eq!(other.sql(defaults), before);
    let sql = "SELECT has_table_privilege('anon', 'public.private_notes', 'SELECT')";
    assert_eq!(other.sql(sql).trim(), "f");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_that_cannot_be_read_are_an_error_and_nothing_is_copied() {
    let Some(project) = Project::used(MAJOR) else { return };
    let found = provider(&project).discover().await.unwrap();
    let said: String = found.findings.iter().map(|f| format!("{}\n", f.message)).collect();
    assert!(said.contains("keeps for itself") && said.contains("_realtime"), "{said}");
    assert!(!said.contains("no backup is possible"), "{said}");
    project.admin("REVOKE SELECT ON auth.users FROM postgres");
    let error = back_up(&project).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    assert!(error.to_string().contains("auth.users"), "{error}");
    let physical = SourceOptions {
        kind: SnapshotKind::Physical,
        jobs: NonZeroUsize::MIN,
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::new(NoObserver),
    };
    let error = provider(&project).open_source(&physical).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

trait PlanAndRestore {
    async fn plan_and_restore(&mut self, taken: &Taken) -> Result<RestoreReport>;
}

impl PlanAndRestore for LogicalTarget {
    async fn plan_and_restore(&mut self, taken: &Taken) -> Result<RestoreReport> {
        use backup_core::port::Target;
        self.plan(&taken.snapshot).await?;
        self.restore(&taken.snapshot, taken.source()).await
    }
}
