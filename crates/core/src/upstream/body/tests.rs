use super::*;
use crate::upstream::Profile;
use miniz_oxide::deflate::compress_to_vec_zlib;
use proptest::prelude::*;

const RATE: &str = r#"{"requestId":"5576#16523a39ed7","success":false,"errors":[{"code":"606","message":"Max rate limit '100' exceeded with in '20' secs"}]}"#;

fn marketo() -> Reading {
    Profile::built_in("marketo").unwrap().reading.clone()
}

fn peek(reading: &Reading, status: u16) -> BodySniffer {
    BodySniffer::new(reading, status, None).unwrap()
}

/// Reads a text byte by byte; returns what it says and after how many bytes that was decided.
fn read(text: &str) -> (BodyFacts, usize) {
    let mut peek = peek(&marketo(), 200);
    let needed = text.bytes().take_while(|byte| !peek.feed(&[*byte])).count();
    (peek.said(), needed.saturating_add(1).min(text.len()))
}

fn code(text: &str) -> Option<String> {
    read(text).0.code
}

#[test]
fn marketos_error_is_read_from_a_good_status() {
    let (said, _) = read(RATE);
    assert_eq!((said.good, said.bad, said.code.as_deref()), (false, true, Some("606")));
    assert!(said.message.unwrap().starts_with("Max rate limit"));
}

#[test]
fn a_good_answer_is_let_go_at_its_first_sign() {
    let start = r#"{"requestId":"a","success":true"#;
    let (said, needed) = read(&format!("{start},\"result\":[{}]}}", "{},".repeat(5_000)));
    assert!(said.good && said.code.is_none());
    assert!(needed <= start.len() + 1, "{needed}");
    let start = r#"{"requestId":"a","result":[{"#;
    let (said, needed) = read(&format!("{start}\"id\":1}}],\"success\":true}}"));
    assert!(said.good);
    assert_eq!(needed, start.len(), "results that come before `success` say it too");
}

#[test]
fn order_blanks_escapes_and_nesting_do_not_matter() {
    for text in [
        r#"{"errors":[{"message":"m","code":"606"}],"success":false,"requestId":"a"}"#,
        " \r\n{ \"success\" : false , \"errors\" : [ { \"code\" : \"606\" , \"message\" : \"m\" } ] }",
        r#"{"\u0073uccess":false,"\u0065rrors":[{"c\u006fde":"6\u00306","message":"m"}]}"#,
        r#"{"x":{"success":true,"errors":[{"code":"1"}],"result":[1]},"success":false,"errors":[{"deep":[[{"code":"2"}]],"code":"606"},{"code":"3"}]}"#,
        r#"{"result":[],"success":false,"errors":[{"code":606,"message":"m"}]}"#,
        r#"{"success":false,"warnings":["success:true"],"errors":[{"code":"606","message":""}]}"#,
        r#"{"errors":[{"code":"606"}]}"#,
    ] {
        assert_eq!(code(text).as_deref(), Some("606"), "{text}");
    }
}

#[test]
fn an_error_without_a_code_is_bad_and_has_none() {
    let (said, _) = read(r#"{"success":false,"errors":[]}"#);
    assert_eq!((said.good, said.bad, said.code), (false, true, None));
}

#[test]
fn codes_of_single_records_are_not_the_calls() {
    let (said, _) = read(r#"{"success":true,"result":[{"status":"skipped","reasons":[{"code":"1004"}]}]}"#);
    assert!(said.good && said.code.is_none());
}

#[test]
fn what_is_not_json_says_nothing_and_is_let_go_at_once() {
    let (said, needed) = read("id,email\n1,a@b.c\n");
    assert_eq!((said, needed), (BodyFacts::default(), 1));
}

#[test]
fn a_head_is_looked_at_to_a_bound() {
    let mut peek = peek(&marketo(), 200);
    let blanks = vec![b' '; 1_000];
    let fed = (0..100).take_while(|_| !peek.feed(&blanks)).count();
    assert_eq!(fed, HEAD_BYTES / 1_000);
    assert_eq!(peek.said(), BodyFacts::default());
    assert!(peek.feed(RATE.as_bytes()), "what comes after is not looked at");
    assert_eq!(peek.said(), BodyFacts::default());
}

#[test]
fn a_code_is_kept_as_statistics_can_hold_it() {
    let long = format!("{{\"success\":false,\"errors\":[{{\"code\":\"a b\\u0000é{}\"}}]}}", "x".repeat(500));
    let code = code(&long).unwrap();
    assert!(code.starts_with("a_b__x") && code.len() == LONGEST_CODE, "{code}");
}

#[test]
fn bodies_that_tell_nothing_are_not_held_up() {
    assert!(BodySniffer::new(&marketo(), 204, None).is_none());
    assert!(BodySniffer::new(&Profile::built_in("generic").unwrap().reading, 500, None).is_none());
    let hubspot = Profile::built_in("hubspot").unwrap().reading.clone();
    assert!(BodySniffer::new(&hubspot, 200, None).is_none());
    assert!(BodySniffer::new(&hubspot, 429, None).is_some());
}

#[test]
fn a_body_of_another_form_is_let_go_at_its_first_byte() {
    for start in ["i", "<", "%", "\u{1b}", "\0"] {
        let mut peek = peek(&marketo(), 200);
        assert!(peek.feed(start.as_bytes()), "{start:?}");
        assert_eq!(peek.said(), BodyFacts::default());
    }
}

/// Returns what a body with that status says to the vendor's reader. It must be the same in pieces
/// of each size.
fn of_vendor(vendor: &str, status: u16, body: &str) -> BodyFacts {
    let reading = Profile::built_in(vendor).unwrap().reading.clone();
    let read = |size: usize| {
        let mut peek = BodySniffer::new(&reading, status, Some("UTF-8")).unwrap();
        body.as_bytes().chunks(size).for_each(|piece| {
            peek.feed(piece);
        });
        peek.said()
    };
    let whole = read(body.len());
    for size in [1, 7, 100] {
        assert_eq!(read(size), whole, "in pieces of {size}");
    }
    whole
}

#[test]
fn a_soap_fault_is_read_as_json_is() {
    let said = of_vendor(
        "salesforce",
        500,
        "<?xml version=\"1.0\"?><soapenv:Envelope><soapenv:Body><soapenv:Fault><faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode>\
         <faultstring>REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>",
    );
    assert_eq!((said.bad, said.code.as_deref()), (true, Some("REQUEST_LIMIT_EXCEEDED")));
    assert_eq!(said.message.as_deref(), Some("REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded."));
    let bulk = "<error xmlns=\"http://www.force.com/2009/06/asyncapi/dataload\"><exceptionCode>InvalidSessionId</exceptionCode>\
                <exceptionMessage>Invalid session id</exceptionMessage></error>";
    assert_eq!(of_vendor("salesforce", 400, bulk).code.as_deref(), Some("InvalidSessionId"));
    let marketo = "<SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>20015 - Request Limit Exceeded</faultstring>\
                   <detail><ns1:serviceException><code>20015</code></ns1:serviceException></detail></SOAP-ENV:Fault>";
    assert_eq!(of_vendor("marketo", 500, marketo).code.as_deref(), Some("20015"));
    assert_eq!(of_vendor("salesforce", 500, "<html><body>Bad gateway</body></html>").code, None);
}

#[test]
fn words_are_found_in_the_head_of_a_body_of_any_form() {
    let value = serde_json::json!({"answers": [{"text": ["Over Quota", "slow down"], "means": "rate"}]});
    let reading = Profile::inline(&crate::document::Tree::from(&value)).unwrap().reading.clone();
    for (body, expected) in [
        ("<html><h1>OVER QUOTA</h1>", &["over quota"][..]),
        ("please slow down, you are over quota", &["over quota", "slow down"]),
        ("{\"error\":{\"text\":\"Slow down\"}}", &["slow down"]),
        ("all is well", &[]),
    ] {
        let mut peek = BodySniffer::new(&reading, 400, None).unwrap();
        body.as_bytes().chunks(3).for_each(|piece| {
            peek.feed(piece);
        });
        assert_eq!(peek.said().words, expected, "{body}");
    }
    assert!(BodySniffer::new(&reading, 200, None).is_none(), "words are looked for where a call went wrong");
    let mut peek = BodySniffer::new(&reading, 400, None).unwrap();
    peek.feed("x".repeat(HEAD_BYTES).as_bytes());
    assert!(peek.feed(b"slow down"), "the head ends");
    assert!(peek.said().words.is_empty());
}

#[test]
fn hubspots_policy_is_its_code() {
    let mut peek = peek(&Profile::built_in("hubspot").unwrap().reading, 429);
    peek.feed(br#"{"status":"error","message":"You have reached your daily limit.","errorType":"RATE_LIMIT","correlationId":"c","policyName":"DAILY"}"#);
    let said = peek.said();
    assert_eq!(said.code.as_deref(), Some("DAILY"));
    assert_eq!(said.message.as_deref(), Some("You have reached your daily limit."));
}

fn said_in_pieces(bytes: &[u8], encoding: Option<&str>, sizes: &[usize]) -> BodyFacts {
    let mut peek = BodySniffer::new(&marketo(), 200, encoding).unwrap();
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        peek.feed(piece);
        rest = after;
    }
    peek.said()
}

#[test]
fn a_split_at_every_byte_gives_the_same_reading() {
    for at in 1..RATE.len() {
        assert_eq!(said_in_pieces(RATE.as_bytes(), None, &[at, RATE.len()]).code.as_deref(), Some("606"));
    }
    let packed = compress_to_vec_zlib(RATE.as_bytes(), 9);
    for at in 1..packed.len() {
        assert_eq!(said_in_pieces(&packed, Some("deflate"), &[at, packed.len()]).code.as_deref(), Some("606"));
    }
}

#[test]
fn what_is_said_does_not_hang_on_how_it_came() {
    for text in [
        r#"{"result":[1],"success":false,"errors":[{"code":"606","message":"m"}]}"#,
        r#"{"success":true,"success":false}"#,
    ] {
        assert_eq!(said_in_pieces(text.as_bytes(), None, &[1]), said_in_pieces(text.as_bytes(), None, &[text.len()]));
    }
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same_reading(sizes in prop::collection::vec(1_usize..50, 1..8), good: bool, padding in 0_usize..3_000) {
        let text = if good {
            format!("{{\"requestId\":\"{}\",\"success\":true,\"result\":[]}}", "a".repeat(padding))
        } else {
            RATE.replace("5576", &"5".repeat(padding))
        };
        let whole = said_in_pieces(text.as_bytes(), None, &[text.len()]);
        prop_assert_eq!(whole.good, good);
        prop_assert_eq!(&said_in_pieces(text.as_bytes(), None, &sizes), &whole);
        let packed = compress_to_vec_zlib(text.as_bytes(), 6);
        prop_assert_eq!(&said_in_pieces(&packed, Some("deflate"), &sizes), &whole);
    }

    #[test]
    fn any_body_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), encoding in prop::sample::select(vec![None, Some("gzip"), Some("deflate")])) {
        said_in_pieces(&bytes, encoding, &[7]);
    }
}
