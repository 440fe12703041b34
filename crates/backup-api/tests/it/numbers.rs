//! The metrics, and everything that names one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backup_api::metrics::{FAMILIES, Kind};

use crate::serve::{Served, loopback};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[tokio::test]
async fn the_page_is_well_formed_and_holds_every_family() {
    let served = Served::new(loopback()).await;
    served.get("/health").await;
    let page = served.get("/metrics").await;
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let mut seen = BTreeSet::new();
    let mut samples = BTreeMap::new();
    let mut current = String::new();
    for line in page.body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').unwrap();
            assert!(seen.insert(name.to_owned()), "{name} twice");
            current = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert!(kind.starts_with(&format!("{current} ")));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(series.starts_with(&current), "{series} under {current}");
            assert!(value.parse::<f64>().unwrap().is_finite());
            assert!(
                samples.insert(series.to_owned(), value.to_owned()).is_none(),
                "{series} twice"
            );
        }
    }
    let known: BTreeSet<_> = FAMILIES.iter().map(|family| family.name.to_owned()).collect();
    assert_eq!(seen, known, "every family has a sample in the world of the tests");
    assert_eq!(samples["backup_source_protected{source=\"orders\"}"], "1");
    assert_eq!(samples["backup_source_protected{source=\"legacy-crm\"}"], "0");
    assert_eq!(samples["backup_overdue_seconds{source=\"legacy-crm\",job=\"backup\"}"], "25200");
    assert_eq!(samples["backup_source_state{source=\"billing\",state=\"at_risk\"}"], "1");
    served.stop().await;
}

/// What Prometheus' own checker says of the page, with every family on it.
#[tokio::test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
async fn promtool_finds_nothing_to_say() {
    let unpacked = backup_testkit::tools::folder().join("bin/promtool");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("promtool"));
    let Some(promtool) = places.find(|p| p.is_file()).or(unpacked.is_file().then_some(unpacked))
    else {
        eprintln!("skipped: promtool is missing; `cargo xtask tools` unpacks it");
        return;
    };
    let served = Served::new(loopback()).await;
    served.get("/health").await;
    let page = served.get("/metrics").await.body;
    served.stop().await;
    let mut checking = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checking.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = checking.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn names_follow_the_rule() {
    const UNITS: [&str; 5] = ["_seconds", "_bytes", "_total", "_info", "_ratio"];
    // Counts of things are named after the things.
    const THINGS: [&str; 21] = [
        "backup_schedules_enabled",
        "backup_daemon_problems",
        "backup_source_protected",
        "backup_source_state",
        "backup_source_condition",
        "backup_repository_condition",
        "backup_snapshots",
        "backup_active_runs",
        "backup_provider_snapshots",
        "backup_provider_own_snapshots",
        "backup_wal_streaming",
        "backup_wal_gaps",
        "backup_drill_passed",
        "backup_repository_objects",
        "backup_repository_problems",
        "backup_open_alerts",
        "backup_undelivered_alerts",
        "backup_build_info",
        "backup_group_protected",
        "backup_group_state",
        "backup_incomplete_sets",
    ];
    for family in FAMILIES {
        assert!(family.name.starts_with("backup_"), "{}", family.name);
        assert_eq!(
            family.kind == Kind::Counter,
            family.name.ends_with("_total"),
            "{}",
            family.name
        );
        let unit = UNITS.iter().any(|unit| family.name.ends_with(unit));
        assert!(unit || THINGS.contains(&family.name), "{}", family.name);
        assert!(family.help.ends_with('.'), "{}", family.help);
    }
}

/// Every word in a text that looks like one of our metrics.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("backup_"))
        .map(|word| {
            let word = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix))
                .unwrap_or(word);
            word.to_owned()
        })
        .collect()
}

#[test]
fn rules_dashboards_and_documents_name_only_what_there_is() {
    let known: BTreeSet<_> = FAMILIES.iter().map(|family| family.name.to_owned()).collect();
    for file in ["deploy/prometheus/backup.rules.yml", "deploy/grafana/backup.json"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let named = named(&text);
        assert!(named.len() > 8, "{file}: {named:?}");
        assert_eq!(named.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "{file}");
    }
    let document = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    assert_eq!(named(&document), known, "docs/metrics.md lists all of them and no other");
    for family in FAMILIES {
        assert!(document.contains(family.help), "{}", family.name);
    }
}

#[test]
fn the_grafana_dashboard_is_complete() {
    let text = std::fs::read_to_string(root().join("deploy/grafana/backup.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut ids = BTreeSet::new();
    let panels = board["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        assert!(!panel["title"].as_str().unwrap().is_empty());
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24);
        for target in panel["targets"].as_array().unwrap() {
            assert!(!target["expr"].as_str().unwrap().is_empty());
        }
    }
}

#[test]
fn the_http_document_names_every_address() {
    let text = std::fs::read_to_string(root().join("docs/http.md")).unwrap();
    let document = backup_api::openapi::document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let line = format!("`{} {path}`", method.to_uppercase());
            assert!(text.contains(&line), "docs/http.md lacks {line}");
        }
    }
}
