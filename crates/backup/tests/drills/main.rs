//! Does a drill pass whatever is right, and catch whatever is wrong?
//!
//! `BACKUP_DRILLS=100` (as `cargo xtask drills` sets it) runs the whole table; a few of each
//! kind run otherwise.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod corruptions;
mod world;

use backup_testkit::postgres::Cluster;

use crate::world::World;

fn rounds(few: usize) -> usize {
    std::env::var("BACKUP_DRILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

#[tokio::test(flavor = "multi_thread")]
async fn drills_in_a_row_over_changing_data_all_pass() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let world = World::new(&cluster).await;
    let all = rounds(6);
    for round in 0..all {
        world.change(round);
        let snapshot = world.back_up().await;
        let receipt = world.drill(&snapshot).await;
        assert_eq!(receipt.verdict, "passed", "round {round}: {:#?}", receipt.questions);
        assert!(receipt.questions.iter().all(|question| question.outcome == "passed"));
    }
    println!("{all} of {all} drills passed");
    assert_eq!(world.leftovers(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_seeded_corruption_is_caught() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let world = World::new(&cluster).await;
    world.change(1);
    let snapshot = world.back_up().await;
    let mut table = String::new();
    let mut missed = 0;
    for (number, wrong) in corruptions::seeded(&snapshot, rounds(14)).into_iter().enumerate() {
        let receipt = world.drill_wrong(&snapshot, wrong.clone()).await;
        let caught = receipt.questions.iter().find(|question| question.outcome == "failed");
        missed += usize::from(receipt.verdict != "failed");
        table.push_str(&format!(
            "{number:>3}  {:<14} {:<44} {}\n",
            corruptions::kind(&wrong),
            corruptions::place(&wrong),
            caught.map_or("MISSED", |question| question.name.as_str())
        ));
    }
    println!("{table}{missed} missed");
    assert_eq!(missed, 0, "\n{table}");
    assert_eq!(world.leftovers(), "0");
    // The snapshot itself was never touched.
    assert_eq!(world.drill(&snapshot).await.verdict, "passed");
}
