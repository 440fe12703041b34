//! What needs neither repository nor database.

use crate::program::Program;
use crate::schema;

#[test]
fn completions_man_pages_and_schemas() {
    let mut ctl = Program::new();
    ctl.unset("BACKUP_REPOSITORY");
    for shell in ["bash", "zsh", "fish"] {
        assert!(ctl.ok(&["completions", shell]).contains("backupctl"), "{shell}");
    }
    assert!(ctl.ok(&["man"]).contains(".TH backupctl"));
    ctl.ok(&["man", "--output", "man"]);
    assert!(ctl.path("man/backupctl-restore.1").exists());
    let config: serde_json::Value = serde_json::from_str(&ctl.ok(&["schema"])).unwrap();
    assert!(config["properties"]["repository"].is_object());
}

/// `docs/schemas` is what the program prints; after a change:
/// `for n in $(backupctl schema --output list); do backupctl schema --output $n > docs/schemas/$n.v1.json; done`
#[test]
fn published_schemas_are_those_of_the_program() {
    let ctl = Program::new();
    let listed = ctl.ok(&["schema", "--output", "list"]);
    for name in listed.lines() {
        let file = schema::folder().join(format!("{name}.v1.json"));
        let published = std::fs::read_to_string(&file).unwrap_or_default();
        let printed = ctl.ok(&["schema", "--output", name]);
        assert!(published == printed, "{} is not what the program prints", file.display());
    }
    let files = std::fs::read_dir(schema::folder()).unwrap().count();
    assert_eq!(files, listed.lines().count(), "a schema of nothing is published");
}

/// `docs/cli.md` speaks of every verb and every exit code.
#[test]
fn the_manual_leaves_nothing_out() {
    let manual = std::fs::read_to_string(schema::folder().join("../cli.md")).unwrap();
    let ctl = Program::new();
    let help = ctl.ok(&["--help"]);
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs: Vec<&str> = verbs
        .take_while(|line| !line.is_empty())
        // What is indented further goes on from the line before.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert!(verbs.len() > 15, "{help}");
    for verb in verbs {
        assert!(manual.contains(&format!("`{verb}")), "docs/cli.md lacks {verb}");
        let text = ctl.ok(&[verb, "--help"]);
        for flag in text.split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let flag = flag.split(['=', '[', '.', '`']).next().unwrap();
            assert!(manual.contains(flag), "docs/cli.md lacks {flag} of {verb}");
        }
    }
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "130", "143"] {
        assert!(manual.contains(&format!("\n| {code} |")), "docs/cli.md lacks exit code {code}");
    }
}
