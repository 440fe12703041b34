//! From a run to its spans. Pure.

use std::time::{Duration, SystemTime};

use backup_core::{Run, RunId, RunState};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Returns the spans of a run that ended, the run's own first; none of one that has not.
pub(crate) fn of(run: &Run) -> Vec<SpanData> {
    let Some(ended) = run.ended_at else { return Vec::new() };
    let (begun, ended) = (SystemTime::from(run.started_at), SystemTime::from(ended));
    let mut whole = span(run, 0, run.job.to_string(), begun, ended.max(begun));
    whole.attributes = attributes(run);
    whole.status = status(run);
    let root = whole.span_context.span_id();
    let mut spans = vec![whole];
    // Phases follow each other without a pause, and the last one ended with the run.
    let mut left: f64 = run.phases.iter().map(|phase| phase.seconds).sum();
    for (position, phase) in run.phases.iter().enumerate() {
        let at = |left: f64| {
            let left = Duration::try_from_secs_f64(left.max(0.0)).unwrap_or_default();
            ended.checked_sub(left).unwrap_or(begun).clamp(begun, ended.max(begun))
        };
        let from = at(left);
        left -= phase.seconds;
        let number = u64::try_from(position).unwrap_or(u64::MAX).saturating_add(1);
        let mut one = span(run, number, phase.name.clone(), from, at(left));
        one.parent_span_id = root;
        spans.push(one);
    }
    spans
}

fn span(run: &Run, number: u64, name: String, from: SystemTime, to: SystemTime) -> SpanData {
    let (trace, state) = (TraceId::from_bytes(run.id.0), TraceState::default());
    let id = SpanId::from(span_id(run.id, number));
    let version = env!("CARGO_PKG_VERSION");
    SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, state),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: from,
        end_time: to,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("backup")
            .with_version(version)
            .build(),
    }
}

/// The same span always gets the same id, and hardly ever two the same: the finalizer of
/// SplitMix64 over the id of the run and the number of the span.
fn span_id(run: RunId, number: u64) -> u64 {
    let (first, last) = run.0.split_at(8);
    let half = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let mut mixed = half(first) ^ half(last).rotate_left(32);
    mixed = mixed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Zero is no id.
    (mixed ^ (mixed >> 31)).max(1)
}

fn attributes(run: &Run) -> Vec<KeyValue> {
    let mut all = vec![
        KeyValue::new("backup.run.id", run.id.to_string()),
        KeyValue::new("backup.job", run.job.kind.as_str()),
        KeyValue::new("backup.trigger", run.trigger.as_str()),
        KeyValue::new("backup.attempt", i64::from(run.attempt)),
        KeyValue::new("backup.state", run.state.as_str()),
    ];
    let text =
        |key: &'static str, value: Option<String>| value.map(|value| KeyValue::new(key, value));
    all.extend(text("backup.source", run.job.source.as_ref().map(ToString::to_string)));
    all.extend(text("backup.actor", run.actor.clone()));
    all.extend(text("backup.snapshot", run.snapshot.map(|id| id.to_string())));
    all.extend(text("error.type", run.error.as_ref().map(|error| error.kind.clone())));
    all.extend(run.numbers.iter().map(|(name, count)| {
        let count = Value::I64(i64::try_from(*count).unwrap_or(i64::MAX));
        KeyValue::new(format!("backup.{name}"), count)
    }));
    all
}

fn status(run: &Run) -> Status {
    match run.state {
        RunState::Succeeded => Status::Ok,
        // Somebody wanted it so.
        RunState::Cancelled | RunState::Queued | RunState::Running => Status::Unset,
        RunState::Suspect | RunState::Failed | RunState::Interrupted => {
            let known = run.error.as_ref().map(|error| error.message.clone());
            Status::error(known.unwrap_or_else(|| run.state.as_str().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use backup_core::{JobKey, JobKind, RunPhase, Trigger};

    use super::*;

    fn run(phases: &[(&str, f64)]) -> Run {
        let job = JobKey::of(JobKind::Backup, &"shop".parse().unwrap());
        let begun = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut run = Run::begin(RunId([7; 16]), job, Trigger::Schedule, begun);
        run.ended_at = Some("2026-01-01T00:00:10Z".parse().unwrap());
        run.state = RunState::Succeeded;
        let phase = |(name, seconds): &(&str, f64)| RunPhase {
            name: (*name).to_owned(),
            seconds: *seconds,
        };
        run.phases = phases.iter().map(phase).collect();
        run
    }

    #[test]
    fn phases_lie_in_the_run_one_after_the_other_and_end_with_it() {
        let run = run(&[("connect", 1.5), ("copy", 6.0)]);
        let spans = of(&run);
        assert_eq!(spans.len(), 3);
        let (whole, connect, copy) = (&spans[0], &spans[1], &spans[2]);
        assert_eq!(whole.name, "backup shop");
        let at = |seconds: f64| whole.start_time + Duration::from_secs_f64(seconds);
        assert_eq!((connect.start_time, connect.end_time), (at(2.5), at(4.0)), "hooks came first");
        assert_eq!((copy.start_time, copy.end_time), (at(4.0), whole.end_time));
        let root = whole.span_context.span_id();
        assert!(whole.parent_span_id == SpanId::INVALID && connect.parent_span_id == root);
        let ids: BTreeSet<_> = spans.iter().map(|s| s.span_context.span_id().to_bytes()).collect();
        assert_eq!(ids.len(), 3);
        assert!(spans.iter().all(|s| s.span_context.trace_id().to_bytes() == [7; 16]));
        assert_eq!(of(&run), spans, "sent twice it is the same");
    }

    #[test]
    fn times_that_cannot_be_are_clamped_and_what_runs_has_no_span() {
        let mut odd = run(&[("copy", 1e12), ("commit", -3.0)]);
        for span in of(&odd) {
            assert!(span.start_time <= span.end_time, "{span:?}");
        }
        odd.ended_at = Some("2025-01-01T00:00:00Z".parse().unwrap());
        assert!(of(&odd).iter().all(|span| span.start_time <= span.end_time));
        odd.ended_at = None;
        assert_eq!(of(&odd), []);
    }
}
