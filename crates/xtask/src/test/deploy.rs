//! What `deploy/` holds, each file before the validator that its user would meet: units before
//! systemd, the Dockerfile before hadolint, manifests rendered and held to Kubernetes' schemas,
//! workflow and compose file to theirs, alert rules to promtool, the chart to helm.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::count::Count;
use super::session::Session;
use crate::command::{capture, works};

/// What systemd makes of a unit's confinement, in tenths of its ten points.
const EXPOSURE: &str = "--threshold=20";
const UNITS: [&str; 3] = ["backup.service", "backup.timer", "backupd.service"];

pub(super) fn deploy(session: &Session) -> Result<Count> {
    let python = backup_testkit::tools::folder().join("py/bin");
    let tool = |name: &str| Command::new(python.join(name));
    let folder = session.root().join("deploy");
    let mut count = units(session)?;

    count = count + session.check(tool("hadolint").arg(folder.join("docker/Dockerfile")))?;
    for (schema, file) in [
        ("vendor.github-workflows", "github/backup.yml"),
        ("vendor.compose-spec", "docker/compose.yaml"),
    ] {
        let mut check = tool("check-jsonschema");
        count = count
            + session.check(check.args(["--builtin-schema", schema]).arg(folder.join(file)))?;
    }
    let text = std::fs::read_to_string(folder.join("railway/railway.json"))?;
    let railway: serde_json::Value = serde_json::from_str(&text).context("railway.json")?;
    anyhow::ensure!(railway["deploy"]["cronSchedule"].is_string(), "railway.json has no schedule");
    count = count + Count::ONE;

    for example in ["cronjob", "daemon"] {
        let manifests = folder.join("kubernetes").join(example);
        // Without kubectl the files are checked as they stand; they are complete by themselves.
        let rendered = if works("kubectl", &["version", "--client"]) {
            capture(Command::new("kubectl").arg("kustomize").arg(&manifests))?
        } else {
            let file = if example == "cronjob" { "cronjob.yaml" } else { "statefulset.yaml" };
            std::fs::read_to_string(manifests.join(file))?
        };
        let file = session.target().join(format!("deploy-{example}.yaml"));
        std::fs::write(&file, rendered)?;
        count = count + session.check(tool("kubernetes-validate").arg("--strict").arg(&file))?;
    }
    Ok(count + rules(session)? + chart(session)?)
}

/// Alert rules: well-formed, and firing and not firing as their tests say.
fn rules(session: &Session) -> Result<Count> {
    let folder = session.root().join("deploy/prometheus");
    let mut count = Count::default();
    for words in
        [["check", "rules", "backup.rules.yml"], ["test", "rules", "backup.rules.test.yml"]]
    {
        let mut promtool = Command::new(unpacked("promtool", "--version"));
        count = count + session.check(promtool.args(words).current_dir(&folder))?;
    }
    Ok(count)
}

/// The chart: linted; rendered with each of its example values and held to Kubernetes' schemas;
/// refused where values contradict each other.
fn chart(session: &Session) -> Result<Count> {
    let folder = session.root().join("deploy/helm");
    let helm = || {
        let mut helm = Command::new(unpacked("helm", "version"));
        helm.current_dir(&folder);
        helm
    };
    let mut count = session.check(helm().args(["lint", "--strict", "backup"]))?;
    for values in ["values.yaml", "ci/exposed-values.yaml", "ci/cronjob-values.yaml"] {
        let mut render = helm();
        render.args(["template", "nightly", "backup", "--values"]);
        let rendered = capture(render.arg(folder.join("backup").join(values)))?;
        // Monitors are of a kind that Kubernetes itself does not know.
        let (monitors, known): (Vec<&str>, Vec<&str>) =
            rendered.split("\n---\n").partition(|one| one.contains("kind: ServiceMonitor"));
        let exposed = values.contains("exposed");
        anyhow::ensure!(monitors.len() == usize::from(exposed), "{values}: monitors");
        let file = session.target().join("deploy-chart.yaml");
        std::fs::write(&file, known.join("\n---\n"))?;
        let validate = backup_testkit::tools::folder().join("py/bin/kubernetes-validate");
        count = count + session.check(Command::new(validate).arg("--strict").arg(&file))?;
    }
    for wrong in ["serviceMonitor.enabled=true", "http.tlsSecret=a", "mode=pet", "schedule=daily"] {
        let refused = helm().args(["template", "nightly", "backup", "--set", wrong]).output()?;
        anyhow::ensure!(!refused.status.success(), "the chart takes {wrong}");
        count = count + Count::ONE;
    }
    Ok(count)
}

/// A program of the path, or the one that the tools unpacked.
fn unpacked(name: &str, probe: &str) -> std::path::PathBuf {
    if works(name, &[probe]) {
        return name.into();
    }
    backup_testkit::tools::folder().join("bin").join(name)
}

/// systemd looks for the programs, which are not installed here: another one stands in for them.
fn units(session: &Session) -> Result<Count> {
    let folder = session.target().join("deploy-units");
    std::fs::create_dir_all(&folder)?;
    let mut count = Count::default();
    for unit in UNITS {
        let text = std::fs::read_to_string(session.root().join("deploy/systemd").join(unit))?;
        let text = text
            .replace("/usr/local/bin/backupctl", "/bin/true")
            .replace("/usr/local/bin/backupd", "/bin/true");
        std::fs::write(folder.join(unit), text)?;
    }
    for unit in UNITS {
        let file = folder.join(unit);
        // A key that it does not know is only a warning to systemd, and an error here.
        let checked = Command::new("systemd-analyze")
            .arg("verify")
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .context("cannot start systemd-analyze")?;
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        let sound = checked.status.success() && !said.contains(unit);
        println!("systemd-analyze verify {unit}: {}", if sound { "ok" } else { said.trim() });
        count = count + if sound { Count::ONE } else { Count { passed: 0, failed: 1 } };
        if unit.ends_with(".service") {
            let mut rate = Command::new("systemd-analyze");
            rate.args(["security", "--offline=true", EXPOSURE]).arg(&file);
            count = count + session.check_quietly(&mut rate)?;
        }
    }
    Ok(count)
}
