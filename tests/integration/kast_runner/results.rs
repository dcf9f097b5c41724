//! Tests of hostile result files: every end has a name, and no plugin is lost.

use kastrel_actors::model::PluginStatus;

use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn bad_info_file_is_reported_and_the_plugins_are_kept() {
    let stage = Stage::new().await;
    for (target, name, reason) in [
        ("truncated.test", "unreadable_result", "truncated"),
        ("huge.test", "unreadable_result", "no JSON object"),
        ("deep.test", "completed", ""),
        ("linked.test", "unreadable_result", "no regular file"),
        ("fifo.test", "unreadable_result", "no regular file"),
        ("latin1.test", "completed", ""),
    ] {
        let ended = stage.play(target).await;
        assert_eq!(ended.name, name, "{target}: {}", ended.detail());
        assert!(ended.detail().contains(reason), "{target}: {}", ended.detail());
        assert_eq!(ended.plugins()[1], ("wafw00f", PluginStatus::Completed, 2), "{target}");
        assert!(!format!("{:?}", ended.report).contains("root:"), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_plugin_file_fails_only_that_plugin() {
    let stage = Stage::new().await;
    for (target, count, message) in [
        ("ptruncated.test", 0, "truncated"),
        ("phuge.test", 0, "no JSON object"),
        ("plinked.test", 0, "no regular file"),
        ("platin1.test", 1, "whatweb says b\u{fffd}cher"),
    ] {
        let ended = stage.play(target).await;
        assert_eq!(ended.name, "completed", "{target}");
        let first = &ended.report.plugins[0];
        assert_eq!((first.name.as_str(), first.findings_count), ("whatweb", count), "{target}");
        assert!(first.message.as_deref().is_some_and(|text| text.contains(message)), "{target}: {:?}", first.message);
        assert_eq!(ended.plugins()[1], ("wafw00f", PluginStatus::Completed, 2), "{target}");
    }
    assert_eq!(stage.play("pdeep.test").await.name, "completed");
}
