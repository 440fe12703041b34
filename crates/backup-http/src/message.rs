//! What a refusal says, whatever its shape.

use serde_json::Value;

/// How much of a refusal is shown.
const SHOWN: usize = 300;

/// The words of a refusal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) message: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// Reads the body of a refusal: JSON of the shapes that vendors use, or any text.
pub(crate) fn read(body: &[u8]) -> Words {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Words { message: plain(&String::from_utf8_lossy(body)), ..Words::default() };
    };
    let text = |value: Option<&Value>| {
        value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(cut)
    };
    let first = value.get("errors").and_then(|errors| errors.get(0));
    let error = value.get("error");
    let message = text(value.get("message"))
        .or_else(|| text(error))
        .or_else(|| text(error.and_then(|error| error.get("message"))))
        .or_else(|| text(first.and_then(|first| first.get("message"))))
        .or_else(|| text(first.and_then(|first| first.get("errors")).and_then(|all| all.get(0))))
        .or_else(|| text(first));
    Words {
        message,
        code: text(value.get("code")).or_else(|| text(error.and_then(|error| error.get("code")))),
        request_id: text(value.get("request_id")),
    }
}

/// A text, or the text of a page; nothing where there is none.
fn plain(text: &str) -> Option<String> {
    let mut words = String::new();
    let mut inside = false;
    for sign in text.chars() {
        match sign {
            '<' => inside = true,
            '>' => {
                inside = false;
                words.push(' ');
            }
            _ if !inside => words.push(sign),
            _ => {}
        }
    }
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    (!words.is_empty()).then(|| cut(&words))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_words_in_every_shape() {
        for (body, message, code) in [
            (
                r#"{"message":"no such branch","code":"NOT_FOUND","request_id":"r1"}"#,
                "no such branch",
                Some("NOT_FOUND"),
            ),
            (r#"{"message":"PITR is not enabled","code":""}"#, "PITR is not enabled", None),
            (r#"{"error":{"message":"quota","code":"limit"}}"#, "quota", Some("limit")),
            (r#"{"error":"bad"}"#, "bad", None),
            (r#"{"errors":[{"message":"Not Authorized"}]}"#, "Not Authorized", None),
            (
                r#"{"errors":[{"namespace":"n","name":"size","errors":["is too small"]}]}"#,
                "is too small",
                None,
            ),
            ("<html><h1>502</h1><p>Bad  Gateway</p></html>", "502 Bad Gateway", None),
        ] {
            let words = read(body.as_bytes());
            assert_eq!(words.message.as_deref(), Some(message), "{body}");
            assert_eq!(words.code.as_deref(), code, "{body}");
        }
        assert_eq!(read(b"{\"request_id\":\"r1\"}").request_id.as_deref(), Some("r1"));
        assert_eq!(read(b""), Words::default());
        assert!(read("ä".repeat(9_999).as_bytes()).message.is_some_and(|text| text.len() < 1_000));
    }
}
