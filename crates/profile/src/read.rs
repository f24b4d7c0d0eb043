//! Reads a profile from its JSON.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use crate::document::Tree;
use crate::facts::{
    Account, AlsoIn, Batch, Cache, CountPlace, Dialect, Executed, Facts, Items, KeyPlace, Meaning, MethodPlace,
    Reading, Rule, SizeLimit, TokenEndpoint, TokenPlace, TokenShape, TotalPlace, VendorCount,
};
use crate::fields::{Fault, Fields};
use crate::names;

/// Every field that a profile may have.
const FIELDS: [&str; 25] = [
    "title",
    "account",
    "base_url",
    "limits",
    "share",
    "timeout_seconds",
    "ceiling_seconds",
    "counts_at_completion",
    "key_in",
    "method_in",
    "token_in",
    "token_also_in",
    "token_endpoint",
    "uri_bytes",
    "bodies",
    "batches",
    "reading",
    "answers",
    "idempotency_key",
    "repeatable",
    "safe_methods",
    "dialect",
    "cache",
    "counts",
    "notes",
];

/// Every field of `reading`.
const READING: [&str; 8] = ["every", "good", "good_where", "codes", "message", "wait", "xml_codes", "xml_message"];

/// How long answers are waited for where nothing else is known, seconds.
const TIMEOUT_SECONDS: u32 = 60;

/// The largest bound on a body or a target, bytes.
const LARGEST: u64 = 1 << 40;

/// Reads a profile. It reports all faults, not just the first.
///
/// # Errors
/// It fails with the faults, each with its JSON pointer.
pub fn read(name: &str, value: &Tree) -> Result<Facts, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut fields = Fields::of(value, "", &FIELDS, &mut faults);
    // The notes are only for readers of the file: they say where its numbers come from.
    fields.texts("notes", "a list of strings", |_| true);
    let timeout_seconds = fields.seconds("timeout_seconds", TIMEOUT_SECONDS);
    let mut profile = Facts {
        name: name.to_owned(),
        title: fields.text("title").unwrap_or_else(|| name.to_owned()),
        account: fields
            .word("account", &[("host", Account::Host), ("credential", Account::Credential)])
            .unwrap_or_default(),
        base_url: base_url(&mut fields),
        limits: fields.list("limits", limit),
        share_ppm: fields.part("share").unwrap_or(1_000_000),
        timeout_seconds,
        ceiling_seconds: fields.seconds("ceiling_seconds", timeout_seconds),
        counts_at_completion: fields.flag("counts_at_completion", false),
        key_in: key_in(&mut fields),
        method_in: fields.list("method_in", method_in),
        token_in: token_in(&mut fields),
        token_also_in: fields.list("token_also_in", |value, pointer, faults| {
            let mut fields = Fields::of(value, pointer, &["header", "prefix", "routes"], faults);
            let prefix = fields.text("prefix").unwrap_or_default();
            Some(AlsoIn { header: fields.required("header"), prefix, routes: routes(&mut fields, "routes") })
        }),
        token_endpoint: token_endpoint(&mut fields),
        uri_bytes: uri_bytes(&mut fields),
        bodies: fields.list("bodies", |value, pointer, faults| size_limit(value, pointer, 0, faults)),
        batches: fields.list("batches", batch),
        reading: fields.object("reading", &READING, reading).unwrap_or_default(),
        answers: fields.list("answers", rule),
        idempotency_key: fields.flag("idempotency_key", false),
        repeatable: routes(&mut fields, "repeatable"),
        safe_methods: fields.flag("safe_methods", true),
        dialect: fields.word("dialect", &Dialect::NAMES).unwrap_or(Dialect::Generic),
        cache: fields.list("cache", |value, pointer, faults| {
            let mut fields = Fields::of(value, pointer, &["route", "seconds"], faults);
            let route = fields.required("route");
            if !is_route(&route) {
                fields.fault("route", "must be a route: METHOD /path or /path");
            }
            Some(Cache { route, seconds: fields.seconds("seconds", 86_400) })
        }),
        counts: Vec::new(),
        text: None,
    };
    let mut bodies = Vec::new();
    profile.counts = fields.list("counts", |value, pointer, faults| count(value, pointer, faults, &mut bodies));
    profile.reading.counts = bodies;
    profile.reading.words = profile.answers.iter().flat_map(|rule| rule.text.iter().cloned()).collect();
    if faults.is_empty() { Ok(profile) } else { Err(faults) }
}

/// Reads the bounds on targets: one number for all calls, or a list by route.
fn uri_bytes(fields: &mut Fields) -> Vec<SizeLimit> {
    if matches!(fields.value("uri_bytes"), Some(Tree::Array(_) | Tree::Object(_))) {
        return fields.list("uri_bytes", |value, pointer, faults| size_limit(value, pointer, 1, faults));
    }
    let all = |bytes| SizeLimit { routes: Vec::new(), bytes };
    fields.number("uri_bytes", 1, LARGEST).map(all).into_iter().collect()
}

fn size_limit(value: &Tree, pointer: &str, least: u64, faults: &mut Vec<Fault>) -> Option<SizeLimit> {
    let mut fields = Fields::of(value, pointer, &["routes", "bytes"], faults);
    let bytes = fields.number("bytes", least, LARGEST);
    if !fields.has("bytes") {
        fields.fault("bytes", "is missing");
    }
    Some(SizeLimit { routes: routes(&mut fields, "routes"), bytes: bytes? })
}

fn batch(value: &Tree, pointer: &str, faults: &mut Vec<Fault>) -> Option<Batch> {
    let mut fields = Fields::of(value, pointer, &["routes", "most", "at", "list", "number", "note"], faults);
    fields.text("note");
    let routes = routes(&mut fields, "routes");
    let most = fields.number("most", 1, 1_000_000).and_then(|most| u32::try_from(most).ok());
    if most.is_none() && !fields.has("most") {
        fields.fault("most", "is missing");
    }
    let items = match (fields.text("at"), fields.text("list"), fields.text("number")) {
        (Some(at), None, None) if at.starts_with('/') => Items::Body(at),
        (None, Some(name), None) => Items::List(name),
        (None, None, Some(name)) => Items::Number(name),
        _ => {
            fields.fault(
                "at",
                "give exactly one of at (a JSON pointer to an array), list and number (the name of a parameter)",
            );
            return None;
        }
    };
    Some(Batch { routes, most: most?, items })
}

/// Reads where a count is. A pointer into the body is added to `bodies`.
fn count(value: &Tree, pointer: &str, faults: &mut Vec<Fault>, bodies: &mut Vec<String>) -> Option<VendorCount> {
    let known = ["limit", "header", "at", "after", "left", "left_of", "total", "total_after", "among"];
    let mut fields = Fields::of(value, pointer, &known, faults);
    let place = match (header_read(&mut fields, "header"), fields.text("at")) {
        (Some(header), None) => CountPlace::Header(header),
        (None, Some(at)) if at.starts_with('/') => {
            bodies.push(at);
            CountPlace::Body(bodies.len() - 1)
        }
        _ => {
            fields.fault("header", "give exactly one of header and at (a JSON pointer into the body)");
            return None;
        }
    };
    let total = match (fields.text("total"), fields.text("total_after")) {
        (Some(header), None) => Some(TotalPlace::Header(header)),
        (None, Some(after)) => Some(TotalPlace::After(after)),
        (None, None) => None,
        _ => {
            fields.fault("total", "give total (a header) or total_after (a text behind the count), not both");
            None
        }
    };
    Some(VendorCount {
        total,
        limit: fields.required("limit"),
        place,
        after: fields.text("after").unwrap_or_default(),
        left: fields.flag("left", false),
        left_of: header_read(&mut fields, "left_of"),
        among: fields.object("among", &["header", "value"], |fields| {
            header_read(fields, "header");
            (fields.required("header"), fields.required("value"))
        }),
    })
}

fn base_url(fields: &mut Fields) -> Option<String> {
    let url = fields.text("base_url")?;
    if !url.starts_with("https://") || url.ends_with('/') {
        fields.fault("base_url", "must begin with https:// and not end with a slash");
    }
    Some(url)
}

/// The kinds of limits: all their fields, and those that are required.
const KINDS: [(&str, &[&str], &[&str]); 5] = [
    ("token_bucket", &["rate_per_second", "burst"], &["rate_per_second"]),
    ("rolling_window", &["calls", "seconds", "guard_ms"], &["calls", "seconds"]),
    ("rolling_day", &["calls"], &["calls"]),
    ("daily", &["calls", "reset", "time_zone", "unit", "pool", "pool_by"], &["calls", "reset", "time_zone"]),
    ("concurrency", &["calls", "after_seconds"], &["calls"]),
];

/// Checks that a limit has the fields of its kind. Their content is read by the policy.
fn limit(value: &Tree, pointer: &str, faults: &mut Vec<Fault>) -> Option<Tree> {
    let kind = value.get("kind").and_then(Tree::as_str);
    let found = KINDS.iter().find(|(name, ..)| Some(*name) == kind);
    let Some((_, own, needed)) = found else {
        let known: Vec<_> = KINDS.iter().map(|(name, ..)| *name).collect();
        faults.push((format!("{pointer}/kind"), format!("must be one of {}", known.join(", "))));
        return None;
    };
    let known = [&["name", "kind", "routes", "per"], *own].concat();
    let mut fields = Fields::of(value, pointer, &known, faults);
    fields.required("name");
    routes(&mut fields, "routes");
    // One pool serves all connections whose credential has the same client id; the policy names it.
    fields.word("pool_by", &[("client_id", ())]);
    for field in *needed {
        if !fields.has(field) {
            fields.fault(field, "is missing");
        }
    }
    Some(value.clone())
}

fn key_in(fields: &mut Fields) -> Vec<KeyPlace> {
    if !fields.has("key_in") {
        return vec![KeyPlace::Authorization];
    }
    fields.list("key_in", |value, pointer, faults| {
        if value.as_str() == Some("authorization") {
            return Some(KeyPlace::Authorization);
        }
        let mut fields = Fields::of(value, pointer, &["header", "query", "path", "json", "routes"], faults);
        let routes = routes(&mut fields, "routes");
        let named = (header_sent(&mut fields, "header"), parameter(&mut fields, "query"));
        match (named.0, named.1, fields.text("path"), fields.text("json")) {
            (Some(header), None, None, None) => Some(KeyPlace::Header(header)),
            (None, Some(query), None, None) => Some(KeyPlace::Query(query)),
            (None, None, Some(path), None) if is_route(&path) && path.ends_with("/*") => Some(KeyPlace::Path(path)),
            (None, None, None, Some(at)) if at.starts_with('/') && !routes.is_empty() => Some(KeyPlace::Json(at, routes)),
            _ => {
                faults.push((
                    pointer.to_owned(),
                    "must be \"authorization\", {\"header\": name}, {\"query\": name}, {\"path\": a route that ends with *} \
                    or {\"json\": pointer, \"routes\": […]}"
                        .to_owned(),
                ));
                None
            }
        }
    })
}

fn method_in(value: &Tree, pointer: &str, faults: &mut Vec<Fault>) -> Option<(MethodPlace, Vec<String>)> {
    let mut fields = Fields::of(value, pointer, &["header", "query", "form", "routes"], faults);
    let routes = routes(&mut fields, "routes");
    let place =
        match (header_sent(&mut fields, "header"), parameter(&mut fields, "query"), parameter(&mut fields, "form")) {
            (Some(name), None, None) => MethodPlace::Header(name),
            (None, Some(name), None) => MethodPlace::Query(name),
            (None, None, Some(name)) => MethodPlace::Form(name),
            _ => {
                fields.fault("query", "give exactly one of header, query and form");
                return None;
            }
        };
    Some((place, routes))
}

fn token_in(fields: &mut Fields) -> TokenPlace {
    let read = |fields: &mut Fields| match (header_sent(fields, "header"), parameter(fields, "query")) {
        (Some(name), None) => TokenPlace::Header { name, prefix: prefix(fields) },
        (None, Some(name)) => TokenPlace::Query(name),
        _ => {
            fields.fault("header", "give exactly one of header and query");
            TokenPlace::default()
        }
    };
    fields.object("token_in", &["header", "prefix", "query"], read).unwrap_or_default()
}

fn token_endpoint(fields: &mut Fields) -> Option<TokenEndpoint> {
    let shapes = [
        ("oauth", TokenShape::OAuth),
        ("marketo", TokenShape::Marketo),
        ("salesforce", TokenShape::Salesforce),
        ("refreshing", TokenShape::Refreshing),
    ];
    let known = ["path", "paths", "shape", "expires_in", "basic", "revoke", "introspect"];
    fields.object("token_endpoint", &known, |fields| {
        let path = fields.required("path");
        if !path.is_empty() && !names::is_path(&path) {
            fields.fault(
                "path",
                "must be a path from its first slash, without dot segments, query or control characters",
            );
        }
        let shape = fields.word("shape", &shapes).unwrap_or(TokenShape::OAuth);
        TokenEndpoint {
            path,
            paths: routes(fields, "paths"),
            revoke: routes(fields, "revoke"),
            introspect: routes(fields, "introspect"),
            shape,
            expires_in: fields.seconds("expires_in", 3_600),
            basic: fields.flag("basic", false),
        }
    })
}

/// Reads the name of a header that answers have.
fn header_read(fields: &mut Fields, field: &str) -> Option<String> {
    let name = fields.text(field)?;
    if !names::is_header_name(&name) {
        fields.fault(field, "must be the name of a header: up to 128 letters, digits and -");
    }
    Some(name)
}

/// Reads the name of a header in which a credential comes or goes.
fn header_sent(fields: &mut Fields, field: &str) -> Option<String> {
    let name = header_read(fields, field)?;
    if names::is_reserved(&name) {
        let detail =
            "must be a header for credentials, not one that belongs to the connection, the call, Sluice or a proxy";
        fields.fault(field, detail);
    }
    Some(name)
}

fn parameter(fields: &mut Fields, field: &str) -> Option<String> {
    let name = fields.text(field)?;
    if !names::is_parameter_name(&name) {
        fields.fault(field, "must be the name of a parameter: up to 128 visible characters, none of & = # ? % +");
    }
    Some(name)
}

fn prefix(fields: &mut Fields) -> String {
    let text = fields.text("prefix").unwrap_or_default();
    if !names::is_prefix(&text) {
        fields.fault("prefix", "must be at most 128 visible ASCII characters and spaces, since it goes into a header");
    }
    text
}

fn routes(fields: &mut Fields, field: &str) -> Vec<String> {
    let expected =
        "a route: METHOD /path or /path, * for a segment and ** for the rest, with a leading ! for an exception";
    fields.texts(field, expected, is_route)
}

/// Checks the grammar of a route, which the policy defines.
fn is_route(text: &str) -> bool {
    let text = text.strip_prefix('!').unwrap_or(text);
    let (method, path) = text.split_once(' ').unwrap_or(("ANY", text));
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let is_segment = |(index, segment): (usize, &&str)| match *segment {
        "*" => true,
        "**" => index + 1 == segments.len(),
        segment => !segment.contains('*'),
    };
    (1..=32).contains(&method.len())
        && method.bytes().all(|byte| byte.is_ascii_uppercase())
        && names::is_path(path)
        && segments.iter().enumerate().all(is_segment)
}

fn reading(fields: &mut Fields) -> Reading {
    let is_pointer = |text: &str| text.is_empty() || text.starts_with('/');
    let good = fields.list("good", |value, pointer, faults| {
        let mut fields = Fields::of(value, pointer, &["at", "is"], faults);
        Some((fields.required("at"), fields.required("is")))
    });
    let is_element = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    let element = "the name of an xml element, without a prefix";
    Reading {
        every: fields.flag("every", false),
        good,
        good_where: fields.texts("good_where", "a json pointer", is_pointer),
        codes: fields.texts("codes", "a json pointer", is_pointer),
        message: fields.texts("message", "a json pointer", is_pointer),
        wait: fields.texts("wait", "a json pointer", is_pointer),
        xml_codes: fields.texts("xml_codes", element, is_element),
        xml_message: fields.texts("xml_message", element, is_element),
        words: Vec::new(),
        counts: Vec::new(),
    }
}

/// The fields of a rule.
const RULE: [&str; 11] = [
    "status",
    "codes",
    "message",
    "text",
    "header",
    "value",
    "json",
    "means",
    "executed",
    "retry_after_seconds",
    "note",
];

fn rule(value: &Tree, pointer: &str, faults: &mut Vec<Fault>) -> Option<Rule> {
    let mut fields = Fields::of(value, pointer, &RULE, faults);
    fields.text("note");
    let means = fields.word("means", &MEANINGS);
    if !fields.has("means") {
        fields.fault("means", "is missing");
    }
    let executed = [("yes", Executed::Yes), ("no", Executed::No), ("maybe", Executed::Maybe)];
    let value = fields.text("value");
    let retry_after = fields.number("retry_after_seconds", 1, 86_400);
    Some(Rule {
        status: fields.list("status", status),
        codes: fields.texts("codes", "a string that is not empty", |text| !text.is_empty()),
        message: fields.texts("message", "a string that is not empty", |text| !text.is_empty()),
        text: fields
            .texts("text", "a string that is not empty", |text| !text.is_empty())
            .into_iter()
            .map(|text| text.to_ascii_lowercase())
            .collect(),
        header: header_read(&mut fields, "header").map(|name| (name, value)),
        json: fields.has("json").then(|| fields.flag("json", true)),
        executed: fields.word("executed", &executed),
        retry_after_seconds: retry_after.and_then(|seconds| u32::try_from(seconds).ok()),
        means: means?,
    })
}

/// The meanings by the names that rules use.
const MEANINGS: [(&str, Meaning); 8] = [
    ("good", Meaning::Good),
    ("final", Meaning::Final),
    ("transient", Meaning::Transient),
    ("expired", Meaning::Expired),
    ("rate", Meaning::Rate),
    ("concurrency", Meaning::Concurrency),
    ("day", Meaning::Day),
    ("lost", Meaning::Lost),
];

/// Reads a status or a range of them: `429`, `"520-527"`.
fn status(value: &Tree, pointer: &str, faults: &mut Vec<Fault>) -> Option<(u16, u16)> {
    let code = |number: u64| u16::try_from(number).ok().filter(|code| (200..=599).contains(code));
    let range = match value {
        Tree::Number(_) => value.as_u64().and_then(code).map(|code| (code, code)),
        Tree::String(text) => text.split_once('-').and_then(|(low, high)| {
            let end = |text: &str| text.parse().ok().and_then(code);
            end(low).zip(end(high)).filter(|(low, high)| low <= high)
        }),
        _ => None,
    };
    if range.is_none() {
        faults
            .push((pointer.to_owned(), "must be a status from 200 to 599, or a range such as \"520-527\"".to_owned()));
    }
    range
}
