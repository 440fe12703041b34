//! A real pooler in between: by transaction it is refused, by session it will do.

use backup_testkit::pgbouncer::PgBouncer;
use backup_testkit::postgres::Cluster;

use crate::program::{Program, fingerprint, shop};

#[test]
fn a_pooler_in_transaction_mode_is_refused_with_the_reason() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 500);
    let Some(pooler) = PgBouncer::start(&cluster, "transaction") else { return };
    let mut ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    cluster.sql("postgres", "create database empty");
    let refused = ctl.run(&["restore", "latest", "--to", &pooler.url("empty")]).fails(3);
    assert!(refused.stderr.contains("pooler in transaction mode"), "{}", refused.stderr);
    // This pooler does not say that a database is missing in the server's own words.
    ctl.run(&["restore", "latest", "--to", &pooler.url("shop_copy")]).fails(3);

    ctl.set("DATABASE_URL", pooler.url("shop"));
    for verb in ["backup", "doctor"] {
        let refused = ctl.run(&[verb]).fails(3);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(said.contains("pooler in transaction mode"), "{verb}: {said}");
        assert!(said.contains("direct address"), "{verb}: {said}");
    }
    assert_eq!(
        ctl.json(&["snapshots"])["snapshots"].as_array().unwrap().len(),
        1,
        "nothing was committed"
    );
}

#[test]
fn in_whatever_order_servers_are_handed_out_it_is_refused() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 10);
    let mut ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    for order in ["server_round_robin = 0", "server_round_robin = 1"] {
        let Some(pooler) = PgBouncer::start_with(&cluster, "transaction", order) else { return };
        ctl.set("DATABASE_URL", pooler.url("shop"));
        // Several servers wait in the pool, as behind an application.
        let busy: Vec<_> = (0..3)
            .map(|_| {
                let mut psql = std::process::Command::new(cluster.bin("psql"));
                psql.args(["-d", &pooler.url("shop"), "-c", "select pg_sleep(0.5)"]);
                psql.stdout(std::process::Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut session in busy {
            assert!(session.wait().unwrap().success());
        }
        for _ in 0..3 {
            ctl.run(&["backup"]).fails(3);
        }
    }
}

#[test]
fn a_pooler_that_keeps_sessions_will_do() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 500);
    let Some(pooler) = PgBouncer::start(&cluster, "session") else { return };
    let mut ctl = Program::of(&cluster, "shop");
    ctl.set("DATABASE_URL", pooler.url("shop"));
    ctl.ok(&["init"]);
    ctl.ok(&["backup", "--verify", "read"]);
    ctl.ok(&["restore", "latest", "--to", &cluster.url("copy")]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));
}
