//! What happens, as it happens.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};

use crate::http::{App, Call, Refused, Reply, stream as streamed};
use crate::view::LiveEvent;

/// So often a quiet stream says that it is alive.
const STILL_HERE: Duration = Duration::from_secs(15);

pub(crate) async fn stream(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let (source, run) = (call.source(), call.text("run").map(str::to_owned));
    let wanted = move |event: &LiveEvent| {
        (source.is_none() || event.source == source) && (run.is_none() || event.run == run)
    };
    let events = app.facts.subscribe().filter(move |event| futures::future::ready(wanted(event)));
    let stop = app.stop.clone();
    let chunks = stream::unfold((Box::pin(events), stop), |(mut events, mut stop)| async move {
        let chunk = tokio::select! {
            // The server stops, or is gone.
            _ = stop.wait_for(|stop| *stop) => return None,
            event = tokio::time::timeout(STILL_HERE, events.next()) => match event {
                Ok(Some(event)) => message(&event),
                Ok(None) => return None,
                Err(_) => Bytes::from_static(b": still here\n\n"),
            },
        };
        Some((chunk, (events, stop)))
    });
    let first = stream::iter([Bytes::from_static(b"retry: 3000\n\n")]);
    Ok(streamed("text/event-stream", first.chain(chunks)))
}

/// One message of the stream; JSON has no line breaks of its own.
fn message(event: &LiveEvent) -> Bytes {
    let data = serde_json::to_string(event).unwrap_or_default();
    let (id, kind) = (event.sequence, event.what.as_str());
    format!("id: {id}\nevent: {kind}\ndata: {data}\n\n").into()
}
