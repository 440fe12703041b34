//! Drills through the program: a receipt for good backups, exit codes that tell bad ones from
//! bad machines, and nothing left behind.

use backup_testkit::postgres::Cluster;

use crate::program::{Program, shop};

fn leftovers(cluster: &Cluster) -> String {
    let sql = "select count(*) from pg_database where datname like 'backup_drill_%'";
    cluster.sql("postgres", sql).trim().to_owned()
}

fn with_source(ctl: &Program, drill: &str) {
    let text = format!(
        "[[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n\n[source.drill]\n{drill}\n"
    );
    std::fs::write(ctl.path("backup.toml"), text).unwrap();
}

#[test]
fn a_drill_on_a_given_server_leaves_a_receipt_and_nothing_else() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 3000);
    cluster.sql("shop", "create sequence ticket; select setval('ticket', 41)");
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let to = cluster.url("postgres");
    with_source(
        &ctl,
        "every = \"weekly\"\nrto = \"10m\"\nsmoke = \"psql \\\"$DATABASE_URL\\\" -XAtc 'select \
         count(*) from orders'\"\n\
         [[source.drill.assert]]\nname = \"orders\"\nsql = \"select count(*) from orders\"\n\
         equals = 3000\n\
         [[source.drill.assert]]\nname = \"fresh\"\nsql = \"select now()\"\nyounger_than = \"1d\"",
    );
    // Overdue before the first one.
    let before = ctl.json_ending(&["status"], 9);
    assert!(
        before["sources"][0]["reasons"].to_string().contains("No drill has passed"),
        "{before}"
    );

    let receipt = ctl.json(&["drill", "shop", "--to", &to]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert_eq!(receipt["rows"], 4200);
    assert!(receipt["rto_seconds"].as_f64() > Some(0.0));
    let answers = receipt["questions"].as_array().unwrap();
    let of = |name: &str| {
        let found = answers.iter().find(|question| question["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {receipt:#}"))["outcome"].clone()
    };
    for asked in
        ["restore", "rows", "fingerprints", "schema", "sequences", "objects", "assert orders"]
    {
        assert_eq!(of(asked), "passed", "{receipt:#}");
    }
    assert_eq!(of("smoke test"), "passed", "{receipt:#}");
    assert_eq!(leftovers(&cluster), "0");

    let snapshots = ctl.json(&["snapshots"]);
    assert_eq!(snapshots["snapshots"][0]["verified"]["level"], "drilled");
    let status = ctl.json(&["status"]);
    assert_eq!(status["sources"][0]["state"], "protected", "{status:#}");
    assert_eq!(status["sources"][0]["drill"]["verdict"], "passed");
    let history = ctl.json(&["drill", "--history", "shop"]);
    assert_eq!(history["drills"][0], receipt, "the receipt is kept as it was printed");
    assert_eq!(history["trends"][0]["passed"], 1);
    assert!(ctl.ok(&["drill", "--history"]).contains("1 of 1 passed"));
}

#[test]
fn a_backup_that_lost_yesterdays_rows_is_caught_by_the_question_its_owner_asked() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 500);
    cluster
        .sql("shop", "alter table orders add placed timestamptz default now() - interval '3 days'");
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    ctl.ok(&["verify", "--read-data"]);
    with_source(
        &ctl,
        "[[source.drill.assert]]\nname = \"newest order\"\nsql = \"select max(placed) from orders\"\n\
         younger_than = \"1d\"",
    );
    let to = cluster.url("postgres");
    let receipt = ctl.json_ending(&["drill", "--to", &to], 5);
    assert_eq!(receipt["verdict"], "failed", "{receipt:#}");
    let failed: Vec<_> = receipt["questions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|question| question["outcome"] == "failed")
        .map(|question| question["name"].clone())
        .collect();
    assert_eq!(failed, ["assert newest order"], "every byte is right, only the data is not");
    // It counts as proved no more, and the source is not protected.
    assert_eq!(ctl.json(&["snapshots"])["snapshots"][0]["verified"]["level"], "none");
    assert!(ctl.run(&["status"]).expect(9).stdout.contains("newest drill failed"));
    assert_eq!(leftovers(&cluster), "0");
}

#[test]
fn a_place_that_cannot_do_it_is_not_the_backups_fault() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 200);
    cluster.sql("shop", "create role keeper; alter table orders owner to keeper");
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let Some(other) = Cluster::start_newest() else { return };
    let receipt = ctl.json_ending(&["drill", "--to", &other.url("postgres")], 1);
    assert_eq!(receipt["verdict"], "inconclusive", "{receipt:#}");
    let told = receipt["questions"][0].to_string();
    assert!(told.contains("keeper") && told.contains("remedy"), "{told}");
    // What was proved stays proved.
    assert_eq!(ctl.json(&["snapshots"])["snapshots"][0]["verified"]["level"], "exists");
    assert_eq!(leftovers(&other), "0");
    // Nobody is there: no drill at all.
    let gone = other.url("postgres");
    drop(other);
    ctl.run(&["drill", "--to", &gone]).fails(3);
}

#[test]
fn from_nothing_but_a_sheet_on_a_server_of_its_own() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 1500);
    cluster.sql("shop", "create role keeper; alter table orders owner to keeper");
    let mut ctl = Program::of(&cluster, "shop");
    let sheet = ctl.path("sheet.txt").display().to_string();
    ctl.ok(&["init", "--sheet", &sheet]);
    ctl.ok(&["backup"]);
    for name in ["BACKUP_REPOSITORY", "BACKUP_PASSPHRASE", "DATABASE_URL"] {
        ctl.unset(name);
    }
    // A configuration that would spoil everything if it were read.
    std::fs::write(ctl.path("backup.toml"), "[repository]\nurl = \"file:///nowhere\"\n").unwrap();
    let receipt = ctl.json(&["drill", "--disaster", "--sheet", &sheet]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert_eq!(receipt["disaster"], true);
    assert!(receipt["target"].as_str().unwrap().contains("throw-away server"), "{receipt:#}");
    assert!(receipt["phases"].as_array().unwrap().len() > 5, "{receipt:#}");
    let text = ctl.ok(&["drill", "--disaster", "--sheet", &sheet]);
    assert!(text.starts_with("DISASTER DRILL PASSED") && text.contains("timeline"), "{text}");
    assert!(text.contains("indexes"), "{text}");
    ctl.run(&["drill", "--disaster", "--sheet", "/nonexistent"]).fails(2);
    let mine = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok);
    let left: Vec<_> = mine
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("backup-drill-"))
        .filter(|entry| {
            // Other tests may be drilling at this moment.
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.split('-').nth(2).unwrap_or_default().to_owned();
            !std::path::Path::new("/proc").join(process).exists()
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
