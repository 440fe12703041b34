//! `status`: what is worth looking at, by name.

use std::process::Command;

use backup_testkit::postgres::Cluster;

use crate::program::{Done, Program, shop};

/// Runs the program with a clock that is two days ahead.
fn later(ctl: &Program, words: &[&str]) -> Done {
    let plain = ctl.command(words);
    let mut command = Command::new("faketime");
    command.args(["-f", "+2d"]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = plain.get_current_dir() {
        command.current_dir(folder);
    }
    Done::from(command.output().expect("faketime; cargo xtask tools"))
}

#[test]
fn what_is_late_is_named_although_the_source_is_protected() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 200);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    let url = cluster.url("shop");
    let configure = |cron: &str, more: &str| {
        let text = format!(
            "[[source]]\nname = \"shop\"\nurl = \"{url}\"\nschedule.backup = \"{cron}\"\n{more}"
        );
        std::fs::write(ctl.path("backup.toml"), text).unwrap();
    };
    configure("0 3 * * *", "");
    ctl.ok(&["backup", "--verify", "read"]);
    let status = ctl.json(&["status"]);
    let shop = &status["sources"][0];
    assert_eq!(shop["state"], "protected", "{status:#}");
    assert!(shop["expected_at"].as_str().unwrap().contains("T03:00:00"), "{status:#}");
    assert!(shop["verified_age_seconds"].as_u64().unwrap() < 3600, "{status:#}");
    assert!(shop.get("overdue_since").is_none() && shop.get("conditions").is_none(), "{status:#}");
    let repository = &status["repository"];
    assert!(repository["available_bytes"].as_u64() > Some(0), "{status:#}");
    let names = |value: &serde_json::Value| value["conditions"].to_string();
    assert!(names(repository).contains("key_single"), "{status:#}");
    let text = ctl.ok(&["status"]);
    assert!(text.contains("NEXT") && text.contains(" free"), "{text}");

    // A second key; and a clock that says it is the day after tomorrow.
    let sheet = ctl.path("sheet.txt").display().to_string();
    ctl.ok(&["key", "sheet", "--output", &sheet]);
    configure("0 3 * * *", "protection.rpo = \"30d\"\ndrill.disaster = \"quarterly\"\n");
    let later_status = later(&ctl, &["--json", "status"]).expect(9).stdout;
    let found: serde_json::Value = serde_json::from_str(&later_status).unwrap();
    crate::schema::check(&found);
    let shop = &found["sources"][0];
    assert_eq!(shop["state"], "at_risk", "{found:#}");
    assert!(shop["overdue_since"].is_string(), "{found:#}");
    assert!(names(shop).contains("\"overdue\"") && names(shop).contains("disaster_overdue"));
    assert!(shop["reasons"][0].as_str().unwrap().starts_with("No disaster drill"), "{found:#}");
    assert!(!names(&found["repository"]).contains("key_single"), "{found:#}");
    let text = later(&ctl, &["status"]).expect(9).stdout;
    assert!(
        text.contains("OVERDUE") && text.contains("backup overdue: A backup was due"),
        "{text}"
    );
}
