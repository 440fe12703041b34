//! Evidence: signed, checked, and refused when changed.

use backup_testkit::postgres::Cluster;

use backup::catalog::SqliteCatalog;
use backup::ops::audit::{Act, Chain, Outcome};
use backup_core::port::Catalog;
use backup_core::{Error, ErrorKind, JobKey, JobKind, Run, RunError, RunId, RunState, Trigger};
use jiff::{SignedDuration, Timestamp};

use crate::program::{Program, shop};

#[test]
fn a_report_is_signed_and_any_change_is_found() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 500);
    let mut ctl = Program::of(&cluster, "shop");
    ctl.set("BACKUP_RETENTION", "extended");
    ctl.ok(&["init"]);
    ctl.ok(&["backup", "--verify", "read"]);

    let document = ctl.json(&["report"]);
    let shop = &document["report"]["sources"][0];
    assert_eq!(shop["source"], "shop");
    assert_eq!(shop["backups"]["proved"], 1);
    assert_eq!(shop["promised"]["retention"], "30 daily, 12 monthly");
    let outcome = |reference: &str| {
        let controls = document["report"]["controls"].as_array().unwrap();
        controls.iter().find(|c| c["reference"] == reference).unwrap()["outcome"].clone()
    };
    assert_eq!(outcome("164.308(a)(7)(ii)(A)"), "pass");
    assert_eq!(outcome("A1.3"), "fail", "nothing was drilled");

    let text = ctl.ok(&["report", "--format", "json"]);
    std::fs::write(ctl.path("report.json"), &text).unwrap();
    ctl.ok(&["report", "--output", "report.html"]);
    let checked = ctl.json(&["report", "verify", "report.html"]);
    let root = checked["facts"]["root"].as_str().unwrap().to_owned();
    ctl.ok(&["report", "verify", "report.json"]);
    ctl.run(&["report", "--output", "report.html"]).fails(8);

    let page = std::fs::read_to_string(ctl.path("report.html")).unwrap();
    let forged = [
        text.replace("\"outcome\":\"fail\"", "\"outcome\":\"pass\""),
        text.replace("\"proved\":1", "\"proved\":9"),
        page.replace(">fail<", ">pass<"),
        page.replace("<h1>", "<p>All is well.</p><h1>"),
        page.replace("\"proved\":1", "\"proved\":9"),
        "{}".to_owned(),
    ];
    for forged in forged {
        assert_ne!(forged, text);
        std::fs::write(ctl.path("forged"), forged).unwrap();
        ctl.run(&["report", "verify", "forged"]).fails(5);
    }

    // Somebody with a repository of their own signs what they like.
    let other = Program::of(&cluster, "shop");
    other.ok(&["init"]);
    std::fs::write(other.path("report.json"), &text).unwrap();
    other.run(&["report", "verify", "report.json"]).fails(5);
    // An auditor without the repository needs the root key alone.
    ctl.unset("BACKUP_REPOSITORY");
    ctl.ok(&["report", "verify", "report.html", "--root", &root]);
    ctl.run(&["report", "verify", "report.html"]).fails(2);
}

#[test]
fn periods_and_sources_that_make_no_sense_are_refused() {
    let ctl = Program::new();
    ctl.ok(&["init"]);
    ctl.run(&["report", "--from", "2026-03-02", "--to", "2026-03-01T00:00:00Z"]).fails(2);
    ctl.run(&["report", "--from", "yesterday"]).expect(2);
    ctl.run(&["report", "--source", "nobody"]).fails(7);
    ctl.run(&["report", "verify", "nothing"]).expect(7);
}

/// What a daemon of that repository would remember: a failure, its answer, and who did what.
async fn remembered(folder: &std::path::Path, repository: &str, forged: bool) {
    std::fs::create_dir_all(folder).unwrap();
    let now = Timestamp::now();
    let (catalog, _) = SqliteCatalog::open(&folder.join("catalog.db"), now).unwrap();
    let about = ("repository".to_owned(), Some(repository.to_owned()));
    catalog.put("daemon", &[about]).await.unwrap();
    let run = |id: u8, hours: i64, state| {
        let key = JobKey::of(JobKind::Backup, &"shop".parse().unwrap());
        let begun = now - SignedDuration::from_hours(hours);
        let run = Run::begin(RunId([id; 16]), key, Trigger::Schedule, begun);
        Run { state, ended_at: Some(begun + SignedDuration::from_secs(60)), ..run }
    };
    let away = Error::new(ErrorKind::SourceUnavailable, "connect to <database>");
    let failed = Run { error: Some(RunError::from(&away)), ..run(1, 30, RunState::Failed) };
    for run in [failed, run(2, 29, RunState::Succeeded)] {
        catalog.record(&run).await.unwrap();
    }
    let mut chain = Chain::empty();
    for (action, outcome) in [
        ("list_runs", Outcome::Allowed),
        ("trigger", Outcome::Allowed),
        ("cancel", Outcome::Denied),
    ] {
        let mut entry = chain.append(Act {
            at: now - SignedDuration::from_hours(2),
            actor: "token oncall".into(),
            remote: "192.0.2.7".into(),
            action: action.into(),
            object: "shop".into(),
            outcome,
        });
        if forged && entry.sequence == 2 {
            entry.actor = "token nobody".into();
        }
        let text = serde_json::to_string(&entry).unwrap();
        catalog.append("audit", entry.sequence, &text).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemons_memory_gives_failures_their_answers_and_deeds_their_doers() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 100);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup", "--verify", "read"]);
    let plain = ctl.json(&["report"]);
    assert!(plain["report"]["audit"].is_null(), "no daemon ever ran");
    let repository = plain["report"]["repository"].as_str().unwrap();
    ctl.run(&["report", "--state", "nothing"]).fails(7);

    remembered(&ctl.path("state"), repository, false).await;
    let report = ctl.json(&["report", "--state", "state"])["report"].clone();
    let failure = &report["sources"][0]["failures"][0];
    assert!(failure["error"].as_str().unwrap().contains("connect to <database>"), "{report:#}");
    assert!(failure["answered_at"].is_string(), "{report:#}");
    assert_eq!(report["sources"][0]["backups"]["failed"], 1);
    let audit = &report["audit"];
    assert_eq!((&audit["entries"], &audit["broken"]), (&3.into(), &serde_json::Value::Null));
    let deeds: Vec<_> = audit["acts"].as_array().unwrap().iter().map(|a| &a["action"]).collect();
    assert_eq!(deeds, ["trigger", "cancel"]);
    assert_eq!(audit["reads"][0]["times"], 1);
    let limits = report["limits"].to_string();
    assert!(!limits.contains("No record of runs"), "{limits}");
    ctl.ok(&["report", "--state", "state", "--output", "page.html"]);
    ctl.ok(&["report", "verify", "page.html"]);
    let page = std::fs::read_to_string(ctl.path("page.html")).unwrap();
    for part in
        ["Who did what", "The record is whole", "token oncall", "connect to &lt;database&gt;"]
    {
        assert!(page.contains(part), "{part}");
    }
    let status = ctl.json(&["status", "--state", "state"]);
    assert_eq!(status["sources"][0]["success"][0]["all"], 2, "{status:#}");

    remembered(&ctl.path("forged"), repository, true).await;
    let report = ctl.json(&["report", "--state", "forged"])["report"].clone();
    assert_eq!(report["audit"]["broken"], "entry 2 was changed");
    let controls = report["controls"].as_array().unwrap();
    let audited = controls.iter().find(|c| c["reference"] == "164.312(b)").unwrap();
    assert_eq!(audited["outcome"], "fail");
    remembered(&ctl.path("other"), "0123", false).await;
    ctl.run(&["report", "--state", "other"]).fails(8);
}
