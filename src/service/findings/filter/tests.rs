use std::collections::BTreeSet;

use kastrel_actors::model::AccountName;
use proptest::prelude::*;

use super::*;

fn read(line: &str) -> FindingFilter {
    line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn tokens_and_words_are_read() {
    let filter = read(r#"severity:high,CRITICAL status:open plugin:testssl severity:low is:regressed  cookie "a b""#);
    assert_eq!(filter.severities, BTreeSet::from([Severity::Critical, Severity::High, Severity::Low]));
    assert_eq!(filter.statuses, BTreeSet::from([Status::Open]));
    assert_eq!(filter.plugins, BTreeSet::from(["testssl".to_owned()]));
    assert_eq!(filter.flags, BTreeSet::from([FindingFlag::Regressed]));
    assert_eq!(filter.words, ["cookie", "a b"]);
    let filter = read(r#"tag:"a, \"b\"",prod target:https://shop.example:8443 https://shop.example/a?b=c:d age:30d"#);
    assert_eq!(filter.tags, BTreeSet::from([r#"a, "b""#.to_owned(), "prod".to_owned()]));
    assert_eq!(filter.targets, BTreeSet::from(["https://shop.example:8443".to_owned()]));
    assert_eq!(filter.words, ["https://shop.example/a?b=c:d"]);
    assert_eq!((filter.min_age_days, filter.new_within_days), (Some(30), None));
    assert_eq!(read("status:any").statuses, Status::ALL.into());
    assert_eq!(read("   "), FindingFilter::default());
    let owners = read(r#"owner:none,ana,"none""#).owners;
    let account = |name: &str| OwnerFilter::Account(name.parse::<AccountName>().unwrap());
    assert_eq!(owners, BTreeSet::from([OwnerFilter::Nobody, account("ana"), account("none")]));
}

#[test]
fn times_are_days_in_utc_or_moments() {
    let since = |line: &str| read(line).new_since.unwrap().to_string();
    assert_eq!(since("since:2026-11-23"), "2026-11-23T00:00:00Z");
    assert_eq!(since("since:2026-11-23T08:00:00+01:00"), "2026-11-23T07:00:00Z");
    assert_eq!(read("since:2026-11-23").to_string(), "since:2026-11-23");
    assert_eq!(read("since:2026-11-23T08:00:01Z").to_string(), "since:2026-11-23T08:00:01Z");
}

#[test]
fn error_names_the_token() {
    for (line, token, message) in [
        ("severity:high colour:red", "colour:red", "`colour` is no token"),
        ("severity:hgh", "severity:hgh", "`hgh` is no severity: expected critical, high"),
        ("status:closed", "status:closed", "`closed` is no state: expected open, confirmed"),
        ("is:new", "is:new", "`new` is no condition: expected regressed, overdue or unchecked"),
        ("plugin:", "plugin:", "a value of `plugin` is missing"),
        ("plugin:a,", "plugin:a,", "a value of `plugin` is missing"),
        ("plugin:\"\"", "plugin:\"\"", "a value of `plugin` is missing"),
        ("age:x", "age:x", "`x` is no number of days"),
        ("age:+3", "age:+3", "`+3` is no number of days"),
        ("age:40000d", "age:40000d", "`40000d` is no number of days"),
        ("age:1d age:2d", "age:2d", "`age` can have one value only"),
        ("since:monday", "since:monday", "`monday` is no time"),
        ("project:A/B", "project:A/B", "`A/B` is no id of a project"),
        ("owner:Ana", "owner:Ana", "`Ana` is no name of an account"),
        ("tag:\"a b", "tag:\"a b", "the closing quote is missing"),
        ("tag:\"a\"b", "tag:\"a\"b", "a comma is missing"),
        ("tag:a\"b\"", "tag:a\"b\"", "a comma is missing"),
        ("\"a\"b", "\"a\"b", "a blank is missing after the quote"),
        ("\"\"", "\"\"", "the word is empty"),
        ("a\"b", "a\"b", "a quote must be at the start"),
    ] {
        let error = line.parse::<FindingFilter>().unwrap_err();
        assert_eq!(error.token, token, "{line}");
        assert!(error.message.contains(message), "{line}: {error}");
        assert!(error.to_string().starts_with(&format!("`{token}`: ")), "{error}");
    }
    let long = "a ".repeat(MOST_FILTER_CHARS);
    assert!(long.parse::<FindingFilter>().unwrap_err().message.contains("at most 2000 characters"));
}

#[test]
fn names_of_orders_are_read_again() {
    for sort in FindingSort::ALL {
        assert_eq!(FindingSort::read(sort.name()), Some(sort));
    }
    assert_eq!(FindingSort::read("Severity"), None);
}

#[test]
fn words_count_once_and_words_and_values_are_bounded() {
    assert_eq!(read("tls TLS cookie tls").words, ["tls", "cookie"]);
    let many = |number: usize| (0..number).map(|at| format!("v{at}")).collect::<Vec<_>>();
    assert_eq!(read(&many(20).join(" ")).words.len(), 20);
    let error = many(21).join(" ").parse::<FindingFilter>().unwrap_err();
    assert_eq!(error.to_string(), "`v20`: expected at most 20 words");
    for name in ["plugin", "category", "issue", "target", "project", "tag", "owner"] {
        let line = format!("{name}:{}", many(50).join(","));
        assert_eq!(read(&line).to_string().parse::<FindingFilter>(), Ok(read(&line)), "{name}");
        read(&format!("{line} {name}:v0"));
        let error = format!("{line} {name}:more").parse::<FindingFilter>().unwrap_err();
        assert_eq!(error.to_string(), format!("`{name}:more`: `{name}` can have at most 50 values"));
    }
}

fn text() -> impl Strategy<Value = String> {
    // Blanks alone are no value.
    r#"[a-z:,"\\ /é.]{1,12}"#.prop_filter("not blank", |text| !text.trim().is_empty())
}

fn texts() -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set(text(), 0..3)
}

prop_compose! {
    fn filters()(
        severities in prop::collection::btree_set(prop::sample::select(&Severity::ALL[..]), 0..3),
        statuses in prop::collection::btree_set(prop::sample::select(&Status::ALL[..]), 0..=5),
        (plugins, categories, issues) in (texts(), texts(), texts()),
        (targets, tags) in (texts(), texts()),
        projects in prop::collection::btree_set("[a-z]{1,8}".prop_map(|id| id.parse::<ProjectId>().unwrap()), 0..3),
        owners in prop::collection::btree_set(
            prop_oneof![Just("none".to_owned()), "[a-z0-9][a-z@._+-]{0,8}"].prop_map(|name| {
                OwnerFilter::Account(name.parse().unwrap())
            }),
            0..3,
        ),
        has_nobody in any::<bool>(),
        (min_age_days, new_within_days) in (prop::option::of(0_u32..=36_500), prop::option::of(0_u32..=36_500)),
        new_since in prop::option::of(
            (0_i64..40_000, prop_oneof![Just(0_i64), 0_i64..86_400_000_000_000]).prop_map(|(days, nanoseconds)| {
                let at = i128::from(days) * 86_400_000_000_000 + i128::from(nanoseconds);
                Timestamp::from_nanosecond(at).unwrap()
            }),
        ),
        flags in prop::collection::btree_set(prop::sample::select(&FindingFlag::ALL[..]), 0..3),
        words in prop::collection::vec(text(), 0..4),
    ) -> FindingFilter {
        let owners = owners.into_iter().chain(has_nobody.then_some(OwnerFilter::Nobody)).collect();
        let mut once = BTreeSet::new();
        let words = words.into_iter().filter(|word| once.insert(word.to_lowercase())).collect();
        FindingFilter {
            severities, statuses, plugins, categories, issues, targets, projects, tags, owners, min_age_days,
            new_within_days, new_since, flags, words,
        }
    }
}

proptest! {
    #[test]
    fn text_of_a_filter_gives_the_filter_again(filter in filters()) {
        let text = filter.to_string();
        prop_assert_eq!(text.parse::<FindingFilter>(), Ok(filter), "{}", text);
    }

    #[test]
    fn any_text_gives_a_filter_or_an_error(line in any::<String>()) {
        if let Ok(filter) = line.parse::<FindingFilter>() {
            prop_assert_eq!(filter.to_string().parse::<FindingFilter>(), Ok(filter));
        }
    }
}
