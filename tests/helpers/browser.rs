//! A real browser for tests: Debian's Chromium in headless mode, driven by its chromedriver.
//!
//! Each browser has its own profile, and its own driver unless it is started with
//! [`Browser::another`]. The drop of the last browser of a driver ends all their processes. At most
//! [`AT_ONCE`] drivers run at the same time on a machine; other tests wait. A browser can reach the
//! loopback interface only.
//!
//! It needs `chromium` and `chromedriver` (Debian: `apt-get install chromium chromium-driver`).

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use url::{ParseError, Url};

/// The limit for concurrent drivers.
const AT_ONCE: u32 = 2;
/// The limit for a single wait, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The packages to install.
const PACKAGES: &str = "on Debian: `apt-get install chromium chromium-driver`";

/// A running browser with one window of 1280 by 900.
pub(crate) struct Browser {
    client: Client,
    driver: Arc<Driver>,
}

/// A running chromedriver.
struct Driver {
    program: Child,
    port: u16,
    /// The folder with the profiles of its browsers.
    profiles: TempDir,
    _place: File,
}

/// An entry of the browser's console.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) source: String,
    pub(crate) text: String,
}

impl Browser {
    /// Starts a browser that runs scripts.
    pub(crate) async fn start() -> Self {
        Self::with(&json!({})).await
    }

    /// Starts a browser with JavaScript disabled.
    pub(crate) async fn without_script() -> Self {
        Self::with(&json!({ "profile.managed_default_content_settings.javascript": 2 })).await
    }

    /// Starts another browser of the same driver, as of another person: it has none of the cookies
    /// of this one.
    pub(crate) async fn another(&self) -> Self {
        Self::of(Arc::clone(&self.driver), &json!({})).await
    }

    async fn with(preferences: &Value) -> Self {
        Self::of(Arc::new(Driver::start().await), preferences).await
    }

    async fn of(driver: Arc<Driver>, preferences: &Value) -> Self {
        // The folder is deleted with that of all profiles.
        let profile = tempfile::tempdir_in(driver.profiles.path()).unwrap().keep();
        let session = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&profile, preferences))
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await;
        let client =
            session.unwrap_or_else(|error| panic!("chromedriver could not start a browser ({error}); {PACKAGES}"));
        Self { client, driver }
    }

    /// Returns the WebDriver client.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a URL and waits until the page is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Returns the value of a JavaScript expression in the page.
    pub(crate) async fn js(&self, expression: &str) -> Value {
        self.client
            .execute(&format!("return ({expression});"), Vec::new())
            .await
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until a JavaScript expression is true. It is evaluated on each change of the page, and
    /// once per second for conditions outside the page.
    pub(crate) async fn until(&self, condition: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const holds = () => {{ try {{ return Boolean({condition}); }} catch {{ return false; }} }};
             if (holds()) return done(true);
             const end = () => {{ observer.disconnect(); clearTimeout(timer); done(holds()); }};
             const observer = new MutationObserver(() => holds() && end());
             observer.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
             const timer = setTimeout(end, 1000);"
        );
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < until {
            match self.client.execute_async(&script, Vec::new()).await {
                Ok(holds) if holds == true => return,
                Ok(_) => {}
                // The page was replaced while the script ran.
                Err(CmdError::Standard(error)) if !error.message.contains("SyntaxError") => {
                    last = error.message.into_owned();
                }
                Err(error) => panic!("{condition}: {error}"),
            }
        }
        let page = self.js("location.href + '\\n' + document.body.innerText.slice(0, 3000)").await;
        panic!("never true: {condition}\n{last}\n{}\n{:?}", page.as_str().unwrap_or_default(), self.said().await);
    }

    /// Waits until the element exists, and clicks it.
    pub(crate) async fn click(&self, selector: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let element = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
            match element.unwrap_or_else(|error| panic!("{selector}: {error}")).click().await {
                Ok(()) => return,
                // The element was replaced between the lookup and the click.
                Err(error) if error.is_stale_element_reference() && Instant::now() < until => {}
                Err(error) => panic!("{selector}: {error}"),
            }
        }
    }

    /// Types into an empty field.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(selector))
            .await
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Returns the visible text of an element.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
        element.unwrap_or_else(|error| panic!("{selector}: {error}")).text().await.unwrap()
    }

    /// Sets the viewport size, with one device pixel per CSS pixel.
    pub(crate) async fn viewport(&self, width: u32, height: u32) {
        self.protocol(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        )
        .await;
    }

    /// Sets the system's colour preference: `light` or `dark`.
    pub(crate) async fn system_prefers(&self, colours: &str) {
        self.protocol(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] }),
        )
        .await;
    }

    /// Sends a command of Chromium's own protocol.
    pub(crate) async fn protocol(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.client
            .issue_cmd(Extension { path: "goog/cdp/execute", body })
            .await
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Gives the browser an authenticator whose user is always there and verified. It keeps its
    /// passkeys with their accounts.
    pub(crate) async fn virtual_authenticator(&self) {
        let body = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
            "isUserConsenting": true,
        });
        let added = self.client.issue_cmd(Extension { path: "webauthn/authenticator", body }).await;
        added.unwrap_or_else(|error| panic!("no virtual authenticator: {error}"));
    }

    /// Returns the console entries since the last call: failures, and violations of a policy.
    pub(crate) async fn said(&self) -> Vec<Said> {
        let entries =
            self.client.issue_cmd(Extension { path: "se/log", body: json!({ "type": "browser" }) }).await.unwrap();
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| Said { source: text(entry, "source"), text: text(entry, "message") })
            .collect()
    }
}

impl Driver {
    async fn start() -> Self {
        let place = tokio::task::spawn_blocking(place).await.unwrap();
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut program =
            command.spawn().unwrap_or_else(|error| panic!("chromedriver cannot be started ({error}); {PACKAGES}"));
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim().trim_end_matches('.').parse::<u16>().unwrap();
                }
            }
            panic!("chromedriver ended before it was ready; {PACKAGES}");
        };
        let port = tokio::time::timeout(PATIENCE, ready).await.expect("chromedriver never got ready");
        // The rest of its output must be read, or the full pipe would block it.
        tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
        Self { program, port, profiles: tempfile::tempdir().unwrap(), _place: place }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let Some(driver) = self.program.id() else { return };
        // The processes are listed before the first one ends, because their parents are unknown
        // afterwards.
        let family = family(driver.cast_signed());
        for pid in family.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // An error means that the process has already ended.
            let _ = kill_process(pid, Signal::KILL);
        }
        let until = Instant::now() + PATIENCE;
        while processes().iter().any(|process| family.contains(&process.pid)) && Instant::now() < until {
            let _ = self.program.try_wait();
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// A command that WebDriver does not define.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

fn capabilities(profile: &Path, preferences: &Value) -> Capabilities {
    let arguments = [
        "--headless=new",
        // Tests run as root in containers, where Chromium's sandbox does not work.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--disable-breakpad",
        "--disable-background-networking",
        "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        "--window-size=1280,900",
        "--force-color-profile=srgb",
        "--lang=en-GB",
    ];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let wanted = json!({
        "goog:chromeOptions": { "args": arguments, "prefs": preferences },
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    let Value::Object(wanted) = wanted else { unreachable!("it is an object") };
    wanted
}

/// Acquires one of [`AT_ONCE`] locks, which tests of all processes share.
fn place() -> File {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::create_dir_all(&target).unwrap();
    let open = |number: u32| File::create(target.join(format!("browser-{number}.lock"))).unwrap();
    let free =
        (0..AT_ONCE).map(open).find(|file| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok());
    free.unwrap_or_else(|| {
        let file = open(rand::random_range(0..AT_ONCE));
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        file
    })
}

/// A running process.
struct Process {
    pid: i32,
    parent: i32,
}

/// Returns all processes except zombies.
fn processes() -> Vec<Process> {
    let read = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before the state is in parentheses and may contain any character. After it:
        // state, parent.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let is_dead = fields.next()?.starts_with(['Z', 'X']);
        let parent = fields.next()?.parse().ok()?;
        (!is_dead).then_some(Process { pid, parent })
    };
    let pids =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

/// Returns a process and all its descendants.
fn family(of: i32) -> Vec<i32> {
    let all = processes();
    let mut family = vec![of];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        at += 1;
    }
    family
}
