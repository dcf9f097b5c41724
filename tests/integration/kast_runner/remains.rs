//! Tests the adoption of results from attempts that no process runs any more.

use kastrel::ports::MARK_NAME;
use kastrel_actors::model::{AttemptNumber, FencingToken, PluginStatus};
use kastrel_actors::policy::adoption::{Adoption, adoption};
use kastrel_actors::ports::{AttemptJob, ScanRunner};

use super::leftovers::leftover;
use super::stage::Stage;

/// Returns the number of completed plugins if the result of an attempt would be adopted, or the
/// reason why not.
async fn judged(stage: &Stage, job: &AttemptJob) -> Result<usize, &'static str> {
    match adoption(stage.runner.remains(job).await.as_ref(), false, false) {
        Adoption::Adopt(verdict) => Ok(verdict.count(PluginStatus::Completed)),
        Adoption::Fail { .. } => Err("nothing was checked"),
        Adoption::Discard(why) => Err(why),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_result_of_exactly_this_attempt_counts() {
    let stage = Stage::new().await;
    let job = stage.job("2p.test");
    let ended = stage.start(job.clone()).await.unwrap().ended(None).await;
    let seen = ended.report.plugins.clone();
    assert_eq!(judged(&stage, &job).await, Ok(2));
    assert_eq!(stage.runner.remains(&job).await.unwrap().report.plugins, seen, "read as by the node that saw its end");

    let other = |change: fn(&mut AttemptJob)| {
        let mut other = job.clone();
        change(&mut other);
        other
    };
    for (wrong, why) in [
        (other(|job| job.token = FencingToken(2)), "its folder does not carry its mark"),
        (other(|job| job.attempt = AttemptNumber(2)), "its files are not on this node"),
        (other(|job| job.scan = kastrel_actors::model::ScanId(999_999)), "its files are not on this node"),
    ] {
        assert_eq!(judged(&stage, &wrong).await, Err(why));
    }

    let mut alive = leftover(&format!("{}:{}:{}:feedfeedfeed", stage.id, job.scan, job.token), "group");
    assert_eq!(judged(&stage, &job).await, Err("processes of it are alive"));
    alive.kill().unwrap();
    alive.wait().unwrap();
    assert_eq!(judged(&stage, &job).await, Ok(2));

    let folder = stage.runner.paths(&job).attempt_dir;
    let (info, plugin, mark) =
        (folder.join("kast_info.json"), folder.join("whatweb_processed.json"), folder.join(MARK_NAME));
    // An unreadable plugin result fails only this plugin, because the scan itself completed.
    for (file, expected) in [
        (&plugin, Ok(1)),
        (&info, Err("its result is not complete")),
        (&mark, Err("its folder does not carry its mark")),
    ] {
        let whole = std::fs::read(file).unwrap();
        std::fs::remove_file(file).unwrap();
        std::fs::write(file, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(judged(&stage, &job).await, expected, "{file:?}");
        std::fs::write(file, &whole).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        assert_eq!(judged(&stage, &job).await, Ok(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_attempt_is_not_adopted() {
    let stage = Stage::new().await;
    for target in ["crash.test", "truncated-2p.test", "linked-2p.test", "fifo-2p.test", "nofiles.test"] {
        let job = stage.job(target);
        stage.start(job.clone()).await.unwrap().ended(None).await;
        assert_eq!(judged(&stage, &job).await, Err("its result is not complete"), "{target}");
    }
    // A folder that was replaced by a symbolic link.
    let job = stage.job("2p.test");
    stage.start(job.clone()).await.unwrap().ended(None).await;
    let folder = stage.runner.paths(&job).attempt_dir;
    let elsewhere = folder.with_extension("elsewhere");
    std::fs::rename(&folder, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
    assert_eq!(judged(&stage, &job).await, Err("its files are not on this node"));
}
