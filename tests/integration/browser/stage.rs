//! A browser with a running server, for tests.

use std::ops::Deref;

use serde_json::Value;

use super::proxy::Proxy;
use crate::browser_driver::Browser;
use crate::product::app::TestApp;

/// The browser uses the proxy. The stage dereferences to the app, whose client connects to the
/// server directly.
pub(super) struct Stage {
    pub(super) browser: Browser,
    pub(super) proxy: Proxy,
    pub(super) app: TestApp,
}

impl Stage {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a stage with more environment variables for the server.
    pub(super) async fn with(variables: &[(&'static str, &str)]) -> Self {
        Self::of(Browser::start().await, TestApp::with(variables).await).await
    }

    pub(super) async fn of(browser: Browser, app: TestApp) -> Self {
        let proxy = Proxy::start(&app.url()).await;
        // Times are shown in the viewer's zone, which differs from the server's.
        browser
            .protocol("Emulation.setTimezoneOverride", &serde_json::json!({ "timezoneId": "Pacific/Auckland" }))
            .await;
        Self { browser, proxy, app }
    }

    /// Opens a page of the server.
    pub(super) async fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.proxy.url())).await;
    }

    /// Waits until the page of a scan shows this state.
    pub(super) async fn until_shown(&self, status: &str) {
        self.browser
            .until(&format!("document.getElementById('live').dataset.status === '{status}' && document.querySelector('#scan-badge .badge') !== null"))
            .await;
    }

    /// Waits until the page has an open stream of events.
    pub(super) async fn until_live(&self) {
        self.proxy.until(|count| count.open == 1).await;
    }

    /// Restarts the server at another address; the proxy keeps its address.
    pub(super) async fn restart(&mut self) {
        self.app.restart().await;
        self.proxy.leads_to(&self.app.url());
    }

    /// Waits until a plugin of the scan is shown in this state.
    pub(super) async fn until_plugin(&self, name: &str, status: &str) {
        self.browser
            .until(&format!("document.querySelector('tr[data-plugin={name}]').dataset.status === '{status}'"))
            .await;
    }

    /// The plugins as the page shows them: name and state.
    pub(super) async fn plugins(&self) -> Vec<(String, String)> {
        let shown = self.browser.js("[...document.querySelectorAll('tr[data-plugin]')].map((row) => [row.dataset.plugin, row.dataset.status])").await;
        pairs(shown.as_array().unwrap().iter().map(|row| (&row[0], &row[1])))
    }

    /// Returns the plugins as the API lists them.
    pub(super) async fn plugins_of(&self, id: u64) -> Vec<(String, String)> {
        let status = self.app.status(id).await;
        pairs(status["results"].as_array().unwrap().iter().map(|result| (&result["plugin_name"], &result["status"])))
    }

    /// Asserts that no script failed in the page, and that the page tried nothing that its policy
    /// forbids.
    pub(super) async fn all_quiet(&self) {
        // Some tests interrupt the network, so network errors do not count.
        let said: Vec<_> = self.browser.said().await.into_iter().filter(|said| said.source != "network").collect();
        assert!(said.is_empty(), "{said:?}");
    }
}

impl Deref for Stage {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}

fn pairs<'a>(all: impl Iterator<Item = (&'a Value, &'a Value)>) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|(name, status)| (text(name), text(status))).collect()
}
