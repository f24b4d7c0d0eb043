use super::*;

fn routes(texts: &[&str]) -> Routes {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    Routes::of(&texts)
}

/// Returns whether an app with these routes may make the call, and whether a limit with them counts
/// it.
fn verdict(texts: &[&str], method: &str, path: &str) -> (bool, bool) {
    let routes = routes(texts);
    (routes.allow(method, path), routes.matches(method, path))
}

const YES: (bool, bool) = (true, true);
const NO: (bool, bool) = (false, false);
/// The call is not allowed and is counted, since the vendor may read it either way.
const EITHER: (bool, bool) = (false, true);

#[test]
fn no_routes_are_all_calls() {
    assert_eq!(verdict(&[], "GET", "/any//%2F"), YES);
}

#[test]
fn a_route_is_a_method_and_a_path() {
    let leads = &["POST /rest/v1/leads.json"][..];
    assert_eq!(verdict(leads, "POST", "/rest/v1/leads.json"), YES);
    for (method, path) in [
        ("GET", "/rest/v1/leads.json"),
        ("POST", "/rest/v1/leads"),
        ("POST", "/rest/v1/leads.json/x"),
        ("POST", "/x/rest/v1/leads.json"),
        ("POST", "/"),
    ] {
        assert_eq!(verdict(leads, method, path), NO, "{method} {path}");
    }
    assert_eq!(verdict(&["/a"], "DELETE", "/a"), YES);
}

#[test]
fn a_star_is_one_segment_and_two_are_the_rest() {
    for (route, path, expected) in [
        ("/a/*/c", "/a/b/c", YES),
        ("/a/*/c", "/a/b/b/c", NO),
        ("/a/*", "/a/b", YES),
        ("/a/*", "/a", NO),
        ("/a/*", "/a/b/c", NO),
        ("/a/**", "/a/b/c", YES),
        ("/a/**", "/a/b", YES),
        ("/a/**", "/a", YES),
        ("/a/**", "/ab", NO),
        ("/**", "/", YES),
        ("/**", "/a/b", YES),
        ("/", "/", YES),
    ] {
        assert_eq!(verdict(&[route], "GET", path), expected, "{route} for {path}");
    }
}

#[test]
fn with_a_leading_mark_it_is_all_others() {
    let others = &["!/bulk/**", "!DELETE /a/*"][..];
    assert_eq!(verdict(others, "GET", "/a/1"), YES);
    assert_eq!(verdict(others, "DELETE", "/a/1"), NO);
    assert_eq!(verdict(others, "GET", "/bulk/v1/x"), NO);
    let both = &["/a/**", "!/a/private/**"][..];
    assert_eq!(verdict(both, "GET", "/a/b"), YES);
    assert_eq!(verdict(both, "GET", "/a/private/b"), NO);
    assert_eq!(verdict(both, "GET", "/c"), NO);
}

#[test]
fn an_encoded_character_is_the_character() {
    assert_eq!(verdict(&["/admin/**"], "GET", "/%61dmin/x"), YES);
    assert_eq!(verdict(&["!/admin/**"], "GET", "/%61dmin/x"), NO);
    assert_eq!(verdict(&["/a%20b"], "GET", "/a%20b"), YES);
    assert_eq!(verdict(&["/é"], "GET", "/%C3%A9"), YES);
    assert_eq!(verdict(&["/a@b"], "GET", "/a%40b"), YES);
    assert_eq!(verdict(&["/100%"], "GET", "/100%25"), YES);
    assert_eq!(verdict(&["/100%"], "GET", "/100%"), YES);
    assert_eq!(verdict(&["/a%4"], "GET", "/a%4"), YES);
}

#[test]
fn what_vendors_may_read_differently_is_never_allowed_past_and_always_counted() {
    // An app is allowed only these paths, and limits count only these.
    for path in [
        "/rest%2Fleads",
        "/rest//leads",
        "/rest/leads/",
        "//rest/leads",
        "/rest/leads;v=1",
        "/rest;a/leads",
        "/rest/leads%3bx",
    ] {
        assert_eq!(verdict(&["/rest/leads"], "GET", path), EITHER, "{path}");
    }
    // All paths but these are allowed and counted.
    for path in ["/admin%2fx", "//admin/x", "/admin;a/x", "/x/..;/admin/x"] {
        let routes = routes(&["!/admin/**"]);
        assert!(path.starts_with("/x/") || !routes.allow("GET", path), "{path}");
        assert!(routes.matches("GET", path), "{path}");
    }
    assert_eq!(verdict(&["!/Admin/**"], "GET", "/aDMIN/x"), EITHER);
    assert_eq!(verdict(&["/Leads"], "GET", "/leads"), EITHER);
    // Where every reading agrees, so does the result.
    assert_eq!(verdict(&["/files/**"], "GET", "/files/a%2Fb//c;d/"), YES);
    assert_eq!(verdict(&["/files/*"], "GET", "/files/a%2Fb"), EITHER);
    assert_eq!(verdict(&["/other/**"], "GET", "/files/a%2Fb//c;d/"), NO);
}

#[test]
fn routes_are_written_as_they_were_read() {
    let texts = ["POST /a/*", "/b/**", "!GET /c", "!/d%20é"];
    assert_eq!(routes(&texts).written(), texts);
    assert!(routes(&["a"]).written().is_empty());
}
