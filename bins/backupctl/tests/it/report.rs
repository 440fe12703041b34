//! Evidence: signed, checked, and refused when changed.

use backup_testkit::postgres::Cluster;

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
