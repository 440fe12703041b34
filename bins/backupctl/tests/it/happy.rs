//! From nothing to a proved restore, with nothing but three variables.

use backup_testkit::postgres::Cluster;

use crate::program::{Program, fingerprint, shop};

#[test]
fn a_stranger_with_a_database_and_a_folder() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 20_000);
    let ctl = Program::of(&cluster, "shop");

    let init = ctl.json(&["init"]);
    assert_eq!(init["facts"]["create_if_absent"], "true");
    assert_eq!(ctl.json(&["snapshots"])["snapshots"], serde_json::json!([]));

    let backup = ctl.json(&["backup"]);
    let first = &backup["snapshot"];
    assert_eq!(backup["outcome"], "ok");
    assert_eq!(first["source"], "shop");
    assert_eq!(first["kind"], "logical");
    assert_eq!(first["rows"], 21_200);
    assert_eq!(first["verified"]["level"], "exists");
    assert!(first["stored_bytes"].as_u64() > Some(0));
    assert!(first["read_bytes"].as_u64() > first["stored_bytes"].as_u64());

    cluster.sql("shop", "update orders set note = 'changed' where id % 100 = 3");
    let second = ctl.json(&["backup", "--verify", "read"])["snapshot"].clone();
    assert_eq!(second["verified"]["level"], "read");
    let stored = |snapshot: &serde_json::Value| snapshot["stored_bytes"].as_u64().unwrap();
    assert!(stored(&second) * 5 < stored(first), "{second} after {first}");

    let listed = ctl.json(&["snapshots", "shop"]);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 2);
    assert_eq!(listed["snapshots"][1], second, "the same object everywhere");
    let id = second["id"].as_str().unwrap();
    let shown = ctl.json(&["show", &id[..8]]);
    assert_eq!(shown["snapshot"], second);
    assert_eq!(shown["tables"][0]["rows"], 20_000);
    let parts = ctl.json(&["ls", "shop@latest"]);
    assert!(parts["parts"].as_array().unwrap().iter().any(|p| p["name"] == "table/public.orders"));

    look_inside(&ctl, first["id"].as_str().unwrap(), id);

    let target = cluster.url("copy");
    let plan = ctl.json(&["restore", "latest", "--to", &target, "--preview"]);
    assert_eq!(plan["tables"], 2);
    let databases =
        cluster.sql("postgres", "select count(*) from pg_database where datname='copy'");
    assert_eq!(databases.trim(), "0", "a preview touches nothing");
    let restored = ctl.json(&["restore", "latest", "--to", &target]);
    assert_eq!(restored["rows"], 21_200);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));

    let partial = cluster.url("partial");
    ctl.json(&["restore", "latest", "--to", &partial, "--table", "public.people", "--jobs", "1"]);
    assert_eq!(cluster.sql("partial", "select count(*) from people").trim(), "1200");
    assert!(cluster.try_sql("partial", "select 1 from orders").is_err());

    assert_eq!(ctl.json(&["status"])["sources"][0]["state"], "protected");
    let verified = ctl.json(&["verify", "--all", "--read-data"]);
    assert_eq!(verified["ok"], true);
    assert_eq!(ctl.json(&["verify", "latest", "--read-data=10%"])["ok"], true);
    assert_eq!(ctl.json(&["snapshots"])["snapshots"][0]["verified"]["level"], "read");
    assert_eq!(ctl.json(&["validate", "--repository"])["ok"], true);
    assert_eq!(ctl.json(&["doctor", "--live"])["ok"], true);
    assert!(ctl.objects("probes").is_empty(), "the doctor cleans up");
}

/// What changed, where a table is, and its bytes.
fn look_inside(ctl: &Program, first: &str, second: &str) {
    let diff = ctl.json(&["diff", first, second]);
    let differences = diff["differences"].as_array().unwrap();
    // Newer pg_dumpall writes a random token into the globals.
    let differences: Vec<_> = differences.iter().filter(|d| d["part"] != "globals").collect();
    assert_eq!(differences.len(), 1, "{diff}");
    assert_eq!(differences[0]["part"], "table/public.orders");
    assert_eq!(differences[0]["change"], "changed");
    assert_eq!(differences[0]["after"]["rows"], 20_000);
    assert_eq!(ctl.json(&["diff", second, second])["differences"], serde_json::json!([]));

    let found = ctl.json(&["find", "*.orders"])["found"][0].clone();
    assert_eq!((&found["snapshots"], &found["current"]), (&2.into(), &true.into()));
    assert_eq!((&found["oldest"], &found["newest"]), (&first.into(), &second.into()));
    ctl.run(&["find", "nothing-of-that-name"]).expect(7);

    let rows = ctl.ok(&["dump", "latest", "table/public.people"]);
    assert_eq!(rows.lines().count(), 1200);
    let wrong = ctl.run(&["dump", "latest", "people"]).expect(7);
    assert!(wrong.stdout.is_empty() && wrong.stderr.contains("table/public.people"));
    ctl.run(&["--json", "dump", "latest", "table/public.people"]).expect(2);
}

#[test]
fn text_for_people_says_the_same() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 500);
    let mut ctl = Program::of(&cluster, "shop");
    ctl.set("BACKUP_SOURCE", "web.shop");
    let init = ctl.run(&["init"]).expect(0);
    assert_eq!(init.stdout, "", "what is said is not data");
    assert!(init.stderr.contains("key sheet"), "{}", init.stderr);

    let backup = ctl.run(&["backup"]).expect(0);
    assert!(backup.stdout.contains("of web.shop"), "{}", backup.stdout);
    assert!(backup.stderr.contains("--read-data"), "{}", backup.stderr);
    assert_eq!(ctl.run(&["backup", "-q"]).expect(0).stderr, "");
    let table = ctl.ok(&["snapshots"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.starts_with("ID "), "{table}");
    assert!(ctl.run(&["status"]).expect(9).stdout.contains("at risk"));
    assert!(ctl.ok(&["verify", "--read-data"]).contains("proved: read"));
    assert!(ctl.ok(&["status"]).contains("protected"));
    assert!(ctl.ok(&["show", "latest"]).contains("public.orders"));
    let plan = ctl.ok(&["restore", "latest", "--to", &cluster.url("copy"), "--preview"]);
    assert!(plan.contains("nothing was written"), "{plan}");
    assert!(
        ctl.ok(&["restore", "web.shop@latest", "--to", &cluster.url("copy")]).contains("1,700")
    );
    assert!(ctl.ok(&["doctor"]).contains("client programs"));
}

#[test]
fn init_with_a_database_writes_a_configuration_that_works() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 100);
    let mut ctl = Program::of(&cluster, "shop");
    let url = cluster.url("shop");
    ctl.ok(&["init", &url]);
    let text = std::fs::read_to_string(ctl.path("backup.toml")).unwrap();
    assert!(text.contains("env:DATABASE_URL"), "{text}");
    assert!(!text.contains("correct horse"), "no secret is written down");

    // The file alone says where the repository is.
    ctl.unset("BACKUP_REPOSITORY");
    ctl.ok(&["validate"]);
    ctl.ok(&["backup", "shop"]);
    ctl.ok(&["forget", "--dry-run"]);
    ctl.run(&["init", &url]).fails(8);
    std::fs::write(ctl.path("backup.toml"), "[repository]\nurl = \"file:///x\"\nurll = 1\n")
        .unwrap();
    let refused = ctl.run(&["validate"]).fails(2);
    assert!(refused.stderr.contains("urll") && refused.stderr.contains('3'), "{}", refused.stderr);
}

#[test]
fn names_of_existing_setups_work() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "legacy", 100);
    let mut ctl = Program::of(&cluster, "legacy");
    let repository = ctl.path("old").display().to_string();
    for name in ["BACKUP_REPOSITORY", "BACKUP_PASSPHRASE", "DATABASE_URL"] {
        ctl.unset(name);
    }
    ctl.set("BACKUP_DIR", repository);
    ctl.set("BACKUP_ENCRYPTION_KEY", "an old secret");
    ctl.set("DB_PROVIDER", "postgresql");
    ctl.set("POSTGRES_DB_URL", cluster.url("legacy"));
    ctl.set("BACKUP_RETENTION_DAYS", "30");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let plan = ctl.json(&["forget", "--dry-run"]);
    assert_eq!(plan["decisions"][0]["action"], "keep");

    std::fs::write(ctl.path("passphrase"), "an old secret\n").unwrap();
    ctl.unset("BACKUP_ENCRYPTION_KEY");
    ctl.set("BACKUP_PASSPHRASE_FILE", ctl.path("passphrase").display().to_string());
    ctl.ok(&["snapshots"]);
    ctl.unset("BACKUP_PASSPHRASE_FILE");
    ctl.set("BACKUP_PASSPHRASE_COMMAND", "cat passphrase");
    ctl.ok(&["snapshots"]);
}

#[test]
fn the_demo_proves_itself_and_leaves_nothing_behind() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let mut ctl = Program::new();
    ctl.unset("BACKUP_REPOSITORY");
    ctl.unset("BACKUP_PASSPHRASE");
    let bin = cluster.bin("").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    ctl.set("PATH", format!("{bin}:{path}"));
    let receipt = ctl.json(&["demo", "--rows", "3000", "--pg-bin", &bin]);
    assert!(receipt["numbers"]["restored_rows"].as_u64() > Some(3_000), "{receipt}");
    let text = ctl.ok(&["demo", "--rows", "500", "--pg-bin", &bin]);
    assert!(text.contains("RECEIPT"), "{text}");
    ctl.run(&["demo", "--pg-bin", "/nonexistent"]).fails(2);
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok);
    let left: Vec<_> =
        left.filter(|e| e.file_name().to_string_lossy().starts_with("backupctl-demo-")).collect();
    assert!(left.is_empty(), "{left:?}");
}
