//! Whether a browser was sent here by somebody else's page.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// Returns whether the name a browser used is one of this server's: `localhost`, an address, or
/// a name from the settings. A page of another site that points its own name at this machine
/// (DNS rebinding) fails here.
pub(crate) fn host_is_ours(headers: &HeaderMap, hosts: &[String]) -> bool {
    let Some(host) = only(headers, &HOST) else { return false };
    let name = without_port(host).to_ascii_lowercase();
    let plain = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || plain.parse::<std::net::IpAddr>().is_ok()
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

/// Returns whether a request that changes something may come from where it says it does: from a
/// page of this very server, or from no page at all.
pub(crate) fn is_same_site(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return false;
    }
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let (Some(origin), Some(host)) = (only(headers, &ORIGIN), only(headers, &HOST)) else {
        return false;
    };
    let from = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    from.is_some_and(|from| from.eq_ignore_ascii_case(host))
}

/// Returns whether a proxy passed the request on: then its sender is not on this machine.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_names_are_ours() {
        let hosts = ["backup.example.com".to_owned()];
        for good in [
            "localhost",
            "localhost:8420",
            "127.0.0.1:8420",
            "[::1]:8420",
            "LOCALHOST",
            "10.0.0.7",
            "Backup.example.com:8420",
            "[::1]",
        ] {
            assert!(host_is_ours(&headers(&[("host", good)]), &hosts), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8420",
            "",
            "backup.example.com.evil.example",
            "evil.example:127",
        ] {
            assert!(!host_is_ours(&headers(&[("host", bad)]), &hosts), "{bad}");
        }
        assert!(!host_is_ours(&headers(&[]), &hosts));
        assert!(!host_is_ours(&headers(&[("host", "localhost"), ("host", "evil")]), &hosts));
    }

    #[test]
    fn changes_come_from_our_own_pages_or_from_programs() {
        let host = ("host", "127.0.0.1:8420");
        assert!(is_same_site(&headers(&[host])));
        assert!(is_same_site(&headers(&[host, ("origin", "http://127.0.0.1:8420")])));
        assert!(is_same_site(&headers(&[host, ("sec-fetch-site", "same-origin")])));
        for bad in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:9999",
            "https://127.0.0.1",
            "file://127.0.0.1:8420",
        ] {
            assert!(!is_same_site(&headers(&[host, ("origin", bad)])), "{bad}");
        }
        for bad in ["cross-site", "same-site"] {
            assert!(!is_same_site(&headers(&[host, ("sec-fetch-site", bad)])), "{bad}");
        }
    }
}
