//! A record of the commands that a server has acknowledged, for comparison with its state after a
//! restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::client::Client;

/// The number of plugin settings in a large submission, of 900 bytes each.
const LARGE: usize = 100;

/// The acknowledged submissions, cancels, deletions and pauses. The queue is always paused, so that
/// only these commands change the state.
pub(super) struct Ledger {
    random: SmallRng,
    scans: BTreeMap<u64, Known>,
    deleted: Vec<u64>,
    /// The targets of submissions without a response, because the server was killed. Each of them
    /// may exist or not.
    unanswered: BTreeSet<String>,
    reason: String,
    sent: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    target: String,
    status: &'static str,
}

impl Ledger {
    pub(super) async fn begin(client: &Client, seed: u64) -> Self {
        let mut ledger = Self {
            random: SmallRng::seed_from_u64(seed),
            scans: BTreeMap::new(),
            deleted: Vec::new(),
            unanswered: BTreeSet::new(),
            reason: String::new(),
            sent: 0,
        };
        ledger.pause(client).await;
        ledger
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.scans.len() + self.deleted.len()
    }

    /// Sends a random command, most often a large submission. It must be acknowledged.
    pub(super) async fn step(&mut self, client: &Client) {
        match self.random.random_range(0..20) {
            0 => self.pause(client).await,
            1 | 2 => self.cancel(client).await,
            3 => self.delete(client).await,
            _ => {
                let accepted = self.submit(client, LARGE).await;
                assert!(accepted, "a submission was refused");
            }
        }
    }

    /// Submits a scan. Returns true if it was accepted; a refusal must have the status 503.
    pub(super) async fn submit(&mut self, client: &Client, settings: usize) -> bool {
        let (target, body) = self.next(settings);
        let (status, answer) = client.post("/api/scans", &body).await;
        self.answered(target, status, &answer)
    }

    /// Submits scans without a pause until the server has ended, each one after the response to the
    /// previous one.
    pub(super) async fn submit_until_gone(&mut self, client: &Client) {
        loop {
            let (target, body) = self.next(LARGE);
            let sent = client.request(reqwest::Method::POST, "/api/scans").json(&body).send().await;
            let answer = match sent {
                Ok(answer) => (answer.status().as_u16(), answer.json::<Value>().await),
                Err(_) => {
                    self.unanswered.insert(target);
                    return;
                }
            };
            let (status, Ok(answer)) = answer else {
                self.unanswered.insert(target);
                return;
            };
            assert!(self.answered(target, status, &answer), "a submission was refused");
        }
    }

    fn next(&mut self, settings: usize) -> (String, Value) {
        self.sent += 1;
        let target = format!("t{}.example.com", self.sent);
        let overrides: Vec<String> =
            (0..settings).map(|number| format!("whatweb.k{number}={}", "x".repeat(900))).collect();
        let body = json!({ "target": target, "overrides": overrides });
        (target, body)
    }

    fn answered(&mut self, target: String, status: u16, answer: &Value) -> bool {
        assert!(matches!(status, 201 | 503), "{status} {answer}");
        if status == 201 {
            let id = answer["scan_id"].as_u64().unwrap();
            assert!(
                self.scans.insert(id, Known { target, status: "pending" }).is_none(),
                "the id {id} was given out twice"
            );
            assert!(!self.deleted.contains(&id), "the id {id} of a deleted scan was given out again");
        }
        status == 201
    }

    async fn cancel(&mut self, client: &Client) {
        let Some((id, known)) = self.scans.iter_mut().rev().find(|(_, known)| known.status == "pending") else {
            return;
        };
        let (status, body) = client.post(&format!("/api/scans/{id}/cancel"), &json!({})).await;
        assert!(matches!(status, 200 | 202), "{status} {body}");
        known.status = "cancelled";
    }

    async fn delete(&mut self, client: &Client) {
        let Some(id) = self.scans.iter().find(|(_, known)| known.status == "cancelled").map(|(id, _)| *id) else {
            return;
        };
        let answer = client.request(reqwest::Method::DELETE, &format!("/api/scans/{id}")).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        self.scans.remove(&id);
        self.deleted.push(id);
    }

    async fn pause(&mut self, client: &Client) {
        let reason = format!("reason {}", self.random.random::<u32>());
        let (status, body) = client.post("/api/queue/pause", &json!({ "reason": reason })).await;
        assert_eq!(status, 200, "{body}");
        self.reason = reason;
    }

    /// Asserts that every acknowledged command has its effect, that nothing else exists except
    /// unanswered submissions, and that the counts are correct.
    pub(super) async fn compare(&mut self, client: &Client) {
        let mut found = BTreeMap::new();
        let mut page = 1;
        let total = loop {
            let list = client.json(&format!("/api/scans?per_page=100&page={page}")).await;
            for scan in list["scans"].as_array().unwrap() {
                let status = ["pending", "cancelled"]
                    .into_iter()
                    .find(|status| scan["status"] == *status)
                    .unwrap_or("another status");
                found.insert(
                    scan["scan_id"].as_u64().unwrap(),
                    Known { target: scan["target"].as_str().unwrap().to_owned(), status },
                );
            }
            if page >= list["pages"].as_u64().unwrap() {
                break list["total"].as_u64().unwrap();
            }
            page += 1;
        };
        for (id, known) in &found {
            if !self.scans.contains_key(id) && self.unanswered.remove(&known.target) {
                self.scans.insert(*id, known.clone());
            }
        }
        // A scan that does not exist after the restart must not appear later.
        self.unanswered.clear();
        let missing: Vec<_> = self.scans.iter().filter(|(id, known)| found.get(id) != Some(known)).collect();
        assert!(missing.is_empty(), "acknowledged, but not there as it was: {missing:?}");
        let ghosts: Vec<_> = found.keys().filter(|id| !self.scans.contains_key(id)).collect();
        assert!(ghosts.is_empty(), "there, but never acknowledged: {ghosts:?}");
        assert_eq!(total, self.scans.len() as u64, "the total of the list");
        let queue: Value = client.json("/api/queue").await;
        let waiting = self.scans.values().filter(|known| known.status == "pending").count();
        assert_eq!((&queue["waiting"], &queue["reason"]), (&json!(waiting), &json!(self.reason)));
    }
}

/// Counts the write-ahead logs of an engine: one for each memory table.
#[derive(Default)]
pub(super) struct Rotations {
    seen: BTreeSet<String>,
}

impl Rotations {
    /// Returns the number of observed tables after the first one.
    pub(super) fn look(&mut self, folder: &Path) -> usize {
        let names = std::fs::read_dir(folder).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        self.seen.extend(names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "log")));
        self.seen.len().saturating_sub(1)
    }
}

/// Returns a number from the environment, which sets the length of a long test.
pub(super) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
