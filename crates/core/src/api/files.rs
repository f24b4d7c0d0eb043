//! The status page's files: which kinds there are, and under which headers they are answered.

use crate::http::{Headers, STRICT_TRANSPORT, Target};

/// The path of the file that an address means.
pub fn path<'a>(target: &Target<'a>) -> &'a str {
    if target.path.is_empty() { "/" } else { target.path }
}

/// The media type of a file, by its path's ending; none for what the page has no files of.
pub fn media_type(path: &str) -> Option<&'static str> {
    if path == "/" {
        return Some("text/html; charset=utf-8");
    }
    match path.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "json" => Some("application/json"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "ico" => Some("image/vnd.microsoft.icon"),
        "txt" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

/// The headers of a file's answer. `encodings`: those that the caller can read.
pub fn headers(target: &Target<'_>, media_type: &str, encodings: Option<&str>) -> Headers {
    let policy = content_security_policy(target);
    let mut headers = vec![
        ("Content-Type", media_type),
        // The files change with a deploy, all at once.
        ("Cache-Control", "no-cache"),
        ("Content-Security-Policy", &policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Vary", "Accept-Encoding"),
    ];
    if target.scheme == "https" {
        headers.push(STRICT_TRANSPORT);
    }
    if encodings.is_some_and(|encodings| encodings.contains("gzip")) {
        // The platform compresses a body that says it is: wherever it runs, the page is as light.
        headers.push(("Content-Encoding", "gzip"));
    }
    headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The page loads its own files and asks its own Worker, and nothing else. Some browsers do not take `'self'` to stand for the
/// WebSocket at the same place.
fn content_security_policy(target: &Target<'_>) -> String {
    let socket = if target.scheme == "https" { "wss" } else { "ws" };
    let plain = target.host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte));
    let socket = if plain { format!(" {socket}://{}", target.host) } else { String::new() };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{socket}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{parse_target, value};

    fn headers_of(url: &str, encodings: Option<&str>) -> Headers {
        headers(&parse_target(url, None).unwrap(), "text/html; charset=utf-8", encodings)
    }

    #[test]
    fn the_page_may_open_the_websocket_of_its_own_host_and_none_else() {
        for (url, allowed) in [
            ("https://s.example/", "connect-src 'self' wss://s.example;"),
            ("http://127.0.0.1:8787/", "connect-src 'self' ws://127.0.0.1:8787;"),
            ("http://[::1]:1/", "connect-src 'self' ws://[::1]:1;"),
            ("https://s.example;script-src*/", "connect-src 'self'; base-uri"),
        ] {
            let policy = content_security_policy(&parse_target(url, None).unwrap());
            assert!(policy.contains(allowed), "{url}: {policy}");
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src"), "{policy}");
        }
    }

    #[test]
    fn a_file_is_guarded_and_compressed_for_who_can_read_that() {
        let (secure, local) =
            (headers_of("https://s.example/", Some("br, gzip")), headers_of("http://127.0.0.1/", None));
        for headers in [&secure, &local] {
            assert_eq!(value(headers, "x-content-type-options"), Some("nosniff"));
            assert_eq!(value(headers, "cache-control"), Some("no-cache"));
            assert_eq!(value(headers, "vary"), Some("Accept-Encoding"));
        }
        assert_eq!(value(&secure, "content-encoding"), Some("gzip"));
        assert_eq!(value(&local, "content-encoding"), None);
        assert!(value(&secure, "strict-transport-security").is_some());
        assert_eq!(value(&local, "strict-transport-security"), None);
    }

    #[test]
    fn what_the_page_has_no_files_of_is_not_looked_for() {
        for (path, wanted) in [
            ("/", Some("text/html; charset=utf-8")),
            ("/app.js", Some("text/javascript; charset=utf-8")),
            ("/vendor/a.min.css", Some("text/css; charset=utf-8")),
            ("/favicon.ico", Some("image/vnd.microsoft.icon")),
            ("/a.html.php", None),
            ("/app", None),
            ("/.env", None),
        ] {
            assert_eq!(media_type(path), wanted, "{path}");
        }
        assert_eq!(path(&parse_target("https://s.example", None).unwrap()), "/");
    }
}
