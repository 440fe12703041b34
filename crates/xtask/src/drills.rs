//! The proof of the drills: a hundred that must pass, a hundred corruptions that must be caught.

use anyhow::{Result, bail};

use crate::command::run;
use crate::workspace;

/// How many of each, unless told otherwise.
const ROUNDS: &str = "100";

pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let rounds = match arguments {
        [] => ROUNDS,
        [flag, count] if flag == "--rounds" && count.parse::<u32>().is_ok_and(|n| n > 0) => count,
        _ => bail!("usage: cargo xtask drills [--rounds N]"),
    };
    let words = ["test", "--quiet", "--package", "backup", "--test", "drills", "--", "--nocapture"];
    run(workspace::cargo(&words)?.env("BACKUP_DRILLS", rounds).env("BACKUP_REQUIRE_SERVERS", "1"))
}
