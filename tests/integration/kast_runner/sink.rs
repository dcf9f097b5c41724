//! Tests that an artifact sink is notified in time and does not delay the end of an attempt.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kastrel::ports::{ArtifactSink, AttemptFiles};
use kastrel_actors::policy::classify::StopCause;
use kastrel_actors::ports::StopMode;
use tokio::sync::Notify;

use super::stage::{Stage, marked};

/// A sink that records its calls.
#[derive(Debug, Default)]
struct Recorder {
    told: Mutex<Vec<String>>,
    data_dir: Mutex<String>,
    /// True if the storing never ends.
    stuck: bool,
    ending: Notify,
}

#[async_trait]
impl ArtifactSink for Recorder {
    fn attempt_started(&self, attempt: &AttemptFiles) {
        self.told.lock().unwrap().push(format!(
            "started {} {} in {:?}",
            attempt.attempt,
            attempt.token,
            name(&attempt.paths.attempt_dir)
        ));
    }

    async fn attempt_ended(&self, attempt: &AttemptFiles) -> Vec<String> {
        let left = marked(&self.data_dir.lock().unwrap());
        let report = attempt.paths.attempt_dir.join("kast_report.html").exists();
        self.told.lock().unwrap().push(format!("ended, processes left: {}, report: {report}", left.len()));
        self.ending.notify_one();
        if self.stuck {
            std::future::pending::<()>().await;
        }
        vec!["a note".into()]
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

async fn stage(recorder: &Arc<Recorder>) -> Stage {
    let sink = Arc::clone(recorder);
    Stage::with(move |config| {
        sink.data_dir.lock().unwrap().clone_from(&config.data_dir_id);
        config.sink = Some(sink);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn final_files_are_passed_to_the_sink_before_the_end_is_reported() {
    let recorder = Arc::new(Recorder::default());
    let ended = stage(&recorder).await.play("family-1p.test").await;
    assert_eq!(ended.name, "completed");
    assert_eq!(
        *recorder.told.lock().unwrap(),
        ["started 1 1 in \"attempt-1\"", "ended, processes left: 0, report: true"]
    );
    assert_eq!(ended.report.notes.last().map(String::as_str), Some("a note"));
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_does_not_wait_for_a_stuck_sink() {
    let recorder = Arc::new(Recorder { stuck: true, ..Recorder::default() });
    let stage = stage(&recorder).await;
    let running = stage.start(stage.job("ok-1p.test")).await.unwrap();
    recorder.ending.notified().await;
    running.control.as_ref().unwrap().stop(StopMode::Kill);
    let ended = running.ended(Some(StopCause::LeaseLost)).await;
    assert!(ended.report.notes.iter().any(|note| note.contains("stay on this machine")), "{:?}", ended.report.notes);
}
