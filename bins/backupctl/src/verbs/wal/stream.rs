//! `wal stream`: receive until stopped.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backup::ops::alert;
use backup::wal::{StreamNews, WalStreamRequest, slot_name, wal_stream};
use backup_core::{ByteSize, Error, ErrorKind, Result, SourceName};
use serde::Serialize;

use super::trouble::Trouble;
use crate::alerts;
use crate::args::WalStreamArgs;
use crate::exit::Ending;
use crate::session::Session;

/// A line of `wal stream --json`.
#[derive(Serialize)]
struct Line {
    schema: &'static str,
    event: &'static str,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lsn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worst_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

pub(super) async fn run(session: &Session, args: WalStreamArgs) -> Result<Ending> {
    let source = super::source(session, args.source)?.ok_or_else(|| {
        Error::new(ErrorKind::Usage, "choose source of WAL")
            .hint("Name the source: `backupctl wal stream SOURCE`, with its URL in DATABASE_URL.")
    })?;
    let settings = session.settings()?.source(source.as_str())?;
    let connect = session.composer().connect_options(settings)?;
    let request = WalStreamRequest {
        slot: args.slot.unwrap_or_else(|| slot_name(&source)),
        connect,
        flush: Duration::from_secs(args.flush.max(1)),
        report: Duration::from_secs(args.report.max(1)),
        accept_new_identity: args.accept_new_identity,
        source,
    };
    // Reads what is stored of it, so the keys must be able to.
    let repository = session.repository().await?;
    let (sender, mut due) = tokio::sync::mpsc::unbounded_channel();
    let trouble = Mutex::new(Trouble::default());
    let tell = |news: StreamNews| {
        let moment = (session.clock.elapsed(), session.clock.now());
        let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(alert) = trouble.hear(&request.source, &news, moment) {
            // Whoever sends them ends with this function.
            let _ = sender.send(alert);
        }
        show(session, &request.source, &news);
    };
    let stream = wal_stream(repository, &request, &session.interrupt, &tell);
    let alerting = async {
        while let Some(alert) = due.recv().await {
            alerts::tell(session, &alert).await;
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = stream => ended,
        () = alerting => Ok(()),
    };
    if let Err(error) = &ended
        && !matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated)
    {
        let source = Some(request.source.as_str());
        alerts::tell(session, &alert::failure("wal", source, error, session.clock.now())).await;
    }
    ended.map(|()| Ending::Ok)
}

fn show(session: &Session, source: &SourceName, news: &StreamNews) {
    let screen = &session.screen;
    if screen.json() {
        // Whoever reads the lines may have gone; receiving goes on.
        let _ = screen.document(&line(source, news));
        return;
    }
    match news {
        StreamNews::Gap { .. } | StreamNews::Retrying { .. } => {
            screen.warn(&sentence(source, news));
        }
        _ => screen.say(&sentence(source, news)),
    }
}

fn sentence(source: &SourceName, news: &StreamNews) -> String {
    match news {
        StreamNews::Started { log, timeline, from } => {
            format!(
                "receiving WAL of {source} (cluster {}) from {from} on timeline {timeline}",
                log.system
            )
        }
        StreamNews::Report { durable, exposure, .. } => format!(
            "stored up to {durable}; {} not stored yet, the oldest for {:.1} s, at worst {:.1} s",
            ByteSize(exposure.bytes),
            exposure.age.as_secs_f64(),
            exposure.worst.as_secs_f64()
        ),
        StreamNews::Switched { timeline, from } => {
            format!("the server went over to timeline {timeline} at {from}")
        }
        StreamNews::Gap { from, to, reason } => format!(
            "WAL of {source} from {from} to {to} is lost: {reason}. Take a new physical snapshot."
        ),
        StreamNews::Retrying { delay, error, .. } => {
            format!("{error}; trying again in {} s", delay.as_secs())
        }
    }
}

fn line(source: &SourceName, news: &StreamNews) -> Line {
    let mut line = Line {
        schema: "backupctl.wal_stream.v1",
        event: "started",
        source: source.to_string(),
        timeline: None,
        lsn: None,
        behind_bytes: None,
        behind_seconds: None,
        worst_seconds: None,
        message: Some(sentence(source, news)),
    };
    match news {
        StreamNews::Started { timeline, from, .. } => {
            (line.timeline, line.lsn) = (Some(*timeline), Some(from.to_string()));
        }
        StreamNews::Report { timeline, durable, exposure } => {
            line.event = "report";
            line.message = None;
            (line.timeline, line.lsn) = (Some(*timeline), Some(durable.to_string()));
            line.behind_bytes = Some(exposure.bytes);
            line.behind_seconds = Some(exposure.age.as_secs_f64());
            line.worst_seconds = Some(exposure.worst.as_secs_f64());
        }
        StreamNews::Switched { timeline, from } => {
            line.event = "switched";
            (line.timeline, line.lsn) = (Some(*timeline), Some(from.to_string()));
        }
        StreamNews::Gap { from, .. } => {
            line.event = "gap";
            line.lsn = Some(from.to_string());
        }
        StreamNews::Retrying { .. } => line.event = "retrying",
    }
    line
}
