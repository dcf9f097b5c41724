//! Whether this machine lets us limit what an attempt reaches, found out by doing it.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::PidfdFlags;

use super::super::folder::TmpFolder;
use super::super::isolation::Isolation;
use super::super::keeper::{KeeperSettings, Keepers, Start};
use super::super::run::Run;
use super::super::{OURSELVES, environment};
use super::addresses::named_proxies;
use super::{EgressLimit, Network, Tools};

/// The longest that making a network may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The limit and the programs that it needs, once they were seen to hold it; `None`: it is not set.
/// Blocks for as long as that takes.
///
/// # Errors
/// Why egress cannot be limited here.
pub(in super::super) fn prepare(
    isolation: &Isolation,
    keepers: &Keepers,
    environment: &[(OsString, OsString)],
    tmp_root: &Path,
) -> Result<Option<(EgressLimit, Tools)>, String> {
    let Some(limit) = isolation.egress.clone() else { return Ok(None) };
    named_proxies(environment)?;
    let tools = Tools::find(environment::path(environment))?;
    let group = isolation.run_as.as_ref().map(|user| user.gid);
    let tmp = TmpFolder::create(tmp_root, &format!("egress-{}", std::process::id()), group)
        .map_err(|error| broken(&error))?;
    let tried = try_out(keepers, tools.clone(), &tmp.0);
    tmp.remove();
    tried.map(|()| Some((limit, tools)))
}

/// Whether egress can be limited on this machine as the isolation would have it; `None`: it is not
/// asked for.
pub(in super::super) fn holds(isolation: &Isolation) -> Option<Result<(), String>> {
    isolation.egress.as_ref()?;
    let settings =
        KeeperSettings { user: KeeperSettings::of_user(isolation.run_as.as_ref()), ..KeeperSettings::default() };
    let keepers = Keepers::start(isolation.keeper.clone(), settings, &Run::new("doctor"), None);
    let environment = environment::base(std::env::vars_os(), &[], &[]);
    Some(prepare(isolation, &keepers, &environment, &std::env::temp_dir()).map(drop))
}

fn broken(error: &dyn std::fmt::Display) -> String {
    format!("scans.egress_limit could not be tried out: {error}")
}

/// Has this program print its version in a network in which only the resolvers can be reached, as
/// the scanners' user. Blocks.
///
/// # Errors
/// Why it could not.
fn try_out(keepers: &Keepers, tools: Tools, folder: &Path) -> Result<(), String> {
    let network = Network::new(tools, &[], &[], "", "")?;
    let environment = vec![("TMPDIR".into(), folder.into())];
    let start = Start {
        program: OURSELVES.into(),
        tmp: folder.to_owned(),
        args: vec!["--version".into()],
        environment,
        network: Some(network.to_text()?),
    };
    let mut keeper = keepers.fresh().map_err(|error| broken(&error))?;
    let (_stdout, stdout_end) = std::io::pipe().map_err(|error| broken(&error))?;
    let (mut stderr, stderr_end) = std::io::pipe().map_err(|error| broken(&error))?;
    let ends = (OwnedFd::from(stdout_end), OwnedFd::from(stderr_end));
    let folder = std::fs::File::open(folder).map_err(|error| broken(&error))?;
    let pid = keeper
        .start(&start, &ends.0, &ends.1, &folder.into())
        .and_then(|started| started)
        .map_err(|error| broken(&error))?;
    drop(ends);
    let exit = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|error| broken(&error))?;
    let limit = Timespec { tv_sec: LIMIT.as_secs().cast_signed(), tv_nsec: 0 };
    let ended =
        rustix::event::poll(&mut [PollFd::new(&exit, PollFlags::IN)], Some(&limit)).map_err(|error| broken(&error))?;
    if ended == 0 {
        return Err(broken(&format_args!("it took longer than {} s", LIMIT.as_secs())));
    }
    let exit = keeper.exit().map_err(|error| broken(&error))?;
    // Its connection is ended with the keeper.
    drop(keeper);
    if exit == kastrel_actors::model::ExitKind::Code(0) {
        return Ok(());
    }
    let mut said = String::new();
    let _unreadable = stderr.read_to_string(&mut said);
    let said = said.trim();
    Err(said.strip_prefix("error: ").map_or_else(|| broken(&said), str::to_owned))
}
