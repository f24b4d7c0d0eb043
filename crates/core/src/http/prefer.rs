//! Reads `Prefer` (RFC 7240). The preferences for Sluice are taken out, and the rest is forwarded
//! to the vendor.

/// The preferences of a caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `wait`: how long the caller will wait for admission at most, milliseconds.
    pub wait_ms: Option<u64>,
    /// Whether the caller asks for `respond-async`.
    pub respond_async: bool,
    /// The field without these two, as sent; `None` when nothing is left.
    pub rest: Option<String>,
}

impl Prefer {
    /// Reads every `Prefer` of a request. A malformed preference is ignored and the others count;
    /// of two with the same name the first counts (RFC 7240, section 2).
    pub fn read(headers: &[(String, String)]) -> Self {
        let mut prefer = Self::default();
        let mut rest = Vec::new();
        for (_, field) in headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("prefer")) {
            for preference in split_outside_quotes(field, ',') {
                prefer.take(preference.trim(), &mut rest);
            }
        }
        if !rest.is_empty() {
            prefer.rest = Some(rest.join(", "));
        }
        prefer
    }

    fn take<'a>(&mut self, preference: &'a str, rest: &mut Vec<&'a str>) {
        let first = split_outside_quotes(preference, ';').next().unwrap_or_default();
        let (name, value) = first.split_once('=').unwrap_or((first, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("wait") {
            self.wait_ms = self.wait_ms.or_else(|| seconds(value).map(|seconds| seconds.saturating_mul(1_000)));
        } else if name.eq_ignore_ascii_case("respond-async") {
            // By RFC 7240, section 2, an empty value is the same as none. With any other it is not
            // this preference.
            self.respond_async |= unquoted(value).is_empty();
        } else if !preference.is_empty() {
            rest.push(preference);
        }
    }
}

fn unquoted(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Reads delta-seconds. A number that does not fit becomes the largest one.
fn seconds(value: &str) -> Option<u64> {
    let digits = unquoted(value);
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Splits `text` at separators that are outside quoted strings.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |character: char| {
        let here = !quoted && character == separator;
        if quoted && !escaped && character == '\\' {
            escaped = true;
            return false;
        }
        if character == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = false;
        here
    })
}

#[cfg(test)]
mod tests {
    use super::Prefer;
    use proptest::prelude::*;

    fn read(fields: &[&str]) -> Prefer {
        let headers: Vec<_> = fields.iter().map(|field| ("PREFER".to_owned(), (*field).to_owned())).collect();
        Prefer::read(&headers)
    }

    #[test]
    fn wait_and_respond_async_are_taken_and_the_rest_is_left_as_sent() {
        let prefer = read(&["return=representation; foo=\"a,b\", wait=10", "respond-async , handling=lenient"]);
        assert_eq!(prefer.wait_ms, Some(10_000));
        assert!(prefer.respond_async);
        assert_eq!(prefer.rest.as_deref(), Some("return=representation; foo=\"a,b\", handling=lenient"));
    }

    #[test]
    fn nothing_is_left_when_all_was_for_sluice() {
        assert_eq!(read(&["wait=0, respond-async"]).rest, None);
        assert_eq!(read(&["wait=0"]).wait_ms, Some(0));
        assert_eq!(read(&[]), Prefer::default());
        assert_eq!(read(&["", " , ,"]), Prefer::default());
    }

    #[test]
    fn the_forms_of_the_rfc_are_read() {
        assert_eq!(read(&["Wait = \"7\""]).wait_ms, Some(7_000));
        assert_eq!(read(&["wait=5; x=y"]).wait_ms, Some(5_000));
        assert!(read(&["Respond-Async=\"\""]).respond_async);
        assert!(read(&["respond-async;foo"]).respond_async);
    }

    #[test]
    fn malformed_preferences_are_ignored_and_the_others_hold() {
        for bad in ["wait", "wait=", "wait=-1", "wait=1.5", "wait=abc", "wait=1 2", "wait=\"", "wait=+3"] {
            let prefer = read(&[&format!("respond-async, {bad}")]);
            assert_eq!((prefer.wait_ms, prefer.respond_async, prefer.rest), (None, true, None), "{bad}");
        }
        assert!(!read(&["respond-async=no"]).respond_async);
    }

    #[test]
    fn of_two_the_first_counts_and_a_number_too_large_is_the_largest() {
        assert_eq!(read(&["wait=3, wait=9"]).wait_ms, Some(3_000));
        assert_eq!(read(&["wait=x, wait=9"]).wait_ms, Some(9_000));
        assert_eq!(read(&["wait=99999999999999999999999"]).wait_ms, Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn any_field_is_read_without_panic(field in ".{0,80}") {
            read(&[&field]);
        }
    }
}
