//! Supabase, end to end: real servers furnished like projects, and a fake management API that is
//! held to Supabase's schema.

use std::time::Duration;

use backup_testkit::supabase::Project;
use backup_testkit::vendor::FakeVendor;
use backup_testkit::vendor::supabase::{FakeSupabase, PROJECT, TOKEN};

use crate::program::Program;

/// What projects run today.
const MAJOR: u32 = 17;

struct World {
    project: Project,
    supabase: FakeSupabase,
    vendor: FakeVendor,
    ctl: Program,
}

/// A URL as the dashboard shows it, that leads to a server of this machine.
fn url(project: &Project, name: &str) -> String {
    let port = project.cluster().port();
    format!(
        "postgres://postgres@db.{name}.supabase.co:{port}/postgres?hostaddr=127.0.0.1&sslmode=disable"
    )
}

impl World {
    async fn new() -> Option<Self> {
        let project = Project::used(MAJOR)?;
        let supabase = FakeSupabase::new(backup::system_clock(), Duration::from_millis(200));
        let vendor = supabase.serve().await;
        let mut ctl = Program::of(project.cluster(), "postgres");
        ctl.unset("DATABASE_URL");
        ctl.set("SUPABASE_DB_URL", url(&project, PROJECT));
        ctl.set("BACKUP_SOURCE", "shop");
        ctl.ok(&["init"]);
        Some(Self { project, supabase, vendor, ctl })
    }

    fn with_token(&mut self) {
        self.ctl.set("SUPABASE_ACCESS_TOKEN", TOKEN);
        self.ctl.set("SUPABASE_API_URL", self.vendor.url());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_backed_up_drilled_and_moved_by_the_ordinary_commands() {
    let Some(mut world) = World::new().await else { return };
    let checked = world.ctl.json(&["doctor"]).to_string();
    assert!(checked.contains("SUPABASE_ACCESS_TOKEN is not set"), "{checked}");
    assert!(checked.contains("files in Storage"), "{checked}");
    let done = world.ctl.json(&["backup", "shop", "--verify", "read"]);
    assert_eq!(done["snapshot"]["verified"]["level"], "read");

    // The same source with a token: its backups are watched too.
    world.with_token();
    let checked = world.ctl.json(&["doctor"]).to_string();
    assert!(checked.contains("Supabase keeps daily backups"), "{checked}");
    assert!(world.vendor.log().iter().all(|ask| ask.method == "GET"), "doctor only reads");
    world.ctl.ok(&["backup", "shop", "--verify", "read"]);
    let status = world.ctl.json(&["status"]).to_string();
    assert!(status.contains("\"provider\":\"supabase\""), "{status}");
    let listed = world.ctl.ok(&["snapshots", "shop", "--native"]);
    assert!(listed.contains("daily physical backup"), "{listed}");
    let refused = world.ctl.run(&["backup", "shop", "--native"]).fails(2);
    assert!(refused.stderr.contains("API does not offer it"), "{}", refused.stderr);

    let receipt = world.ctl.json(&["drill", "shop"]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");

    let Some(other) = Project::fresh(MAJOR) else { return };
    let to = url(&other, "zyxwvutsrqponmlkjihg");
    let preview =
        world.ctl.ok(&["restore", "shop@latest", "--create-roles", "--to", &to, "--preview"]);
    assert!(preview.contains("use empty database"), "{preview}");
    world.ctl.ok(&["restore", "shop@latest", "--create-roles", "--to", &to]);
    let people = "select count(*) from auth.users join public.profiles using (id)";
    assert_eq!(other.sql(people), world.project.sql(people));
    // Twice, or over itself: refused.
    world.ctl.run(&["restore", "shop@latest", "--create-roles", "--to", &to]).fails(8);
    let own = url(&world.project, PROJECT);
    world.ctl.run(&["restore", "shop@latest", "--to", &own]).fails(8);
    let shown = format!("{}{}", world.ctl.ok(&["-v", "status"]), world.ctl.ok(&["doctor"]));
    assert!(!shown.contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_put_back_only_when_somebody_said_so_and_a_fresh_snapshot_is_there() {
    let Some(mut world) = World::new().await else { return };
    world.with_token();
    world.supabase.hurry();
    let day_ago = backup::system_clock().now() - jiff::SignedDuration::from_hours(24);
    world.supabase.enable_pitr(day_ago, Duration::from_secs(2));
    let at = (backup::system_clock().now() - jiff::SignedDuration::from_mins(30)).to_string();
    let restore = |more: &[&str]| {
        let mut words = vec!["restore", "shop@latest", "--at", &at, "--to", "in-place"];
        words.extend(more);
        world.ctl.run(&words)
    };
    assert!(restore(&["--preview"]).expect(0).stdout.contains("nothing was changed"));
    assert!(restore(&[]).fails(2).stderr.contains("--yes"));
    let refused = restore(&["--yes"]).fails(8);
    assert!(refused.stderr.contains("backupctl backup shop"), "{}", refused.stderr);
    let outside = (day_ago - jiff::SignedDuration::from_hours(1)).to_string();
    world.ctl.run(&["restore", "shop@latest", "--at", &outside, "--to", "in-place"]).fails(7);
    assert_eq!(world.vendor.count("POST", ""), 0, "nothing was asked for");

    world.ctl.ok(&["backup", "shop"]);
    // That the server is started again is real.
    let (mut project, vendor) = (world.project, &world.vendor);
    let begun = std::thread::scope(|scope| {
        let running = scope.spawn(|| restore(&["--yes"]));
        while vendor.count("POST", "restore-pitr") == 0 && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
        }
        project.restart();
        running.join().unwrap()
    });
    let done = begun.expect(0);
    assert!(done.stdout.contains("restored shop in place"), "{}", done.stdout);
    assert!(done.stderr.contains("Storage"), "{}", done.stderr);
    assert_eq!(world.supabase.restored_to().len(), 1);
}
