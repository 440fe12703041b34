//! `cargo xtask graph`: holds the crate graph to the rules of `docs/architecture.md`.
//!
//! Facts come from `cargo metadata`; the rules are a pure function of them.

mod facts;
mod rules;

use anyhow::{Result, bail};

use facts::Facts;

/// The command line of `cargo xtask graph`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    if let Some(option) = arguments.first() {
        bail!("graph: unknown option {option:?}; it takes none");
    }
    println!("{}", check()?);
    Ok(())
}

/// One line of what holds; an error lists every rule that is broken.
pub(crate) fn check() -> Result<String> {
    let facts = Facts::read()?;
    let broken = rules::broken(&facts);
    if !broken.is_empty() {
        bail!("the crate graph breaks its rules:\n  {}", broken.join("\n  "));
    }
    let counts: Vec<String> = rules::BUDGETS
        .iter()
        .map(|(name, most)| format!("{name} {} of {most}", facts.closure(name).len()))
        .collect();
    Ok(format!("graph: {} crates in order; packages: {}", facts.ours().count(), counts.join(", ")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_workspace_keeps_its_rules() {
        if let Err(error) = super::check() {
            panic!("{error:#}");
        }
    }
}
