use super::*;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Returns the methods of a POST to a vendor.
fn of(vendor: &str, path: &str, query: &str, headers: &[(&str, &str)], body: Body) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let asked = Asked { method: "POST", path, query: Some(query), headers: &headers, body };
    methods(&Profile::built_in(vendor).unwrap(), &asked).unwrap()
}

fn leads(query: &str, body: &str) -> String {
    of("marketo", "/rest/v1/leads.json", query, &[FORM], Body::Read(body.as_bytes()))
}

#[test]
fn marketos_method_in_query_or_form_is_read() {
    for query in ["_method=GET", "a=b&_method=get", "%5Fmethod=G%45T", "_method=%20GET", "x;_method=GET"] {
        assert_eq!(leads(query, ""), "POST =GET", "{query}");
    }
    assert_eq!(leads("", "filterType=email&_method=GET"), "POST =GET");
    assert_eq!(leads("_method=DELETE", "_method=GET"), "POST =DELETE =GET");
    for none in ["", "_method=", "_method=POST", "method=GET", "x=_method=GET"] {
        assert_eq!(leads(none, ""), "POST", "{none}");
    }
    // The Asset API has ignored it since September 2020.
    assert_eq!(of("marketo", "/rest/asset/v1/emails.json", "_method=GET", &[], Body::None), "POST GET");
}

#[test]
fn every_vendors_and_every_frameworks_override_counts() {
    assert_eq!(
        of("salesforce", "/services/data/v60.0/sobjects/A/1", "_HttpMethod=PATCH", &[], Body::None),
        "POST =PATCH"
    );
    let header = |vendor: &str, name: &str| of(vendor, "/x", "", &[(name, "DELETE")], Body::None);
    for name in ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_METHOD_OVERRIDE"] {
        assert_eq!(header("generic", name), "POST DELETE", "{name}");
        assert_eq!(header("hubspot", name), "POST DELETE", "{name}");
    }
    assert_eq!(header("ga4-data", "X-HTTP-Method-Override"), "POST =DELETE");
    assert_eq!(of("generic", "/x", "", &[("x-http-method", "GET, PUT")], Body::None), "POST GET PUT");
    assert_eq!(header("generic", "x-payment-method"), "POST");
    assert_eq!(of("generic", "/x", "", &[("x-http-method", "card")], Body::None), "POST");
}

#[test]
fn a_multipart_form_says_its_method_too() {
    let body = b"--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--b--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    assert_eq!(of("generic", "/x", "", &kind, Body::Read(body)), "POST DELETE");
}

#[test]
fn a_form_too_long_to_be_read_may_say_any_method_where_the_vendor_reads_forms() {
    assert_eq!(of("marketo", "/rest/v1/leads.json", "", &[FORM], Body::Unread), "POST GET PUT PATCH DELETE");
    assert_eq!(of("marketo", "/bulk/v1/leads.json", "", &[FORM], Body::Unread), "POST");
    assert_eq!(of("generic", "/x", "", &[FORM], Body::Unread), "POST");
}

#[test]
fn what_decides_on_a_repetition_is_what_the_vendor_reads() {
    let effective = |methods: &str| super::effective(methods).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(effective("POST"), ["POST"]);
    assert_eq!(effective("POST =GET"), ["GET"]);
    assert_eq!(effective("POST GET"), ["POST", "GET"]);
    assert_eq!(effective("GET DELETE"), ["GET", "DELETE"]);
    assert_eq!(effective("POST =GET =DELETE"), ["POST", "GET", "DELETE"]);
    assert_eq!((sent("POST =GET"), each("POST =GET").collect::<Vec<_>>()), ("POST", vec!["POST", "GET"]));
}

#[test]
fn a_request_that_names_a_crowd_of_methods_is_refused() {
    let query: Vec<_> =
        (0..100_u8).map(|n| format!("_method={}{}", char::from(b'a' + n % 26), char::from(b'a' + n / 26))).collect();
    let query = query.join("&");
    let asked =
        Asked { method: "POST", path: "/rest/v1/leads.json", query: Some(&query), headers: &[], body: Body::None };
    assert!(methods(&Profile::built_in("marketo").unwrap(), &asked).is_err());
}
