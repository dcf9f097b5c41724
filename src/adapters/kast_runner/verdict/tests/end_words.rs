//! Tests of the words for an end: those of KAST, of the plugin and of the log.

use jiff::tz::TimeZone;
use kastrel_actors::model::{PluginResult, PluginStatus};

use super::support::merged;
use crate::adapters::kast_runner::verdict::processed::read;
use crate::adapters::kast_runner::verdict::{broken_off, running, so_far};

#[test]
fn worse_of_two_end_words_counts() {
    let good = r#"{"disposition":"success","findings_count":1,"summary":"Found 1 issue"}"#;
    let bad = r#"{"disposition":"fail","findings":{"error":"no route"},"summary":"No vulnerabilities detected"}"#;
    let unsure = r#"{"findings_count":1,"summary":"Found 1 issue"}"#;
    let torn = r#"{"findings_count":1,"#;
    for (entry, own, status, message) in [
        (r#""status":"success""#, Some(good), PluginStatus::Completed, Some("Found 1 issue")),
        (r#""status":"Success ""#, Some(unsure), PluginStatus::Completed, Some("Found 1 issue")),
        (r#""status":"success""#, Some(bad), PluginStatus::Failed, Some("no route")),
        (
            r#""status":"success""#,
            Some(torn),
            PluginStatus::Failed,
            Some("Result file cannot be read: it is truncated"),
        ),
        (
            r#""status":"success","error":"odd""#,
            Some(torn),
            PluginStatus::Failed,
            Some("Result file cannot be read: it is truncated"),
        ),
        (
            r#""status":"success""#,
            None,
            PluginStatus::Failed,
            Some("The scanner reports success, but the result file p_processed.json is missing"),
        ),
        (r#""status":"fail""#, Some(good), PluginStatus::Failed, Some("Failed without a message. See the log.")),
        (r#""status":"fail""#, Some(bad), PluginStatus::Failed, Some("no route")),
        (
            r#""status":"failed","error":"division by \u001b[31mzero""#,
            Some(bad),
            PluginStatus::Failed,
            Some("division by zero"),
        ),
        (r#""status":"failed","error":"division by zero""#, None, PluginStatus::Failed, Some("division by zero")),
        (r#""status":"failed","error":"killed""#, Some(torn), PluginStatus::Failed, Some("killed")),
        (
            r#""status":"failed","error":null"#,
            None,
            PluginStatus::Failed,
            Some("Failed without a message. See the log."),
        ),
        (r#""status":"unavailable""#, None, PluginStatus::Unavailable, Some("Tool not installed on this node")),
        (
            r#""status":"unavailable","error":"docker is missing""#,
            None,
            PluginStatus::Unavailable,
            Some("docker is missing"),
        ),
        (r#""status":"skipped""#, None, PluginStatus::Skipped, Some("Skipped by the scanner")),
        (r#""status":"unknown""#, None, PluginStatus::Failed, Some("The scanner does not say how it ended")),
        (r#""status":"unknown""#, Some(good), PluginStatus::Completed, Some("Found 1 issue")),
        (r#""status":null"#, Some(good), PluginStatus::Completed, Some("Found 1 issue")),
        (r#""status":null"#, Some(bad), PluginStatus::Failed, Some("no route")),
        (r#""status":"novel\u001b[31m""#, None, PluginStatus::Failed, Some("The scanner ended it as \"novel\"")),
        // An unknown word is never good, whether KAST or the plugin uses it.
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"timeout","summary":"No issues found"}"#),
            PluginStatus::Failed,
            Some("The plugin ended as \"timeout\""),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"partial","findings_count":3}"#),
            PluginStatus::Failed,
            Some("The plugin ended as \"partial\""),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"findings":{"disposition":"aborted"}}"#),
            PluginStatus::Failed,
            Some("The plugin ended as \"aborted\""),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"timeout","error":"no answer after 600 s"}"#),
            PluginStatus::Failed,
            Some("no answer after 600 s"),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"","findings":{"disposition":"fail","error":"no route"}}"#),
            PluginStatus::Failed,
            Some("no route"),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"success","findings":{"disposition":"fail","error":"no route"}}"#),
            PluginStatus::Failed,
            Some("no route"),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"unknown","findings_count":1}"#),
            PluginStatus::Failed,
            Some("The plugin ended as \"unknown\""),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":" Success\n","findings_count":1}"#),
            PluginStatus::Completed,
            None,
        ),
        (r#""status":"timeout""#, Some(unsure), PluginStatus::Failed, Some("The scanner ended it as \"timeout\"")),
        (r#""status":"partial""#, Some(good), PluginStatus::Failed, Some("The scanner ended it as \"partial\"")),
        (
            r#""status":"timeout","error":"killed after 600 s""#,
            Some(unsure),
            PluginStatus::Failed,
            Some("killed after 600 s"),
        ),
        (
            r#""status":"timeout""#,
            Some(r#"{"disposition":"unavailable"}"#),
            PluginStatus::Unavailable,
            Some("The scanner ended it as \"timeout\""),
        ),
        (r#""status":0"#, Some(unsure), PluginStatus::Failed, Some("The scanner ended it as \"0\"")),
        (r#""status":"COMPLETED""#, Some(unsure), PluginStatus::Completed, Some("Found 1 issue")),
    ] {
        let files: Vec<(&str, &[u8])> = own.iter().map(|own| ("p", own.as_bytes())).collect();
        let plugin =
            merged(format!(r#"{{"plugins":[{{"plugin_name":"p",{entry}}}]}}"#).as_bytes(), &files, &TimeZone::UTC)
                .remove(0);
        assert_eq!((plugin.status, plugin.message.as_deref()), (status, message), "{entry} {own:?}");
    }
    let twice = r#"{"plugins":[{"plugin_name":"a","status":"success"},{"plugin_name":"A","status":"fail"},{"plugin_name":"b"}]}"#;
    let shown: Vec<_> = merged(twice.as_bytes(), &[("a", good.as_bytes())], &TimeZone::UTC)
        .into_iter()
        .map(|plugin| (plugin.name, plugin.status))
        .collect();
    assert_eq!(shown, [("a".to_owned(), PluginStatus::Failed), ("b".to_owned(), PluginStatus::Failed)]);
}

#[test]
fn reason_of_a_failure_is_found_in_any_field() {
    let entry = br#"{"plugins":[{"plugin_name":"p","status":"fail"}]}"#;
    for (json, message) in [
        (r#"{"findings":{},"summary":"Plugin failed: no names","details":"no names"}"#, "Plugin failed: no names"),
        (r#"{"findings":{},"summary":"Nothing","results_message":"Error: no names"}"#, "Error: no names"),
        (
            r#"{"disposition":"fail","summary":"No vulnerabilities detected","details":"Unable to reach a.test"}"#,
            "Unable to reach a.test",
        ),
        (
            r#"{"disposition":"fail","summary":"p scan failed: ","executive_summary":"The scan could not be completed."}"#,
            "The scan could not be completed.",
        ),
        (r#"{"disposition":"fail","summary":"p scan failed: "}"#, "Failed without a message. See the log."),
        (
            r#"{"findings":{"urls":[]},"summary":"No URLs were found.","details":"Detected 0 unique URL(s)."}"#,
            "Failed without a message. See the log.",
        ),
    ] {
        let plugin = merged(entry, &[("p", json.as_bytes())], &TimeZone::UTC).remove(0);
        assert_eq!((plugin.status, plugin.message.as_deref()), (PluginStatus::Failed, Some(message)), "{json}");
    }
}

#[test]
fn status_before_the_list_exists_follows_file_and_log() {
    use crate::adapters::kast_runner::kast_log::Logged;
    use PluginStatus::{Completed, Failed, InProgress};
    let guessed = read("p", br#"{"findings_count":0,"summary":"fine"}"#.as_slice(), None);
    let stated = read("p", br#"{"findings_count":0,"summary":"fine","disposition":"success"}"#.as_slice(), None);
    let failed = read("p", br#"{"findings":{"disposition":"fail","results":"no route"}}"#.as_slice(), None);
    let running = Logged { has_started: true, ..Logged::default() };
    let ended = |word: &str, is_processed| Logged { word: Some(word.into()), is_processed, ..running.clone() };
    let broken = |reason: &str| Logged { failure: Some(reason.into()), ..ended("success", false) };
    for (own, logged, status, message) in [
        (&guessed, None, InProgress, None),
        (&guessed, Some(running.clone()), InProgress, None),
        (&guessed, Some(ended("success", false)), InProgress, None),
        (&guessed, Some(ended("success", true)), Completed, Some("fine")),
        (&guessed, Some(ended("fail", true)), Failed, Some("Failed without a message. See the log.")),
        (&guessed, Some(ended("partial", true)), Failed, Some("The scanner ended it as \"partial\"")),
        (&guessed, Some(ended("None", true)), Failed, Some("The scanner ended it as \"None\"")),
        (&guessed, Some(broken("no file")), Failed, Some("no file")),
        (&stated, None, Completed, Some("fine")),
        (&stated, Some(running.clone()), InProgress, None),
        (&stated, Some(ended("success", true)), Completed, Some("fine")),
        (&stated, Some(broken("")), Failed, Some("Failed without a message. See the log.")),
        (&failed, None, Failed, Some("no route")),
        (&failed, Some(ended("success", true)), Failed, Some("no route")),
    ] {
        let (is, says) = so_far(own, logged.as_ref());
        assert_eq!((is, says.as_deref()), (status, message), "{:?} {logged:?}", own.sureness);
    }
}

#[test]
fn plugin_that_failed_after_a_stop_request_is_interrupted() {
    use PluginStatus::{Completed, Failed, InProgress, Interrupted, Pending};
    for (before, status, after) in [
        (InProgress, Failed, Interrupted),
        (Failed, Failed, Failed),
        (InProgress, Completed, Completed),
        (Pending, Failed, Failed),
    ] {
        let mut plugins =
            vec![PluginResult { message: Some("Interrupt".into()), ..PluginResult::new("WhatWeb", status) }];
        broken_off(&mut plugins, &running(&[PluginResult::new("whatweb", before)]));
        assert_eq!(
            (plugins[0].status, plugins[0].message.is_none()),
            (after, after == Interrupted),
            "{before} {status}"
        );
    }
}
