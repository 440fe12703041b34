//! The dashboard: made on the server, works without scripts, follows along with them.

mod audit;
mod chart;
mod fleet;
mod frame;
mod html;
mod login;
mod run;
mod source;
mod storage;
mod words;

use http::header::{CACHE_CONTROL, HeaderValue};

use crate::http::{
    App, Call, FIND, Handling, IN_STATE, Needs, Operation, Parameter, ParameterKind, Place,
    Recorded, Refused, Reply, Verb, at_once, handler, text,
};
use crate::port::Role;

pub(crate) use frame::problem;
pub(crate) use login::address as login_address;

const SOURCE: Parameter = Parameter {
    name: "source",
    place: Place::Path,
    kind: ParameterKind::Source,
    summary: "The source's name.",
};
const RUN: Parameter = Parameter {
    name: "run",
    place: Place::Path,
    kind: ParameterKind::Id,
    summary: "The run's id.",
};
const OFFSET: Parameter = Parameter {
    name: "offset",
    place: Place::Query,
    kind: ParameterKind::Number { usual: 0, most: 10_000_000 },
    summary: "After so many.",
};

/// As a form sends it: nothing for any.
const ANY_STATE: Parameter = Parameter {
    kind: ParameterKind::Word(&[
        "",
        "protected",
        "running",
        "at_risk",
        "unprotected",
        "never_backed_up",
    ]),
    ..IN_STATE
};

const fn page(
    id: &'static str,
    path: &'static str,
    parameters: &'static [Parameter],
    handling: Handling,
) -> Operation {
    Operation {
        id,
        method: Verb::Get,
        path,
        needs: Needs::Role(Role::Viewer),
        recorded: Recorded::Read,
        summary: "",
        parameters,
        body: None,
        answers: &[],
        handling,
    }
}

const fn file(id: &'static str, path: &'static str, handling: Handling) -> Operation {
    let mut file = page(id, path, &[], handling);
    file.needs = Needs::Nothing;
    file.recorded = Recorded::No;
    file
}

const fn form(
    id: &'static str,
    path: &'static str,
    needs: Needs,
    parameters: &'static [Parameter],
    handling: Handling,
) -> Operation {
    let mut form = page(id, path, parameters, handling);
    form.method = Verb::Post;
    form.needs = needs;
    form.recorded = Recorded::Change;
    form
}

const OPERATOR: Needs = Needs::Role(Role::Operator);

/// What people look at.
pub(crate) const TABLE: &[Operation] = &[
    page("page_fleet", "/", &[FIND, ANY_STATE, OFFSET], handler!(fleet::page)),
    page("page_source", "/sources/{source}", &[SOURCE], handler!(source::page)),
    page(
        "page_runs",
        "/runs",
        &[
            Parameter {
                name: "source",
                place: Place::Query,
                kind: ParameterKind::Source,
                summary: "Only of this source.",
            },
            OFFSET,
        ],
        handler!(run::list),
    ),
    page("page_run", "/runs/{run}", &[RUN], handler!(run::page)),
    page("page_storage", "/storage", &[], handler!(storage::page)),
    page("page_audit", "/audit", &[OFFSET], handler!(audit::page)),
    form("page_start", "/sources/{source}/start", OPERATOR, &[SOURCE], handler!(source::start)),
    form("page_cancel", "/runs/{run}/cancel", OPERATOR, &[RUN], handler!(run::cancel)),
    Operation {
        needs: Needs::Nothing,
        recorded: Recorded::No,
        ..page(
            "page_login",
            "/login",
            &[Parameter {
                name: "next",
                place: Place::Query,
                kind: ParameterKind::Local,
                summary: "Where to go then.",
            }],
            at_once!(login::page),
        )
    },
    // Anybody may send these: what they record, they record themselves, and only so much.
    Operation {
        recorded: Recorded::No,
        ..form("login", "/login", Needs::Nothing, &[], handler!(login::login))
    },
    Operation {
        recorded: Recorded::No,
        ..form("logout", "/logout", Needs::Nothing, &[], handler!(login::logout))
    },
    file("style", "/static/style.css", at_once!(style)),
    file("script", "/static/live.js", at_once!(script)),
    file("icon", "/favicon.ico", at_once!(icon)),
];

fn style(_: &App, _: &Call) -> Result<Reply, Refused> {
    Ok(kept("text/css; charset=utf-8", include_str!("style.css")))
}

fn script(_: &App, _: &Call) -> Result<Reply, Refused> {
    Ok(kept("text/javascript; charset=utf-8", include_str!("live.js")))
}

fn icon(_: &App, _: &Call) -> Result<Reply, Refused> {
    Ok(kept("image/svg+xml", include_str!("icon.svg")))
}

fn kept(media: &'static str, content: &'static str) -> Reply {
    let mut reply = text(media, content);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=600"));
    reply
}
