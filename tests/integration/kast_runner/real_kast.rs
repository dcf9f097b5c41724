//! Runs the real KAST if `KASTREL_TEST_KAST` names one: Kastrel's counts must match KAST's.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use kastrel::adapters::kast_runner::ScannerCommand;
use kastrel_actors::model::{PluginStatus, ScanRequestDraft};
use kastrel_actors::policy::classify::StopCause;
use kastrel_actors::ports::{AttemptEvent, StopMode};

use super::stage::Stage;

/// Starts a loopback web server that returns one page for every request.
fn serve() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _request = stream.read(&mut request);
                let page = "<html><head><title>A page</title><script src=\"https://cdn.example/x.js\"></script></head><body>hello</body></html>";
                let _answer = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                    page.len()
                );
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an installed KAST: KASTREL_TEST_KAST=/path/to/kast make test-kast"]
async fn results_of_the_real_kast_are_read_correctly() {
    let program =
        std::env::var_os("KASTREL_TEST_KAST").expect("KASTREL_TEST_KAST names the program of an installed KAST");
    // Tools that are written in Python are in the same folder.
    let folder = Path::new(&program).parent().unwrap().to_owned();
    let path =
        std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())))
            .unwrap();
    let stage = Stage::with(|config| {
        config.scanner = ScannerCommand::kast(&program);
        config.env_extra = vec![("PATH".into(), path)];
    })
    .await;
    let catalogue = stage.runner.catalogue().borrow().clone().unwrap();
    println!(
        "{} with {} plugins and {} issues",
        catalogue.scanner.label(),
        catalogue.plugins.len(),
        catalogue.registry.len()
    );
    assert!(catalogue.plugins.len() >= 13 && catalogue.registry.len() >= 100);
    assert_eq!(catalogue.plugin("script_detection").unwrap().dependencies, ["mozilla_observatory"]);

    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", hanging.local_addr().unwrap());
    let mut running =
        stage.start(stage.draft(ScanRequestDraft { target, ..ScanRequestDraft::default() })).await.unwrap();
    running.in_progress().await;
    running.control.as_ref().unwrap().stop(StopMode::Graceful);
    let ended = running.ended(Some(StopCause::Cancel)).await;
    println!("stopped: {} {:?} {:?} {}", ended.name, ended.report.exit, ended.report.notes, ended.report.last_words);
    assert_eq!(ended.name, "cancelled");

    let target = format!("http://127.0.0.1:{}", serve());
    // `--set` would turn the 1 into `True`.
    let overrides = vec!["whatweb.aggression_level=1".to_owned(), "whatweb.timeout=20".to_owned()];
    let job = stage.draft(ScanRequestDraft { target, overrides, ..ScanRequestDraft::default() });
    let folder = stage.runner.paths(&job).attempt_dir;
    let ended = stage.start(job).await.unwrap().ended(None).await;
    println!("{} {:?} {}", ended.name, ended.plugins(), ended.report.last_words);
    assert_eq!(ended.name, "completed");
    let progress = ended.events.iter().filter(|event| matches!(event, AttemptEvent::Plugins(_))).count();
    assert!(progress >= 2, "{:?}", ended.events);

    let json =
        |name: &str| serde_json::from_slice::<serde_json::Value>(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    let mut expected = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).unwrap().flatten() {
        let file = entry.file_name().into_string().unwrap();
        if let Some(name) = file.strip_suffix("_processed.json") {
            expected.insert(name.to_owned(), json(&file)["findings_count"].as_u64().unwrap_or(0));
        }
    }
    let ours: BTreeMap<String, u64> = ended
        .report
        .plugins
        .iter()
        .filter(|plugin| expected.contains_key(&plugin.name))
        .map(|plugin| (plugin.name.clone(), plugin.findings_count))
        .collect();
    println!("counts {ours:?}");
    for plugin in ended.report.plugins.iter().filter(|plugin| !plugin.issues.is_empty()) {
        println!("issues of {}: {:?}", plugin.name, plugin.issues);
    }
    assert_eq!(ours, expected);
    for plugin in json("kast_info.json")["plugins"].as_array().unwrap() {
        let ours = ended.report.plugins.iter().find(|one| one.name == plugin["plugin_name"]).unwrap();
        let expected = plugin["status"].as_str().unwrap();
        let status = match expected {
            // These plugins use TLS with a server that does not support it, and still report
            // success.
            "success" if matches!(ours.name.as_str(), "wafw00f" | "cors_analyzer") => {
                assert!(ours.message.as_deref().unwrap().contains("the target did not answer"), "{ours:?}");
                PluginStatus::Failed
            }
            "success" => PluginStatus::Completed,
            "unavailable" => PluginStatus::Unavailable,
            "skipped" => PluginStatus::Skipped,
            _ => PluginStatus::Failed,
        };
        assert_eq!(
            (ours.status, ours.started_at.is_some()),
            (status, !plugin["start_timestamp"].is_null()),
            "{}",
            ours.name
        );
    }

    let shown = std::process::Command::new(&program)
        .args(["config", "show", "--config"])
        .arg(folder.join(".kastrel-config.yaml"))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    println!("settings as KAST reads them:\n{shown}");
    assert!(shown.contains("aggression_level: 1\n") && shown.contains("timeout: 20\n"), "{shown}");
}
