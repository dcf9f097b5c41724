//! A client of one server's API, for tests.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::kast_runner::stage::PATIENCE;

/// See the module. The address may change when the server starts anew.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Mutex<String>,
}

impl Client {
    /// Of a server that does not listen yet.
    pub(crate) fn new() -> Self {
        // A client of reqwest wants a TLS provider even for plain HTTP; another test may have set
        // it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::new(), url: Mutex::default() }
    }

    /// From now on each request has a connection of its own: the server may close one that waits at
    /// the moment in which it would be used again.
    pub(crate) fn reuse_no_connection(&mut self) {
        self.http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    }

    /// Where it listens now.
    pub(crate) fn listens_on(&self, url: &str) {
        url.clone_into(&mut self.url.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// `http://127.0.0.1:…`
    pub(crate) fn url(&self) -> String {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A request that is still to be sent.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url()))
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.request(reqwest::Method::GET, path).send().await.unwrap()
    }

    /// The text of what must be there.
    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    /// The JSON of what must be there.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.request(reqwest::Method::POST, path).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Hands a scan in.
    pub(crate) async fn submit(&self, target: &str) -> u64 {
        let (status, body) = self.post("/api/scans", &json!({ "target": target })).await;
        assert_eq!(status, 201, "{body}");
        body["scan_id"].as_u64().unwrap()
    }

    /// Hands a scan in with an idempotency key; the status and the answer.
    pub(crate) async fn submit_with_key(&self, target: &str, key: &str) -> (u16, Value) {
        let request = self
            .request(reqwest::Method::POST, "/api/scans")
            .header("idempotency-key", key)
            .json(&json!({ "target": target }));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The scan as kast-web's clients see it.
    pub(crate) async fn status(&self, id: u64) -> Value {
        self.json(&format!("/api/scans/{id}/status")).await
    }

    /// Asks for a scan's end.
    pub(crate) async fn cancel(&self, id: u64) -> (u16, Value) {
        self.post(&format!("/api/scans/{id}/cancel"), &json!({})).await
    }

    pub(crate) async fn scan(&self, id: u64) -> Value {
        self.get(&format!("/api/scans/{id}")).await.json().await.unwrap()
    }

    /// A scan's live stream.
    pub(crate) async fn events(&self, id: u64) -> Events {
        Events { stream: self.get(&format!("/api/scans/{id}/events")).await, text: String::new() }
    }

    /// Follows a scan's live stream until it is as wanted; the scan in full as it is then.
    pub(crate) async fn until(&self, id: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let follow = async {
            let mut events = self.events(id).await;
            while let Some(status) = events.next().await {
                if wanted(&status) {
                    return self.scan(id).await;
                }
            }
            let now = self.scan(id).await;
            assert!(wanted(&now), "the stream ended, and the scan is not as wanted: {now:#}");
            now
        };
        match tokio::time::timeout(PATIENCE, follow).await {
            Ok(scan) => scan,
            Err(_) => panic!("scan {id} never got there: {:#}", self.scan(id).await),
        }
    }

    pub(crate) async fn until_status(&self, id: u64, status: &str) -> Value {
        self.until(id, |scan| scan["status"] == status).await
    }

    /// Waits until the process of a scan runs and has said that it does what it is there for.
    pub(crate) async fn until_busy(&self, id: u64) -> Value {
        self.until(id, |scan| {
            scan["results"].as_array().is_some_and(|all| all.iter().any(|one| one["status"] == "in_progress"))
        })
        .await
    }
}

/// An open live stream.
pub(crate) struct Events {
    stream: reqwest::Response,
    text: String,
}

impl Events {
    /// The next status that is told, or the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or_default();
                let status = event.contains("event: status").then(|| serde_json::from_str(data.trim()).unwrap());
                self.text = rest.to_owned();
                if status.is_some() {
                    return status;
                }
                continue;
            }
            let chunk = self.stream.chunk().await.unwrap()?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}
