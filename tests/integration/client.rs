//! An API client of one server, for tests.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::kast_runner::stage::PATIENCE;

/// The API client. The address may change when the server restarts.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Mutex<String>,
}

impl Client {
    /// Creates a client of a server that does not listen yet.
    pub(crate) fn new() -> Self {
        // A reqwest client needs a TLS provider even for plain HTTP. Another test may have set it
        // already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::new(), url: Mutex::default() }
    }

    /// Disables connection reuse: the server may close an idle connection at the moment in which
    /// the client uses it again.
    pub(crate) fn reuse_no_connection(&mut self) {
        self.http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    }

    /// Sets the server's current URL.
    pub(crate) fn listens_on(&self, url: &str) {
        url.clone_into(&mut self.url.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns the server's URL, `http://127.0.0.1:…`.
    pub(crate) fn url(&self) -> String {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a request that has not been sent.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url()))
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.request(reqwest::Method::GET, path).send().await.unwrap()
    }

    /// Returns the text of a path that must exist.
    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    /// Returns the JSON of a path that must exist.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.request(reqwest::Method::POST, path).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Submits a scan. Returns its id.
    pub(crate) async fn submit(&self, target: &str) -> u64 {
        let (status, body) = self.post("/api/scans", &json!({ "target": target })).await;
        assert_eq!(status, 201, "{body}");
        body["scan_id"].as_u64().unwrap()
    }

    /// Submits a scan with an idempotency key. Returns the status and the response.
    pub(crate) async fn submit_with_key(&self, target: &str, key: &str) -> (u16, Value) {
        let request = self
            .request(reqwest::Method::POST, "/api/scans")
            .header("idempotency-key", key)
            .json(&json!({ "target": target }));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Returns the scan's status in kast-web's API.
    pub(crate) async fn status(&self, id: u64) -> Value {
        self.json(&format!("/api/scans/{id}/status")).await
    }

    /// Requests a cancel.
    pub(crate) async fn cancel(&self, id: u64) -> (u16, Value) {
        self.post(&format!("/api/scans/{id}/cancel"), &json!({})).await
    }

    pub(crate) async fn scan(&self, id: u64) -> Value {
        self.get(&format!("/api/scans/{id}")).await.json().await.unwrap()
    }

    /// Opens a scan's live stream.
    pub(crate) async fn events(&self, id: u64) -> Events {
        Events { stream: self.get(&format!("/api/scans/{id}/events")).await, text: String::new() }
    }

    /// Follows a scan's live stream until the condition is true. Returns the complete scan at that
    /// moment.
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

    /// Waits until the process of a scan runs and a plugin is in progress.
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
    /// Returns the next status event, or `None` at the end of the stream.
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
