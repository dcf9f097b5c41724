//! Holds the direction of dependencies. The production files are parsed, each path in them is
//! resolved to the file that defines the item, and the edges are compared with the tables below.
//! `docs/ARCHITECTURE.md` describes the same rooms.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use kastrel_actors::model::{AttemptOutcome, PluginStatus, ScanStatus};
use syn::visit::{self, Visit};

/// A room and the rooms that its files may use.
type Edges = &'static [(&'static str, &'static [&'static str])];

/// The rooms of the crate `kastrel-actors`: `model <- policy <- ports <- live <- actors`, and
/// services beside the actors.
const ACTORS: Edges = &[
    ("model", &[]),
    ("policy", &["model"]),
    ("ports", &["model", "policy"]),
    ("live", &["model", "policy", "ports"]),
    ("service", &["live", "model", "policy", "ports"]),
    ("messages", &["model", "policy", "ports"]),
    ("task", &[]),
    ("attempt_registry", &["model", "ports"]),
    ("node_config", &["live", "model", "policy", "ports"]),
    ("start_gate", &["model", "policy", "ports"]),
    ("snapshot_publisher", &["live", "model", "ports"]),
    ("supervisor_address", &["attempt_registry", "messages"]),
    (
        "context",
        &[
            "attempt_registry",
            "model",
            "node_config",
            "policy",
            "ports",
            "snapshot_publisher",
            "start_gate",
            "supervisor_address",
        ],
    ),
    ("attempt_finisher", &["context", "messages", "model", "policy", "ports", "task"]),
    ("task_actor", &["context", "task"]),
    ("health", &["context", "model", "policy", "ports", "task_actor"]),
    ("lease", &["context", "messages", "model", "policy", "ports", "task"]),
    ("scan", &["attempt_finisher", "context", "health", "live", "messages", "model", "policy", "ports", "task"]),
    (
        "supervisor",
        &["attempt_finisher", "attempt_registry", "context", "messages", "model", "policy", "ports", "scan", "task"],
    ),
    ("dispatcher", &["attempt_finisher", "context", "messages", "model", "policy", "ports", "task"]),
    ("relay", &["context", "model", "policy", "ports", "task", "task_actor"]),
    ("reconciler", &["attempt_finisher", "context", "messages", "model", "policy", "ports", "task_actor"]),
    (
        "node",
        &[
            "attempt_finisher",
            "context",
            "dispatcher",
            "health",
            "lease",
            "messages",
            "model",
            "node_config",
            "policy",
            "ports",
            "reconciler",
            "relay",
            "supervisor",
            "task",
            "task_actor",
        ],
    ),
];

/// The rooms of the application. `actors` is the crate `kastrel-actors`, `scanner` the crate
/// `kastrel-scanner`. Adapters implement ports and never use each other.
const APPLICATION: Edges = &[
    ("error_chain", &[]),
    ("exports", &["actors"]),
    ("terminal_text", &[]),
    ("human_time", &[]),
    ("cookies", &[]),
    ("descriptors", &[]),
    ("identity", &["actors", "cookies"]),
    ("node_fault", &["actors"]),
    ("private", &[]),
    ("sentence", &[]),
    ("shell", &[]),
    ("connections", &[]),
    ("server_proof", &["private"]),
    ("tls", &["private"]),
    ("config", &["actors"]),
    ("ports", &["actors"]),
    ("adapters/artifacts", &["actors", "ports"]),
    ("adapters/audit_key", &["actors"]),
    (
        "adapters/kast_runner",
        &["actors", "descriptors", "error_chain", "node_fault", "ports", "shell", "terminal_text"],
    ),
    ("adapters/mail", &["actors", "ports"]),
    ("adapters/node_health", &["actors", "node_fault"]),
    ("adapters/oidc", &["actors", "error_chain", "ports"]),
    ("adapters/redis_queue", &["actors", "config", "ports"]),
    ("adapters/secret_box", &["actors"]),
    ("adapters/surreal_store", &["actors", "config", "error_chain"]),
    ("backup", &["actors", "adapters/surreal_store", "error_chain"]),
    ("api_types", &["actors", "backup", "identity", "service"]),
    ("service", &["actors", "error_chain", "exports", "identity", "ports", "terminal_text"]),
    ("telemetry", &["actors", "config"]),
    ("mcp", &["actors", "terminal_text"]),
    (
        "web",
        &[
            "actors",
            "api_types",
            "backup",
            "config",
            "connections",
            "cookies",
            "exports",
            "human_time",
            "identity",
            "mcp",
            "ports",
            "sentence",
            "server_proof",
            "service",
            "shell",
            "telemetry",
            "terminal_text",
        ],
    ),
    (
        "app",
        &[
            "actors",
            "adapters/artifacts",
            "adapters/audit_key",
            "adapters/kast_runner",
            "adapters/mail",
            "adapters/node_health",
            "adapters/oidc",
            "adapters/redis_queue",
            "adapters/secret_box",
            "adapters/surreal_store",
            "backup",
            "config",
            "identity",
            "ports",
            "private",
            "service",
            "telemetry",
        ],
    ),
    ("server", &["actors", "app", "config", "connections", "descriptors", "server_proof", "service", "tls", "web"]),
    (
        "cli",
        &[
            "actors",
            "adapters/audit_key",
            "adapters/kast_runner",
            "adapters/secret_box",
            "adapters/surreal_store",
            "api_types",
            "app",
            "backup",
            "config",
            "connections",
            "descriptors",
            "exports",
            "human_time",
            "identity",
            "mcp",
            "ports",
            "private",
            "sentence",
            "server",
            "server_proof",
            "service",
            "shell",
            "telemetry",
            "terminal_text",
            "tls",
        ],
    ),
    ("main", &["adapters/kast_runner", "cli", "scanner"]),
];

/// What web, command line and the readings of telemetry reach only through services: the ports of
/// the store and the queue, and the live state. `app` and `server` compose the services of them.
const BEHIND_SERVICES: [&str; 9] = [
    "actors/src/live/change_log.rs",
    "actors/src/live/offered.rs",
    "actors/src/live/queue_state.rs",
    "actors/src/live/snapshot_cache.rs",
    "actors/src/ports/control_bus.rs",
    "actors/src/ports/job_queue.rs",
    "actors/src/ports/live_feed.rs",
    "actors/src/ports/local_job_queue.rs",
    "actors/src/ports/store",
];

/// The callers of services.
const CALLERS_OF_SERVICES: [&str; 4] = ["src/api_types", "src/cli", "src/telemetry/readings.rs", "src/web"];

/// The error of the store is a part of the services' results.
const STORE_ERROR: &str = "actors/src/ports/store/error.rs";

/// What the access service alone does with credentials: it computes and compares the hashes of
/// passwords, compares digests, and counts the failures of sign-ins. Its callers use the types of
/// passwords, secrets and tokens, and the session cookie.
const OF_THE_ACCESS_SERVICE: [&str; 5] = ["LoginThrottle", "PasswordHash", "PasswordHasher", "Verified", "is_same"];

/// Crates that the orchestration must not need, not even through another crate: it knows ports.
const BANNED_IN_ACTORS: [&str; 5] = ["axum", "opentelemetry", "redis", "reqwest", "surrealdb"];

/// Where production code names a single state of a plugin: in the table of the states, and where
/// the runner reads results. A new state touches the table, one file of the runner, its symbol in
/// `templates/icons.svg`, and the glossary.
const NAMES_PLUGIN_STATES: [&str; 3] =
    ["actors/src/model/plugin_status.rs", "src/adapters/kast_runner/progress.rs", "src/adapters/kast_runner/verdict"];

/// The production files, parsed once for all tests.
static WORKSPACE: LazyLock<Workspace> = LazyLock::new(Workspace::parse);

#[test]
fn rooms_of_the_actors_use_only_rooms_below_them() {
    check_rooms(&WORKSPACE, "kastrel_actors", ACTORS);
}

#[test]
fn rooms_of_the_application_use_only_rooms_below_them() {
    check_rooms(&WORKSPACE, "kastrel", APPLICATION);
}

#[test]
fn web_and_command_line_reach_the_domain_only_through_services() {
    let within = |path: &Path, places: &[&str]| places.iter().any(|place| path.starts_with(root().join(place)));
    let uses = |callers: &[&str]| -> Vec<String> {
        let edges = WORKSPACE.edges();
        let edges = edges.iter().filter(|(from, _)| within(from, callers));
        edges
            .flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)))
            .filter(|(_, to)| within(to, &BEHIND_SERVICES) && **to != root().join(STORE_ERROR))
            .map(|(from, to)| format!("{} uses {}", from.display(), to.display()))
            .collect()
    };
    let wrong = uses(&CALLERS_OF_SERVICES);
    assert!(wrong.is_empty(), "add an operation to a service instead:\n{}", wrong.join("\n"));
    assert!(!uses(&["src/app"]).is_empty(), "the composition uses these files, so the test sees such uses");
    let missing: Vec<_> = BEHIND_SERVICES.iter().filter(|place| !root().join(place).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn only_the_access_service_checks_credentials() {
    let users = |name: &str| -> Vec<&PathBuf> {
        let is_of_identity = |path: &&Vec<String>| path.iter().any(|part| part == "identity");
        let uses =
            |file: &File| file.paths.iter().filter(is_of_identity).any(|path| path.iter().any(|part| part == name));
        WORKSPACE.files.iter().filter(|(_, file)| uses(file)).map(|(path, _)| path).collect()
    };
    for name in OF_THE_ACCESS_SERVICE {
        let (own, others): (Vec<_>, Vec<_>) =
            users(name).into_iter().partition(|path| path.starts_with(root().join("src/service/access")));
        assert!(others.is_empty(), "`{name}` is for the access service: {others:?}");
        assert!(!own.is_empty(), "the access service uses `{name}`, so the test sees such uses");
    }
}

#[test]
fn files_do_not_use_each_other_in_a_circle() {
    let circles = circles(&WORKSPACE.edges());
    assert!(
        circles.is_empty(),
        "circles of files, each to be opened by moving what both need below both:\n{circles:#?}"
    );
}

#[test]
fn actors_start_no_process_and_need_no_adapter() {
    let workspace = &*WORKSPACE;
    let starts: Vec<_> = workspace
        .files
        .iter()
        .filter(|(_, file)| file.package == "kastrel_actors")
        .filter(|(_, file)| {
            file.paths
                .iter()
                .any(|path| matches!(&path[..], [a, b, ..] if (a == "std" || a == "tokio") && b == "process"))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(starts.is_empty(), "only adapters start processes: {starts:?}");

    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let mut needed = BTreeSet::from(["kastrel-actors".to_owned()]);
    loop {
        let found: BTreeSet<String> = packages
            .iter()
            .filter(|package| needed.contains(package["name"].as_str().unwrap()))
            .filter_map(|package| package.get("dependencies")?.as_array())
            .flatten()
            .map(|name| name.as_str().unwrap().split(' ').next().unwrap().to_owned())
            .collect();
        let before = needed.len();
        needed.extend(found);
        if needed.len() == before {
            break;
        }
    }
    assert!(needed.contains("ractor"), "the lock file was read: {needed:?}");
    let banned: Vec<_> = BANNED_IN_ACTORS.iter().filter(|name| needed.contains(**name)).collect();
    assert!(banned.is_empty(), "kastrel-actors depends on {banned:?}; it may only know ports");
}

#[test]
fn states_of_plugins_are_named_by_their_table_and_the_runner_only() {
    let states: BTreeSet<String> = PluginStatus::ALL.iter().map(|status| format!("{status:?}")).collect();
    let is_named = |file: &File| {
        let in_path =
            |path: &Vec<String>| path.windows(2).any(|pair| pair[0] == "PluginStatus" && states.contains(&pair[1]));
        let in_macro = |text: &String| states.iter().any(|state| text.contains(&format!("PluginStatus::{state}")));
        let is_glob = |path: &Vec<String>| path.last().is_some_and(|last| last == "PluginStatus");
        file.paths.iter().any(in_path) || file.macros.iter().any(in_macro) || file.globs.iter().any(is_glob)
    };
    let named: Vec<&PathBuf> =
        WORKSPACE.files.iter().filter(|(_, file)| is_named(file)).map(|(path, _)| path).collect();
    let is_allowed = |path: &Path| NAMES_PLUGIN_STATES.iter().any(|place| path.starts_with(root().join(place)));
    let wrong: Vec<_> = named.iter().filter(|path| !is_allowed(path)).collect();
    assert!(wrong.is_empty(), "ask the table in plugin_status.rs what the state means instead: {wrong:#?}");
    // The runner names them, so the test sees such files.
    assert!(named.len() >= 4, "{named:?}");
}

#[test]
fn style_sheet_and_templates_name_no_state_of_a_plugin_only() {
    let others: BTreeSet<&str> = ScanStatus::ALL
        .iter()
        .map(|status| status.as_str())
        .chain(AttemptOutcome::ALL.iter().map(|outcome| outcome.as_str()))
        .collect();
    let own: Vec<&str> =
        PluginStatus::ALL.iter().map(|status| status.as_str()).filter(|name| !others.contains(name)).collect();
    assert!(own.len() >= 4, "{own:?}");
    let style = read("src/web/assets/app.css");
    let mut wrong: Vec<String> = own
        .iter()
        .filter(|name| style.contains(&format!(".is-{name}")))
        .map(|name| format!("app.css: .is-{name}; style the class of its tone"))
        .collect();
    let files = |folder: PathBuf| {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    };
    let templates = root().join("templates");
    for path in files(templates.clone()).chain(files(templates.join("accounts"))) {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in own.iter().filter(|name| {
            [format!("is-{name}"), format!("== \"{name}\"")].iter().any(|found| text.contains(found.as_str()))
        }) {
            wrong.push(format!("{}: {name}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn glossary_and_symbols_have_every_state_of_a_plugin() {
    let (glossary, symbols) = (read("docs/GLOSSARY.md"), read("templates/icons.svg"));
    let states = glossary.split("## States").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    for status in PluginStatus::ALL {
        assert!(states.contains(&format!("`{status}`")), "docs/GLOSSARY.md, States: {status}");
        assert!(symbols.contains(&format!("id=\"i-{}\"", status.icon())), "templates/icons.svg: {status}");
    }
}

#[test]
fn the_parser_sees_uses_calls_and_reexports() {
    let workspace = &*WORKSPACE;
    let uses = |from: &str, to: &str| workspace.edges()[&root().join(from)].contains(&root().join(to));
    // A path of `use`, an inline path, a name that a `mod.rs` re-exports, and one of another crate.
    assert!(uses("actors/src/lease/actor.rs", "actors/src/context.rs"));
    assert!(uses("actors/src/service/ports.rs", "actors/src/live/snapshot_cache.rs"));
    assert!(uses("src/web/state.rs", "src/ports/artifacts.rs"));
    assert!(uses("src/web/state.rs", "actors/src/service/scans.rs"));
    assert!(!workspace.files.keys().any(|file| file.ends_with("tests.rs")), "tests are not production files");
}

/// Fails for each edge that the table does not allow, and for each allowed edge that no file uses.
fn check_rooms(workspace: &Workspace, package: &str, table: Edges) {
    let mut wrong = Vec::new();
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (from, targets) in workspace.edges() {
        let file = &workspace.files[&from];
        let Some(room) = room(file).filter(|_| file.package == package) else { continue };
        let Some((room, allowed)) = table.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{} is in the room `{room}`, which the table does not have", from.display()));
            continue;
        };
        for to in targets {
            let target = &workspace.files[&to];
            let other = match (target.package == package, target.package.as_str()) {
                (true, _) => match self::room(target) {
                    Some(other) => other,
                    None => continue,
                },
                (false, "kastrel_actors") => "actors".to_owned(),
                (false, "kastrel_scanner") => "scanner".to_owned(),
                (false, _) => "kastrel".to_owned(),
            };
            if other == *room {
                continue;
            }
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("{} uses `{other}` ({})", from.display(), to.display()));
            }
            used.entry(room).or_default().insert(other);
        }
    }
    for (room, allowed) in table {
        let unused: Vec<_> =
            allowed.iter().filter(|name| !used.get(room).is_some_and(|used| used.contains(**name))).collect();
        if !unused.is_empty() {
            wrong.push(format!("the table lets `{room}` use {unused:?}, which it does not"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The room of a file: its first folder or file name, or two for an adapter. `None`: the crate's
/// root.
fn room(file: &File) -> Option<String> {
    match &file.module[..] {
        [] => None,
        [first, second, ..] if first == "adapters" => Some(format!("adapters/{second}")),
        [first] if first == "adapters" => None,
        [first, ..] => Some(first.clone()),
    }
}

/// Returns the strongly connected components of more than one file (Tarjan 1972).
fn circles(edges: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<Vec<String>> {
    struct Search<'a> {
        edges: &'a BTreeMap<PathBuf, BTreeSet<PathBuf>>,
        index: BTreeMap<&'a Path, (usize, usize)>,
        stack: Vec<&'a Path>,
        found: Vec<Vec<String>>,
    }
    impl<'a> Search<'a> {
        fn visit(&mut self, file: &'a Path) {
            let number = self.index.len();
            self.index.insert(file, (number, number));
            self.stack.push(file);
            for next in &self.edges[file] {
                let low = match self.index.get(next.as_path()) {
                    None => {
                        self.visit(next);
                        self.index[next.as_path()].1
                    }
                    Some((number, _)) if self.stack.contains(&next.as_path()) => *number,
                    Some(_) => continue,
                };
                let own = self.index.get_mut(file).unwrap();
                own.1 = own.1.min(low);
            }
            if self.index[file].0 == self.index[file].1 {
                let at = self.stack.iter().position(|one| *one == file).unwrap();
                let circle = self.stack.split_off(at);
                if circle.len() > 1 {
                    let name = |file: &&Path| file.strip_prefix(root()).unwrap().display().to_string();
                    self.found.push(circle.iter().map(name).collect());
                }
            }
        }
    }
    let mut search = Search { edges, index: BTreeMap::new(), stack: Vec::new(), found: Vec::new() };
    for file in edges.keys() {
        if !search.index.contains_key(file.as_path()) {
            search.visit(file);
        }
    }
    search.found
}

/// A production file.
struct File {
    package: String,
    module: Vec<String>,
    /// All paths in it, as written; those of `use` items in full.
    paths: Vec<Vec<String>>,
    /// The paths of its `use` items that end with `*`.
    globs: Vec<Vec<String>>,
    /// The arguments of its macros, without blanks.
    macros: Vec<String>,
    /// The names that its `use` items bring in, with their paths: other files may import a name
    /// from here that is defined elsewhere.
    names: BTreeMap<String, Vec<String>>,
}

/// The production files of the workspace.
struct Workspace {
    files: BTreeMap<PathBuf, File>,
    by_module: BTreeMap<(String, Vec<String>), PathBuf>,
}

impl Workspace {
    fn parse() -> Self {
        let mut workspace = Self { files: BTreeMap::new(), by_module: BTreeMap::new() };
        for (package, folder) in
            [("kastrel_actors", "actors/src"), ("kastrel", "src"), ("kastrel_scanner", "scanner/src")]
        {
            workspace.add(package, Vec::new(), &root().join(folder).join("lib.rs"));
        }
        workspace.add("kastrel", vec!["main".into()], &root().join("src/main.rs"));
        workspace
    }

    /// Parses a file and the files of its modules, but for those of tests.
    fn add(&mut self, package: &str, module: Vec<String>, path: &Path) {
        let parsed = syn::parse_file(&std::fs::read_to_string(path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = Reader::default();
        reader.visit_file(&parsed);
        self.by_module.insert((package.to_owned(), module.clone()), path.to_owned());
        let is_root = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| path.ends_with(name));
        let folder = if is_root { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        for (name, at) in &reader.modules {
            let file = match at {
                Some(at) => path.parent().unwrap().join(at),
                None if folder.join(name).join("mod.rs").exists() => folder.join(name).join("mod.rs"),
                None => folder.join(format!("{name}.rs")),
            };
            let child: Vec<String> = if module == ["main"] { Vec::new() } else { module.clone() };
            self.add(package, child.into_iter().chain([name.clone()]).collect(), &file);
        }
        let Reader { paths, names, globs, macros, .. } = reader;
        let file = File { package: package.to_owned(), module, paths, globs, macros, names };
        self.files.insert(path.to_owned(), file);
    }

    /// The files that each file uses.
    fn edges(&self) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
        let targets = |file: &File| file.paths.iter().filter_map(|path| self.resolve(file, path, 0)).cloned().collect();
        let mut edges: BTreeMap<PathBuf, BTreeSet<PathBuf>> =
            self.files.iter().map(|(path, file)| (path.clone(), targets(file))).collect();
        for (file, targets) in &mut edges {
            targets.remove(file);
        }
        edges
    }

    /// The file that defines what `path` names in `file`. `None`: something of another crate, or a
    /// local name.
    fn resolve(&self, file: &File, path: &[String], depth: usize) -> Option<&PathBuf> {
        let (package, mut module, rest) = match path.first()?.as_str() {
            "crate" => (file.package.as_str(), Vec::new(), &path[1..]),
            "kastrel" | "kastrel_actors" | "kastrel_scanner" => (path[0].as_str(), Vec::new(), &path[1..]),
            "self" => (file.package.as_str(), file.module.clone(), &path[1..]),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                let kept = file.module.len().checked_sub(up)?;
                (file.package.as_str(), file.module[..kept].to_vec(), &path[up..])
            }
            first => {
                let mut child = file.module.clone();
                child.push(first.to_owned());
                self.by_module.get(&(file.package.clone(), child.clone()))?;
                (file.package.as_str(), child, &path[1..])
            }
        };
        let mut rest = rest.iter();
        let key = |module: &[String]| (package.to_owned(), module.to_vec());
        for part in rest.by_ref() {
            module.push(part.clone());
            if self.by_module.contains_key(&key(&module)) {
                continue;
            }
            module.pop();
            let at = self.by_module.get(&key(&module))?;
            let here = &self.files[at];
            // A name that this module only passes on.
            return match here.names.get(part) {
                Some(further) if depth < 8 => self.resolve(here, further, depth + 1).or(Some(at)),
                _ => Some(at),
            };
        }
        self.by_module.get(&key(&module))
    }
}

/// Collects the paths, names and modules of a file, without its tests.
#[derive(Default)]
struct Reader {
    paths: Vec<Vec<String>>,
    globs: Vec<Vec<String>>,
    macros: Vec<String>,
    names: BTreeMap<String, Vec<String>>,
    modules: Vec<(String, Option<String>)>,
}

/// True for `#[cfg(test)]` and `#[cfg(any(test, feature = "testing"))]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().split(|c: char| !c.is_alphanumeric()).any(|word| word == "test"))
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let mut open = vec![(Vec::new(), &item.tree)];
        while let Some((before, tree)) = open.pop() {
            let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<String>>();
            let mut found = |path: Vec<String>, name: String| {
                self.names.insert(name, path.clone());
                self.paths.push(path);
            };
            match tree {
                syn::UseTree::Path(path) => open.push((with(&path.ident), &path.tree)),
                syn::UseTree::Group(group) => open.extend(group.items.iter().map(|item| (before.clone(), item))),
                syn::UseTree::Glob(_) => {
                    self.globs.push(before.clone());
                    self.paths.push(before);
                }
                syn::UseTree::Name(name) if name.ident == "self" => {
                    let last = before.last().cloned().unwrap_or_default();
                    found(before, last);
                }
                syn::UseTree::Name(name) => found(with(&name.ident), name.ident.to_string()),
                syn::UseTree::Rename(rename) => found(with(&rename.ident), rename.rename.to_string()),
            }
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        match &item.content {
            Some(_) => visit::visit_item_mod(self, item),
            None => {
                let at = item.attrs.iter().find_map(|attribute| match &attribute.meta {
                    syn::Meta::NameValue(value) if value.path.is_ident("path") => match &value.value {
                        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
                        _ => None,
                    },
                    _ => None,
                });
                self.modules.push((item.ident.to_string(), at));
            }
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.macros.push(item.tokens.to_string().split_whitespace().collect());
        visit::visit_macro(self, item);
    }

    /// `pub(in path)` uses nothing of that module.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}
