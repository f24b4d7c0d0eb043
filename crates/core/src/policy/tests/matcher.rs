use super::*;
use crate::policy::tests::model;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Instant;

fn routes(texts: &[String]) -> Routes {
    let routes = Routes::of(texts);
    assert_eq!(routes.written().len(), texts.len(), "{texts:?}");
    routes
}

/// Generates a segment of a route or a path, with everything that is read in several ways.
fn any_segment() -> impl Strategy<Value = String> {
    let plain = select(vec![
        "a", "b", "A", "ab", "", "%61", "%41", "é", "%C3%A9", "%", "%2", "%zz", "%%2f", "%25", "%252f", "%2A", "%00",
    ]);
    let marked = select(vec![";", "a;b", ";a", "a%3b", "%3B", "a%2fb", "%2F", "a%2F;b", "%3b%2f", "a;%2f"]);
    prop_oneof![3 => plain, 1 => marked].prop_map(str::to_owned)
}

fn any_path(most: usize) -> impl Strategy<Value = String> {
    let tail = prop_oneof![4 => Just(""), 1 => Just("*"), 1 => Just("**")];
    let stars = prop_oneof![4 => any_segment(), 1 => Just("*".to_owned())];
    (vec(stars, 0..most), tail)
        .prop_map(|(segments, tail)| format!("/{}", [segments, vec![tail.to_owned()]].concat().join("/")))
}

fn any_route() -> impl Strategy<Value = String> {
    let mark = prop_oneof![2 => Just(""), 1 => Just("!")];
    (mark, select(vec!["", "GET ", "POST ", "X "]), any_path(5))
        .prop_map(|(mark, method, path)| format!("{mark}{method}{path}"))
}

fn any_lists() -> impl Strategy<Value = Vec<Vec<String>>> {
    vec(vec(any_route(), 0..8), 0..33)
}

fn any_call_path() -> impl Strategy<Value = String> {
    prop_oneof![8 => any_path(7), 1 => "/?[a/;%2fF3bB*]{0,16}", 1 => Just(String::new())]
}

fn expected(lists: &[Vec<String>], method: &str, path: &str) -> u32 {
    let counts = |list: &Vec<String>| u32::from(model::Routes::of(list).matches(method, path));
    (0..).zip(lists).fold(0, |mask, (at, list)| mask | counts(list) << at)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn a_matcher_counts_what_each_list_counts_by_itself(
        lists in any_lists(),
        calls in vec((select(vec!["GET", "POST", "PUT", ""]), any_call_path()), 1..12),
    ) {
        let compiled: Vec<Routes> = lists.iter().map(|list| routes(list)).collect();
        let matcher = Matcher::of(&compiled);
        for (method, path) in calls {
            prop_assert_eq!(matcher.mask(method, &path), expected(&lists, method, &path), "{} {}", method, path);
        }
    }

    #[test]
    fn each_list_judges_as_the_slow_model_does(list in vec(any_route(), 0..8), path in any_call_path()) {
        let (own, model) = (routes(&list), model::Routes::of(&list));
        for method in ["GET", "POST"] {
            prop_assert_eq!(own.matches(method, &path), model.matches(method, &path));
            prop_assert_eq!(own.allow(method, &path), model.allow(method, &path));
        }
    }

    #[test]
    fn a_fingerprint_tells_lists_apart_whatever_their_order(mut list in vec(any_route(), 0..8), other in any_route(), turn: usize) {
        let fingerprint = routes(&list).fingerprint();
        prop_assert_eq!(fingerprint == 0, list.is_empty());
        if !list.is_empty() {
            let by = turn % list.len();
            list.rotate_left(by);
            prop_assert_eq!(routes(&list).fingerprint(), fingerprint);
        }
        let is_new = !list.contains(&other);
        list.push(other);
        prop_assert_eq!(routes(&list).fingerprint() != fingerprint, is_new);
    }
}

#[test]
fn a_fingerprint_is_the_same_in_every_release() {
    let of =
        |texts: &[&str]| Routes::of(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).fingerprint();
    assert_eq!(of(&[]), 0);
    assert_eq!(of(&["POST /rest/v1/leads.json", "!/bulk/**"]), 5_798_786_407_533_044_669);
}

#[test]
fn lists_beyond_the_last_bit_are_left_out() {
    let list = routes(&["/a".to_owned()]);
    assert_eq!(Matcher::of(std::iter::repeat_n(&list, 40)).mask("GET", "/a"), u32::MAX);
    assert_eq!(Matcher::of(std::iter::repeat_n(&list, 40)).mask("GET", "/b"), 0);
    assert_eq!(Matcher::of(&[]).mask("GET", "/a"), 0);
}

/// No path takes long, whatever routes there are. The bounds are far above what is measured; they
/// catch work that grows with the square of a length.
#[test]
#[expect(clippy::disallowed_methods, reason = "it is the time itself that is looked at")]
fn the_longest_paths_take_time_by_their_length() {
    let written = |path: &dyn Fn(usize) -> String| -> Vec<Routes> {
        (0..32).map(|list| routes(&(0..100).map(|at| path(100 * list + at)).collect::<Vec<_>>())).collect()
    };
    let named = written(&|at| format!("GET /services/data/*/sobjects/Object{at}/**"));
    let deep = written(&|at| format!("/{}{at}", "*/".repeat(500)));
    let parameters = written(&|at| format!("/{}x;{at}%2f//", "a;b%2fc%3bd//".repeat(70)));
    for lists in [named, deep, parameters] {
        let matcher = Matcher::of(&lists);
        for part in ["/a", "/", "%2f", "/a;b%2fc%3bd//", ";", "%3b/"] {
            let path = format!("/services/data/v60.0/sobjects{}", part.repeat(16_384 / part.len()));
            let took = (0..3).map(|_| {
                let began = Instant::now();
                matcher.mask("GET", &path);
                began.elapsed()
            });
            let took = took.min().unwrap();
            assert!(took.as_millis() < 200, "{part}: {took:?}");
        }
    }
}
