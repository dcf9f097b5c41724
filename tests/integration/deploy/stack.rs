//! Starts the services of `docker-compose.yml` without containers: with the commands, environment
//! and health checks of the file, and with local addresses and paths.
//!
//! Jaeger is left out, because no package registry has it, and no service waits for it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use super::compose::{Compose, HealthCheck, Service};
use super::image;
use super::systemd::told;
use crate::kast_runner::stage::{PATIENCE, fake_kast};
use crate::redis_server::RedisServer;
use crate::surreal_server;

/// Pairs of a text in the file and its local replacement.
struct Places(Vec<(String, String)>);

impl Places {
    fn here(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
    }

    fn all(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.here(text)).collect()
    }

    fn with(&self, there: &str, here: &str) -> Self {
        Self([vec![(there.to_owned(), here.to_owned())], self.0.clone()].concat())
    }
}

/// A process that stands for a Docker container.
struct Container {
    child: Child,
    /// The URL of its HTTP server.
    url: String,
    environment: Vec<(String, String)>,
}

impl Container {
    /// Starts a service that runs Kastrel, with its own data folder.
    async fn start(service: &Service, places: &Places, data: &Path, more: &[(&str, &str)]) -> Self {
        let mut environment: Vec<(String, String)> = image::environment();
        environment.extend(service.environment.clone());
        let places = places.with("/var/lib/kastrel", &data.display().to_string());
        // The scanner for tests is the fake KAST, and the names of its targets do not resolve.
        let of_test = [
            ("KAST_CLI_PATH", fake_kast().display().to_string()),
            ("KASTREL_ALLOW_PRIVATE_TARGETS", "true".into()),
            ("PATH", std::env::var("PATH").unwrap()),
        ];
        let mut environment: Vec<(String, String)> =
            environment.into_iter().map(|(name, value)| (name, places.here(&value))).collect();
        environment.extend(of_test.map(|(name, value)| (name.to_owned(), value)));
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut child =
            kastrel(&places.all(&service.command), &environment, data).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, url)) = line.split_once(" listens on ") {
                    return url.trim().to_owned();
                }
                said.push_str(&line);
                said.push('\n');
            }
            panic!("{:?} ended: {said}", service.command);
        };
        let url = tokio::time::timeout(PATIENCE, listening).await.expect("it never listened");
        tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
        Self { child, url, environment }
    }

    /// Runs another command in the same container. Returns its JSON output.
    async fn run(&self, args: &[&str], folder: &Path) -> Value {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let output = kastrel(&args, &self.environment, folder).output().await.unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs the file's health check repeatedly until it passes, as Docker does.
    async fn healthy(&self, check: &HealthCheck, port: u16) {
        let here = self.url.rsplit_once(':').unwrap().1;
        let test: Vec<String> = check
            .test
            .iter()
            .map(|word| word.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{here}")))
            .collect();
        assert!(test.contains(&self.url), "{test:?} does not ask {}", self.url);
        assert_eq!(test[..2], ["CMD", "kastrel"]);
        until_passed(|| kastrel(&test[2..], &self.environment, Path::new("/"))).await;
    }

    /// Stops the container with SIGTERM, as the Dockerfile specifies.
    async fn stop(mut self) {
        kill_process(Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap(), Signal::TERM).unwrap();
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it did not stop").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

fn kastrel(args: &[String], environment: &[(String, String)], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kastrel"));
    command.args(args).env_clear().envs(environment.iter().cloned()).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn until_passed(check: impl Fn() -> Command) {
    let passes = async {
        loop {
            let mut command = check();
            if command.stdout(Stdio::null()).stderr(Stdio::null()).status().await.unwrap().success() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, passes).await.expect("the health check never passed");
}

/// Starts the database server with the file's arguments and environment.
async fn start_surrealdb(service: &Service, port: u16, data: &Path) -> Child {
    let places = Places(vec![
        ("0.0.0.0:8000".into(), format!("127.0.0.1:{port}")),
        ("/data".into(), data.display().to_string()),
    ]);
    let program: PathBuf = tokio::task::spawn_blocking(surreal_server::program).await.unwrap().to_owned();
    let mut command = Command::new(&program);
    command.args(places.all(&service.command)).env_clear().envs(&service.environment).env("EXIT_WITH_STDIN", "1");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let test = &service.healthcheck.test;
    assert_eq!(test[..2], ["CMD", "/surreal"], "the image has no shell, and this is its program");
    let test: Vec<String> =
        test[2..].iter().map(|word| word.replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"))).collect();
    until_passed(|| {
        let mut command = Command::new(&program);
        command.args(&test).env_clear().stdin(Stdio::null());
        command
    })
    .await;
    child
}

#[tokio::test]
async fn services_of_the_compose_file_work_together() {
    // A reqwest client needs a TLS provider even for plain HTTP. Another test may have set it
    // already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let compose = Compose::read(&[("SURREAL_PASSWORD", "secret")]);
    let folder = TempDir::new().unwrap();
    let path = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };

    let redis = compose.service("redis");
    let options: Vec<&str> = redis.command[1..].iter().map(String::as_str).collect();
    let redis_server = RedisServer::start_with(&options).await;
    let test: Vec<&str> = redis.healthcheck.test.iter().map(String::as_str).collect();
    assert_eq!(test, ["CMD", "redis-cli", "ping"]);
    let ping =
        Command::new(test[1]).args(["-p", &redis_server.port().to_string()]).args(&test[2..]).output().await.unwrap();
    assert_eq!((ping.status.success(), ping.stdout.as_slice()), (true, &b"PONG\n"[..]));

    let surrealdb_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _surrealdb = start_surrealdb(compose.service("surrealdb"), surrealdb_port, &path("surrealdb")).await;

    let results = path("results").display().to_string();
    let places = Places(vec![
        ("surrealdb:8000".into(), format!("127.0.0.1:{surrealdb_port}")),
        ("redis:6379".into(), format!("127.0.0.1:{}", redis_server.port())),
        ("jaeger:4317".into(), "127.0.0.1:1".into()),
        ("0.0.0.0:5000".into(), "127.0.0.1:0".into()),
    ]);
    // All services share one results volume; their other data is separate.
    let shared = [("KAST_RESULTS_DIR", results.as_str())];
    // Here the dashboard listens on loopback, so it needs no accounts.
    let of_web = [shared[0], ("KASTREL_AUTH_MODE", "off")];
    let web = Container::start(compose.service("web"), &places, &path("web"), &of_web).await;
    web.healthy(&compose.service("web").healthcheck, 5000).await;
    let notify = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let socket = folder.path().join("notify").display().to_string();
    let worker = compose.service("worker");
    // In separate containers they could all listen on the same port.
    let any_port = ("KASTREL_WORKER__LISTEN", "127.0.0.1:0");
    let first =
        Container::start(worker, &places, &path("worker-1"), &[shared[0], any_port, ("NOTIFY_SOCKET", &socket)]).await;
    assert_eq!(told(&notify).await, "READY=1", "a worker is a service of Type=notify, too");
    let second = Container::start(worker, &places, &path("worker-2"), &[shared[0], any_port]).await;
    for one in [&first, &second] {
        one.healthy(&worker.healthcheck, 5001).await;
    }

    let scan = web.run(&["scan", "ok-2p.test", "--server", &web.url, "--json"], folder.path()).await;
    assert_eq!(scan["status"], "completed", "{scan:#}");
    let nodes = web.run(&["nodes", "--json"], folder.path()).await;
    let ids: Vec<&str> = nodes["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2, "the web node runs no scans: {nodes:#}");
    let whole: Value =
        reqwest::get(format!("{}/api/scans/{}", web.url, scan["scan_id"])).await.unwrap().json().await.unwrap();
    let ran_on = whole["attempts"][0]["node"].as_str().unwrap();
    assert!(ids.contains(&ran_on), "{ran_on} is none of {ids:?}");
    let file =
        reqwest::get(format!("{}/scans/{}/attempts/1/files/kast_info.json", web.url, scan["scan_id"])).await.unwrap();
    assert_eq!(file.status(), 200, "web reads the results that the worker wrote");

    // As in the file's comments: a complete backup, which another machine can restore.
    let written = web.run(&["backup", "kastrel.backup", "--json"], folder.path()).await;
    assert_eq!((&written["scans"], &written["last_scan_id"]), (&1.into(), &scan["scan_id"]));
    let refused =
        kastrel(&["restore".into(), "kastrel.backup".into()], &web.environment, folder.path()).output().await.unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the database is not empty"), "{refused:?}");
    let elsewhere = kastrel(
        &["restore".into(), "kastrel.backup".into(), "--data-dir=elsewhere".into(), "--json".into()],
        &[],
        folder.path(),
    )
    .output()
    .await
    .unwrap();
    assert!(elsewhere.status.success(), "{}", String::from_utf8_lossy(&elsewhere.stderr));

    first.stop().await;
    assert_eq!(told(&notify).await, "STOPPING=1");
    second.stop().await;
    web.stop().await;
}
