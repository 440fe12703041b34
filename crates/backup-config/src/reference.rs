//! The reference part of `docs/configuration.md`, from the same source as the code.

use crate::file::describe;
use crate::variables::VARIABLES;

/// Returns the reference of all keys and variables as Markdown tables; the documentation holds
/// it word for word.
#[must_use]
pub fn reference() -> String {
    let mut text =
        String::from("### Keys of `backup.toml`\n\n| key | value | meaning |\n|---|---|---|\n");
    for key in describe() {
        let kind = if key.secret { "secret" } else { key.kind };
        text.push_str(&format!("| `{}` | {kind} | {} |\n", key.path, key.text));
    }
    text.push_str("\n### Environment\n\n| variable | stands for |\n|---|---|\n");
    for variable in VARIABLES {
        let secret = if variable.secret { " *" } else { "" };
        text.push_str(&format!("| `{}`{secret} | {} |\n", variable.name, variable.text));
    }
    text.push_str("\n\\* Also as `NAME_FILE` and `NAME_COMMAND`.\n");
    text
}
