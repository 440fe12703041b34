//! Plans as a person reads them.

#![allow(clippy::unwrap_used)]

mod common;

use backup_core::VerifyLevel;
use backup_retention::{Conditions, LastRun, Policy, SnapshotFacts, plan, plan_sources};
use common::{at, history};
use jiff::tz::TimeZone;

const NOW: &str = "2026-03-31T06:00:00Z";

fn table(records: &[SnapshotFacts], policy: &str) -> String {
    table_under(records, policy, &Conditions::at(NOW.parse().unwrap()))
}

fn table_under(records: &[SnapshotFacts], policy: &str, conditions: &Conditions) -> String {
    let policy: Policy = policy.parse().unwrap();
    plan(records, &policy, conditions).table(&conditions.zone)
}

fn verified(mut records: Vec<SnapshotFacts>) -> Vec<SnapshotFacts> {
    for record in &mut records {
        record.level = VerifyLevel::Read;
    }
    records
}

#[test]
fn standard_preset_on_four_months_of_nights() {
    let records = verified(history(120, 24, "2026-03-31T02:00:00Z"));
    insta::assert_snapshot!(table(&records, "standard"));
}

#[test]
fn extended_preset_on_four_months_of_nights() {
    let records = verified(history(120, 24, "2026-03-31T02:00:00Z"));
    insta::assert_snapshot!(table(&records, "extended"));
}

#[test]
fn all_rules_and_a_pin_on_hours() {
    let mut records = verified(history(60, 1, "2026-03-31T02:00:00Z"));
    records[3].pinned = true;
    insta::assert_snapshot!(table(&records, "last 2, 5 hourly, 2 daily, within 3h"));
}

#[test]
fn verified_ones_stand_for_their_days() {
    let mut records = history(12, 8, "2026-03-31T02:00:00Z");
    records[1].level = VerifyLevel::Read;
    records[7].level = VerifyLevel::Drilled;
    records[9].level = VerifyLevel::Exists;
    insta::assert_snapshot!(table(&records, "3 daily"));
}

#[test]
fn suspect_ones_do_not_count() {
    let mut records = history(8, 24, "2026-03-31T02:00:00Z");
    records[1].suspect = true;
    records[6].suspect = true;
    records[4].level = VerifyLevel::Read;
    insta::assert_snapshot!(table(&records, "last 3"));
}

#[test]
fn refused_after_a_suspect_run() {
    let mut records = history(4, 24, "2026-03-31T02:00:00Z");
    records[3].suspect = true;
    insta::assert_snapshot!(table(&records, "last 1"));
}

#[test]
fn refused_after_a_failed_run() {
    let records = history(3, 24, "2026-03-31T02:00:00Z");
    let conditions =
        Conditions { last_run: LastRun::Failed, ..Conditions::at(NOW.parse().unwrap()) };
    insta::assert_snapshot!(table_under(&records, "last 1", &conditions));
}

#[test]
fn clocks_that_jumped() {
    let mut records = history(9, 24, "2026-03-31T02:00:00Z");
    // The store's clock ran ahead, then fell back to its epoch, then was set right.
    records[3].stored_at = "2031-01-01T00:00:00Z".parse().unwrap();
    records[4].stored_at = "1970-01-01T00:10:00Z".parse().unwrap();
    records[5].stored_at = "1970-01-02T00:10:00Z".parse().unwrap();
    // The writer's clock was a week behind.
    records[6].finished_at = "2026-03-22T02:00:00Z".parse().unwrap();
    insta::assert_snapshot!(table(&records, "last 2"));
}

#[test]
fn a_copied_repository_loses_nothing() {
    let mut records = history(6, 24 * 7, "2026-03-24T02:00:00Z");
    for record in &mut records {
        record.stored_at = "2026-03-30T12:00:00Z".parse().unwrap();
    }
    insta::assert_snapshot!(table(&records, "standard"));
}

#[test]
fn a_crowded_day_does_not_push_out_the_others() {
    let mut records = history(6, 24, "2026-03-30T02:00:00Z");
    for minute in 0..8 {
        let time = format!("2026-03-30T03:{minute:02}:00Z");
        records.push(at(7 + minute, time.parse().unwrap()));
    }
    insta::assert_snapshot!(table(&records, "last 3, 3 daily"));
}

#[test]
fn a_zone_moves_the_days() {
    let records = verified(history(6, 6, "2026-03-31T02:00:00Z"));
    let zone = TimeZone::get("America/New_York").unwrap();
    let conditions = Conditions { zone, ..Conditions::at(NOW.parse().unwrap()) };
    insta::assert_snapshot!(table_under(&records, "2 daily", &conditions));
}

#[test]
fn each_source_has_its_own_plan() {
    let mut records = history(3, 24, "2026-03-31T02:00:00Z");
    records[2].suspect = true;
    let mut other = verified(history(3, 24, "2026-03-31T02:00:00Z"));
    for record in &mut other {
        record.source = "crm".parse().unwrap();
    }
    records.extend(other);
    let conditions = Conditions::at(NOW.parse().unwrap());
    let plans = plan_sources(&records, |source| {
        let policy = if source.as_str() == "crm" { "last 1" } else { "last 2" };
        (policy.parse().unwrap(), conditions.clone())
    });
    let text: Vec<String> = plans.iter().map(|plan| plan.table(&TimeZone::UTC)).collect();
    insta::assert_snapshot!(text.join("\n"));
    let mixed = plan(&records, &Policy::STANDARD, &conditions);
    assert!(mixed.refused.is_some() && mixed.forget.is_empty() && mixed.source.is_none());
}

#[test]
fn a_plan_is_json_too() {
    let records = verified(history(2, 1, "2026-03-31T02:00:00Z"));
    let plan = plan(&records, &"1 daily".parse().unwrap(), &Conditions::at(NOW.parse().unwrap()));
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap());
}
