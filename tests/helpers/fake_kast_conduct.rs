//! How the fake KAST behaves towards its machine: the processes that it leaves behind, the
//! resources that it takes, and what it tries to read and to reach.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::write;

/// Runs a process that never ends by itself and ignores SIGINT and SIGTERM.
pub(super) async fn child(kind: &str) -> ExitCode {
    if kind == "session" {
        rustix::process::setsid().unwrap();
    }
    let _ignored = (signal(SignalKind::interrupt()).unwrap(), signal(SignalKind::terminate()).unwrap());
    println!("{kind} child is ready");
    std::future::pending().await
}

/// Starts two children, and waits until they are ready.
#[expect(clippy::zombie_processes, reason = "nobody waiting for them is the bad behaviour that is played")]
pub(super) fn family() {
    for kind in ["group", "session"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["play-child", kind]).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        println!("{line}");
    }
}

/// Starts a child that keeps no mark of its origin except its parent.
#[expect(clippy::zombie_processes, reason = "nobody waiting for it is the bad behaviour that is played")]
pub(super) fn stranger(out: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["play-child", "session"])
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    write(out, "stranger.pid", child.id().to_string().as_bytes());
}

/// Returns the first line that a child prints, which it does when it is ready.
fn first_line(child: &mut std::process::Child) -> String {
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    line.trim().to_owned()
}

/// Starts a process without any mark of its origin, not even its parent: it forks twice, and has a
/// new session and an empty environment.
pub(super) fn escape(out: &Path, is_forged: bool) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["play-child", "escape"]).env_clear().stdout(std::process::Stdio::piped());
    if is_forged {
        let marker = std::env::var("KASTREL_ATTEMPT").unwrap();
        let (data, run) = (marker.split(':').next().unwrap(), marker.rsplit(':').next().unwrap());
        command.env("KASTREL_KEEPER", format!("{data}:keeper:{run}"));
    }
    let mut between = command.spawn().unwrap();
    let line = first_line(&mut between);
    between.wait().unwrap();
    println!("{line}");
    write(out, "escaped.pid", line.trim_start_matches("escaped ").as_bytes());
}

/// Runs the process between the scanner and the escaping process. It ends immediately.
pub(super) fn escaping() -> ExitCode {
    rustix::process::setsid().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["play-child", "session"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    first_line(&mut child);
    println!("escaped {}", child.id());
    ExitCode::SUCCESS
}

/// Starts copies of itself until the system refuses one, and then tries again.
pub(super) fn bomb() -> ExitCode {
    let mut is_refused = false;
    loop {
        let started = Command::new(std::env::current_exe().unwrap()).args(["play-child", "bomb"]).env_clear().spawn();
        if started.is_err() && !is_refused {
            is_refused = true;
            println!("bomb refused");
            std::io::stdout().flush().unwrap();
        }
    }
}

pub(super) fn eat() {
    const CHUNK: usize = 16 << 20;
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    while eaten.len() < (2 << 30) / CHUNK {
        let mut chunk = Vec::new();
        if chunk.try_reserve_exact(CHUNK).is_err() {
            println!("memory refused after {} MiB", eaten.len() * (CHUNK >> 20));
            return;
        }
        chunk.resize(CHUNK, 1);
        eaten.push(chunk);
    }
    println!("memory was not refused");
}

pub(super) fn look() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines().filter(|line| {
        ["Uid:", "Gid:", "Groups:", "CapEff:", "CapPrm:", "NoNewPrivs:"].iter().any(|name| line.starts_with(name))
    }) {
        println!("look {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    for file in ["oom_score_adj", "cgroup"] {
        println!(
            "look {file} {}",
            std::fs::read_to_string(format!("/proc/self/{file}")).unwrap().lines().last().unwrap_or_default()
        );
    }
    let parent = std::os::unix::process::parent_id();
    println!("look keeper {} {parent}", std::fs::read_to_string(format!("/proc/{parent}/comm")).unwrap().trim());
    for descriptor in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if let Ok(file) = std::fs::read_link(descriptor.path()).map(|file| file.display().to_string()).map_err(drop)
            && file.starts_with("/etc")
        {
            println!("look open {file}");
        }
    }
    println!("look core {:?}", rustix::process::getrlimit(rustix::process::Resource::Core).maximum);
    for name in ["TMPDIR", "HOME", "USER"] {
        println!("look {name} {}", std::env::var(name).unwrap_or_default());
    }
    let mut tmp: Vec<String> = std::fs::read_dir("/tmp")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    tmp.sort();
    println!("look /tmp {}", tmp.join(","));
    std::fs::write(Path::new(&std::env::var("TMPDIR").unwrap()).join("kept"), "x").unwrap();
    if tmp.is_empty() {
        std::fs::write("/tmp/kastrel-fake-kast", "x").unwrap();
    }
}

/// Reads `FAKE_KAST_SPY`: comma-separated paths and process ids. `@keeper` is the parent process,
/// and `@server` is the parent of the keeper.
pub(super) fn spy() {
    let parent = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().to_owned()
    };
    let keeper = parent("self");
    let wanted =
        std::env::var("FAKE_KAST_SPY").unwrap().replace("@server", &parent(&keeper)).replace("@keeper", &keeper);
    for one in wanted.split(',') {
        let tried = match one.parse().ok().and_then(rustix::process::Pid::from_raw) {
            Some(pid) => rustix::process::test_kill_process(pid).map_err(std::io::Error::from),
            None if Path::new(one).is_dir() => std::fs::read_dir(one).map(drop),
            None => std::fs::read(one).map(drop),
        };
        println!("spy {one} {}", tried.map_or_else(|error| format!("{:?}", error.kind()), |()| "done".into()));
    }
}

pub(super) fn reach() {
    const LIMIT: Duration = Duration::from_secs(2);
    let connect = |wanted: &str| {
        let addresses = std::net::ToSocketAddrs::to_socket_addrs(wanted)?;
        let mut tried = Err(std::io::ErrorKind::NotFound.into());
        for address in addresses {
            tried = std::net::TcpStream::connect_timeout(&address, LIMIT).map(drop);
        }
        tried
    };
    for wanted in std::env::var("FAKE_KAST_REACH").unwrap().split(',') {
        let came = match wanted {
            "dns" => ask_resolver().map(|_| "yes".to_owned()),
            // The test changes the name server's answer while this program runs.
            "turned" => loop {
                match ask_resolver() {
                    Ok(address) if address == "203.0.113.1" => {}
                    asked => break asked,
                }
            },
            "multicast" => Ok(python(MULTICAST, "")),
            _ => match wanted.strip_prefix("device:") {
                Some(address) => Ok(python(BOUND, address)),
                None => connect(wanted).map(|()| "yes".to_owned()),
            },
        };
        println!("reach {wanted} {}", came.unwrap_or_else(|error| format!("{:?}", error.kind())));
    }
}

/// Connects over the first non-loopback interface, regardless of the routes.
const BOUND: &str = "
import socket, sys
host, port = sys.argv[1].rsplit(':', 1)
name = [name for _, name in socket.if_nameindex() if name != 'lo'][0]
s = socket.socket(socket.AF_INET6 if '[' in host else socket.AF_INET)
s.settimeout(3)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
s.connect((host.strip('[]'), int(port)))
print('yes')
";

/// Sends a datagram to a group of each family.
const MULTICAST: &str = "
import socket
index = [index for index, name in socket.if_nameindex() if name != 'lo'][0]
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('ff02::fb', 8085, 0, index))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('0.0.0.0') * 2 + index.to_bytes(4, 'little'))
s.sendto(b'x', ('239.1.2.3', 8085))
print('yes')
";

/// Returns the output of a Python program, or its last line if it fails.
fn python(program: &str, argument: &str) -> String {
    let output = Command::new("python3").args(["-c", program, argument]).output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    String::from_utf8_lossy(&text).trim().lines().last().unwrap_or_default().to_owned()
}

/// Asks the resolver for `rebound.test`, without the hosts file. Returns the address.
fn ask_resolver() -> std::io::Result<String> {
    let text = std::fs::read_to_string("/etc/resolv.conf")?;
    let resolver = text.lines().find_map(|line| line.strip_prefix("nameserver ")).unwrap_or("127.0.0.1");
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send_to(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07rebound\x04test\0\0\x01\0\x01", (resolver, 53))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let [.., a, b, c, d] = answer[..length] else { return Err(std::io::ErrorKind::InvalidData.into()) };
    Ok(format!("{a}.{b}.{c}.{d}"))
}

/// Restricts the files to their user, as some programs do.
pub(super) fn close(out: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(out).unwrap().flatten() {
        // It cannot change files of other users.
        let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o600));
    }
    std::fs::create_dir(out.join("deep")).unwrap();
    std::fs::write(out.join("deep/file"), "x").unwrap();
    std::fs::set_permissions(out.join("deep"), std::fs::Permissions::from_mode(0o700)).unwrap();
}

pub(super) fn flood() {
    let line = [b"flood ".as_slice(), &[b'x'; 121], b"\n"].concat().repeat(512);
    let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
    for chunk in 0..(1 << 30) / line.len() {
        stdout.write_all(&line).unwrap();
        if chunk % 16 == 0 {
            stderr.write_all(&line).unwrap();
        }
    }
}
