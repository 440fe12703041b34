//! The program itself is killed in the middle of a backup, a restore and a drill of MySQL: nothing
//! half counts, and the next run works.

use std::process::{Child, Stdio};

use backup_testkit::mariadb::MariaDb;

use crate::program::Program;
use crate::wal::wait;

/// Begins a run that is in the midst of it when `there` says so, and kills it.
fn kill(ctl: &Program, words: &[&str], what: &str, mut there: impl FnMut() -> bool) {
    let mut command = ctl.command(words);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = |run: &mut Child| run.try_wait().unwrap();
    wait(what, || {
        assert!(ended(&mut run).is_none(), "it ended before: {what}");
        there()
    });
    run.kill().unwrap();
    let status = run.wait().unwrap();
    assert_eq!(status.code(), None, "{what}: it was killed in its midst");
}

fn sessions(server: &MariaDb, condition: &str) -> u64 {
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
         WHERE ID <> CONNECTION_ID() AND {condition}"
    );
    server.sql("", &sql).trim().parse().unwrap()
}

/// A server with 24 MB of rows, and a program that backs them up with the server's accounts.
fn world() -> Option<(MariaDb, Program)> {
    let server = MariaDb::start(&[])?;
    server.sql("", "CREATE DATABASE shop; CREATE USER app@localhost IDENTIFIED BY 'secret'");
    server.sql("", "GRANT SELECT ON shop.* TO app@localhost");
    server.sql(
        "shop",
        "CREATE TABLE t (id int PRIMARY KEY, pad varchar(1000), KEY (pad));
         INSERT INTO t SELECT seq, CONCAT(MD5(seq), REPEAT('x', 900)) FROM seq_1_to_25000;
         CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1);
         CREATE TRIGGER tr BEFORE INSERT ON small FOR EACH ROW SET NEW.id = NEW.id + 1;",
    );
    let mut ctl = Program::new();
    let configuration = format!(
        "[[source]]\nname = \"shop\"\nurl = \"{}\"\n[source.backup]\nusers = true\n",
        server.url("shop")
    );
    std::fs::write(ctl.path("backup.toml"), configuration).unwrap();
    std::fs::create_dir(ctl.path("temporary")).unwrap();
    ctl.set("TMPDIR", ctl.path("temporary").display().to_string());
    ctl.ok(&["init"]);
    Some((server, ctl))
}

#[test]
fn a_killed_backup_is_none_and_a_killed_restore_is_made_anew() {
    let Some((server, ctl)) = world() else { return };
    let reading = || sessions(&server, "DB = 'shop' AND INFO LIKE 'SELECT%'") > 0;
    kill(&ctl, &["backup", "--max-rate", "2MiB"], "the reading of rows", reading);
    assert!(ctl.json(&["snapshots"])["snapshots"].as_array().unwrap().is_empty());
    // What it held on the server is given back: whoever writes or changes a table does.
    wait("the end of its sessions", || sessions(&server, "DB = 'shop'") == 0);
    server.sql("shop", "INSERT INTO small VALUES (7); ALTER TABLE small ADD COLUMN more int");
    ctl.ok(&["backup"]);
    ctl.ok(&["verify", "--all", "--read-data"]);

    let other = MariaDb::start(&[]).unwrap();
    let to = other.url("copy");
    let restore = ["restore", "latest", "--to", &to, "--create-roles"];
    let mark = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'copy' \
                AND TABLE_NAME = 'backup_unfinished_restore'";
    let loading = || sessions(&other, "INFO LIKE 'LOAD DATA%'") > 0;
    let steps: [(&str, &dyn Fn() -> bool); 2] = [
        ("the making of the database", &|| other.sql("", mark).trim() == "1"),
        ("the loading of rows", &loading),
    ];
    for (what, there) in steps {
        kill(&ctl, &restore, what, there);
        assert_eq!(other.sql("", mark).trim(), "1", "{what}: it is marked as unfinished");
        wait("the end of its sessions", || sessions(&other, "DB = 'copy'") == 0);
    }
    // Nobody takes it for a database: no backup, no other restore, no migration.
    let half = ctl.path("half.toml");
    let text = format!("[[source]]\nname = \"half\"\nurl = \"{to}\"\n");
    std::fs::write(&half, text).unwrap();
    let half = half.display().to_string();
    let refused = ctl.run(&["--config", &half, "backup"]).fails(3);
    assert!(refused.stderr.contains("was killed"), "{}", refused.stderr);
    ctl.run(&["migrate", "shop", "--to", &to, "--create-roles"]).fails(8);

    ctl.ok(&restore);
    assert_eq!(server.dump("shop"), other.dump("copy"));
    assert!(other.sql("", "SHOW GRANTS FOR app@localhost").contains("SELECT ON `copy`.*"));
    assert_eq!(other.sql("", "SHOW DATABASES LIKE '%copy%'").trim(), "copy");
    ctl.run(&restore).fails(8);
}

#[test]
fn a_killed_drill_is_swept_by_the_next() {
    let Some((server, ctl)) = world() else { return };
    ctl.ok(&["backup"]);
    let configuration = std::fs::read_to_string(ctl.path("backup.toml")).unwrap();
    let slow =
        "[[source.drill.assert]]\nname = \"slow\"\nsql = \"select sleep(600)\"\nequals = 0\n";
    std::fs::write(ctl.path("backup.toml"), format!("{configuration}{slow}")).unwrap();
    let folders = || std::fs::read_dir(ctl.path("temporary")).unwrap().filter_map(Result::ok);
    let process = || {
        let pid =
            folders().find_map(|folder| std::fs::read_to_string(folder.path().join("pid")).ok())?;
        pid.trim().parse::<u32>().ok()
    };
    // On a server of its own, whose question is not answered, and on a given one.
    kill(&ctl, &["drill"], "the throw-away server", || process().is_some());
    let orphan = process().unwrap();
    let given = server.url("any");
    let asking = || sessions(&server, "INFO LIKE 'select sleep%'") > 0;
    kill(&ctl, &["drill", "--to", &given], "the question", asking);
    std::fs::write(ctl.path("backup.toml"), configuration).unwrap();

    let receipt = ctl.json(&["drill"]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert!(receipt["findings"].to_string().contains("an earlier drill had left"), "{receipt:#}");
    assert_eq!(folders().count(), 0);
    assert!(!std::path::Path::new(&format!("/proc/{orphan}")).exists(), "the server runs on");
    // Neither was a drill: one receipt.
    assert_eq!(ctl.json(&["drill", "--history"])["drills"].as_array().unwrap().len(), 1);
}
