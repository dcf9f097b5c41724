//! Tests of a server with accounts in a browser: the set-up, the sign-in, second factors, what each
//! role sees, sessions, tokens, and the accessibility of the pages.

use fantoccini::key::Key;
use kastrel::identity::totp::{TotpSecret, step_at};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::accessibility::{ALL_RULES, COLOURS, inject_axe, serious_violations};
use super::look::{WIDTHS, too_wide};
use super::stage::Stage;
use crate::browser_driver::Browser;
use crate::product::app::TestApp;

/// The environment of a server with accounts.
const ACCOUNTS: &[(&str, &str)] = &[("KASTREL_AUTH_MODE", "local")];
/// The password of each account.
pub(super) const PASSWORD: &str = "seven green ladders under rain";
/// The HTTP status of the open page.
pub(super) const STATUS: &str = "performance.getEntriesByType('navigation')[0].responseStatus";
/// The links of the navigation.
const NAVIGATION: &str = "[...document.querySelectorAll('.nav a')].map((link) => link.id)";
/// The controls of the open page that change scans or the queue.
const CONTROLS: &str = "[...document.querySelectorAll('#new-scan, #queue-resume, #queue-pause, #bulk, #clone, #delete, main [data-act]')].map((one) => one.id || one.dataset.act)";

/// Starts a server with the administrator `admin`.
pub(super) async fn with_admin() -> Stage {
    with_admin_in(Browser::start().await).await
}

/// The same, with this browser.
pub(super) async fn with_admin_in(browser: Browser) -> Stage {
    let mut app = TestApp::prepare(ACCOUNTS);
    let file = password_file(&app);
    app.set("KASTREL_ADMIN_PASSWORD_FILE", &file);
    app.restart().await;
    Stage::of(browser, app).await
}

/// Writes the password to a file. Returns its path.
fn password_file(app: &TestApp) -> String {
    let path = app.data().with_file_name("password");
    std::fs::write(&path, PASSWORD).unwrap();
    path.display().to_string()
}

/// Runs a command on the data folder. Returns its output.
pub(super) async fn command(stage: &Stage, args: &[&str]) -> String {
    let ended = stage.app.run(args).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// Creates a user with the password and a role in the default project.
pub(super) async fn create_user(stage: &Stage, name: &str, role: &str) {
    let file = password_file(&stage.app);
    command(stage, &["user", "create", name, "--role", role, "--password-file", &file]).await;
}

/// Signs in on the open login page.
pub(super) async fn sign_in_here(page: &Browser, name: &str, password: &str) {
    page.fill("#field-name", name).await;
    page.fill("#field-password", password).await;
    page.click("#sign-in").await;
}

/// Opens the login page, signs in, and waits for the overview.
pub(super) async fn sign_in(stage: &Stage, page: &Browser, name: &str) {
    open(stage, page, "/login").await;
    sign_in_here(page, name, PASSWORD).await;
    until_signed_in(page, name).await;
}

pub(super) async fn until_signed_in(page: &Browser, name: &str) {
    let shown = format!("document.getElementById('viewer').textContent === 'Your account: {name}'");
    page.until(&format!("location.pathname === '/' && {shown}")).await;
}

/// Opens a page of the server in any browser.
pub(super) async fn open(stage: &Stage, page: &Browser, path: &str) {
    page.open(&format!("{}{path}", stage.proxy.url())).await;
}

/// Types a new password into both fields of the open page, and sends the form.
async fn set_password(page: &Browser, button: &str) {
    page.fill("#field-password", PASSWORD).await;
    page.fill("#field-repeat", PASSWORD).await;
    page.click(button).await;
}

/// Returns the text that the open page shows once.
pub(super) async fn shown_once(page: &Browser, id: &str) -> String {
    page.until(&format!("document.getElementById('{id}') !== null")).await;
    page.js(&format!("document.getElementById('{id}').textContent")).await.as_str().unwrap().to_owned()
}

/// Returns the code of an app: that of the current step, or one `ahead`.
pub(super) async fn app_code(page: &Browser, secret: &TotpSecret, ahead: u64) -> String {
    let milliseconds = page.js("Date.now()").await.as_i64().unwrap();
    secret.code(step_at(jiff::Timestamp::from_millisecond(milliseconds).unwrap()) + ahead).to_string()
}

/// Returns the secret that the open page shows.
async fn shown_secret(page: &Browser) -> TotpSecret {
    TotpSecret::parse(&shown_once(page, "totp-secret").await.replace(' ', "")).unwrap()
}

/// Returns the recovery codes that the open page shows.
async fn shown_codes(page: &Browser) -> Vec<String> {
    let codes: Vec<String> = shown_once(page, "recovery-codes").await.lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10);
    codes
}

/// Returns the link for the set-up from the server's log.
fn set_up_link(app: &TestApp) -> String {
    let log = app.start_log();
    let start = format!("open {}/setup?link=", app.url());
    let (_, rest) = log.split_once(&start).unwrap_or_else(|| panic!("{start}: {log}"));
    let (secret, _) = rest.split_once(" within 24 hours").unwrap();
    format!("{}/setup?link={secret}", app.url())
}

#[tokio::test]
async fn one_time_link_of_the_log_creates_the_first_administrator() {
    let stage = Stage::with(ACCOUNTS).await;
    let page = &stage.browser;
    stage.open("/").await;
    page.until("location.pathname === '/login' && document.getElementById('needs-set-up') !== null").await;
    let link = set_up_link(&stage.app);
    page.open(&link).await;
    page.fill("#field-name", "ana").await;
    set_password(page, "#create-admin").await;
    page.until("location.pathname === '/login' && document.getElementById('notice') !== null").await;
    assert_eq!(page.text("#notice").await, "The account was created. Sign in with it.");
    assert_eq!(page.js("document.getElementById('needs-set-up')").await, Value::Null);
    sign_in_here(page, "ana", PASSWORD).await;
    until_signed_in(page, "ana").await;
    stage.all_quiet().await;
    // The link works once.
    page.open(&link).await;
    assert_eq!(page.text("#problem").await, "Link not valid");
    assert_eq!(page.js(STATUS).await, 410);
    assert_eq!(page.js("document.querySelectorAll('form#set-up-form').length").await, 0);
}

#[tokio::test]
async fn wrong_password_is_shown_at_its_field_and_sign_in_leads_back() {
    let stage = with_admin().await;
    let page = &stage.browser;
    stage.open("/scans?status=failed&status=cancelled").await;
    page.until("location.pathname === '/login'").await;
    sign_in_here(page, "admin", "another password entirely").await;
    assert_eq!(page.text("#wrong-password").await, "The name or the password is wrong.");
    assert_eq!(page.js(STATUS).await, 401);
    page.until("document.activeElement.id === 'field-password'").await;
    let fields = "['name', 'password'].map((name) => { const field = document.getElementById('field-' + name); return [field.value, field.getAttribute('aria-invalid'), field.getAttribute('aria-describedby')]; })";
    assert_eq!(page.js(fields).await, json!([["admin", null, null], ["", "true", "wrong-password"]]));
    page.fill("#field-password", PASSWORD).await;
    page.click("#sign-in").await;
    page.until("location.pathname === '/scans' && location.search === '?status=failed&status=cancelled'").await;
    // The browser writes to its console that the sign-out has removed its stored pages.
    stage.all_quiet().await;
    // The login page sends a viewer with a session on, and the sign-out ends the session.
    stage.open("/login?next=/profile").await;
    page.until("location.pathname === '/profile'").await;
    page.click("#sign-out").await;
    page.until("location.pathname === '/login'").await;
    stage.open("/profile").await;
    page.until("location.pathname === '/login'").await;
    assert_eq!(page.js("new URLSearchParams(location.search).get('next')").await, "/profile");
}

#[tokio::test]
async fn new_viewer_sees_scans_and_no_controls() {
    let stage = with_admin().await;
    let page = &stage.browser;
    sign_in(&stage, page, "admin").await;
    stage.open("/new").await;
    page.fill("#field-target", "1p.test").await;
    page.click("#submit").await;
    page.until("location.pathname === '/scans/1'").await;
    stage.until_shown("completed").await;
    stage.open("/supervision").await;
    page.click("#queue-pause").await;
    page.until("document.getElementById('queue-resume') !== null").await;
    stage.open("/new").await;
    page.fill("#field-target", "2p.test").await;
    page.click("#submit").await;
    page.until("location.pathname === '/scans/2'").await;

    stage.open("/accounts").await;
    page.fill("#field-name", "vera").await;
    page.click("#field-kind option[value=user]").await;
    page.click("#field-role option[value=viewer]").await;
    page.click("#create-account").await;
    let link = shown_once(page, "new-link").await;
    let vera = page.another().await;
    vera.open(&link).await;
    assert_eq!(vera.js("document.getElementById('field-account').value").await, "vera");
    set_password(&vera, "#set-password").await;
    vera.until("location.pathname === '/login' && document.getElementById('notice') !== null").await;
    assert_eq!(vera.text("#notice").await, "The password was set. Sign in with it.");
    sign_in_here(&vera, "vera", PASSWORD).await;
    until_signed_in(&vera, "vera").await;
    page.click("#back").await;
    page.until(
        "location.pathname === '/accounts/vera' && document.querySelectorAll('#session-table tbody tr').length === 1",
    )
    .await;

    for path in ["/", "/scans", "/scans/1", "/scans/2"] {
        stage.open(path).await;
        assert_ne!(page.js(CONTROLS).await, json!([]), "{path} of the administrator");
        open(&stage, &vera, path).await;
        assert_eq!(vera.js(CONTROLS).await, json!([]), "{path} of the viewer");
        assert_eq!(vera.js("document.getElementById('queue-paused') !== null").await, true, "{path}");
    }
    assert_eq!(
        page.js(NAVIGATION).await,
        json!([
            "nav-home",
            "nav-scans",
            "nav-target",
            "nav-finding",
            "nav-project",
            "nav-tree",
            "nav-account",
            "nav-audit",
            "nav-sliders"
        ])
    );
    assert_eq!(vera.js(NAVIGATION).await, json!(["nav-home", "nav-scans", "nav-target", "nav-finding"]));
    open(&stage, &vera, "/scans").await;
    assert_eq!(
        vera.js("[...document.querySelectorAll('#scans tbody tr')].map((row) => [row.id, row.dataset.status])").await,
        json!([["row-2", "pending"], ["row-1", "completed"]])
    );
    for path in ["/accounts", "/accounts/admin", "/new", "/supervision", "/audit", "/settings"] {
        open(&stage, &vera, path).await;
        assert_eq!(vera.js(STATUS).await, 403, "{path}");
    }
    stage.all_quiet().await;
}

#[tokio::test]
async fn administrator_ends_the_sessions_of_an_account() {
    let stage = with_admin().await;
    let page = &stage.browser;
    create_user(&stage, "vera", "viewer").await;
    let vera = page.another().await;
    sign_in(&stage, &vera, "vera").await;
    open(&stage, &vera, "/profile").await;
    assert_eq!(vera.js(STATUS).await, 200);
    sign_in(&stage, page, "admin").await;
    stage.open("/accounts/vera").await;
    page.click("#end-others").await;
    page.until("document.getElementById('notice') !== null && document.getElementById('session-table') === null").await;
    open(&stage, &vera, "/scans").await;
    vera.until("location.pathname === '/login'").await;
    assert_eq!(vera.js("new URLSearchParams(location.search).get('next')").await, "/scans");
    // The administrator's own session is another one.
    stage.open("/profile").await;
    assert_eq!(page.js("location.pathname").await, "/profile");
    stage.all_quiet().await;
}

#[tokio::test]
async fn open_page_leads_to_the_sign_in_after_its_session_was_ended_elsewhere() {
    let stage = with_admin().await;
    let page = &stage.browser;
    sign_in(&stage, page, "admin").await;
    let other = page.another().await;
    sign_in(&stage, &other, "admin").await;
    open(&stage, &other, "/scans?status=failed").await;
    stage.open("/profile").await;
    assert_eq!(page.js("document.querySelectorAll('#session-table tbody tr').length").await, 2);
    page.click("#end-others").await;
    page.until("document.getElementById('notice') !== null").await;
    assert_eq!(page.js("document.querySelectorAll('#session-table tbody tr').length").await, 1);
    assert_eq!(page.js("document.getElementById('this-session') !== null").await, true);
    // The open page notices it without a click, and the sign-in leads back to it.
    other.until("location.pathname === '/login'").await;
    sign_in_here(&other, "admin", PASSWORD).await;
    other.until("location.pathname === '/scans' && location.search === '?status=failed'").await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn token_is_shown_once_and_refused_after_it_was_revoked() {
    let stage = with_admin().await;
    let page = &stage.browser;
    sign_in(&stage, page, "admin").await;
    stage.open("/profile").await;
    page.fill("#field-label", "nightly build").await;
    page.click("#field-role option[value=viewer]").await;
    page.click("#create-token").await;
    let token = shown_once(page, "new-token").await;
    page.click("#back").await;
    page.until("location.pathname === '/profile' && document.querySelectorAll('tr[data-token]').length === 1").await;
    assert_eq!(page.js(&format!("document.documentElement.outerHTML.includes('{token}')")).await, false);

    let status = async |request: RequestBuilder| request.bearer_auth(&token).send().await.unwrap().status().as_u16();
    let get = |path: &str| stage.request(Method::GET, path);
    assert_eq!(status(get("/api/scans")).await, 200);
    assert_eq!(status(get("/api/accounts")).await, 403, "the token has no role on the server");
    let submission = stage.request(Method::POST, "/api/scans").json(&json!({ "target": "1p.test" }));
    assert_eq!(status(submission).await, 403, "the token may only read");
    page.click("tr[data-token] button").await;
    page.until(
        "document.getElementById('notice') !== null && document.querySelectorAll('tr[data-token]').length === 0",
    )
    .await;
    // The process that revokes a token refuses it at once.
    assert_eq!(status(get("/api/scans")).await, 401);
    stage.all_quiet().await;
}

#[tokio::test]
async fn second_factor_is_set_up_and_then_needed_at_each_sign_in() {
    let stage = with_admin().await;
    let page = &stage.browser;
    sign_in(&stage, page, "admin").await;
    let other = page.another().await;
    sign_in(&stage, &other, "admin").await;
    stage.open("/profile").await;
    page.click("#manage-factor").await;
    page.until("location.pathname === '/profile/second-factor'").await;
    page.fill("#field-current_password", PASSWORD).await;
    page.click("#set-up-factor").await;
    let secret = shown_secret(page).await;
    // The drawing is shown in spite of the policy of the page, and is dark on white.
    let drawn = "[document.getElementById('qr').getBoundingClientRect().width > 100, getComputedStyle(document.querySelector('#qr rect')).fill, getComputedStyle(document.querySelector('#qr path')).fill]";
    assert_eq!(page.js(drawn).await, json!([true, "rgb(255, 255, 255)", "rgb(0, 0, 0)"]));
    page.fill("#field-code", "000").await;
    page.click("#confirm-factor").await;
    page.until("document.getElementById('wrong-code') !== null").await;
    assert_eq!(shown_secret(page).await.base32(), secret.base32());
    page.fill("#field-code", &app_code(page, &secret, 0).await).await;
    page.click("#confirm-factor").await;
    let codes = shown_codes(page).await;
    page.click("#continue").await;
    page.until("location.pathname === '/profile'").await;
    assert!(page.text("#second-factor").await.contains("10 recovery codes left"));
    open(&stage, &other, "/profile").await;
    other.until("location.pathname === '/login'").await;

    sign_in_here(&other, "admin", PASSWORD).await;
    other.until("location.pathname === '/login/code'").await;
    other.until("document.activeElement.id === 'field-code'").await;
    open(&stage, &other, "/scans").await;
    other.until("location.pathname === '/login'").await;
    open(&stage, &other, "/login/code?next=/profile").await;
    other.fill("#field-code", "000000").await;
    other.click("#send-code").await;
    other.until("document.getElementById('wrong-code') !== null").await;
    assert_eq!(other.js(STATUS).await, 401);
    // The code of the set-up was used, and the next one is accepted a step early.
    other.fill("#field-code", &app_code(&other, &secret, 1).await).await;
    other.click("#send-code").await;
    other.until("location.pathname === '/profile'").await;

    other.click("#sign-out").await;
    other.until("location.pathname === '/login'").await;
    sign_in_here(&other, "admin", PASSWORD).await;
    other.until("location.pathname === '/login/code'").await;
    other.click("#recovery summary").await;
    other.fill("#field-recovery_code", &codes[0]).await;
    other.click("#send-recovery-code").await;
    until_signed_in(&other, "admin").await;
    open(&stage, &other, "/profile").await;
    assert!(other.text("#second-factor").await.contains("9 recovery codes left"));

    // A command on the data folder needs no code, and opens the account again.
    command(&stage, &["user", "reset-second-factor", "admin"]).await;
    let third = page.another().await;
    sign_in(&stage, &third, "admin").await;
}

#[tokio::test]
async fn administrator_sets_up_the_required_factor_at_the_sign_in() {
    let mut app = TestApp::prepare(ACCOUNTS);
    let file = password_file(&app);
    app.set("KASTREL_ADMIN_PASSWORD_FILE", &file);
    app.set("KASTREL_AUTH__REQUIRE_SECOND_FACTOR", "admins");
    app.restart().await;
    let stage = Stage::of(Browser::start().await, app).await;
    let page = &stage.browser;
    stage.open("/scans").await;
    page.until("location.pathname === '/login'").await;
    sign_in_here(page, "admin", PASSWORD).await;
    page.until("location.pathname === '/login/second-factor'").await;
    let secret = shown_secret(page).await;
    page.fill("#field-code", &app_code(page, &secret, 0).await).await;
    page.click("#confirm-factor").await;
    shown_codes(page).await;
    page.click("#continue").await;
    page.until("location.pathname === '/scans'").await;
    stage.all_quiet().await;
    create_user(&stage, "vera", "viewer").await;
    let vera = page.another().await;
    sign_in(&stage, &vera, "vera").await;
}

#[tokio::test]
async fn login_form_works_with_the_keyboard_alone() {
    let stage = with_admin().await;
    let page = &stage.browser;
    stage.open("/login").await;
    let press = async |keys: &str| page.client().active_element().await.unwrap().send_keys(keys).await.unwrap();
    page.until("document.activeElement.id === 'field-name'").await;
    press(&format!("admin{}", Key::Tab)).await;
    page.until("document.activeElement.id === 'field-password'").await;
    press(&format!("{PASSWORD}{}", Key::Enter)).await;
    until_signed_in(page, "admin").await;
}

#[tokio::test]
async fn audit_log_is_filtered_with_the_keyboard_alone() {
    let stage = with_admin().await;
    create_user(&stage, "vera", "viewer").await;
    let page = &stage.browser;
    sign_in(&stage, page, "admin").await;
    let press = async |keys: &str| page.client().active_element().await.unwrap().send_keys(keys).await.unwrap();
    let focused = async |id: &str| page.until(&format!("document.activeElement.id === '{id}'")).await;
    let actions = "[...document.querySelectorAll('#audit-table tbody tr')].map((row) => row.dataset.action)";
    // The link that skips the navigation leads to the filter.
    let to_filter = async || {
        press(&Key::Tab.to_string()).await;
        page.until("document.activeElement.classList.contains('skip')").await;
        press(&Key::Enter.to_string()).await;
        focused("main").await;
        press(&Key::Tab.to_string()).await;
        focused("field-principal").await;
    };
    page.click("#nav-audit").await;
    page.until("location.pathname === '/audit' && document.getElementById('audit-table') !== null").await;
    assert_ne!(page.js(actions).await, json!(["signed_in"]), "all entries are listed");
    to_filter().await;
    press(&format!("user:admin{}", Key::Enter)).await;
    page.until("new URLSearchParams(location.search).get('principal') === 'user:admin'").await;
    assert_eq!(page.js(actions).await, json!(["signed_in"]));
    assert_eq!(page.js("document.getElementById('field-principal').value").await, "user:admin");
    to_filter().await;
    press(&Key::Tab.to_string()).await;
    focused("field-action").await;
    press("Backup").await;
    for id in ["field-scan", "field-from", "field-to", "filter-apply"] {
        press(&Key::Tab.to_string()).await;
        focused(id).await;
    }
    press(&Key::Enter.to_string()).await;
    page.until("new URLSearchParams(location.search).get('action') === 'backup_downloaded'").await;
    assert_eq!(page.js("document.getElementById('audit-table')").await, Value::Null);
    assert_eq!(page.text("#empty").await, "No entries match. Show all entries");
    // The address has the complete state: another administrator sees the same.
    let address = page.js("location.pathname + location.search").await.as_str().unwrap().to_owned();
    let other = page.another().await;
    sign_in(&stage, &other, "admin").await;
    open(&stage, &other, &address).await;
    let fields = "['principal', 'action'].map((name) => document.getElementById('field-' + name).value)";
    assert_eq!(other.js(fields).await, json!(["user:admin", "backup_downloaded"]));
    stage.all_quiet().await;
}

/// The faults that a browser finds in the pages that it opens.
struct Inspection<'a> {
    page: &'a Browser,
    found: Vec<String>,
}

impl Inspection<'_> {
    /// Inspects the open page: its structure, its colours in both themes, and its width.
    async fn look(&mut self, name: &str) {
        let page = self.page;
        for (colours, options) in [("light", ALL_RULES), ("dark", COLOURS)] {
            page.system_prefers(colours).await;
            self.found.extend(serious_violations(page, name, options).await);
        }
        for width in WIDTHS {
            page.viewport(width, 800).await;
            self.found.extend(too_wide(page).await.map(|over| format!("{name} at {width}: {over}")));
        }
        page.viewport(1280, 900).await;
    }
}

#[tokio::test]
async fn account_pages_are_accessible_and_fit_every_screen() {
    let stage = Stage::with(ACCOUNTS).await;
    let page = &stage.browser;
    inject_axe(page).await;
    let mut inspection = Inspection { page, found: Vec::new() };
    let link = set_up_link(&stage.app);
    page.open(&link).await;
    inspection.look("set-up").await;
    stage.open("/login").await;
    inspection.look("login of a server without administrator").await;
    page.open(&link).await;
    page.fill("#field-name", "admin").await;
    page.fill("#field-password", PASSWORD).await;
    page.click("#create-admin").await;
    page.until("document.getElementById('wrong-repeat') !== null").await;
    inspection.look("set-up with an error").await;
    set_password(page, "#create-admin").await;
    page.until("location.pathname === '/login' && document.getElementById('notice') !== null").await;
    inspection.look("login with a notice").await;
    stage.open("/setup").await;
    inspection.look("link that is not valid").await;
    stage.open("/login").await;
    sign_in_here(page, "admin", "another password entirely").await;
    page.until("document.getElementById('wrong-password') !== null").await;
    inspection.look("login with an error").await;
    sign_in(&stage, page, "admin").await;

    for path in [
        "/profile",
        "/profile/passkeys",
        "/accounts",
        "/accounts/admin",
        "/projects",
        "/projects/default",
        "/audit",
        "/audit?action=queue_paused",
        "/audit?principal=somebody&action=none&scan=x&from=y&to=z&before=1",
    ] {
        stage.open(path).await;
        inspection.look(path).await;
    }
    stage.open("/accounts").await;
    page.fill("#field-name", "Not A Name").await;
    page.click("#create-account").await;
    page.until("document.getElementById('wrong-name') !== null").await;
    inspection.look("new account with an error").await;
    page.fill("#field-name", "vera-with-a-rather-long-name@mail.example.com").await;
    page.click("#field-role option[value=owner]").await;
    page.click("#create-account").await;
    let link = shown_once(page, "new-link").await;
    inspection.look("new link").await;
    page.open(&link).await;
    inspection.look("set-password").await;

    command(&stage, &["service-account", "create", "nightly", "--role", "scanner"]).await;
    stage.open("/accounts/nightly").await;
    inspection.look("service account").await;
    page.fill("#field-label", "build server of the second floor").await;
    page.click("#create-token").await;
    page.until("document.getElementById('new-token') !== null").await;
    inspection.look("new token").await;
    page.click("#back").await;
    page.until("document.querySelector('tr[data-token]') !== null").await;
    inspection.look("service account with a token").await;
    page.click("#disable").await;
    page.until("document.getElementById('confirm') !== null").await;
    inspection.look("question before the account is disabled").await;

    stage.open("/projects").await;
    page.fill("#field-id", "web-shop").await;
    page.fill("#field-title", "Web shop of the second floor").await;
    page.click("#create-project").await;
    page.until("location.pathname === '/projects/web-shop'").await;
    page.fill("#field-name", "nightly").await;
    page.click("#field-role option[value=viewer]").await;
    page.click("#add-member").await;
    page.until("document.querySelector('#member-table tr[data-account=nightly]') !== null").await;
    for path in
        ["/projects/web-shop", "/projects/default", "/projects", "/profile", "/accounts", "/accounts/nightly", "/"]
    {
        stage.open(path).await;
        inspection.look(&format!("{path} with two projects")).await;
    }

    let (_, new) = stage.post("/api/device/code", &json!({ "label": "ana@laptop", "server_role": true })).await;
    let code = new["user_code"].as_str().unwrap();
    for path in ["/device", "/device?code=x", &format!("/device?code={code}"), "/device?notice=allowed"] {
        stage.open(path).await;
        inspection.look(path).await;
    }

    stage.open("/profile/second-factor").await;
    inspection.look("no second factor").await;
    page.fill("#field-current_password", PASSWORD).await;
    page.click("#set-up-factor").await;
    let secret = shown_secret(page).await;
    inspection.look("set-up of a second factor").await;
    page.fill("#field-code", &app_code(page, &secret, 0).await).await;
    page.click("#confirm-factor").await;
    shown_codes(page).await;
    inspection.look("recovery codes").await;
    for path in ["/profile/second-factor", "/profile", "/accounts/admin"] {
        stage.open(path).await;
        inspection.look(&format!("{path} with a second factor")).await;
    }
    page.click("#sign-out").await;
    page.until("location.pathname === '/login'").await;
    sign_in_here(page, "admin", PASSWORD).await;
    page.until("location.pathname === '/login/code'").await;
    inspection.look("code of the second factor").await;
    page.click("#recovery summary").await;
    page.fill("#field-recovery_code", "abcd").await;
    page.click("#send-recovery-code").await;
    page.until("document.getElementById('wrong-recovery_code') !== null").await;
    inspection.look("recovery code with an error").await;
    page.fill("#field-recovery_code", "").await;
    page.fill("#field-code", &app_code(page, &secret, 1).await).await;
    page.click("#send-code").await;
    page.until("location.pathname === '/'").await;
    stage.open("/login/code").await;
    inspection.look("sign-in that has ended").await;
    assert!(inspection.found.is_empty(), "{}", inspection.found.join("\n"));
}
