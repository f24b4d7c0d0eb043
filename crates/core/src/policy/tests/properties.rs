use super::*;
use crate::document::Decimal;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Generates any JSON, with the names and words of a policy, so that parsing gets far.
fn any_json() -> impl Strategy<Value = Value> {
    let words = [
        "connections",
        "apps",
        "callbacks",
        "alerts",
        "jobs",
        "expire_seconds",
        "c",
        "vendor",
        "marketo",
        "generic",
        "base_url",
        "https://a.example.com",
        "limits",
        "name",
        "kind",
        "daily",
        "token_bucket",
        "rolling_window",
        "concurrency",
        "calls",
        "seconds",
        "reset",
        "00:00",
        "time_zone",
        "UTC",
        "routes",
        "!/a/**",
        "credential",
        "type",
        "bearer",
        "token",
        "***",
        "profile",
        "share",
        "queue",
        "adaptive",
        "retry",
        "attempts",
        "secret",
        "hosts",
        "weight",
        "origins",
        "",
        "/~",
        "\u{0}",
        "é",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(words.to_vec()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        let name = prop_oneof![8 => select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,6}"];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name, inner), 0..8).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_limit() -> impl Strategy<Value = Value> {
    let calls = 1..MAX_CALLS;
    let zone = prop_oneof![
        select(vec!["UTC", "America/Chicago", "+05:45", "-06:00"]).prop_map(Value::from),
        Just(json!(["America/Chicago", "-06:00"])),
    ];
    let kind = prop_oneof![
        (1..1_000_000_000_000_u64, proptest::option::of(calls.clone())).prop_map(|(micro, burst)| {
            let mut limit = json!({"kind": "token_bucket", "rate_per_second": Decimal(micro, 6)});
            burst.into_iter().for_each(|burst| limit["burst"] = json!(burst));
            limit
        }),
        (calls.clone(), 1..MAX_WINDOW_MS, 0..60_000_u64).prop_map(|(calls, ms, guard)| {
            json!({"kind": "rolling_window", "calls": calls, "seconds": Decimal(ms, 3), "guard_ms": guard})
        }),
        calls.clone().prop_map(|calls| json!({"kind": "rolling_day", "calls": calls})),
        (1..MAX_BYTES, zone, 0..1_440_u16).prop_map(|(bytes, zone, minute)| {
            let reset = format!("{:02}:{:02}", minute / 60, minute % 60);
            json!({"kind": "daily", "calls": bytes, "unit": "response_bytes", "reset": reset, "time_zone": zone})
        }),
        (calls.clone(), any::<bool>()).prop_map(|(calls, pool)| {
            let mut limit = json!({"kind": "daily", "calls": calls, "reset": "00:00", "time_zone": "UTC"});
            limit[if pool { "pool" } else { "per" }] = json!(if pool { "shared" } else { "app" });
            limit
        }),
        (calls, 0..86_400_000_u64).prop_map(|(calls, ms)| {
            json!({"kind": "concurrency", "calls": calls, "after_seconds": Decimal(ms, 3)})
        }),
    ];
    (kind, proptest::option::of(vec(select(vec!["POST /a/*", "/b/**", "!GET /c", "!/d"]), 1..4))).prop_map(
        |(mut limit, routes)| {
            routes.into_iter().for_each(|routes| limit["routes"] = json!(routes));
            limit
        },
    )
}

fn any_policy() -> impl Strategy<Value = Value> {
    let tuning = (1..=1_000_000_u64, 0..=10_000_u64, 0..=3_600_000_u64, 1..=10_u64, 1..=3_600_000_u64);
    let credentials = prop_oneof![
        Just(json!({"type": "passthrough"})),
        "[!-~]{1,40}".prop_map(|token| json!({"type": "bearer", "token": token})),
        ("[^:\\pC]{0,20}", "[^\\pC]{1,20}")
            .prop_map(|(user, password)| json!({"type": "basic", "username": user, "password": password})),
        "[^\\pC]{1,20}".prop_map(|value| json!({"type": "query", "name": "k", "value": value})),
    ];
    (vec(any_limit(), 0..5), tuning, credentials, any::<bool>()).prop_map(
        |(mut limits, tuning, credential, observe)| {
            let (share, size, wait, attempts, timeout) = tuning;
            limits.iter_mut().enumerate().for_each(|(index, limit)| limit["name"] = json!(format!("limit-{index}")));
            let connection = json!({
                "share": Decimal(share, 6), "limits": limits, "credential": credential,
                "queue": {"size": size, "max_wait_seconds": Decimal(wait, 3)}, "retry": {"attempts": attempts},
                "adaptive": {"min": Decimal(share, 6)}, "timeout_seconds": Decimal(timeout, 3),
                "mode": if observe { "observe" } else { "enforce" },
            });
            let mut policy = with(connection);
            policy["apps"] = json!({"a": {"weight": attempts, "connections": ["c"]}, "b": {"daily_calls": size + 1}});
            policy
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn no_json_upsets_the_reader(value in any_json()) {
        let _ = parse(&value);
        let connection = json!({"connections": {"c": value.clone()}, "apps": {"a": value.clone()}, "alerts": value.clone(), "callbacks": value});
        let found = parse(&connection);
        prop_assert!(found.is_err_and(|faults| !faults.is_empty()) || connection["connections"]["c"].is_object());
    }

    #[test]
    fn no_text_upsets_the_reader(text in ".{0,200}", json in "[\\[\\]{}\",:0-9a-z. ]{0,80}") {
        let _ = Policy::parse(&text, &context(None));
        let _ = Policy::parse(&json, &context(None));
    }

    #[test]
    fn what_is_understood_is_understood_again(value in any_policy()) {
        let (own, _) = parse(&value).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?;
        let again = Policy::parse(&own.understood(&[]), &context(Some(&own)));
        prop_assert_eq!(again.map(|(policy, _)| policy), Ok(own));
    }

    #[test]
    fn what_is_stored_is_read_back(value in any_policy()) {
        let (own, _) = parse(&value).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?;
        let master = crate::keys::Master::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a master key");
        let stored = own.to_stored("acme", &master, &|bytes| bytes.fill(1)).expect("stored");
        prop_assert_eq!(Policy::from_stored(&stored, "acme", &master, false), Ok(own));
    }

    #[test]
    fn no_share_is_over_the_limit(value in any_policy()) {
        let (own, _) = parse(&value).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?;
        for connection in own.connections.values() {
            for ((limit, _), rule) in connection.limits.iter().zip(&connection.written) {
                let (whole, _) = rule.at_share(1_000_000);
                prop_assert_eq!(&whole.kind, &rule.kind);
                prop_assert_eq!(whole.of, limit.of);
            }
        }
    }

    #[test]
    fn an_address_that_passes_is_a_public_one(text in "https?://[a-zA-Z0-9.:@\\[\\]%/\\\\?#_-]{0,40}") {
        if let Ok(address) = check_with_query(&text, false) {
            prop_assert_eq!(address.scheme, "https");
            prop_assert!(address.host.contains('.') && address.host.parse::<std::net::IpAddr>().is_err());
            prop_assert!(!text.contains(['\\', '#']) && !address.path.contains(['[', ']', '\\', '?']));
            let port = address.port.map(|port| format!(":{port}")).unwrap_or_default();
            let query = address.query.map(|query| format!("?{query}")).unwrap_or_default();
            prop_assert_eq!(format!("https://{}{port}{}{query}", address.host, address.path), text);
        }
    }

    #[test]
    fn what_an_app_is_allowed_a_limit_on_it_counts(path in "/[a-c/;%2fF]{0,12}", route in "!?/[a-c/]{0,6}") {
        let routes = Routes::of(&[route]);
        prop_assert!(!routes.allow("GET", &path) || routes.matches("GET", &path));
    }
}
