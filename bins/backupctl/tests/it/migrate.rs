//! From one server to another: what does not fit is named first, what arrived is compared.

use std::process::Command;

use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::program::{Program, fingerprint, shop};

fn fit<'a>(document: &'a Value, name: &str) -> &'a Value {
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{document:#}"))
}

/// A program that finds the tools of both servers, the newer first.
fn program(source: &Cluster, database: &str, newer: &Cluster) -> Program {
    let mut ctl = Program::of(source, database);
    let tools = newer.bin("").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    ctl.set("PATH", format!("{tools}:{}:{path}", source.bin("").display()));
    ctl.set("BACKUP_SOURCE", "shop");
    ctl.ok(&["init"]);
    ctl
}

#[test]
fn a_database_moves_to_a_newer_major_and_is_proved_there() {
    let majors = Cluster::majors();
    let (Some(oldest), Some(newest)) = (majors.first(), majors.last()) else { return };
    let (Some(old), Some(new)) = (Cluster::start(*oldest), Cluster::start(*newest)) else { return };
    shop(&old, "shop", 2_000);
    old.sql(
        "shop",
        "create role keeper; alter table orders owner to keeper; create extension citext; \
         create publication changes for table orders; select lo_from_bytea(0, 'large'); \
         create sequence ticket; select setval('ticket', 41)",
    );
    let ctl = program(&old, "shop", &new);
    let to = new.url("moved");

    // What is missing is named before anything is read, by the preview and by the migration.
    let preview = ctl.json_ending(&["migrate", "shop", "--to", &to, "--preview"], 8);
    assert_eq!((&preview["outcome"], &preview["possible"]), (&"planned".into(), &false.into()));
    assert_eq!(fit(&preview, "roles")["fit"], "blocked", "{preview:#}");
    assert!(fit(&preview, "roles")["remedy"].as_str().unwrap().contains("--create-roles"));
    let refused = ctl.run(&["migrate", "shop", "--to", &to]).fails(8);
    assert!(refused.stderr.contains("keeper"), "{}", refused.stderr);
    ctl.run(&["show", "latest"]).fails(7);

    let done = ctl.json(&["migrate", "shop", "--to", &to, "--create-roles"]);
    assert_eq!(done["outcome"], "migrated", "{done:#}");
    assert_eq!(done["restored"]["rows"], 3_200, "{done:#}");
    for name in ["rows", "fingerprints", "sequences", "large objects", "extensions"] {
        let asked = done["questions"].as_array().unwrap();
        let found = asked.iter().find(|question| question["name"] == name).unwrap();
        assert_eq!(found["outcome"], "passed", "{done:#}");
    }
    assert_eq!(fit(&done, "publications")["fit"], "warning", "{done:#}");
    assert_eq!(fingerprint(&new, "moved"), fingerprint(&old, "shop"));
    let owner = "select tableowner from pg_tables where tablename = 'orders'";
    assert_eq!(new.sql("moved", owner).trim(), "keeper");

    // The commands of the checklist are commands: the source can be read only, and written again.
    let run = |step: usize| {
        let command = done["checklist"][step]["command"].as_str().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).env("SOURCE_URL", old.url("shop")).env("TARGET_URL", &to);
        let tools = old.bin("").display().to_string();
        shell.env("PATH", format!("{tools}:{}", std::env::var("PATH").unwrap_or_default()));
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(0);
    run(1);
    assert!(old.try_sql("shop", "create table late (n int)").is_err());
    run(done["checklist"].as_array().unwrap().len() - 1);
    old.sql("shop", "create table late (n int)");

    // Never over what is there, and never onto itself.
    let again = ctl.run(&["migrate", "shop", "--to", &to, "--create-roles"]).fails(8);
    assert!(again.stderr.contains("not empty"), "{}", again.stderr);
    let itself = ctl.run(&["migrate", "shop", "--to", &old.url("shop")]).fails(8);
    assert!(itself.stderr.contains("the source itself"), "{}", itself.stderr);
}

#[test]
fn an_older_server_is_refused_and_what_it_lacks_is_left_out_only_by_name() {
    let majors = Cluster::majors();
    let Some(newest) = majors.last().copied() else { return };
    let Some(older) = majors.iter().copied().find(|major| (14..newest).contains(major)) else {
        return;
    };
    let (Some(new), Some(old)) = (Cluster::start(newest), Cluster::start(older)) else { return };
    shop(&new, "shop", 300);
    new.sql("shop", "create extension citext");
    let ctl = program(&new, "shop", &new);
    let to = old.url("back");
    let refused = ctl.run(&["migrate", "shop", "--to", &to]).fails(8);
    assert!(refused.stderr.contains("--allow-downgrade"), "{}", refused.stderr);
    // An extension that the older server does not have, unused and then in use.
    new.sql("shop", "update pg_extension set extname = 'vendor_only' where extname = 'citext'");
    let words = ["migrate", "shop", "--to", &to, "--allow-downgrade", "--preview"];
    let preview = ctl.json_ending(&words, 8);
    assert_eq!(fit(&preview, "version")["fit"], "warning");
    let told = fit(&preview, "extensions");
    assert_eq!(told["fit"], "blocked");
    assert!(told["detail"].as_str().unwrap().contains("vendor_only"), "{told}");
    let without = [&words[..], &["--without-extension", "vendor_only"]].concat();
    assert_eq!(ctl.json(&without)["possible"], true);
    new.sql("shop", "create table docs (title citext)");
    let preview = ctl.json_ending(&without, 8);
    assert!(fit(&preview, "extensions").to_string().contains("docs.title"), "{preview:#}");
    new.sql(
        "shop",
        "drop table docs; update pg_extension set extname = 'citext' where extname = 'vendor_only'",
    );
    let words = ["migrate", "shop", "--to", &to, "--allow-downgrade"];
    let done = ctl.json(&[&words[..], &["--without-extension", "citext"]].concat());
    assert_eq!(done["outcome"], "migrated", "{done:#}");
    assert_eq!(
        old.sql("back", "select count(*) from pg_extension where extname = 'citext'").trim(),
        "0"
    );
    assert_eq!(fingerprint(&old, "back"), fingerprint(&new, "shop"));
}
