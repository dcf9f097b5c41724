//! The ZAP container of an attempt. KAST leaves its container running and shares it by a fixed
//! name, so Kastrel gives each attempt its own container and removes it.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use kastrel_actors::model::{ScanMode, ScanRequest, ScannerKind};

use super::{run, tool};

/// The timeout of a container's removal.
const REMOVAL_LIMIT: Duration = Duration::from_secs(15);
/// KAST's settings of the local ZAP container.
pub(super) const NAME_SETTING: &str = "local.container_name";
pub(super) const PORT_SETTING: &str = "local.api_port";
pub(super) const KEY_SETTING: &str = "local.api_key";

/// The name of a container, and the port and the key of its ZAP API on this machine.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ZapContainer {
    pub(super) name: String,
    pub(super) port: u16,
    /// Valid only for this container. KAST passes it to Docker as an argument, so other users of
    /// the machine can see it.
    pub(super) key: String,
}

impl std::fmt::Debug for ZapContainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZapContainer").field("name", &self.name).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Generates an unguessable key.
pub(super) fn random_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Returns true if an attempt may start a ZAP container that Kastrel can name and remove.
pub(super) fn may_start_zap(scanner: ScannerKind, request: &ScanRequest, plugins: &[String]) -> bool {
    let selected = plugins.is_empty() || plugins.iter().any(|name| name == "zap");
    let named_by_user = request
        .overrides
        .iter()
        .any(|change| change.plugin == "zap" && (change.key == NAME_SETTING || change.key == PORT_SETTING));
    scanner == ScannerKind::Kast
        && request.options.mode != ScanMode::Passive
        && selected
        && !request.options.dry_run
        && !named_by_user
}

/// Returns a port that is currently free.
pub(super) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Removes the container, best effort and within a bounded time. Without `docker`, there is no
/// container to remove.
pub(super) async fn remove(name: &str, environment: &[(OsString, OsString)]) {
    if let Some(docker) = tool::find("docker", environment) {
        client(&docker, &["rm", "--force", "--volumes", name], environment).await;
    }
}

/// Removes the containers of a data folder for which `unwanted` returns true.
pub(super) async fn remove_leftovers(
    data_dir_id: &str,
    unwanted: impl Fn(&str) -> bool,
    environment: &[(OsString, OsString)],
) {
    let Some(docker) = tool::find("docker", environment) else { return };
    let prefix = run::container_prefix(data_dir_id);
    let Some(listed) = client(
        &docker,
        &["ps", "--all", "--filter", &format!("name=^{prefix}"), "--format", "{{.Names}}"],
        environment,
    )
    .await
    else {
        return;
    };
    for name in listed.lines().filter(|name| name.starts_with(&prefix) && unwanted(name)) {
        client(&docker, &["rm", "--force", "--volumes", name], environment).await;
    }
}

async fn client(docker: &Path, args: &[&str], environment: &[(OsString, OsString)]) -> Option<String> {
    let output = tool::run(docker, args, environment, REMOVAL_LIMIT).await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScanRequestDraft;

    use super::*;

    #[test]
    fn only_an_active_kast_scan_has_a_container() {
        let of = |mode: &str, plugins: &[&str], overrides: &[&str], dry_run| {
            let draft = ScanRequestDraft {
                target: "example.com".into(),
                mode: Some(mode.into()),
                overrides: overrides.iter().map(|&text| text.into()).collect(),
                dry_run: Some(dry_run),
                ..ScanRequestDraft::default()
            };
            let plugins: Vec<String> = plugins.iter().map(|&name| name.into()).collect();
            let request = draft.check().unwrap();
            (
                may_start_zap(ScannerKind::Kast, &request, &plugins),
                may_start_zap(ScannerKind::Builtin, &request, &plugins),
            )
        };
        assert_eq!(of("passive", &[], &[], false), (false, false));
        assert_eq!(of("active", &[], &[], false), (true, false));
        assert_eq!(of("both", &["whatweb", "zap"], &[], false), (true, false));
        assert_eq!(of("both", &["whatweb"], &[], false), (false, false));
        assert_eq!(of("active", &[], &[], true), (false, false));
        assert_eq!(of("active", &[], &["zap.local.container_name=mine"], false), (false, false));
    }
}
