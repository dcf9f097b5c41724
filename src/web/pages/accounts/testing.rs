//! A browser in which somebody signed in, and accounts to sign in to.

use std::collections::BTreeMap;

use axum::response::Response;
use jiff::SignedDuration;
use kastrel_actors::model::{
    AccountKind, AccountName, NewAccount, Principal, Project, ProjectId, ProjectRole, ServerRole, Session,
};
use kastrel_actors::ports::AccessStore as _;

use crate::identity::password::{Password, PasswordHasher};
use crate::identity::secret::RandomSecret;
use crate::web::testing::{TestApp, header_of, text_of};

pub(super) const PASSWORD: &str = "seven green ladders under rain";

pub(super) fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

pub(super) fn project(id: &str) -> ProjectId {
    id.parse().unwrap()
}

/// The memberships of an account.
pub(super) fn roles(roles: &[(&str, ProjectRole)]) -> BTreeMap<ProjectId, ProjectRole> {
    roles.iter().map(|(id, role)| (project(id), *role)).collect()
}

/// Creates a project.
pub(super) async fn create_project(app: &TestApp, id: &str, title: &str) {
    let project = Project { id: project(id), title: title.into(), created_at: app.web().now() };
    assert!(app.memory.create_project(project, &Principal::System).await.unwrap());
}

/// Creates an account without a password.
pub(super) async fn create(
    app: &TestApp,
    account: &str,
    kind: AccountKind,
    server_role: Option<ServerRole>,
    memberships: &[(&str, ProjectRole)],
) {
    create_with(app, account, kind, server_role, memberships, None).await;
}

/// Creates a user with [`PASSWORD`].
pub(super) async fn create_user(
    app: &TestApp,
    account: &str,
    server_role: Option<ServerRole>,
    memberships: &[(&str, ProjectRole)],
) {
    let hash = PasswordHasher::new(1).hash(&Password::new(PASSWORD.into())).await.as_str().to_owned();
    create_with(app, account, AccountKind::User, server_role, memberships, Some(hash)).await;
}

async fn create_with(
    app: &TestApp,
    account: &str,
    kind: AccountKind,
    server_role: Option<ServerRole>,
    memberships: &[(&str, ProjectRole)],
    password_hash: Option<String>,
) {
    let memberships = roles(memberships);
    let account = NewAccount { name: name(account), kind, server_role, password_hash, mail: None, memberships };
    assert!(app.memory.create_account(account, app.web().now(), &Principal::System).await.unwrap());
}

/// A browser.
pub(super) struct Browser<'a> {
    app: &'a TestApp,
    /// The cookies that it sends.
    pub(super) cookie: String,
}

impl<'a> Browser<'a> {
    /// A browser without a session.
    pub(super) fn new(app: &'a TestApp) -> Self {
        Self::with_cookie(app, "kastrel-theme=dark")
    }

    pub(super) fn with_cookie(app: &'a TestApp, cookie: &str) -> Self {
        Self { app, cookie: cookie.into() }
    }

    /// A browser with a session of an account.
    pub(super) async fn of(app: &'a TestApp, account: &str) -> Self {
        Self::with_agent(app, account, "A browser").await
    }

    pub(super) async fn with_agent(app: &'a TestApp, account: &str, agent: &str) -> Self {
        let (secret, now) = (RandomSecret::generate(), app.web().now());
        let session = Session {
            key: secret.digest(),
            account: name(account),
            created_at: now,
            used_at: now,
            expires_at: now + SignedDuration::from_hours(24),
            address: "192.0.2.7".into(),
            agent: agent.into(),
            with_provider: false,
        };
        app.memory.create_session(session).await.unwrap();
        Self { app, cookie: format!("kastrel-session={}", secret.expose()) }
    }

    /// A browser of an account that is created for it.
    pub(super) async fn of_new(
        app: &'a TestApp,
        account: &str,
        server_role: Option<ServerRole>,
        memberships: &[(&str, ProjectRole)],
    ) -> Self {
        create(app, account, AccountKind::User, server_role, memberships).await;
        Self::of(app, account).await
    }

    /// The `Cookie` header of the browser.
    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        self.app.send("GET", path, &[("cookie", self.cookie.as_str())], "").await
    }

    pub(super) async fn text(&self, path: &str) -> String {
        text_of(self.get(path).await).await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Response {
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.app.send("POST", path, &headers, body).await
    }

    /// Takes the cookie of the session that a response sets.
    pub(super) fn renew(&mut self, response: &Response) {
        let set = header_of(response, "set-cookie");
        assert!(set.starts_with("kastrel-session="), "{set}");
        self.cookie = set.split(';').next().unwrap().to_owned();
    }

    /// Sends a form, and returns the status and the page to which the response leads.
    pub(super) async fn lead(&self, path: &str, body: &str) -> (u16, String) {
        let response = self.post(path, body).await;
        let location = response.headers().get("location").map_or("", |value| value.to_str().unwrap());
        (response.status().as_u16(), location.to_owned())
    }
}

/// Returns the text of the element with an id.
pub(super) fn element<'a>(html: &'a str, id: &str) -> &'a str {
    let rest = html.split(&format!("id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("no element {id}: {html}"));
    rest.split_once('>').unwrap().1.split('<').next().unwrap()
}
