//! The table of the walk: which accounts each route admits, and the request that is sent to it.

use crate::web::router::page_routes;
use crate::web::testing::api_description;

/// The accounts that a route admits, as letters: `n` nobody (no project), the roles in the project
/// `red` `v` viewer, `s` scanner, `o` operator and `w` owner, and the server roles `u` auditor and
/// `a` admin.
pub(super) const ACCOUNTS: [(char, &str); 7] = [
    ('n', "nobody"),
    ('v', "viewer"),
    ('s', "scanner"),
    ('o', "operator"),
    ('w', "owner"),
    ('u', "auditor"),
    ('a', "admin"),
];

/// The pattern of a clearance that each project has.
pub(super) const CLEARED: &str = "www.example.com";
/// Clients that are not known, too.
pub(super) const PUBLIC: &str = "*";
/// The id of a public link that each scan has.
pub(super) const LINK: &str = "0123456789";
/// The grantee of a share that each scan has.
pub(super) const SHARED: &str = "user:spare";
const ANY: &str = "nvsowua";
const READ: &str = "vsowua";
const SCAN: &str = "sowa";
const OPERATE: &str = "owa";
const OWN: &str = "wa";
const SERVER: &str = "ua";
const ADMIN: &str = "a";

/// Each route and the accounts that it admits, for an object of the project `red`.
pub(super) const TABLE: &[(&str, &str)] = &[
    ("DELETE /api/accounts/{name}/identity", ADMIN),
    ("DELETE /api/accounts/{name}/second-factor", ADMIN),
    ("DELETE /api/accounts/{name}/tokens/{id}", ADMIN),
    ("DELETE /api/filters/{name}", ANY),
    ("DELETE /api/nodes/{id}/drain", ADMIN),
    ("DELETE /api/projects/{id}/clearances/{pattern}", OWN),
    ("DELETE /api/projects/{id}/members/{name}", OWN),
    ("DELETE /api/scans/{id}", OPERATE),
    ("DELETE /api/scans/{id}/links/{link}", OPERATE),
    ("DELETE /api/scans/{id}/shares/{grantee}", OPERATE),
    ("GET /", ANY),
    ("GET /accounts", SERVER),
    ("GET /accounts/{name}", SERVER),
    ("GET /api/accounts", SERVER),
    ("GET /api/accounts/{name}", SERVER),
    ("GET /api/accounts/{name}/identity", SERVER),
    ("GET /api/accounts/{name}/tokens", SERVER),
    ("GET /api/audit", SERVER),
    ("GET /api/audit/export", SERVER),
    ("GET /api/backup", ADMIN),
    ("GET /api/backups", SERVER),
    ("GET /api/dead-letters", SERVER),
    ("GET /api/events", ANY),
    ("GET /api/filters", ANY),
    ("GET /api/findings", ANY),
    ("GET /api/findings/export", ANY),
    ("GET /api/findings/groups", ANY),
    ("GET /api/findings/{id}", ANY),
    ("GET /api/findings/{id}/explain", ANY),
    ("GET /api/nodes", SERVER),
    ("GET /api/openapi.json", PUBLIC),
    ("GET /api/plugins", ANY),
    ("GET /api/projects", ANY),
    ("GET /api/projects/{id}/clearances", READ),
    ("GET /api/projects/{id}/members", READ),
    ("GET /api/projects/{id}/sla", READ),
    ("GET /api/proof", PUBLIC),
    ("GET /api/queue", SERVER),
    ("GET /api/scans", ANY),
    ("GET /api/scans/export.csv", ANY),
    ("GET /api/scans/export.json", ANY),
    ("GET /api/scans/{id}", READ),
    ("GET /api/scans/{id}/compare", READ),
    ("GET /api/scans/{id}/events", READ),
    ("GET /api/scans/{id}/export", READ),
    ("GET /api/scans/{id}/findings", READ),
    ("GET /api/scans/{id}/links", OPERATE),
    ("GET /api/scans/{id}/log", READ),
    ("GET /api/scans/{id}/notes", READ),
    ("GET /api/scans/{id}/shares", OPERATE),
    ("GET /api/scans/{id}/status", READ),
    ("GET /api/shared-scans", ANY),
    ("GET /api/stats", ANY),
    ("GET /api/supervision", SERVER),
    ("GET /api/targets", ANY),
    ("GET /api/targets/{id}", ANY),
    ("GET /api/whoami", ANY),
    ("GET /assets/{name}", PUBLIC),
    ("GET /audit", SERVER),
    ("GET /compare", ANY),
    ("GET /confirm-mail", PUBLIC),
    ("GET /device", ANY),
    ("GET /findings", ANY),
    ("GET /findings/{id}", ANY),
    ("GET /forgot-password", PUBLIC),
    ("GET /livez", PUBLIC),
    ("GET /login", PUBLIC),
    ("GET /login/code", PUBLIC),
    ("GET /login/oidc/callback", PUBLIC),
    ("GET /login/second-factor", PUBLIC),
    ("GET /metrics", SERVER),
    ("GET /new", SCAN),
    ("GET /profile", ANY),
    ("GET /profile/mail", ANY),
    ("GET /profile/passkeys", ANY),
    ("GET /profile/passkeys/edit", ANY),
    ("GET /profile/second-factor", ANY),
    ("GET /projects", ANY),
    ("GET /projects/{id}", READ),
    ("GET /readyz", PUBLIC),
    ("GET /scans", ANY),
    ("GET /scans/{id}", READ),
    ("GET /scans/{id}/attempts/{n}/files/{*path}", READ),
    ("GET /scans/{id}/attempts/{n}/view/{*path}", READ),
    ("GET /scans/{id}/delete", OPERATE),
    ("GET /scans/{id}/files", READ),
    ("GET /scans/{id}/files.zip", READ),
    ("GET /scans/{id}/live", READ),
    ("GET /scans/{id}/log", READ),
    ("GET /scans/{id}/plugins/{name}", READ),
    ("GET /scans/{id}/report", READ),
    ("GET /scans/{id}/trace", READ),
    ("GET /scans/{id}/transfer", OPERATE),
    ("GET /set-password", PUBLIC),
    ("GET /settings", SERVER),
    ("GET /setup", PUBLIC),
    ("GET /shared-with-me", ANY),
    ("GET /shared/{secret}", PUBLIC),
    ("GET /shared/{secret}/files/{n}/{*path}", PUBLIC),
    ("GET /shared/{secret}/report", PUBLIC),
    ("GET /supervision", SERVER),
    ("GET /targets", ANY),
    ("GET /targets/{id}", ANY),
    ("PATCH /api/accounts/{name}", ADMIN),
    ("PATCH /api/targets/{id}", OPERATE),
    ("POST /accounts", ADMIN),
    ("POST /accounts/{name}/disable", ADMIN),
    ("POST /accounts/{name}/enable", ADMIN),
    ("POST /accounts/{name}/identity", ADMIN),
    ("POST /accounts/{name}/identity/unlink", ADMIN),
    ("POST /accounts/{name}/mail", ADMIN),
    ("POST /accounts/{name}/password-link", ADMIN),
    ("POST /accounts/{name}/second-factor/remove", ADMIN),
    ("POST /accounts/{name}/server-role", ADMIN),
    ("POST /accounts/{name}/sessions/end", ADMIN),
    ("POST /accounts/{name}/tokens", ADMIN),
    ("POST /accounts/{name}/tokens/revoke", ADMIN),
    ("POST /api/accounts", ADMIN),
    ("POST /api/accounts/{name}/password-link", ADMIN),
    ("POST /api/accounts/{name}/tokens", ADMIN),
    ("POST /api/dead-letters/{id}/resend", ADMIN),
    ("POST /api/device/cancel", PUBLIC),
    ("POST /api/device/code", PUBLIC),
    ("POST /api/device/token", PUBLIC),
    ("POST /api/findings/triage", OPERATE),
    ("POST /api/findings/{id}/comments", OPERATE),
    ("POST /api/nodes/{id}/drain", ADMIN),
    ("POST /api/projects", ADMIN),
    ("POST /api/queue/pause", ADMIN),
    ("POST /api/queue/resume", ADMIN),
    ("POST /api/scans", SCAN),
    ("POST /api/scans/batch", SCAN),
    ("POST /api/scans/{id}/cancel", SCAN),
    ("POST /api/scans/{id}/links", OPERATE),
    ("POST /api/scans/{id}/rerun", SCAN),
    ("POST /api/scans/{id}/shares", OPERATE),
    ("POST /api/scans/{id}/transfer", OPERATE),
    ("POST /api/targets/{id}/check", SCAN),
    ("POST /confirm-mail", PUBLIC),
    ("POST /device", ANY),
    ("POST /findings/filters", ANY),
    ("POST /findings/filters/delete", ANY),
    ("POST /findings/triage", OPERATE),
    ("POST /findings/{id}/check", SCAN),
    ("POST /findings/{id}/comments", OPERATE),
    ("POST /forgot-password", PUBLIC),
    ("POST /login", PUBLIC),
    ("POST /login/code", PUBLIC),
    ("POST /login/code/passkey", PUBLIC),
    ("POST /login/oidc", PUBLIC),
    ("POST /login/passkey", PUBLIC),
    ("POST /login/passkey/options", PUBLIC),
    ("POST /login/second-factor", PUBLIC),
    ("POST /logout", ANY),
    // It refuses the sessions of all accounts with another status.
    ("POST /mcp", ANY),
    ("POST /new/preview", SCAN),
    ("POST /profile/mail", ANY),
    ("POST /profile/passkeys", ANY),
    ("POST /profile/passkeys/confirm", ANY),
    ("POST /profile/passkeys/remove", ANY),
    ("POST /profile/passkeys/rename", ANY),
    ("POST /profile/password", ANY),
    ("POST /profile/second-factor", ANY),
    ("POST /profile/second-factor/confirm", ANY),
    ("POST /profile/second-factor/recovery-codes", ANY),
    ("POST /profile/second-factor/remove", ANY),
    ("POST /profile/sessions/end", ANY),
    ("POST /profile/tokens", ANY),
    ("POST /profile/tokens/revoke", ANY),
    ("POST /projects", ADMIN),
    ("POST /projects/{id}/clearances", OWN),
    ("POST /projects/{id}/clearances/remove", OWN),
    ("POST /projects/{id}/members", OWN),
    ("POST /queue/pause", ADMIN),
    ("POST /queue/resume", ADMIN),
    ("POST /scans", SCAN),
    ("POST /scans/bulk", OPERATE),
    ("POST /scans/{id}/cancel", SCAN),
    ("POST /scans/{id}/delete", OPERATE),
    ("POST /scans/{id}/links", OPERATE),
    ("POST /scans/{id}/links/revoke", OPERATE),
    ("POST /scans/{id}/notes", OPERATE),
    ("POST /scans/{id}/render", SCAN),
    ("POST /scans/{id}/rerun", SCAN),
    ("POST /scans/{id}/shares", OPERATE),
    ("POST /scans/{id}/shares/revoke", OPERATE),
    ("POST /scans/{id}/transfer", OPERATE),
    ("POST /set-password", PUBLIC),
    ("POST /setup", PUBLIC),
    ("POST /shared/{secret}", PUBLIC),
    ("POST /targets/{id}/check", SCAN),
    ("POST /targets/{id}/edit", OPERATE),
    ("POST /theme", PUBLIC),
    ("POST /zone", PUBLIC),
    ("PUT /api/accounts/{name}/identity", ADMIN),
    ("PUT /api/filters/{name}", ANY),
    ("PUT /api/projects/{id}/clearances/{pattern}", OWN),
    ("PUT /api/projects/{id}/members/{name}", OWN),
    ("PUT /api/projects/{id}/sla", OWN),
    ("PUT /api/scans/{id}/notes", OPERATE),
];

/// All routes: those of the OpenAPI description, and the page paths with each method that a page
/// may take.
pub(super) fn possible_routes() -> Vec<String> {
    let of_api = api_description()["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let of_pages = page_routes()
        .into_iter()
        .flat_map(|(_, path, _)| ["GET", "POST", "PUT", "PATCH", "DELETE"].map(|method| format!("{method} {path}")));
    of_api.chain(of_pages).collect()
}

/// Returns true for a route of a scan or of a project: whether it exists depends on the viewer.
pub(super) fn is_of_an_object(route: &str) -> bool {
    route.contains("/scans/{id}") || route.contains("/projects/{id}")
}

/// Returns true for a route of one finding or of one target.
pub(super) fn is_of_findings(route: &str) -> bool {
    route.contains("/findings/{id}") || route.contains("/targets/{id}")
}

/// Returns true for a route whose response is an event stream.
pub(super) fn is_stream(route: &str) -> bool {
    ["GET /api/events", "GET /api/scans/{id}/events", "GET /scans/{id}/live"].contains(&route)
}

/// Returns the method and the address of a route, for a scan and a project.
pub(super) fn address(route: &str, scan: u64, project: &str) -> (String, String) {
    let (method, path) = route.split_once(' ').unwrap();
    let id = if path.contains("/projects/{id}") {
        project.to_owned()
    } else if path.contains("/scans/{id}") {
        scan.to_string()
    } else if path.contains("/nodes/{id}") {
        "node-a".to_owned()
    } else if path.contains("/tokens/{id}") {
        "0123456789".to_owned()
    } else {
        "1-1".to_owned()
    };
    let name = if path.contains("/plugins/{name}") {
        "whatweb"
    } else if path.contains("/assets/{name}") {
        "app.css"
    } else {
        "spare"
    };
    let path = path
        .replace("{id}", &id)
        .replace("{name}", name)
        .replace("{n}", "1")
        .replace("{*path}", "report.txt")
        .replace("{pattern}", CLEARED)
        .replace("{link}", LINK)
        .replace("{grantee}", SHARED)
        .replace("{secret}", &"0".repeat(64));
    (method.to_owned(), path)
}

/// Returns the body of the request: one that passes the checks of form, so that the decision about
/// the right is what remains. `scan` is a scan of the project `red`.
pub(super) fn body(route: &str, scan: u64) -> String {
    let text = match route {
        "POST /api/scans" => r#"{"target":"new.example.com","project":"red"}"#,
        "POST /api/scans/batch" => r#"{"scans":[{"target":"new.example.com","project":"red"}]}"#,
        "POST /api/accounts" => r#"{"name":"new"}"#,
        "POST /api/projects" => r#"{"id":"new"}"#,
        "POST /api/accounts/{name}/tokens" => r#"{"label":"new"}"#,
        "PATCH /api/accounts/{name}" => r#"{"disabled":true}"#,
        "PUT /api/accounts/{name}/identity" => r#"{"subject":"7","issuer":"https://id.example"}"#,
        "POST /accounts/{name}/identity" => "subject=7",
        "PUT /api/projects/{id}/members/{name}" => r#"{"role":"scanner"}"#,
        "PUT /api/projects/{id}/clearances/{pattern}" => r#"{"level":"none"}"#,
        "POST /projects/{id}/clearances" => "pattern=new.example.com&level=passive",
        "POST /projects/{id}/clearances/remove" => "pattern=www.example.com",
        "POST /projects/{id}/members" => "name=spare&role=scanner",
        "POST /projects" => "id=new&title=New",
        "POST /accounts" => "name=new&kind=user",
        "POST /accounts/{name}/mail" => "mail=spare@example.com",
        "POST /accounts/{name}/server-role" => "server_role=auditor",
        // The two differ, so no password is hashed.
        "POST /profile/password" => "new_password=one&repeat=two",
        "POST /profile/sessions/end" | "POST /accounts/{name}/sessions/end" => "all=1",
        "POST /scans" | "POST /new/preview" => "target=new.example.com&mode=passive",
        "POST /api/scans/{id}/shares" => r#"{"grantee":"user:nobody","right":"edit"}"#,
        "POST /api/scans/{id}/transfer" => r#"{"project":"green"}"#,
        "POST /scans/{id}/links" => "label=new",
        "POST /scans/{id}/shares" => "kind=user&name=nobody&right=edit",
        "POST /scans/{id}/shares/revoke" => "grantee=user%3Aspare",
        "POST /scans/{id}/transfer" => "project=green",
        "POST /scans/{id}/links/revoke" => "id=0123456789",
        "POST /scans/bulk" => return format!("action=delete&scan={scan}"),
        _ if route.starts_with("POST /api/") => "{}",
        _ => "",
    };
    text.to_owned()
}
