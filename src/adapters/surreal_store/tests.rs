//! Runs the port's conformance suite in memory, on disk and on a server, and the tests of this
//! adapter.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::OutboxKey;
use kastrel_actors::ports::{EventConsumer, Outbox};
use kastrel_actors::relay::{self, OutcomeCounter};
use kastrel_actors::testing::store_conformance::StoreHarness;
use surrealdb::types::{RecordId, SurrealValue};
use tempfile::TempDir;

use super::{SurrealStore, calls, event};
use crate::config::RemoteDatabase;
use surreal_server::SurrealServer;

/// Runs `case` on a runtime like the application's: several threads, with stacks that are large
/// enough for SurrealDB's parser.
pub(super) fn run(case: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(runtime.spawn(case)).unwrap();
}

#[derive(Default)]
struct InMemory {
    offset: Arc<AtomicI64>,
}

fn advance(offset: &AtomicI64, by: Duration) {
    offset.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
}

#[async_trait]
impl StoreHarness for InMemory {
    type Store = SurrealStore;

    async fn new_store(&self) -> SurrealStore {
        SurrealStore::in_memory().await.unwrap().with_clock_offset(Arc::clone(&self.offset))
    }

    fn advance(&self, by: Duration) {
        advance(&self.offset, by);
    }

    fn set_back(&self, by: Duration) {
        self.offset.fetch_sub(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn overwrite_event(&self, store: &SurrealStore, key: OutboxKey, text: &str) {
        overwrite_event(store, key, text).await;
    }

    fn run(case: impl Future<Output = ()> + Send + 'static) {
        run(case);
    }
}

struct OnDisk {
    folder: TempDir,
    offset: Arc<AtomicI64>,
}

impl Default for OnDisk {
    fn default() -> Self {
        Self { folder: TempDir::new().unwrap(), offset: Arc::default() }
    }
}

#[async_trait]
impl StoreHarness for OnDisk {
    type Store = SurrealStore;

    async fn new_store(&self) -> SurrealStore {
        SurrealStore::open(self.folder.path()).await.unwrap().with_clock_offset(Arc::clone(&self.offset))
    }

    fn advance(&self, by: Duration) {
        advance(&self.offset, by);
    }

    fn set_back(&self, by: Duration) {
        self.offset.fetch_sub(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn overwrite_event(&self, store: &SurrealStore, key: OutboxKey, text: &str) {
        overwrite_event(store, key, text).await;
    }

    async fn reopen(&self, store: SurrealStore) -> SurrealStore {
        drop(store);
        self.new_store().await
    }

    fn run(case: impl Future<Output = ()> + Send + 'static) {
        run(case);
    }
}

/// Delivers every event that is due, as the relay of a node does.
pub(super) async fn deliver(store: &SurrealStore) {
    let outbox: Arc<dyn Outbox> = Arc::new(store.clone());
    let consumers: [Arc<dyn EventConsumer>; 1] = [Arc::new(OutcomeCounter::new(Arc::clone(&outbox)))];
    while relay::deliver(outbox.as_ref(), &consumers, "relay").await.unwrap() > 0 {}
}

#[derive(Clone, SurrealValue)]
struct Overwrite {
    key: RecordId,
    text: String,
}

async fn overwrite_event(store: &SurrealStore, key: OutboxKey, text: &str) {
    let arguments = Overwrite { key: event::outbox_key(key).unwrap(), text: text.to_owned() };
    calls::execute_again(&store.inner.db, "UPDATE $key SET event = $text RETURN NONE;", arguments).await.unwrap();
}

/// Connects to the store at `url`.
async fn connect(url: &str) -> SurrealStore {
    SurrealStore::connect(&url.parse::<RemoteDatabase>().unwrap()).await.unwrap()
}

/// A separate database on a server that all cases of this process share.
struct OnAServer {
    database: String,
    offset: Arc<AtomicI64>,
}

impl Default for OnAServer {
    fn default() -> Self {
        Self { database: uuid::Uuid::new_v4().to_string(), offset: Arc::default() }
    }
}

#[async_trait]
impl StoreHarness for OnAServer {
    type Store = SurrealStore;

    async fn new_store(&self) -> SurrealStore {
        static SERVER: tokio::sync::OnceCell<SurrealServer> = tokio::sync::OnceCell::const_new();
        let server = SERVER.get_or_init(SurrealServer::in_memory).await;
        connect(&server.url("conformance", &self.database)).await.with_clock_offset(Arc::clone(&self.offset))
    }

    fn advance(&self, by: Duration) {
        advance(&self.offset, by);
    }

    fn set_back(&self, by: Duration) {
        self.offset.fetch_sub(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn overwrite_event(&self, store: &SurrealStore, key: OutboxKey, text: &str) {
        overwrite_event(store, key, text).await;
    }

    async fn reopen(&self, store: SurrealStore) -> SurrealStore {
        drop(store);
        self.new_store().await
    }

    fn run(case: impl Future<Output = ()> + Send + 'static) {
        run(case);
    }
}

mod in_memory {
    use super::InMemory;

    kastrel_actors::store_conformance_tests!(InMemory::default());
}

mod on_disk {
    use super::OnDisk;

    kastrel_actors::store_conformance_tests!(OnDisk::default());
}

mod on_a_server {
    use super::OnAServer;

    kastrel_actors::store_conformance_tests!(OnAServer::default());
}

mod adapter;
mod chain;
mod fences;
mod lost_answers;
mod measure;
mod projects;
mod ranks;
mod remote;
mod split;
#[path = "../../../tests/helpers/surreal_server.rs"]
mod surreal_server;
mod upgrade;
