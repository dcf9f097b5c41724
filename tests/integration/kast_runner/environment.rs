//! Tests which environment variables the scanner receives.

use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_allowed_reaches_the_scanner() {
    let stage = Stage::with(|config| config.env_extra = vec![("FAKE_KAST".into(), "env-1p".into())]).await;
    let job = stage.job("example.com");
    let log = stage.runner.paths(&job).log;
    let marker = format!("env KASTREL_ATTEMPT={}:{}:1:", stage.id, job.scan);
    stage.start(job).await.unwrap().ended(None).await;
    let log = std::fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("env ")).collect();
    assert!(lines.contains(&"env COLUMNS=200") && lines.iter().any(|line| line.starts_with(&marker)), "{lines:?}");
    assert!(lines.contains(&"env TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), "{lines:?}");
    // Cargo sets many variables for the test, and the scanner must receive none of them.
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !lines.iter().any(|line| line.contains("CARGO_")),
        "{lines:?}"
    );
}
