//! Finds the text of an element in the head of an XML document, such as the code of a SOAP fault.
//! XML parsers do not read a truncated document, and one element's text is all that is needed.

#![expect(clippy::arithmetic_side_effects, reason = "positions in the head's 16 kB")]

/// The longest text of an element that is kept, bytes.
const LONGEST_TEXT: usize = 256;

/// Whether this is the head of an XML or HTML document: its first byte that is neither blank nor
/// part of a byte order mark is `<`.
pub(super) fn is_one(head: &[u8]) -> bool {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0xEF | 0xBB | 0xBF);
    head.iter().find(|byte| !blank(byte)) == Some(&b'<')
}

/// Returns the text of the first element of that name, under any namespace prefix: up to its first
/// child, trimmed. It is `None` where there is no such element, or no text in it. Entities stay as
/// they are written.
pub(super) fn text_of(head: &[u8], name: &str) -> Option<String> {
    let mut rest = head;
    loop {
        let at = rest.iter().position(|byte| *byte == b'<')?;
        rest = rest.get(at + 1..)?;
        let end = rest.iter().position(|byte| !is_of_name(*byte)).unwrap_or(rest.len());
        let tag = rest.get(..end)?;
        let local = tag.rsplit(|byte| *byte == b':').next().unwrap_or(tag);
        if local != name.as_bytes() {
            continue;
        }
        let close = rest.iter().position(|byte| *byte == b'>')?;
        // An empty element has no text.
        if rest.get(..close)?.last() == Some(&b'/') {
            continue;
        }
        let text = rest.get(close + 1..)?;
        let text = text.strip_prefix(b"<![CDATA[").unwrap_or(text);
        let end = text.iter().take(LONGEST_TEXT).position(|byte| matches!(byte, b'<' | b']'));
        let text = text.get(..end.unwrap_or(text.len().min(LONGEST_TEXT)))?;
        let text = String::from_utf8_lossy(text).trim().to_owned();
        if !text.is_empty() {
            return Some(text);
        }
    }
}

const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.') || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A fault as Salesforce's SOAP API writes it.
    const FAULT: &str = r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
        xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault><faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode>
        <faultstring>REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.</faultstring><detail><sf:fault xsi:type="sf:ApiFault">
        <sf:exceptionCode>REQUEST_LIMIT_EXCEEDED</sf:exceptionCode></sf:fault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"#;

    fn text(document: &str, name: &str) -> Option<String> {
        text_of(document.as_bytes(), name)
    }

    #[test]
    fn an_elements_text_is_found_whatever_its_prefix_and_attributes() {
        assert_eq!(text(FAULT, "faultcode").as_deref(), Some("sf:REQUEST_LIMIT_EXCEEDED"));
        assert_eq!(text(FAULT, "exceptionCode").as_deref(), Some("REQUEST_LIMIT_EXCEEDED"));
        assert_eq!(text(FAULT, "fault"), None, "it has a child, and no text");
        assert_eq!(text("<a><code xml:lang='en'>\n 20015 </code></a>", "code").as_deref(), Some("20015"));
        assert_eq!(text("<a><code/><code></code><b:code>7</b:code></a>", "code").as_deref(), Some("7"));
        assert_eq!(text("<m><![CDATA[spent]]></m>", "m").as_deref(), Some("spent"));
        for cut in ["", "<", "<code", "<code>", "<code a='", "<codes>1</codes>", "code>1</code>", "<!-- code -->"] {
            assert_eq!(text(cut, "code"), None, "{cut}");
        }
        assert_eq!(text("<code>20", "code").as_deref(), Some("20"), "as far as it has come");
    }

    #[test]
    fn xml_is_known_by_its_first_byte() {
        for head in [FAULT, " \r\n<a>", "\u{feff}<html>"] {
            assert!(is_one(head.as_bytes()), "{head}");
        }
        for head in ["", "  ", "{\"a\":\"<b>\"}", "text <b>"] {
            assert!(!is_one(head.as_bytes()), "{head}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_no_text_is_long(head in prop::collection::vec(prop::sample::select(
            b"<>/code:!-[]CDATA \xEF\xBB\xBF".to_vec()), 0..600)) {
            is_one(&head);
            let text = text_of(&head, "code");
            prop_assert!(text.is_none_or(|text| text.len() <= 3 * LONGEST_TEXT));
        }
    }
}
