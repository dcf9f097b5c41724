//! The process that creates an attempt's network, enters it and executes the scanner.
//!
//! A keeper starts it in place of the scanner, with the scanner's user, limits and environment. It
//! has a single thread, as a new user namespace requires. The steps:
//! 1. It starts a second process that waits. This becomes pasta, and must not be in a new network.
//! 2. It creates a user namespace, a mount namespace and two networks: one for the scanner and one
//!    for a router. Its user keeps its id, and has rights only over these namespaces.
//! 3. Pasta attaches the router to the outside and becomes a background process. The attempt's
//!    keeper finds it like all other processes of the attempt.
//! 4. The router gets routes only to the allowed addresses. The process reads the kernel's routes
//!    to verify that. The scanner's network has a single neighbour, the router. Whatever a program
//!    sends, and to whatever interface it binds, the router forwards by its own routes. It does not
//!    forward multicast.
//! 5. The process leaves the router's network, drops all rights over the networks for itself and
//!    its children, and executes the scanner.
//!
//! A failure ends the process with [`EXIT_CODE`] and the reason on its standard error, which is the
//! attempt's log. A scanner never starts without its network.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType, UnshareFlags};

use super::super::environment::{MARKER_VARIABLE, connection_name};
use super::super::own_program::OURSELVES;
use super::Tools;
use super::network::{GATEWAYS, Network, OUTSIDE, OWN, RESOLVERS};

/// The command on the command line, and its subcommands: run the scanner, or its connection.
pub(in super::super) const COMMAND: &str = "scanner-network";
pub(in super::super) const RUN: &str = "run";
const CONNECT: &str = "connect";
const OWN_NETWORK: &str = "/proc/self/ns/net";
/// The exit code that env(1) and similar tools use for their own failures.
const EXIT_CODE: u8 = 125;

/// Returns the arguments of this process if the command line starts it. Only a keeper starts it;
/// this is not a command for people.
#[must_use]
pub fn network_arguments(args: &[OsString]) -> Option<&[OsString]> {
    let [_, command, rest @ ..] = args else { return None };
    (command == COMMAND).then_some(rest)
}

/// Enters the network that the standard input describes, and executes the program in the arguments.
/// Or waits, and becomes the connection of such a network.
#[must_use]
pub fn network_main(args: &[OsString]) -> ExitCode {
    let why = match args {
        [what, program, args @ ..] if what == RUN => match read_network().and_then(|network| enter(&network)) {
            Ok(()) => failed("cannot run the scanner", Command::new(program).args(args).stdin(Stdio::null()).exec()),
            Err(why) => why,
        },
        [what, pasta, args @ ..] if what == CONNECT => become_connection(pasta, args),
        _ => "it is started by Kastrel itself, and is no command for people".to_owned(),
    };
    let _nobody_reads_it = writeln!(io::stderr(), "error: scans.egress_limit: {why}");
    ExitCode::from(EXIT_CODE)
}

/// Reads the network's description from the standard input. It may contain hosts of secret
/// settings, so it is not an argument or an environment variable, which other users could read.
fn read_network() -> Result<Network, String> {
    let text =
        io::read_to_string(io::stdin()).map_err(|error| failed("the network's description cannot be read", error))?;
    serde_json::from_str(&text).map_err(|error| format!("the network's description cannot be read: {error}"))
}

fn enter(network: &Network) -> Result<(), String> {
    match &network.tools {
        None => separate()?,
        Some(tools) => connect_through_router(network, tools)?,
    }
    for (file, text) in [("/etc/hosts", &network.hosts), ("/etc/resolv.conf", &network.resolv_conf)]
        .into_iter()
        .filter(|_| network.tools.is_some())
    {
        replace(Path::new(file), text).map_err(|error| failed(&format!("cannot replace {file}"), error))?;
    }
    give_up_rights().map_err(|error| failed("cannot give up the rights over the network", error))
}

/// Creates both networks. At the end, the process is in the scanner's network.
fn connect_through_router(network: &Network, tools: &Tools) -> Result<(), String> {
    let mut said = tempfile::tempfile().map_err(|error| failed("cannot write a temporary file", error))?;
    let connection = prepare_connection(&tools.pasta, &said).map_err(|error| failed("cannot start pasta", error))?;
    separate()?;
    let has_v6 = use_v6()?;
    let own = File::open(OWN_NETWORK).map_err(|error| failed("cannot open the scanner's network", error))?;
    // The scanner's end of the link moves to the network of this helper process.
    let mut holder = Command::new("/bin/sh")
        .args(["-c", "read -r _"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let holder = holder.as_mut().map_err(|error| format!("cannot start /bin/sh: {error}"))?;
    new_network().map_err(|error| failed("this machine gives no second network namespace", error))?;
    let has_v6 = has_v6 && use_v6()?;
    connect(connection, &mut said)?;
    forward(has_v6)?;
    for is_v6 in [false, true].into_iter().filter(|is_v6| !is_v6 || has_v6) {
        set_up(&tools.ip, is_v6, &network.router(is_v6, holder.id()))?;
    }
    let read =
        |file: &str| std::fs::read_to_string(file).map_err(|error| failed("cannot read the kernel's routes", error));
    let v6 = if Path::new(ROUTES_V6).exists() { read(ROUTES_V6)? } else { String::new() };
    network.verify(&read("/proc/self/net/route")?, &v6)?;
    rustix::thread::move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| failed("cannot enter the scanner's network", error))?;
    for is_v6 in [false, true].into_iter().filter(|is_v6| !is_v6 || has_v6) {
        set_up(&tools.ip, is_v6, &Network::scanner(is_v6))?;
    }
    drop(holder.stdin.take());
    holder.wait().map(drop).map_err(|error| failed("cannot wait for /bin/sh", error))
}

/// The kernel's list of IPv6 routes, which does not exist without IPv6.
const ROUTES_V6: &str = "/proc/self/net/ipv6_route";

/// Sets a kernel parameter of the current network.
fn set(file: &str, value: &str) -> Result<(), String> {
    let is_set = std::fs::read_to_string(file).is_ok_and(|now| now.trim() == value);
    if is_set {
        Ok(())
    } else {
        std::fs::write(file, value).map_err(|error| failed(&format!("cannot set {file}"), error))
    }
}

/// Enables IPv6 in the current network, also for later interfaces, and disables the wait for
/// duplicate address detection. Returns true if IPv6 is available.
fn use_v6() -> Result<bool, String> {
    let all = |name: &str, value: &str| {
        ["all", "default"].iter().try_for_each(|one| set(&format!("/proc/sys/net/ipv6/conf/{one}/{name}"), value))
    };
    if !Path::new(ROUTES_V6).exists() || all("disable_ipv6", "0").is_err() {
        return Ok(false);
    }
    all("accept_dad", "0").map(|()| true)
}

/// Makes the current network a router.
fn forward(has_v6: bool) -> Result<(), String> {
    set("/proc/sys/net/ipv4/ip_forward", "1")?;
    if has_v6 { set("/proc/sys/net/ipv6/conf/all/forwarding", "1") } else { Ok(()) }
}

fn failed(what: &str, error: impl Into<io::Error>) -> String {
    format!("{what}: {}", error.into())
}

/// Starts the process that becomes pasta. `said` receives its messages.
fn prepare_connection(pasta: &Path, said: &File) -> io::Result<Child> {
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let mut command = Command::new(OURSELVES);
    command.args([COMMAND, CONNECT]).arg(pasta).args(["--quiet", "--config-net", "--ns-ifname", OUTSIDE]);
    // No inbound connections to the attempt, and the attempt reaches the machine only by its
    // addresses.
    command.args(["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none", "--no-map-gw"]);
    command.args(["--no-dhcp", "--no-dhcpv6", "--no-ra", "--netmask", "30"]);
    for ((own, gateway), resolver) in OWN.iter().zip(GATEWAYS).zip(RESOLVERS) {
        command.args(["--address", own, "--gateway", gateway, "--dns-forward", &resolver.to_string()]);
    }
    if rustix::process::geteuid().is_root() {
        // As root, pasta would switch to `nobody`, which has no rights over the new network.
        command.args(["--runas", "0"]);
    }
    command.arg(own);
    let marker = std::env::var_os(MARKER_VARIABLE);
    command.env_clear().envs(marker.iter().map(|marker| (OsStr::new(MARKER_VARIABLE), marker)));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(said.try_clone()?).spawn()
}

/// Waits for a byte on the standard input, and becomes pasta. Pasta hides its environment from its
/// own user, so the attempt's marker is also part of its name.
fn become_connection(pasta: &OsStr, args: &[OsString]) -> String {
    let mut word = [0];
    if let Err(error) = io::Read::read_exact(&mut io::stdin(), &mut word) {
        return failed("nobody wants to be connected", error);
    }
    let marker = std::env::var(MARKER_VARIABLE).unwrap_or_default();
    failed(
        "cannot start pasta",
        Command::new(pasta).arg0(connection_name(&marker)).args(args).stdin(Stdio::null()).exec(),
    )
}

/// Moves this process to its own namespaces, with the same user.
#[expect(deprecated, reason = "its replacement is unsafe for the sake of descriptors, which stay as they are")]
fn separate() -> Result<(), String> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::FS;
    let separated = rustix::thread::unshare(flags).map_err(io::Error::from);
    // user_namespaces(7): the groups can be mapped only after changes of groups are denied.
    let mapped = separated.and_then(|()| {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
    });
    mapped.map_err(|error| failed("this machine gives no user and network namespace", error))
}

/// Creates another network for this process, in the same user namespace.
#[expect(deprecated, reason = "its replacement is unsafe for the sake of descriptors, which stay as they are")]
fn new_network() -> io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::NEWNET)?)
}

/// Lets the waiting process become pasta, and waits until pasta has attached the network and runs
/// in the background.
fn connect(mut connection: Child, said: &mut File) -> Result<(), String> {
    let go = connection.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(b"\n"));
    let status = go.and_then(|()| connection.wait()).map_err(|error| failed("cannot wait for pasta", error))?;
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    let _nothing_to_read = said.rewind().and_then(|()| io::Read::read_to_end(said, &mut text));
    // Skips the complaints about a missing system logger in every other line.
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.ends_with("to syslog")).collect();
    Err(format!(
        "pasta could not connect the network: {}",
        if lines.is_empty() { status.to_string() } else { lines.join("; ") }
    ))
}

/// Runs `ip` with the lines as its batch, in the current network.
fn set_up(ip: &Path, is_v6: bool, lines: &str) -> Result<(), String> {
    let admin = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
    // The rights for `ip`: a program of a user other than root has no rights of its own.
    let all = rustix::thread::capabilities(None).map_err(|error| failed("cannot read the rights", error))?;
    let lent = rustix::thread::set_capabilities(None, CapabilitySets { inheritable: admin, ..all });
    let lent = lent.and_then(|()| {
        admin.iter().try_for_each(|right| rustix::thread::configure_capability_in_ambient_set(right, true))
    });
    lent.map_err(|error| failed("cannot lend the right to set up the network", error))?;
    let family = if is_v6 { "-6" } else { "-4" };
    let ran = Command::new(ip)
        .args([family, "-batch", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let ran = ran.and_then(|mut ip| {
        let written = ip.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(lines.as_bytes()));
        let output = ip.wait_with_output()?;
        written.map(|()| output)
    });
    let output = ran.map_err(|error| failed("cannot set up the network", error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("cannot set up the network: {}", String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")))
}

/// Replaces a file with a text, for this process and its children. A missing file is not read by
/// any program, so it needs no replacement.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let mut own = tempfile::NamedTempFile::new()?;
    own.write_all(text.as_bytes())?;
    // Also readable for programs that change their user.
    std::fs::set_permissions(own.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    rustix::mount::mount_bind(own.path(), file)?;
    // The name is removed; the file exists as long as it is mounted.
    own.close()
}

/// Drops all rights of a new user namespace, so that no later program can regain them, not even as
/// root.
fn give_up_rights() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    for capability in CapabilitySet::all() {
        // The kernel cannot grant capabilities that it does not know.
        if rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false) {
            rustix::thread::remove_capability_from_bounding_set(capability)?;
        }
    }
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_arguments_need_the_network_command() {
        let args = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            network_arguments(&args(&["kastrel", "scanner-network", "run", "kast", "-v"])),
            Some(&args(&["run", "kast", "-v"])[..])
        );
        assert_eq!(network_arguments(&args(&["kastrel", "scan", "scanner-network"])), None);
        assert_eq!(network_main(&args(&["kast"])), ExitCode::from(EXIT_CODE));
    }
}
