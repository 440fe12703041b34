//! Takes secrets out of text that leaves the house.

use backup_core::Secret;

/// Returns `text` with secrets that stand in it replaced by `***`.
#[must_use]
pub fn without(text: &str, secrets: &[Secret]) -> String {
    let exposed = secrets.iter().map(|secret| secret.expose().trim());
    exposed
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// Returns `text` with passwords in URLs (`scheme://user:PASSWORD@host`) and in settings
/// (`password=…`) replaced by `***`.
#[must_use]
pub fn scrub(text: &str) -> String {
    mask_settings(&mask_urls(text))
}

fn mask_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>`".contains(c));
        let (url, next) = after.split_at(end.unwrap_or(after.len()));
        // The last `@` before the path: a password may hold one of its own.
        let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
        let userinfo = url.rfind('@').filter(|_| url.contains('@'));
        match userinfo.and_then(|end| url[..end].find(':').map(|colon| (colon, end))) {
            Some((colon, end)) if colon < authority => {
                out.push_str(&url[..=colon]);
                out.push_str("***");
                out.push_str(&url[end..]);
            }
            _ => out.push_str(url),
        }
        rest = next;
    }
    out.push_str(rest);
    out
}

const NAMES: [&str; 4] = ["password=", "passphrase=", "secret=", "token="];

fn mask_settings(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some((at, name)) =
        NAMES.iter().filter_map(|name| lower[from..].find(name).map(|at| (from + at, name))).min()
    {
        let value = at + name.len();
        out.push_str(&text[from..value]);
        let rest = &text[value..];
        let length = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.find('\'').map_or(rest.len(), |end| end + 2),
            None => rest
                .find(|c: char| c.is_whitespace() || "&,;)\"'".contains(c))
                .unwrap_or(rest.len()),
        };
        if length > 0 {
            out.push_str("***");
        }
        from = value + length;
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_passwords_and_nothing_else() {
        for (text, clean) in [
            (
                "connect postgres://app:hunter2@db:5432/shop failed",
                "connect postgres://app:***@db:5432/shop failed",
            ),
            ("a mysql://u:p@ss@h/x, b https://h/p:q@r", "a mysql://u:***@h/x, b https://h/p:q@r"),
            ("postgres://app:p/w@db/shop", "postgres://app:***@db/shop"),
            ("host=db password=hunter2 user=x", "host=db password=*** user=x"),
            ("PASSWORD='a b' x", "PASSWORD=*** x"),
            ("https://h/?token=abc&x=1", "https://h/?token=***&x=1"),
            (
                "postgres://app@db/shop at 10:30 by a@b.c",
                "postgres://app@db/shop at 10:30 by a@b.c",
            ),
            ("no password= here, größer", "no password= here, größer"),
            ("", ""),
        ] {
            assert_eq!(scrub(text), clean);
        }
    }
}
