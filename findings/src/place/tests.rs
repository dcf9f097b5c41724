use proptest::prelude::*;

use super::*;

fn address(text: &str) -> String {
    WebAddress::parse(text).unwrap().to_string()
}

#[test]
fn addresses_have_one_normal_form() {
    let cases = [
        ("HTTPS://Example.COM", "https://example.com/"),
        ("https://example.com.:443/", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("http://example.com:80/a", "http://example.com/a"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://XN--BCHER-KVA.example/", "https://xn--bcher-kva.example/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[0:0:0:0:0:0:0:1]:8080/", "http://[::1]:8080/"),
        ("http://ana:secret@example.com/", "http://example.com/"),
        ("https://example.com/a/./b/../c", "https://example.com/a/c"),
        ("https://example.com/a/%2e%2e/c", "https://example.com/c"),
        ("https://example.com/%7euser/%e4%bd", "https://example.com/~user/%E4%BD"),
        ("https://example.com/a b/ä", "https://example.com/a%20b/%C3%A4"),
        ("https://example.com/100%", "https://example.com/100%25"),
        ("https://example.com/a//b/", "https://example.com/a//b/"),
        ("https://example.com/Login", "https://example.com/Login"),
        ("https://example.com/a;jsessionid=1A2B;v=2", "https://example.com/a;jsessionid;v"),
        ("https://example.com/?b=2&a=1&b=3&=x&", "https://example.com/?a&b"),
        ("https://example.com/?q+r=1&%71=2", "https://example.com/?q&q%20r"),
        ("https://example.com/?1700000000", "https://example.com/?{n}"),
        ("https://example.com/#/admin", "https://example.com/"),
        ("wss://example.com/live", "wss://example.com/live"),
    ];
    for (text, expected) in cases {
        assert_eq!(address(text), expected, "{text}");
    }
}

#[test]
fn ids_in_paths_become_markers() {
    let cases = [
        ("/users/17/orders/4711", "/users/{n}/orders/{n}"),
        ("/item/17.html", "/item/{n}.html"),
        ("/o/550e8400-e29b-41d4-a716-446655440000", "/o/{uuid}"),
        ("/o/550E8400-E29B-41D4-A716-446655440000.json", "/o/{uuid}.json"),
        ("/blob/d41d8cd98f00b204e9800998ecf8427e", "/blob/{hex}"),
        ("/static/app.3f2a9c1b.js", "/static/app.{hex}.js"),
        ("/static/app-3f2a9c1b.js", "/static/app-{hex}.js"),
        ("/s/aB3dE5fG7hI9jK1lM3nO5pQ7", "/s/{token}"),
        // No ids: versions, words, dates in a name.
        ("/api/v1/users", "/api/v1/users"),
        ("/deadbeefdeadbeef", "/deadbeefdeadbeef"),
        ("/js/jquery-3.4.1.min.js", "/js/jquery-3.4.1.min.js"),
        ("/backup-20240131.zip", "/backup-20240131.zip"),
        ("/page-feedback", "/page-feedback"),
        ("/.git/config", "/.git/config"),
        ("/InternetExplorerCompatibility2", "/InternetExplorerCompatibility2"),
    ];
    for (path, expected) in cases {
        assert_eq!(address(&format!("https://h.example{path}")), format!("https://h.example{expected}"), "{path}");
    }
}

#[test]
fn long_paths_and_queries_are_bounded() {
    let path = WebAddress::parse(&format!("https://h.example{}", "/a".repeat(100))).unwrap();
    assert!(path.path().ends_with("/a/{more}"), "{path}");
    assert_eq!(address(&format!("https://h.example/{}", "a".repeat(201))), "https://h.example/{long}");
    let names: Vec<String> = (0..60).map(|at| format!("p{at:02}=1")).collect();
    let query = WebAddress::parse(&format!("https://h.example/?{}", names.join("&"))).unwrap();
    assert_eq!((query.query().len(), query.query().last().unwrap().as_str()), (25, "{more}"));
    assert!(WebAddress::parse(&format!("https://h.example/{}", "ä/".repeat(100_000))).is_ok());
}

#[test]
fn what_is_no_address_of_the_web_is_refused() {
    let cases = [
        ("", PlaceFault::Empty),
        ("example.com", PlaceFault::NoAddress),
        ("javascript:alert(1)", PlaceFault::NotWeb),
        ("ftp://example.com/", PlaceFault::NotWeb),
        ("https://", PlaceFault::NoAddress),
        ("https://exa mple.com/", PlaceFault::NoAddress),
        ("https://example.com:99999/", PlaceFault::NoAddress),
        ("https://example.com:0/", PlaceFault::NoPort),
        ("https://./", PlaceFault::NoHost),
    ];
    for (text, fault) in cases {
        assert_eq!(WebAddress::parse(text), Err(fault), "{text}");
    }
}

#[test]
fn the_site_of_a_target_is_https_unless_the_target_says_otherwise() {
    let cases = [
        ("example.com", "https://example.com"),
        ("Example.com:443", "https://example.com"),
        ("example.com:8443", "https://example.com:8443"),
        ("example.com:80", "http://example.com"),
        ("http://example.com/app", "http://example.com"),
        ("127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("www.example.com/a?b", "https://www.example.com"),
    ];
    for (target, expected) in cases {
        assert_eq!(Origin::of_target(target).unwrap().to_string(), expected, "{target}");
    }
    assert!(Origin::of_target("").is_err());
    assert!(Origin::of_target("not a host").is_err());
}

#[test]
fn texts_of_plugins_are_read_as_the_kind_of_place_they_look_like() {
    let target = Origin::of_target("example.com").unwrap();
    let cases = [
        ("https://example.com/a", "url", "https://example.com/a"),
        ("/admin/7", "url", "https://example.com/admin/{n}"),
        ("example.com:8443", "endpoint", "example.com:8443"),
        ("_dmarc.Example.com.", "host", "_dmarc.example.com"),
        ("2001:db8:0::1", "host", "2001:db8::1"),
        ("line 3 of the page", "text", "line 3 of the page"),
        ("  ", "target", "the target"),
    ];
    for (text, kind, expected) in cases {
        let place = Place::guess(text, Some(&target));
        assert_eq!((place.kind(), place.to_string().as_str()), (kind, expected), "{text}");
    }
    assert_eq!(Place::guess("/admin", None).kind(), "text");
}

#[test]
fn every_part_has_its_own_name() {
    let names: std::collections::BTreeSet<_> = Part::ALL.iter().map(|part| part.name()).collect();
    assert_eq!(names.len(), Part::ALL.len());
}

/// Texts with the characters that matter in addresses.
fn address_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("%".to_owned()),
        Just("%2e".to_owned()),
        Just("%7Bn%7D".to_owned()),
        Just("{hex}".to_owned()),
        Just("/".to_owned()),
        Just("..".to_owned()),
        Just(";".to_owned()),
        Just("?".to_owned()),
        Just("&".to_owned()),
        Just("=".to_owned()),
        Just("#".to_owned()),
        Just("+".to_owned()),
        Just(":".to_owned()),
        Just("@".to_owned()),
        Just("。".to_owned()),
        "[0-9a-f]{1,40}",
        "[A-Za-z0-9._-]{1,30}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_normal_form_of_an_address_is_idempotent(host in "[A-Za-z0-9.-]{1,12}", rest in address_like()) {
        if let Ok(once) = WebAddress::parse(&format!("https://{host}/{rest}")) {
            let twice = WebAddress::parse(&once.to_string());
            prop_assert_eq!(twice.as_ref(), Ok(&once));
            prop_assert_eq!(twice.unwrap().to_string(), once.to_string());
        }
    }

    #[test]
    fn the_normal_form_of_a_host_is_idempotent(text in prop_oneof![any::<String>(), address_like()]) {
        if let Ok(once) = Host::parse(&text) {
            prop_assert_eq!(Host::parse(once.as_str()), Ok(once.clone()));
        }
    }

    #[test]
    fn a_place_is_stored_and_read_without_change(text in address_like(), host in "[a-z]{1,5}\\.example") {
        let target = Origin::of_target(&host).unwrap();
        for text in [text.clone(), format!("https://{host}/{text}"), format!("/{text}")] {
            let place = Place::guess(&text, Some(&target));
            let stored = serde_json::to_string(&place).unwrap();
            prop_assert_eq!(serde_json::from_str::<Place>(&stored).unwrap(), place, "{}", stored);
        }
    }

    #[test]
    fn the_case_of_scheme_and_host_does_not_matter(rest in address_like()) {
        let lower = WebAddress::parse(&format!("https://www.example.com/{rest}"));
        prop_assert_eq!(WebAddress::parse(&format!("HTTPS://WWW.Example.COM.:443/{rest}")), lower);
    }

    #[test]
    fn the_order_and_the_values_of_a_query_do_not_matter(
        names in proptest::collection::vec("[a-z]{1,6}", 1..8), value in "[a-zA-Z0-9]{0,9}",
    ) {
        let forward: Vec<String> = names.iter().map(|name| format!("{name}={value}")).collect();
        let backward: Vec<String> = names.iter().rev().cloned().collect();
        prop_assert_eq!(
            address(&format!("https://h.example/?{}", forward.join("&"))),
            address(&format!("https://h.example/?{}", backward.join("&")))
        );
    }
}
