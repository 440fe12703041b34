//! MySQL and MariaDB through the program: the same verbs as for PostgreSQL.

use backup_testkit::mariadb::MariaDb;

use crate::program::Program;

const SHOP: &str = "\
CREATE TABLE customers (id int PRIMARY KEY AUTO_INCREMENT, name varchar(50) NOT NULL) DEFAULT CHARSET=utf8mb4;
CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, total decimal(10,2), note text,
  CONSTRAINT fk FOREIGN KEY (customer) REFERENCES customers (id)) DEFAULT CHARSET=utf8mb4;
INSERT INTO customers (name) SELECT CONCAT('ü🦀 ', seq) FROM seq_1_to_200;
INSERT INTO orders SELECT seq, 1 + seq MOD 200, seq / 7, REPEAT('x', seq MOD 90) FROM seq_1_to_3000;
CREATE VIEW totals AS SELECT customer, SUM(total) AS total FROM orders GROUP BY customer;
CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW SET NEW.note = CONCAT(NEW.note, '!');";

#[test]
fn a_database_is_backed_up_proved_drilled_and_brought_back() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4; CREATE USER app@localhost IDENTIFIED BY 'secret'");
    server.sql("", "GRANT ALL PRIVILEGES ON *.* TO app@localhost");
    server.sql("shop", SHOP);
    let mut ctl = Program::new();
    // The words of existing setups.
    ctl.set("DB_PROVIDER", "mysql");
    ctl.set("MYSQL_DB_URL", server.url_of("app", "shop"));
    ctl.set("MYSQL_PWD", "secret");
    ctl.ok(&["init"]);
    let first = ctl.json(&["backup"]);
    assert_eq!(first["snapshot"]["kind"], "logical", "{first:#}");
    server.sql("shop", "INSERT INTO orders VALUES (9000, 1, 5, 'late')");
    let second = ctl.json(&["backup"]);
    assert!(second["snapshot"]["added_bytes"].as_u64() < second["snapshot"]["read_bytes"].as_u64());

    let copy = server.url_of("app", "copy");
    let restored = ctl.json(&["restore", "latest", "--to", &copy, "--yes"]);
    assert_eq!(restored["rows"], 3201, "{restored:#}");
    assert_eq!(server.dump("shop"), server.dump("copy"));
    ctl.run(&["restore", "latest", "--to", &copy, "--yes"]).fails(8);
    let part = server.url_of("app", "part");
    ctl.ok(&["restore", "latest", "--to", &part, "--table", "customers", "--yes"]);
    assert_eq!(server.sql("part", "SHOW TABLES").trim(), "customers");

    ctl.ok(&["verify", "latest", "--read-data"]);
    for to in [None, Some(server.url_of("app", "any"))] {
        let mut words = vec!["drill"];
        words.extend(to.as_deref().map(|to| ["--to", to]).into_iter().flatten());
        let receipt = ctl.json(&words);
        assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
        for question in receipt["questions"].as_array().unwrap() {
            assert_eq!(question["outcome"], "passed", "{receipt:#}");
        }
    }
    ctl.ok(&["status"]);
    ctl.ok(&["doctor"]);
    let out = ctl.path("out").display().to_string();
    ctl.ok(&["export", "latest", "--output", &out]);
    let script = std::fs::read_to_string(ctl.path("out/database.sql")).unwrap();
    assert!(script.contains("ü🦀 200") && script.ends_with("-- End of the database.\n"));

    // The server is gone: 3, and nothing that could be taken for a success.
    ctl.set("MYSQL_DB_URL", "mysql://app@127.0.0.1:1/shop");
    ctl.run(&["backup"]).fails(3);
    ctl.set("MYSQL_DB_URL", server.url_of("app", "shop"));
    ctl.set("MYSQL_PWD", "wrong");
    let refused = ctl.run(&["backup"]).fails(3);
    assert!(!refused.stderr.contains("wrong"), "{}", refused.stderr);
    assert_eq!(ctl.json(&["snapshots"])["snapshots"].as_array().unwrap().len(), 2);
}

#[test]
fn accounts_are_kept_when_asked_for_and_their_hashes_shown_nowhere() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop; CREATE USER app@localhost IDENTIFIED BY 'secret'; GRANT SELECT ON shop.* TO app@localhost");
    server.sql("shop", "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1);");
    server.sql("shop", "CREATE DEFINER=app@localhost VIEW v AS SELECT a FROM t");
    let ctl = Program::new();
    let configuration = format!(
        "[[source]]\nname = \"shop\"\nurl = \"{}\"\n[source.backup]\nusers = true\n",
        server.url("shop")
    );
    std::fs::write(ctl.path("backup.toml"), configuration).unwrap();
    ctl.ok(&["init"]);
    let hash = server.sql("", "SELECT PASSWORD('secret')").trim().to_owned();
    let mut said = String::new();
    let mut run = |ctl: &Program, words: &[&str]| {
        let done = ctl.run(words).expect(0);
        said.push_str(&done.stdout);
        said.push_str(&done.stderr);
        done
    };
    run(&ctl, &["-v", "backup"]);
    run(&ctl, &["doctor"]);
    run(&ctl, &["-v", "show", "latest"]);
    run(&ctl, &["--json", "show", "latest"]);
    run(&ctl, &["ls", "latest"]);

    let other = MariaDb::start(&[]).unwrap();
    let to = other.url("shop");
    let plan = run(&ctl, &["restore", "latest", "--to", &to, "--create-roles", "--preview"]);
    assert!(plan.stdout.contains("create accounts"), "{}", plan.stdout);
    let map = ["--map-role", "app=web"];
    run(&ctl, &[&["-v", "restore", "latest", "--to", &to, "--create-roles"], &map[..]].concat());
    assert_eq!(other.sql("shop", "SELECT a FROM v"), "1\n");
    let web = other.sql("", "SHOW CREATE USER web@localhost");
    assert!(web.contains(&hash), "{web}");
    assert!(other.sql("shop", "SHOW CREATE VIEW v").contains("DEFINER=`web`@`localhost`"));
    // In the repository there are only sealed bytes.
    let mut files = vec![ctl.path("repository")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(hash.len()).any(|w| w == hash.as_bytes()), "{}", path.display());
        }
    }
    assert!(!said.contains(&hash) && !said.contains(&hash[1..]), "{said}");
}

#[test]
fn a_database_moves_to_another_server_and_is_proved_there() {
    let (Some(old), Some(new)) = (MariaDb::start(&[]), MariaDb::start(&[])) else { return };
    old.sql("", "CREATE DATABASE shop CHARACTER SET latin1; CREATE USER app@localhost IDENTIFIED BY 'secret'");
    old.sql("", "GRANT ALL PRIVILEGES ON shop.* TO app@localhost");
    old.sql("shop", SHOP);
    old.sql("shop", "CREATE DEFINER=app@localhost PROCEDURE p() SELECT 1; CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SET @a = 1");
    let ctl = Program::new();
    let configuration = format!(
        "[[source]]\nname = \"shop\"\nurl = \"{}\"\n[source.backup]\nusers = true\n",
        old.url("shop")
    );
    std::fs::write(ctl.path("backup.toml"), configuration).unwrap();
    ctl.ok(&["init"]);
    let to = new.url("moved");
    let check = |document: &serde_json::Value, name: &str| {
        let checks = document["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap().clone()
    };

    // What is missing is named before anything is read.
    let preview = ctl.json_ending(&["migrate", "shop", "--to", &to, "--preview"], 8);
    let roles = check(&preview, "roles");
    assert_eq!(roles["fit"], "blocked", "{preview:#}");
    assert!(roles["detail"].as_str().unwrap().contains("app@localhost"), "{roles}");
    assert_eq!(check(&preview, "events")["fit"], "warning");
    for name in ["version", "target", "features", "locale", "names", "max_allowed_packet"] {
        assert_eq!(check(&preview, name)["fit"], "fits", "{preview:#}");
    }
    let refused = ctl.run(&["migrate", "shop", "--to", &to]).fails(8);
    assert!(refused.stderr.contains("app@localhost"), "{}", refused.stderr);
    ctl.run(&["show", "latest"]).fails(7);
    let itself = ctl.run(&["migrate", "shop", "--to", &old.url("shop"), "--create-roles"]).fails(8);
    assert!(itself.stderr.contains("the source itself"), "{}", itself.stderr);

    let done = ctl.json(&["migrate", "shop", "--to", &to, "--create-roles"]);
    assert_eq!(done["outcome"], "migrated", "{done:#}");
    assert_eq!(done["restored"]["rows"], 3_200, "{done:#}");
    for name in ["rows", "fingerprints", "schema", "sequences", "objects", "locale"] {
        let asked = done["questions"].as_array().unwrap();
        let found = asked.iter().find(|question| question["name"] == name).unwrap();
        assert_eq!(found["outcome"], "passed", "{done:#}");
    }
    assert_eq!(old.dump("shop"), new.dump("moved"));
    assert!(new.sql("", "SHOW GRANTS FOR app@localhost").contains("ON `moved`.*"));
    let again = ctl.run(&["migrate", "shop", "--to", &to, "--create-roles"]).fails(8);
    assert!(again.stderr.contains("not empty"), "{}", again.stderr);

    // The commands of the checklist are commands: the source can be read only, and written again.
    let run = |step: usize| {
        let command = done["checklist"][step]["command"].as_str().unwrap();
        let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(0);
    run(1);
    assert_eq!(old.sql("", "SELECT @@GLOBAL.read_only").trim(), "1");
    assert_eq!(run(3).trim(), "3");
    run(6);
    assert_eq!(old.sql("", "SELECT @@GLOBAL.read_only").trim(), "0");

    // Definers under another name are known to the comparison, too.
    let words = ["migrate", "shop", "--to", &new.url("again"), "--map-role", "app=web"];
    new.sql("", "CREATE USER web@localhost");
    let done = ctl.json(&words);
    assert_eq!(done["outcome"], "migrated", "{done:#}");
    assert!(new.sql("again", "SHOW CREATE PROCEDURE p").contains("`web`@`localhost`"));
}

/// The statements that checks print, as an administrator would run them.
fn grants(checks: &serde_json::Value) -> Vec<String> {
    let mut statements = Vec::new();
    for check in checks["checks"].as_array().unwrap() {
        for key in ["detail", "remedy"] {
            let text = check[key].as_str().unwrap_or_default();
            for (at, _) in text.match_indices("GRANT ") {
                statements.extend(text[at..].split_inclusive(';').next().map(str::to_owned));
            }
        }
    }
    statements
}

#[test]
fn a_newcomer_is_told_every_right_that_is_missing() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop; CREATE USER poor@localhost IDENTIFIED BY 'secret'");
    server.sql("shop", SHOP);
    server.sql(
        "shop",
        "CREATE PROCEDURE p() SELECT 1; CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SET @a = 1",
    );
    let mut ctl = Program::new();
    ctl.set("DATABASE_URL", server.url_of("poor:secret", "shop"));
    ctl.ok(&["init"]);
    // It may not even enter the database.
    let refused = ctl.run(&["backup"]).fails(3);
    let wanted =
        "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `shop`.* TO 'poor'@'localhost';";
    assert!(refused.stderr.contains(wanted), "{}", refused.stderr);
    let checks = ctl.json_ending(&["doctor"], 3);
    assert!(grants(&checks).iter().any(|one| one == wanted), "{checks:#}");

    // One table of it: what else there is, it cannot know.
    server.sql("", "GRANT SELECT ON shop.customers TO poor@localhost");
    let refused = ctl.run(&["backup"]).fails(3);
    assert!(refused.stderr.contains(wanted), "{}", refused.stderr);
    let checks = ctl.json_ending(&["doctor"], 1);
    assert!(grants(&checks).iter().any(|one| one == wanted), "{checks:#}");
    assert!(!format!("{checks}{}", refused.stderr).contains("secret"));

    // Whoever runs what is printed has a user that backs up all of it.
    let mut given = Vec::new();
    for _ in 0..5 {
        let done = ctl.run(&["--json", "doctor"]);
        let checks: serde_json::Value = serde_json::from_str(done.stdout.trim()).unwrap();
        let statements = grants(&checks);
        if statements.is_empty() {
            break;
        }
        for statement in statements {
            server.sql("", &statement);
            given.push(statement);
        }
    }
    for right in ["SELECT", "LOCK TABLES", "RELOAD", "SHOW VIEW", "TRIGGER", "EVENT", "PROCESS"] {
        assert!(given.iter().any(|one| one.contains(right)), "{right}: {given:?}");
    }
    ctl.ok(&["doctor"]);
    ctl.ok(&["backup"]);
    let copy = server.url("copy");
    ctl.ok(&["restore", "latest", "--to", &copy]);
    assert_eq!(server.dump("shop"), server.dump("copy"));
}
