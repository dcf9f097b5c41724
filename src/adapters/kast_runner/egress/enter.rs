//! The process that makes an attempt's network, enters it and becomes the scanner.
//!
//! It is started in the scanner's place, with the scanner's user, limits and environment, and has one thread, as a new user namespace wants it. In that order:
//! 1. A shell is started that waits: it becomes pasta, and must not be in the new network.
//! 2. The process gets user, network and mount namespaces of its own. Its user keeps its number, and has rights over the new network alone.
//! 3. Pasta attaches the network to the outside and goes to the background, where the attempt's keeper finds it like everything else that the attempt started.
//! 4. All routes are removed but those to what may be reached, and the kernel's list is read to see that it is so.
//! 5. All rights over the network are given up, for whatever is started from here on, and the scanner takes the process over.
//!
//! Whatever fails ends the process with [`EXIT_CODE`] and the reason on its standard error, which is the attempt's log: without its network a scanner does not start.

use std::ffi::{OsStr, OsString};
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use super::super::environment::MARKER_VARIABLE;
use super::network::{GATEWAYS, INTERFACE, Network, OWN, RESOLVERS};

/// The word on the command line.
pub(in super::super) const COMMAND: &str = "scanner-network";
/// As env(1) and the like say it of themselves.
const EXIT_CODE: u8 = 125;

/// The arguments of this process, if the command line asks for it. Only a keeper starts one; it is no command for people.
#[must_use]
pub fn network_arguments(args: &[OsString]) -> Option<&[OsString]> {
    let [_, command, rest @ ..] = args else { return None };
    (command == COMMAND).then_some(rest)
}

/// Enters the network that the first argument describes, and becomes the program that the others name.
#[must_use]
pub fn network_main(args: &[OsString]) -> ExitCode {
    let why = match args {
        [network, program, args @ ..] => match network.to_str().and_then(|text| serde_json::from_str::<Network>(text).ok()) {
            Some(network) => match enter(&network) {
                Ok(()) => failed("cannot run the scanner", Command::new(program).args(args).exec()),
                Err(why) => why,
            },
            None => "the network's description cannot be read".to_owned(),
        },
        _ => "it is started by Kastrel itself, and is no command for people".to_owned(),
    };
    let _nobody_reads_it = writeln!(io::stderr(), "error: scans.egress_limit: {why}");
    ExitCode::from(EXIT_CODE)
}

fn enter(network: &Network) -> Result<(), String> {
    match &network.tools {
        None => separate()?,
        Some(tools) => {
            let mut said = tempfile::tempfile().map_err(|error| failed("cannot write a temporary file", error))?;
            let connection = prepare_connection(&tools.pasta, &said).map_err(|error| failed("cannot start pasta", error))?;
            separate()?;
            connect(connection, &mut said)?;
            for is_v6 in [false, true] {
                set_routes(&tools.ip, network, is_v6)?;
            }
        }
    }
    let read = |file: &str| std::fs::read_to_string(file).map_err(|error| failed("cannot read the kernel's routes", error));
    // A kernel without IPv6 has no such list.
    let v6 = if Path::new("/proc/self/net/ipv6_route").exists() { read("/proc/self/net/ipv6_route")? } else { String::new() };
    network.verify(&read("/proc/self/net/route")?, &v6)?;
    for (file, text) in [("/etc/hosts", &network.hosts), ("/etc/resolv.conf", &network.resolv_conf)].into_iter().filter(|_| network.tools.is_some()) {
        replace(Path::new(file), text).map_err(|error| failed(&format!("cannot replace {file}"), error))?;
    }
    give_up_rights().map_err(|error| failed("cannot give up the rights over the network", error))
}

fn failed(what: &str, error: impl Into<io::Error>) -> String {
    format!("{what}: {}", error.into())
}

/// Starts the shell that becomes pasta. `said` gets what it says.
fn prepare_connection(pasta: &Path, said: &std::fs::File) -> io::Result<Child> {
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "read -r _ && exec \"$@\"", "sh"]).arg(pasta);
    command.args(["--quiet", "--config-net", "--ns-ifname", INTERFACE]);
    // Nobody connects to the attempt, and the attempt reaches the machine by its addresses alone.
    command.args(["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none", "--no-map-gw"]);
    command.args(["--no-dhcp", "--no-dhcpv6", "--no-ra", "--netmask", "30"]);
    for ((own, gateway), resolver) in OWN.iter().zip(GATEWAYS).zip(RESOLVERS) {
        command.args(["--address", own, "--gateway", gateway, "--dns-forward", &resolver.to_string()]);
    }
    if rustix::process::geteuid().is_root() {
        // Root would become `nobody`, who may not touch the new network.
        command.args(["--runas", "0"]);
    }
    command.arg(own);
    let marker = std::env::var_os(MARKER_VARIABLE);
    command.env_clear().envs(marker.iter().map(|marker| (OsStr::new(MARKER_VARIABLE), marker)));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(said.try_clone()?).spawn()
}

/// Puts this process into namespaces of its own, where it is the same user.
#[expect(deprecated, reason = "its replacement is unsafe for the sake of descriptors, which stay as they are")]
fn separate() -> Result<(), String> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::FS;
    let separated = rustix::thread::unshare(flags).map_err(io::Error::from);
    // user_namespaces(7): the groups can be mapped only when they cannot be changed any more.
    let mapped = separated.and_then(|()| {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
    });
    mapped.map_err(|error| failed("this machine gives no user and network namespace", error))
}

/// Lets the shell become pasta, and waits until pasta has attached the network and gone to the background.
fn connect(mut connection: Child, said: &mut std::fs::File) -> Result<(), String> {
    let go = connection.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(b"\n"));
    let status = go.and_then(|()| connection.wait()).map_err(|error| failed("cannot wait for pasta", error))?;
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    let _nothing_to_read = said.rewind().and_then(|()| io::Read::read_to_end(said, &mut text));
    // It complains of a missing system logger in every other line.
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.ends_with("to syslog")).collect();
    Err(format!("pasta could not connect the network: {}", if lines.is_empty() { status.to_string() } else { lines.join("; ") }))
}

/// Removes all routes and adds those that are meant.
fn set_routes(ip: &Path, network: &Network, is_v6: bool) -> Result<(), String> {
    let admin = CapabilitySet::NET_ADMIN;
    // What `ip` is started with: a program of a user other than root has no rights of its own.
    let all = rustix::thread::capabilities(None).map_err(|error| failed("cannot read the rights", error))?;
    let lent = rustix::thread::set_capabilities(None, CapabilitySets { inheritable: admin, ..all })
        .and_then(|()| rustix::thread::configure_capability_in_ambient_set(admin, true));
    lent.map_err(|error| failed("cannot lend the right to set routes", error))?;
    let family = if is_v6 { "-6" } else { "-4" };
    let ran = Command::new(ip).args([family, "-batch", "-"]).env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let ran = ran.and_then(|mut ip| {
        let written = ip.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(network.routes(is_v6).as_bytes()));
        let output = ip.wait_with_output()?;
        written.map(|()| output)
    });
    let output = ran.map_err(|error| failed("cannot set the routes", error))?;
    // Without IPv6 in the kernel there is nothing to set; what is there is verified in any case.
    if output.status.success() || (is_v6 && !Path::new("/proc/self/net/ipv6_route").exists()) {
        return Ok(());
    }
    Err(format!("cannot set the routes: {}", String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")))
}

/// Puts a text in the place of a file, for this process and what it starts. Where there is no such file, nobody reads it.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let mut own = tempfile::NamedTempFile::new()?;
    own.write_all(text.as_bytes())?;
    // Readable also for programs that change their user.
    std::fs::set_permissions(own.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    rustix::mount::mount_bind(own.path(), file)?;
    // The name goes and the file stays, as long as it is mounted.
    own.close()
}

/// Gives up everything that a new user namespace gives, so that no later program gets it back, root's neither.
fn give_up_rights() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    for capability in CapabilitySet::all() {
        // What the kernel does not know cannot be had.
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
    fn the_command_line_is_the_keepers() {
        let args = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(network_arguments(&args(&["kastrel", "scanner-network", "{}", "kast", "-v"])), Some(&args(&["{}", "kast", "-v"])[..]));
        assert_eq!(network_arguments(&args(&["kastrel", "scan", "scanner-network"])), None);
        assert_eq!(network_main(&args(&["{}"])), ExitCode::from(EXIT_CODE));
        assert_eq!(network_main(&args(&["{", "true"])), ExitCode::from(EXIT_CODE));
    }
}
