//! `cargo xtask test`: installs what is missing, then runs every check and every test, real
//! servers included. Later steps run even when an earlier one failed; the last line of output is
//! `N passed, N failed`.

mod api;
mod count;
mod deploy;
mod fuzz;
mod programs;
mod session;
mod steps;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use count::Count;
use session::Session;

/// One named part of the whole.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Session) -> Result<Count>,
}

/// In this order: cheap and telling first.
const STEPS: &[Step] = &[
    Step { name: "tools", what: "servers and tools are installed", run: steps::tools },
    Step { name: "fmt", what: "formatting", run: steps::fmt },
    Step { name: "graph", what: "crate graph and dependency rules", run: steps::graph },
    Step { name: "clippy", what: "lints, warnings denied", run: steps::clippy },
    Step { name: "tests", what: "unit and integration tests", run: steps::tests },
    Step { name: "doctests", what: "examples in the documentation", run: steps::doctests },
    Step { name: "docs", what: "documentation builds without warnings", run: steps::docs },
    Step { name: "examples", what: "the embedding example", run: programs::examples },
    Step { name: "recover", what: "recovery without this program", run: programs::recover },
    Step { name: "api", what: "the API against its own description", run: api::api },
    Step { name: "deploy", what: "units, images, manifests, rules, chart", run: deploy::deploy },
    Step { name: "fuzz", what: "each parser of outside bytes, briefly", run: fuzz::fuzz },
];

/// What became of a step.
struct Outcome {
    step: &'static Step,
    count: Count,
    took: Duration,
}

/// The command line of `cargo xtask test`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let chosen = choose(arguments)?;
    let session = Session::new()?;
    let mut outcomes = Vec::new();
    for step in chosen {
        println!("==> {}: {}", step.name, step.what);
        let begun = Instant::now();
        let count = (step.run)(&session).unwrap_or_else(|error| {
            println!("{}: {error:#}", step.name);
            Count { passed: 0, failed: 1 }
        });
        let took = begun.elapsed();
        println!("<== {}: {count} ({:.1} s)", step.name, took.as_secs_f64());
        outcomes.push(Outcome { step, count, took });
    }
    let total = summarize(&outcomes);
    if total.failed > 0 {
        // The summary has said it all; an error would only repeat it after the last line.
        std::process::exit(1);
    }
    Ok(())
}

fn choose(arguments: &[String]) -> Result<Vec<&'static Step>> {
    let names = match arguments {
        [] => return Ok(STEPS.iter().collect()),
        [option] if option.starts_with("--only=") => &option["--only=".len()..],
        [option, names] if option == "--only" => names.as_str(),
        _ => bail!("test: unknown arguments; known: --only {}", known()),
    };
    names
        .split(',')
        .map(|name| match STEPS.iter().find(|step| step.name == name) {
            Some(step) => Ok(step),
            None => bail!("test: no step {name:?}; known: {}", known()),
        })
        .collect()
}

fn known() -> String {
    STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(",")
}

fn summarize(outcomes: &[Outcome]) -> Count {
    println!("\n{:<10} {:>7} {:>7} {:>8}", "step", "passed", "failed", "seconds");
    let mut total = Count::default();
    for Outcome { step, count, took } in outcomes {
        let seconds = took.as_secs_f64();
        println!("{:<10} {:>7} {:>7} {seconds:>8.1}", step.name, count.passed, count.failed);
        total = total + *count;
    }
    println!("{total}");
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Vec<&'static str> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        choose(&arguments).unwrap().into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn everything_runs_unless_steps_are_chosen() {
        assert_eq!(names(&[]).len(), STEPS.len());
        assert_eq!(names(&["--only", "graph,fmt"]), ["graph", "fmt"]);
        assert_eq!(names(&["--only=docs"]), ["docs"]);
        assert!(choose(&["--only".to_owned(), "nonsense".to_owned()]).is_err());
        assert!(choose(&["--fast".to_owned()]).is_err());
    }
}
