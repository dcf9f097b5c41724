//! Checks by a trial run whether this machine supports the egress limit.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::PidfdFlags;
use tokio::time::Instant;

use super::super::environment;
use super::super::folder::TmpFolder;
use super::super::isolation::Isolation;
use super::super::keeper::{KeeperSettings, Keepers, Start};
use super::super::own_program::OURSELVES;
use super::super::run::Run;
use super::addresses::named_proxies;
use super::{EgressLimit, Network, Tools};

/// The timeout of the trial run.
const LIMIT: Duration = Duration::from_secs(10);

/// Returns the limit and its programs after a successful trial run. Returns `None` if no limit is
/// configured. Blocks.
///
/// # Errors
/// The reason why egress cannot be limited on this machine.
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

/// Checks whether this machine supports the egress limit with this isolation. Returns `None` if no
/// limit is configured.
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

/// Waits for the end of a process. Returns false if it takes longer than `limit`. A signal to this
/// process, such as the end of a child, interrupts poll(2) and not the wait.
fn has_ended(process: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let until = Instant::now() + limit;
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).unwrap_or_default();
        match rustix::event::poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            ended => return Ok(ended? > 0),
        }
    }
}

/// Runs this program with `--version`, as the scanners' user, in a network in which only the
/// resolvers are reachable. Blocks.
///
/// # Errors
/// The reason for the failure.
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
    let (_stdout, stdout_end) = io::pipe().map_err(|error| broken(&error))?;
    let (mut stderr, stderr_end) = io::pipe().map_err(|error| broken(&error))?;
    let ends = (OwnedFd::from(stdout_end), OwnedFd::from(stderr_end));
    let folder = std::fs::File::open(folder).map_err(|error| broken(&error))?;
    let pid = keeper
        .start(&start, &ends.0, &ends.1, &folder.into())
        .and_then(|started| started)
        .map_err(|error| broken(&error))?;
    drop(ends);
    let exit = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|error| broken(&error))?;
    if !has_ended(&exit, LIMIT).map_err(|error| broken(&error))? {
        return Err(broken(&format_args!("it took longer than {} s", LIMIT.as_secs())));
    }
    let exit = keeper.exit().map_err(|error| broken(&error))?;
    // The connection ends with the keeper.
    drop(keeper);
    if exit == kastrel_actors::model::ExitKind::Code(0) {
        return Ok(());
    }
    let mut said = String::new();
    let _unreadable = stderr.read_to_string(&mut said);
    let said = said.trim();
    Err(said.strip_prefix("error: ").map_or_else(|| broken(&said), str::to_owned))
}
