//! Metrics in the Prometheus text format.
//!
//! Everything about backups is made from the fleet at each scrape; only requests are counted
//! here. `families` is the whole list, from which the page and its documentation are made.

mod families;
mod meter;
mod text;

use std::sync::Arc;

use crate::http::{App, Call, Refused, Reply, text as reply};

pub use families::{FAMILIES, Family, Kind};
pub(crate) use meter::Meter;

/// The media type of the format.
pub(crate) const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn serve(app: Arc<App>, _: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let of_fleet = app.metrics.of(&fleet, |fleet| {
        let mut page = text::Page::default();
        families::write(fleet, &mut page);
        Ok(page.finish().into_bytes())
    })?;
    // What is counted here comes last in the list, too.
    let mut page = text::Page::default();
    app.meter.write(&mut page, app.recorder.failures());
    let counted = page.finish();
    let mut whole = Vec::with_capacity(of_fleet.bytes.len() + counted.len());
    whole.extend_from_slice(&of_fleet.bytes);
    whole.extend_from_slice(counted.as_bytes());
    Ok(reply(MEDIA, whole))
}
