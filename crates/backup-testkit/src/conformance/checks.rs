//! The checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Object;
use backup_core::{ErrorKind, ObjectName, Result};
use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::store::{Outcome, Place, said};

macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err(format!($($reason)+));
        }
    };
}

pub(super) async fn comes_back_whole(place: &Place) -> Outcome {
    let body = noise(100_000, 1);
    place.create("a/b", body.clone()).await?;
    ensure!(place.get("a/b").await? == body, "other bytes came back");
    let object = said(place.store.stat(&place.name("a/b")).await)?;
    ensure!(object.size == 100_000, "stat says {} bytes", object.size);
    ensure!(object.name == place.name("a/b"), "stat says it is {}", object.name);
    Ok(())
}

pub(super) async fn appears_whole(place: &Place) -> Outcome {
    let body = noise(8 << 20, 2);
    let name = place.name("large");
    let (store, write) = (Arc::clone(&place.store), body.clone());
    let writer = tokio::spawn({
        let name = name.clone();
        async move { store.create(&name, write).await }
    });
    loop {
        let ended = writer.is_finished();
        match place.store.get(&name).await {
            Ok(seen) => ensure!(seen == body, "{} of {} bytes were seen", seen.len(), body.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                ensure!(!ended, "it was absent after `create` had returned");
            }
            Err(error) => return Err(format!("{error:?}")),
        }
        if ended {
            return said(writer.await.map_err(|error| error.to_string())?);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(super) async fn refuses_existing(place: &Place) -> Outcome {
    if !place.store.capabilities().create_if_absent {
        return Ok(());
    }
    place.create("a", "first".into()).await?;
    for body in ["second", "first"] {
        let again = place.store.create(&place.name("a"), body.into()).await;
        expect_kind("creating it again", again, ErrorKind::Conflict)?;
    }
    ensure!(place.get("a").await? == "first", "the bytes changed");
    Ok(())
}

pub(super) async fn race_has_one_winner(place: &Place) -> Outcome {
    if !place.store.capabilities().create_if_absent {
        return Ok(());
    }
    for round in 0..8 {
        let name = place.name(&format!("round{round}"));
        let racers = (0..8_u8).map(|racer| {
            let (store, name) = (Arc::clone(&place.store), name.clone());
            tokio::spawn(async move { store.create(&name, noise(64 << 10, racer)).await })
        });
        let mut winners = Vec::new();
        for (racer, outcome) in (0..).zip(join_all(racers).await) {
            match outcome.map_err(|error| error.to_string())? {
                Ok(()) => winners.push(racer),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(format!("{error:?}")),
            }
        }
        let [winner] = winners.as_slice() else {
            return Err(format!("round {round} had {} winners", winners.len()));
        };
        let stayed = said(place.store.get(&name).await)? == noise(64 << 10, *winner);
        ensure!(stayed, "a loser's bytes stayed in round {round}");
    }
    Ok(())
}

pub(super) async fn ranges_are_exact(place: &Place) -> Outcome {
    let body = noise(10_000, 3);
    place.create("a", body.clone()).await?;
    let name = place.name("a");
    for (start, end) in
        [(0, 10_000), (0, 1), (9_999, 10_000), (1234, 5678), (0, 0), (77, 77), (10_000, 10_000)]
    {
        let part = said(place.store.get_range(&name, start..end).await)?;
        // Small numbers, given above.
        let expected = body.slice(start as usize..end as usize);
        ensure!(part == expected, "{start}..{end} came back as {} other bytes", part.len());
    }
    #[allow(clippy::reversed_empty_ranges, reason = "a caller's mistake must be an error")]
    let wrong = [0..10_001, 9_000..11_000, 10_000..10_001, 20_000..20_010, 20_000..20_000, 5..4];
    for range in wrong {
        let what = format!("reading {}..{}", range.start, range.end);
        expect_kind(&what, place.store.get_range(&name, range).await, ErrorKind::Integrity)?;
    }
    Ok(())
}

pub(super) async fn may_be_empty(place: &Place) -> Outcome {
    place.create("empty", Bytes::new()).await?;
    ensure!(place.get("empty").await?.is_empty(), "bytes came back");
    let object = said(place.store.stat(&place.name("empty")).await)?;
    ensure!(object.size == 0, "stat says {} bytes", object.size);
    let part = said(place.store.get_range(&place.name("empty"), 0..0).await)?;
    ensure!(part.is_empty(), "bytes came back from 0..0");
    let past = place.store.get_range(&place.name("empty"), 0..1).await;
    expect_kind("reading 0..1", past, ErrorKind::Integrity)?;
    ensure!(place.list("").await?.len() == 1, "it is not listed");
    Ok(())
}

pub(super) async fn may_be_large(place: &Place) -> Outcome {
    let body = noise(40 << 20, 4);
    place.create("large", body.clone()).await?;
    ensure!(place.get("large").await? == body, "other bytes came back");
    let (start, end) = (33 << 20, (33 << 20) + 70_000);
    let part = said(place.store.get_range(&place.name("large"), start as u64..end as u64).await)?;
    ensure!(part == body.slice(start..end), "other bytes came back from its middle");
    Ok(())
}

pub(super) async fn listings_are_complete(place: &Place) -> Outcome {
    let mut expected = BTreeMap::new();
    for number in 0..1_105_u32 {
        let directory = if number % 5 == 0 { "a/deep/er" } else { "a" };
        expected.insert(format!("{directory}/{number:05}"), u64::from(number % 7));
    }
    let others = ["ab/1", "a.b", "a-/1", "b/a/1"].map(|name| (name.to_owned(), 1));
    let all: Vec<_> = expected.clone().into_iter().chain(others).collect();
    let writes: Vec<_> = all
        .iter()
        .map(|(name, size)| {
            let (store, name) = (Arc::clone(&place.store), place.name(name));
            let body = noise(usize::try_from(*size).unwrap_or_default(), 5);
            async move { store.create(&name, body).await }
        })
        .collect();
    said(stream::iter(writes).buffer_unordered(16).try_collect::<Vec<_>>().await)?;

    let seen = place.list("a/").await?;
    ensure!(seen.len() == 1_105, "{} of 1105 objects were listed", seen.len());
    for object in &seen {
        let short = object.name.as_str().strip_prefix(&place.prefix).unwrap_or_default();
        let size = expected.remove(short);
        ensure!(size == Some(object.size), "{short} was listed with {} bytes", object.size);
    }
    let nested = place.list("a/deep/").await?.len();
    ensure!(nested == 221, "{nested} of 221 nested objects were listed");
    ensure!(place.list("").await?.len() == all.len(), "the whole place lists other objects");
    ensure!(place.list("nothing/here/").await?.is_empty(), "an empty prefix lists objects");
    let begun = place.list("a/de").await?.len();
    ensure!(begun == 221, "{begun} of 221 objects begin so");
    ensure!(place.list("a/nothing").await?.is_empty(), "an unknown beginning lists objects");
    let everything: BTreeSet<_> = names(said(place.store.list("").await)?).await?;
    let missing = all.iter().find(|(name, _)| !everything.contains(&place.name(name)));
    ensure!(missing.is_none(), "the whole store does not list {missing:?}");
    Ok(())
}

pub(super) async fn deleting_is_idempotent(place: &Place) -> Outcome {
    let name = place.name("a/b");
    said(place.store.delete(&name).await)?;
    place.create("a/b", "1".into()).await?;
    place.create("a/c", "2".into()).await?;
    said(place.store.delete(&name).await)?;
    said(place.store.delete(&name).await)?;
    expect_kind("reading it", place.store.get(&name).await, ErrorKind::NotFound)?;
    let left = place.list("").await?;
    ensure!(left.len() == 1, "{} objects are left of one", left.len());
    // A directory that others share is not an object to delete.
    said(place.store.delete(&place.name("a")).await)?;
    ensure!(place.get("a/c").await? == "2", "its neighbour went too");
    place.create("a/b", "3".into()).await?;
    ensure!(place.get("a/b").await? == "3", "it cannot come back");
    Ok(())
}

pub(super) async fn absence_is_not_found(place: &Place) -> Outcome {
    place.create("dir/a", "1".into()).await?;
    for absent in ["x", "dir/b", "dir", "dir/a/b", "no/such/thing"] {
        let name = place.name(absent);
        expect_kind("get", place.store.get(&name).await, ErrorKind::NotFound)?;
        expect_kind("get_range", place.store.get_range(&name, 0..1).await, ErrorKind::NotFound)?;
        expect_kind("get_range", place.store.get_range(&name, 0..0).await, ErrorKind::NotFound)?;
        expect_kind("stat", place.store.stat(&name).await, ErrorKind::NotFound)?;
    }
    Ok(())
}

pub(super) async fn every_name_works(place: &Place) -> Outcome {
    let long = format!("{0}/{0}", "n".repeat(200));
    let names = [
        "abcdefghijklmnopqrstuvwxyz",
        "0123456789",
        "-_.",
        ".hidden",
        "..x",
        "x..",
        "a.b/c-d/e_f",
        &long,
    ];
    for name in names {
        place.create(name, Bytes::copy_from_slice(name.as_bytes())).await?;
    }
    for name in names {
        ensure!(place.get(name).await? == name.as_bytes(), "{name} holds another's bytes");
    }
    let listed: BTreeSet<_> = place.list("").await?.into_iter().map(|o| o.name).collect();
    let missing = names.iter().find(|name| !listed.contains(&place.name(name)));
    ensure!(missing.is_none() && listed.len() == names.len(), "the listing is {listed:?}");
    Ok(())
}

pub(super) async fn times_and_counts(place: &Place) -> Outcome {
    let before = place.store.requests();
    place.create("a", "12345".into()).await?;
    place.get("a").await?;
    let object = said(place.store.stat(&place.name("a")).await)?;
    let off = Timestamp::now().duration_since(object.modified).abs();
    ensure!(off < SignedDuration::from_mins(10), "its time is off by {off:#}");
    let listed = place.list("").await?;
    let [listed] = listed.as_slice() else { return Err("it is not listed once".to_owned()) };
    let off = listed.modified.duration_since(object.modified).abs();
    ensure!(off < SignedDuration::from_secs(2), "listing and stat disagree by {off:#}");
    said(place.store.delete(&place.name("a")).await)?;
    let after = place.store.requests();
    let grew = after.creates > before.creates
        && after.gets > before.gets
        && after.stats > before.stats
        && after.lists > before.lists
        && after.deletes > before.deletes
        && after.bytes_written >= before.bytes_written + 5
        && after.bytes_read >= before.bytes_read + 5;
    ensure!(grew, "the requests are counted as {after:?} after {before:?}");
    Ok(())
}

async fn names(
    listing: stream::BoxStream<'static, Result<Object>>,
) -> Result<BTreeSet<ObjectName>, String> {
    said(listing.map_ok(|object| object.name).try_collect().await)
}

fn expect_kind<T>(what: &str, result: Result<T>, kind: ErrorKind) -> Outcome {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(format!("{what} failed as {:?}, not {kind:?}: {error}", error.kind())),
        Ok(_) => Err(format!("{what} succeeded instead of failing as {kind:?}")),
    }
}

/// Bytes that do not compress or repeat, the same for the same seed.
fn noise(len: usize, seed: u8) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (u64::from(seed) << 32);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}
