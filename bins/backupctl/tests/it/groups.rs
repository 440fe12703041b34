//! A database and its uploads as one recovery set: real PostgreSQL, real directories, processes
//! that are killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use backup_testkit::mariadb::MariaDb;
use backup_testkit::postgres::Cluster;
use backup_testkit::s3;
use serde_json::Value;

use crate::program::{Done, Program};
use crate::schema;

/// A shop whose rows refer to files, and a configuration in which both are the group `shop-all`.
fn shop(cluster: &Cluster, more: &str) -> Program {
    cluster.sql("postgres", "create database shop");
    cluster.sql(
        "shop",
        "create table uploads (id int primary key, path text);
         insert into uploads select n, '/media/' || n % 7 || '/f' || n || '.txt'
         from generate_series(1, 300) n;
         insert into uploads values (0, null)",
    );
    let mut ctl = Program::of(cluster, "shop");
    let uploads = ctl.path("uploads");
    for n in 1..=300 {
        let folder = uploads.join((n % 7).to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f{n}.txt")), format!("upload {n}")).unwrap();
    }
    fs::write(uploads.join("large.bin"), vec![7_u8; 6 << 20]).unwrap();
    ctl.set("SHOP_URL", cluster.url("shop"));
    ctl.set("BACKUP_DRILL_URL", cluster.url("postgres"));
    ctl.unset("DATABASE_URL");
    configure(&ctl, more);
    ctl.ok(&["init"]);
    ctl
}

fn configure(ctl: &Program, more: &str) {
    let text = format!(
        "[[source]]\nname = \"shop\"\nurl = \"env:SHOP_URL\"\n\
         [[source]]\nname = \"uploads\"\npath = \"uploads\"\n{more}\n\
         [[group]]\nname = \"shop-all\"\nsources = [\"shop\", \"uploads\"]\n\
         [group.drill]\nkeys_sql = \"select path from uploads\"\nstrip_prefix = \"/media/\"\n"
    );
    fs::write(ctl.path("backup.toml"), text).unwrap();
}

fn lines(done: &Done) -> Vec<Value> {
    let lines = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    lines.iter().for_each(schema::check);
    lines
}

fn states(ctl: &Program) -> Vec<String> {
    let listed = ctl.json(&["snapshots", "shop-all"]);
    let sets = listed["sets"].as_array().cloned().unwrap_or_default();
    sets.iter().map(|set| set["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_database_and_its_uploads_come_back_as_one() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let ctl = shop(&cluster, "");
    let taken = lines(&ctl.run(&["--json", "backup", "shop-all"]).expect(0));
    let of = |n: usize| &taken[n]["snapshot"]["set"];
    assert_eq!((taken.len(), &of(0)["position"], &of(1)["position"]), (2, &1.into(), &2.into()));
    assert_eq!(of(0)["id"], of(1)["id"]);
    let set = of(0)["id"].as_str().unwrap().to_owned();
    assert_eq!(taken[0]["snapshot"]["kind"], "logical", "the database first");
    assert_eq!(states(&ctl), ["complete"]);

    // The set is found without the configuration that made it.
    let shown = {
        let mut bare = Program::new();
        bare.set("BACKUP_REPOSITORY", format!("file://{}", ctl.path("repository").display()));
        bare.json(&["show", "shop-all"])
    };
    assert_eq!(
        (&shown["set"]["id"], &shown["set"]["state"]),
        (&set.clone().into(), &"complete".into())
    );
    assert_eq!(shown["snapshots"][1]["source"], "uploads");

    let database = cluster.url("shop_back");
    let targets = [format!("shop={database}"), format!("uploads={}", ctl.path("back").display())];
    let words = |what: &'static str| {
        let mut words = vec!["--json", "restore", what];
        targets.iter().for_each(|target| words.extend(["--to", target]));
        words
    };
    let planned = lines(&ctl.run(&[&words("shop-all")[..], &["--preview"]].concat()).expect(0));
    assert_eq!((planned.len(), &planned[1]["files"]), (2, &301.into()), "{planned:?}");
    assert!(!ctl.path("back").exists());
    let restored = lines(&ctl.run(&words("shop-all@latest")).expect(0));
    assert_eq!(
        (restored.len(), &restored[0]["rows"], &restored[1]["files"]),
        (2, &301.into(), &301.into())
    );
    assert!(restored.iter().all(|done| done["set"]["id"] == set.as_str()));
    assert_eq!(cluster.sql("shop_back", "select count(*) from uploads").trim(), "301");
    assert_eq!(fs::read_to_string(ctl.path("back/3/f17.txt")).unwrap(), "upload 17");

    // Both targets are in use now: nothing is begun, and the member is named.
    let again = ctl.run(&words("shop-all@latest")).expect(8);
    assert!(
        again.error()["message"].as_str().unwrap().contains("member: shop"),
        "{}",
        again.stderr
    );
    // Each member has a place, and only members have.
    for wrong in [&["--to", "shop=postgres:///x"][..], &["--to", "uploads"], &["--to", "blog=x"]] {
        ctl.run(&[&["restore", "shop-all"][..], wrong].concat()).fails(2);
    }
    let old = format!("shop-all@{}", &set[..8]);
    ctl.ok(&["verify", &old, "--read-data"]);
    ctl.run(&["show", "shop-all@2020-01-01"]).fails(7);
    // Pinned and forgotten as a whole.
    ctl.ok(&["pin", "shop-all"]);
    let pinned = ctl.json(&["show", &old]);
    assert!(pinned["snapshots"].as_array().unwrap().iter().all(|one| one["pinned"] == true));
    ctl.run(&["forget", &old, "--force"]).fails(8);
    ctl.ok(&["unpin", &old]);
    ctl.ok(&["forget", &old, "--force"]);
    assert_eq!(ctl.json(&["snapshots"])["snapshots"].as_array().unwrap().len(), 0);
}

#[test]
fn a_drill_finds_the_upload_that_was_deleted() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let ctl = shop(&cluster, "");
    ctl.ok(&["backup", "shop-all"]);
    let drilled = lines(&ctl.run(&["--json", "drill", "shop-all"]).expect(0));
    let (receipt, question) = (&drilled[2], |n: usize| &drilled[2]["questions"][n]);
    assert_eq!((&receipt["kind"], &receipt["verdict"]), (&"set".into(), &"passed".into()));
    let keys = question(1);
    assert_eq!((&keys["name"], &keys["outcome"]), (&"keys uploads".into(), &"passed".into()));
    assert_eq!(keys["detail"], "300 keys, a file for each, 1 rows have none");
    assert_eq!(receipt["members"][1]["source"], "uploads");

    // Verified or not protected: the newest complete set passed.
    let status = ctl.json(&["status"]);
    let group = &status["groups"][0];
    assert_eq!((&status["protected"], &group["state"]), (&true.into(), &"protected".into()));
    assert_eq!((&group["newest_passed"], &group["complete"]), (&true.into(), &1.into()));

    // A row whose file went before the files were read.
    fs::remove_file(ctl.path("uploads/5/f12.txt")).unwrap();
    ctl.ok(&["backup", "shop-all"]);
    let failed = ctl.run(&["--json", "drill", "shop-all"]).expect(5);
    let drilled = lines(&failed);
    let verdicts: Vec<_> = drilled.iter().map(|r| r["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["passed", "passed", "failed"], "no member is to blame");
    let keys = &drilled[2]["questions"][1];
    assert_eq!(keys["detail"], "1 of 300 keys have no file: 5/f12.txt, 1 rows have none");
    let status = ctl.json_ending(&["status", "shop-all"], 9);
    assert_eq!(status["groups"][0]["state"], "at_risk", "{status:#}");
    assert!(status["groups"][0]["reasons"].to_string().contains("5/f12.txt"), "{status:#}");
    assert_eq!(status["sources"][1]["state"], "protected", "by its own rule: {status:#}");
    assert!(ctl.run(&["status"]).expect(9).stdout.contains("shop-all"));
    ctl.run(&["validate", "--repository"]).expect(9);
    let listed = ctl.json(&["snapshots", "shop"]);
    assert_eq!(listed["snapshots"][1]["verified"]["level"], "drilled");
    let history = ctl.json(&["drill", "--history", "shop-all"]);
    assert_eq!(history["drills"].as_array().unwrap().len(), 2);

    // A statement that does not work says nothing about the files.
    let text = fs::read_to_string(ctl.path("backup.toml")).unwrap();
    fs::write(ctl.path("backup.toml"), text.replace("select path", "select id, path")).unwrap();
    let unclear = lines(&ctl.run(&["--json", "drill", "shop-all"]).expect(1));
    assert_eq!(unclear[2]["questions"][1]["outcome"], "inconclusive", "{unclear:#?}");
}

#[test]
fn a_run_that_is_killed_between_two_members_leaves_a_set_that_never_counts() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let ctl = shop(&cluster, "backup.max_rate = \"256KiB\"");
    let mut run =
        ctl.command(&["--json", "backup", "shop-all"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut first).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    let id = first["snapshot"]["set"]["id"].as_str().unwrap();
    assert_eq!(states(&ctl), ["incomplete"]);
    ctl.run(&["show", "shop-all@latest"]).fails(7);

    let whole = format!("shop-all@{id}");
    let back = ctl.path("back").display().to_string();
    let (to_shop, to_files) = (format!("shop={}", cluster.url("half")), format!("uploads={back}"));
    let refused = ctl.run(&["restore", &whole, "--to", &to_shop, "--to", &to_files]).fails(8);
    assert!(refused.stderr.contains("missing: uploads"), "{}", refused.stderr);
    ctl.run(&["drill", &whole]).fails(8);
    assert!(!Path::new(&back).exists());
    ctl.ok(&["restore", &whole, "--incomplete", "--to", &to_shop]);
    assert_eq!(cluster.sql("half", "select count(*) from uploads").trim(), "301");

    // The next run begins a new set; what is left of the old one goes like any other snapshot.
    configure(&ctl, "");
    ctl.ok(&["backup"]);
    assert_eq!(states(&ctl), ["incomplete", "complete"]);
    let newest = ctl.json(&["show", "shop-all"]);
    assert_ne!(newest["set"]["id"], id);
    ctl.ok(&["verify", "shop-all", "--read-data"]);
    ctl.ok(&["forget", "--keep-last", "1"]);
    assert_eq!(states(&ctl), ["complete"]);
}

#[test]
fn a_member_that_fails_leaves_the_set_incomplete_and_the_others_backed_up() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let mut ctl = shop(&cluster, "");
    let url = ctl.environment().find(|(name, _)| *name == "SHOP_URL").unwrap().1.to_owned();
    ctl.set("SHOP_URL", cluster.url("no_such_database"));
    let done = ctl.run(&["--json", "backup", "shop-all"]).expect(1);
    let taken: Vec<Value> = lines(&done);
    let outcomes: Vec<_> = taken.iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["failed", "ok"]);
    assert!(taken[1]["snapshot"]["set"].is_null(), "it belongs to no set");
    ctl.run(&["snapshots", "shop-all"]).fails(7);
    // And the other way round: what was taken stays, as what it is.
    ctl.set("SHOP_URL", url);
    fs::rename(ctl.path("uploads"), ctl.path("away")).unwrap();
    ctl.run(&["backup", "shop-all"]).expect(1);
    assert_eq!(states(&ctl), ["incomplete"]);
    fs::rename(ctl.path("away"), ctl.path("uploads")).unwrap();
    ctl.ok(&["backup", "shop-all"]);
    assert_eq!(states(&ctl), ["incomplete", "complete"]);
}

#[test]
fn mariadb_and_a_tree_are_one_set() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4; CREATE USER app@localhost");
    server.sql("", "GRANT ALL PRIVILEGES ON *.* TO app@localhost");
    server.sql(
        "shop",
        "CREATE TABLE uploads (id int PRIMARY KEY, path varchar(90)) DEFAULT CHARSET=utf8mb4;
         INSERT INTO uploads SELECT seq, CONCAT('f\u{fc} ', seq) FROM seq_1_to_40",
    );
    let mut ctl = Program::new();
    fs::create_dir_all(ctl.path("uploads/jpg")).unwrap();
    for n in 1..=40 {
        fs::write(ctl.path(&format!("uploads/jpg/f\u{fc} {n}")), "x").unwrap();
    }
    ctl.set("SHOP_URL", server.url_of("app", "shop"));
    let text = "[[source]]\nname = \"shop\"\nurl = \"env:SHOP_URL\"\nprovider = \"mysql\"\n\
                [[source]]\nname = \"uploads\"\npath = \"uploads\"\n\
                [[group]]\nname = \"all\"\nsources = [\"shop\", \"uploads\"]\n\
                [[group.drill.keys]]\nsql = \"SELECT path FROM uploads\"\nadd_prefix = \"jpg/\"\n";
    fs::write(ctl.path("backup.toml"), text).unwrap();
    ctl.ok(&["init"]);
    ctl.ok(&["backup", "all"]);
    let to = server.url_of("app", "any");
    let passed = lines(&ctl.run(&["--json", "drill", "all", "--to", &to]).expect(0));
    assert_eq!(passed[2]["questions"][1]["detail"], "40 keys, a file for each");
    let back = ctl.path("back").display().to_string();
    let (shop, files) =
        (format!("shop={}", server.url_of("app", "back")), format!("uploads={back}"));
    ctl.ok(&["restore", "all", "--to", &shop, "--to", &files]);
    assert_eq!(server.dump("shop"), server.dump("back"));
    fs::remove_file(ctl.path("uploads/jpg/f\u{fc} 7")).unwrap();
    ctl.ok(&["backup", "all"]);
    let failed = lines(&ctl.run(&["--json", "drill", "all", "--to", &to]).expect(5));
    let told = failed[2]["questions"][1]["detail"].as_str().unwrap();
    assert_eq!(told, "1 of 40 keys have no file: jpg/f\u{fc} 7");
}

#[test]
fn a_database_and_a_bucket_are_one_set() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let Some(server) = s3::Server::start() else { return };
    let mut ctl = shop(&cluster, "");
    server.create_bucket("uploads").unwrap();
    let bucket = |prefix: &str| {
        format!("s3://uploads/{prefix}?endpoint={}&region=us-east-1", server.endpoint())
    };
    ctl.set("BACKUP_TARGET_ACCESS_KEY_ID", server.access_key());
    ctl.set("BACKUP_TARGET_SECRET_ACCESS_KEY", server.secret_key());
    ctl.set("UPLOADS_SECRET", server.secret_key());
    ctl.ok(&["backup", "uploads"]);
    ctl.ok(&["restore", "uploads@latest", "--to", &bucket("live")]);
    let text = fs::read_to_string(ctl.path("backup.toml")).unwrap();
    let place = format!(
        "url = \"{}\"\nbucket.access_key_id = \"{}\"\nbucket.secret_access_key = \"env:UPLOADS_SECRET\"",
        bucket("live"),
        server.access_key()
    );
    let text = text.replace("path = \"uploads\"", &place).replace("\"uploads\"", "\"objects\"");
    fs::write(ctl.path("backup.toml"), text).unwrap();
    ctl.ok(&["backup", "shop-all"]);
    let drilled = lines(&ctl.run(&["--json", "drill", "shop-all"]).expect(0));
    assert_eq!(drilled[2]["questions"][1]["name"], "keys objects");
    assert_eq!(drilled[2]["questions"][1]["outcome"], "passed", "{drilled:#?}");
    let (shop, files) =
        (format!("shop={}", cluster.url("back")), format!("objects={}", bucket("back")));
    let restored = lines(
        &ctl.run(&["--json", "restore", "shop-all", "--to", &shop, "--to", &files]).expect(0),
    );
    assert_eq!(restored[1]["files"], 301, "{restored:#?}");
    // What stands in the new place now is refused before the database is touched.
    let shop = format!("shop={}", cluster.url("again"));
    ctl.run(&["restore", "shop-all", "--to", &shop, "--to", &files]).fails(8);
    let there = cluster.sql("postgres", "select count(*) from pg_database where datname = 'again'");
    assert_eq!(there.trim(), "0");
}
