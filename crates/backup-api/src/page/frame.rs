//! What every page has around its content.

use backup_core::{Error, ErrorKind};

use super::html::{Html, html};
use super::words;
use crate::guard::Caller;
use crate::http::{App, ProblemDocument, Reply, text};
use crate::view::{Fleet, State};

/// One page, to be framed.
pub(crate) struct Page<'a> {
    pub(crate) title: String,
    /// Which entry of the navigation it belongs to.
    pub(crate) place: &'static str,
    /// Which events it follows, as the query of the stream; none for a page that stays as it is.
    pub(crate) events: Option<String>,
    pub(crate) caller: &'a Caller,
    pub(crate) fleet: &'a Fleet,
    pub(crate) main: Html,
}

const PLACES: [(&str, &str, &str); 4] = [
    ("fleet", "/", "Fleet"),
    ("runs", "/runs", "Runs"),
    ("storage", "/storage", "Storage"),
    ("audit", "/audit", "Audit"),
];

impl Page<'_> {
    pub(crate) fn reply(self) -> Reply {
        let mut out = Html::new();
        head(&mut out, &self.title);
        html!(out; "<body");
        if let Some(events) = &self.events {
            html!(out; " data-events=\"/api/v1/events" (events) "\"");
        }
        html!(out; "><a class=\"skip\" href=\"#main\">Skip to content</a>"
            "<header><a class=\"brand\" href=\"/\"><span aria-hidden=\"true\">◆</span> backupd</a><nav aria-label=\"Pages\">");
        for (place, address, label) in PLACES {
            html!(out; "<a href=\"" (address) "\"");
            if place == self.place {
                html!(out; " aria-current=\"page\"");
            }
            html!(out; ">" (label) "</a>");
        }
        html!(out; "</nav>" [summary(self.fleet)] [who(self.caller)] "</header><main id=\"main\" tabindex=\"-1\">"
            [self.main] "</main><footer><span id=\"live\" role=\"status\">as of " [words::instant(self.fleet.at)]
            " UTC</span><span>backupd " (self.fleet.program.version) "</span>"
            "<a href=\"/metrics\">metrics</a><a href=\"/api/v1/openapi.json\">API</a></footer></body></html>");
        text("text/html; charset=utf-8", out.into_string())
    }
}

fn head(out: &mut Html, title: &str) {
    html!(out; "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\"><title>" (title) "</title>"
        "<link rel=\"stylesheet\" href=\"/static/style.css\"><link rel=\"icon\" href=\"/favicon.ico\" type=\"image/svg+xml\">"
        "<script src=\"/static/live.js\" defer></script></head>");
}

fn summary(fleet: &Fleet) -> Html {
    let mut out = Html::new();
    let all = fleet.sources.len();
    let good = fleet.sources.iter().filter(|s| s.state == State::Protected).count();
    let class = if good == all && all > 0 { "protected" } else { "unprotected" };
    html!(out; "<span class=\"tally " (class) "\"><b>" (good) "</b> of " (all) " protected</span>");
    out
}

fn who(caller: &Caller) -> Html {
    let mut out = Html::new();
    html!(out; "<span class=\"who\">");
    match (caller.session, caller.role) {
        (true, Some(role)) => html!(out; (caller.name) " · " (role.as_str())
            "<form method=\"post\" action=\"/logout\"><button class=\"plain\">Sign out</button></form>"),
        (_, Some(role)) if caller.name == "local" => {
            html!(out; "local · " (role.as_str()) " <a href=\"/login\">Sign in</a>");
        }
        (_, Some(role)) => html!(out; (caller.name) " · " (role.as_str())),
        (_, None) => html!(out; "<a href=\"/login\">Sign in</a>"),
    }
    html!(out; "</span>");
    out
}

/// A page that stands alone: asking for a token, or saying what went wrong.
pub(crate) fn bare(title: &str, main: &Html) -> Reply {
    let mut out = Html::new();
    head(&mut out, title);
    html!(out; "<body class=\"bare\"><header><a class=\"brand\" href=\"/\"><span aria-hidden=\"true\">◆</span> backupd</a></header>"
        "<main id=\"main\">" [main] "</main></body></html>");
    text("text/html; charset=utf-8", out.into_string())
}

/// A page that says what went wrong.
pub(crate) fn problem(_: &App, problem: &ProblemDocument) -> Reply {
    let mut main = Html::new();
    html!(main; "<section class=\"card narrow\"><h1>" (problem.title) "</h1><p>" (problem.detail) "</p>");
    if let Some(hint) = &problem.hint {
        html!(main; "<p class=\"quiet\">" (hint) "</p>");
    }
    html!(main; "<p><a href=\"/\">Back to the fleet</a></p></section>");
    bare(&problem.title, &main)
}

/// How a source stands: a shape, a word, a colour, in this order of importance.
pub(crate) fn state(state: State) -> Html {
    let shape = match state {
        State::Protected => "●",
        State::Running => "◌",
        State::AtRisk => "◐",
        State::Unprotected => "▲",
        State::NeverBackedUp => "○",
    };
    let mut out = Html::new();
    html!(out; "<span class=\"state " (state.as_str()) "\"><span aria-hidden=\"true\">" (shape) "</span> "
        (state.label()) "</span>");
    out
}

/// There is no source of that name.
pub(crate) fn no_source(name: &backup_core::SourceName) -> Error {
    Error::new(ErrorKind::NotFound, "find source").with("source", name)
}
