//! Requests and answers: what can be asked, checked before anybody acts on it.

mod call;
mod dispatch;
pub(crate) mod kept;
mod operation;
mod problem;
mod reply;
mod table;

pub(crate) use call::{Call, is_local};
pub(crate) use dispatch::{App, answer};
pub(crate) use kept::Kept;
pub(crate) use operation::{
    Content, Handling, Needs, Operation, Parameter, ParameterKind, Place, Recorded, Verb, at_once,
    handler,
};
pub(crate) use problem::{Problem, ProblemDocument, Refused};
pub(crate) use reply::{Body, Reply, full, json, see_other, stream, text};
pub(crate) use table::{FIND, IN_STATE, OPERATIONS, PAGES};
