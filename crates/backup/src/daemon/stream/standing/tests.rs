//! What is heard of a stream, and what is wrong with it then.

use std::sync::Arc;

use backup_core::{Error, ErrorKind};
use backup_ops::wal::WalLog;

use super::*;
use crate::wal::Exposure;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn report(bytes: u64, age: u64) -> StreamNews {
    let age = Duration::from_secs(age);
    let exposure = Exposure { bytes, age, worst: age, caught_up: true, ..Exposure::default() };
    StreamNews::Report { timeline: 1, durable: Lsn(100), exposure }
}

/// A report before everything is stored that was there when it was connected to.
fn trailing(durable: u64, age: u64) -> StreamNews {
    let exposure = Exposure { bytes: 7, age: Duration::from_secs(age), ..Exposure::default() };
    StreamNews::Report { timeline: 1, durable: Lsn(durable), exposure }
}

fn started(from: u64) -> StreamNews {
    let log = WalLog { source: "shop".parse().unwrap(), system: 1 };
    StreamNews::Started { log, timeline: 1, from: Lsn(from) }
}

fn retrying(lasting: bool) -> StreamNews {
    let error = Arc::new(Error::new(ErrorKind::StoreUnavailable, "store WAL"));
    StreamNews::Retrying { delay: Duration::from_secs(1), error, lasting }
}

fn words(standing: &StreamStanding, now: Timestamp) -> Vec<&'static str> {
    standing.troubles(now).iter().map(|trouble| trouble.word).collect()
}

#[test]
fn lag_is_measured_while_wal_arrives_and_grows_while_nothing_is_heard() {
    let minute = Duration::from_secs(60);
    let mut standing = StreamStanding::new(at(0), minute, None);
    assert_eq!(standing.lag(at(1)), None);
    standing.hear(&report(0, 0), at(5));
    assert_eq!(standing.lag(at(9)), Some(Duration::ZERO));
    standing.hear(&report(7, 3), at(10));
    assert_eq!(standing.lag(at(10)), Some(Duration::from_secs(3)));
    assert_eq!(standing.lag(at(12)), Some(Duration::from_secs(5)));
    standing.hear(&report(0, 0), at(15));
    // Nothing is heard any more, although nobody said that the stream broke.
    assert_eq!(standing.lag(at(45)), Some(Duration::from_secs(30)));
    standing.hear(&retrying(false), at(46));
    assert_eq!(standing.lag(at(47)), Some(Duration::from_secs(32)));
    assert_eq!(words(&standing, at(75)), Vec::<&str>::new());
    assert_eq!(words(&standing, at(76)), ["behind"]);
    assert!(standing.troubles(at(76))[0].reason.contains("(store WAL)"));
    standing.hear(&report(0, 0), at(80));
    assert_eq!(words(&standing, at(109)), ["behind"], "not in and out with every report");
    assert!(standing.troubles(at(109))[0].reason.contains("just now"));
    standing.hear(&report(0, 0), at(110));
    assert_eq!(words(&standing, at(110)), Vec::<&str>::new());
}

#[test]
fn what_never_arrived_is_behind_from_the_beginning_or_from_before_the_restart() {
    let minute = Duration::from_secs(60);
    let fresh = StreamStanding::new(at(0), minute, None);
    assert_eq!((words(&fresh, at(60)), words(&fresh, at(61))), (vec![], vec!["behind"]));
    let mut again = StreamStanding::new(at(0), minute, Some(at(-50)));
    assert_eq!(again.lag(at(5)), Some(Duration::from_secs(55)));
    assert_eq!(words(&again, at(11)), ["behind"]);
    again.link = Link::Elsewhere;
    assert_eq!(words(&again, at(1000)), Vec::<&str>::new());
    again.link = Link::Stopped("another cluster answers".into());
    assert_eq!(words(&again, at(1)), ["stopped"]);
}

#[test]
fn wal_that_is_received_and_never_stored_is_behind_however_often_it_is_begun_again() {
    let minute = Duration::from_secs(60);
    let mut standing = StreamStanding::new(at(0), minute, Some(at(0)));
    for round in 0..4 {
        let begun = 20 * round;
        standing.hear(&started(100), at(begun));
        assert!(!standing.hear(&trailing(100, 5), at(begun + 5)), "nothing is stored");
        standing.hear(&retrying(false), at(begun + 10));
    }
    assert_eq!(standing.lag(at(75)), Some(Duration::from_secs(75)));
    assert_eq!((words(&standing, at(75)), standing.fresh_at()), (vec!["behind"], Some(at(0))));
    // Away for six hours: connected is not caught up.
    let mut standing = StreamStanding::new(at(0), minute, Some(at(-21_600)));
    standing.hear(&started(100), at(1));
    assert!(standing.hear(&trailing(200, 5), at(6)), "it is being stored");
    assert!(!standing.hear(&trailing(300, 5), at(11)), "as before");
    assert_eq!(words(&standing, at(11)), ["behind"]);
    standing.hear(&report(0, 0), at(16));
    assert_eq!((words(&standing, at(46)), standing.fresh_at()), (vec![], Some(at(16))));
}

#[test]
fn what_a_person_has_to_mend_is_mended_when_something_is_stored() {
    let mut standing = StreamStanding::new(at(0), Duration::from_secs(3600), None);
    standing.hear(&started(100), at(0));
    standing.hear(&retrying(true), at(1));
    standing.hear(&started(100), at(2));
    assert!(!standing.hear(&trailing(100, 1), at(7)));
    standing.hear(&retrying(false), at(8));
    assert_eq!(words(&standing, at(8)), ["stopped"], "connecting mends nothing");
    let to = Lsn(900);
    standing.hear(&StreamNews::Gap { from: Lsn(100), to, reason: String::new() }, at(9));
    assert!(!standing.hear(&trailing(900, 1), at(10)), "what is lost is not stored");
    assert!(standing.hear(&trailing(950, 1), at(15)));
    assert_eq!((words(&standing, at(15)), &standing.link), (vec![], &Link::Streaming));
}

#[test]
fn a_server_that_says_nothing_is_no_idle_server() {
    let mut standing = StreamStanding::new(at(0), Duration::from_secs(60), None);
    let silent = |quiet| {
        let quiet = Duration::from_secs(quiet);
        let exposure = Exposure { quiet, age: quiet, caught_up: true, ..Exposure::default() };
        StreamNews::Report { timeline: 1, durable: Lsn(100), exposure }
    };
    standing.hear(&silent(4), at(4));
    assert_eq!(standing.lag(at(5)), Some(Duration::ZERO), "it is asked every five seconds");
    standing.hear(&silent(50), at(50));
    assert_eq!(standing.lag(at(50)), Some(Duration::from_secs(50)));
    standing.hear(&silent(65), at(65));
    assert_eq!(words(&standing, at(65)), ["behind"]);
}

#[test]
fn holes_and_what_has_to_be_mended_outlast_restarts_and_reloads() {
    let mut standing = StreamStanding::new(at(0), Duration::from_secs(60), Some(at(0)));
    let seen = Seen { holes: vec!["WAL is missing.".into()], gaps: 1, baseless: true };
    standing.recall(seen.clone());
    assert_eq!((words(&standing, at(1)), standing.gaps), (vec!["gap", "baseless"], 1));
    assert_eq!(standing.seen(), seen);
    standing.hear(&retrying(true), at(2));
    let again = standing.renewed(Duration::from_secs(300));
    assert_eq!(words(&again, at(200)), ["stopped", "gap", "baseless"]);
    let mut again = again;
    again.look(None);
    assert_eq!(words(&again, at(200)), ["stopped"]);
}

#[test]
fn who_takes_over_is_not_behind_since_it_received_last_itself() {
    let mut standing = StreamStanding::new(at(0), Duration::from_secs(60), Some(at(-50)));
    standing.leave(at(9_000));
    standing.hear(&started(100), at(9_010));
    assert_eq!(words(&standing, at(9_011)), Vec::<&str>::new());
    assert_eq!(words(&standing, at(9_061)), ["behind"], "and does not catch up");
}
