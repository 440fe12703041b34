//! Who is asking.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::{App, Call, Refused, Reply, json};
use crate::port::Role;

/// `GET /api/v1/me`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Me {
    /// `token NAME`, or `local` for those on this machine.
    name: String,
    /// What they may.
    role: Option<Role>,
}

pub(crate) fn me(_: &App, call: &Call) -> Result<Reply, Refused> {
    json(StatusCode::OK, &Me { name: call.caller.name.clone(), role: call.caller.role })
}
