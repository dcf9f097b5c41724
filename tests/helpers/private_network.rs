//! A private network and private mounts for a test: addresses that no other machine uses, a name
//! server, and none of the machine's own network.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

/// Addresses of the network, all of this machine (RFC 5737, RFC 3849).
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
pub(crate) const HERE_V6: &str = "2001:db8::1";
pub(crate) const ELSEWHERE_V6: &str = "2001:db8::2";

/// Runs a test on a thread with its own network and mounts, which its child processes inherit.
pub(crate) fn within<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    assert!(rustix::process::geteuid().is_root(), "a network of a test's own needs root");
    let body = move || {
        enter();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    };
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

#[expect(deprecated, reason = "its replacement is unsafe for the sake of descriptors, which stay shared")]
fn enter() {
    make_tun(Path::new("/dev/net/tun"), "600");
    rustix::thread::unshare(UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::FS).unwrap();
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).unwrap();
    for line in [
        "link set lo up",
        "link add outside type veth peer name beyond",
        "link set beyond up",
        "address add 203.0.113.1/24 dev outside",
        "address add 203.0.113.2/24 dev outside",
        "address add 2001:db8::1/64 dev outside nodad",
        "address add 2001:db8::2/64 dev outside nodad",
        "link set outside up",
        "route add default via 203.0.113.254",
        "-6 route add default via 2001:db8::fe",
    ] {
        let status = Command::new("ip").args(line.split(' ')).status().expect("`ip` is missing: install iproute2");
        assert!(status.success(), "ip {line}");
    }
}

/// Bind-mounts a file with this text over another one, for this test only. The file must exist as
/// long as the mount.
fn replace(path: &str, text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    rustix::mount::mount_bind(file.path(), path).unwrap();
    file
}

/// Lets every user open tun devices, as most machines do.
pub(crate) fn open_tun(folder: &Path) {
    let device = folder.join("tun");
    make_tun(&device, "666");
    rustix::mount::mount_bind(&device, "/dev/net/tun").unwrap();
}

/// Joins a multicast group of each family, on the external interface.
pub(crate) fn join_groups(port: u16) -> [UdpSocket; 2] {
    let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    v4.join_multicast_v4(&Ipv4Addr::new(239, 1, 2, 3), &HERE).unwrap();
    let v6 = socket_of_v6(port);
    let index = std::fs::read_to_string("/proc/thread-self/net/igmp6")
        .unwrap()
        .lines()
        .find(|line| line.contains(" outside "))
        .and_then(|line| line.split_whitespace().next()?.parse().ok());
    v6.join_multicast_v6(&"ff02::fb".parse().unwrap(), index.unwrap()).unwrap();
    [v4, v6]
}

fn socket_of_v6(port: u16) -> UdpSocket {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
    let socket = socket(AddressFamily::INET6, SocketType::DGRAM, None).unwrap();
    sockopt::set_ipv6_v6only(&socket, true).unwrap();
    bind(&socket, &std::net::SocketAddrV6::new(std::net::Ipv6Addr::UNSPECIFIED, port, 0, 0)).unwrap();
    socket.into()
}

/// Returns true if no datagram has arrived.
pub(crate) fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_nonblocking(true).unwrap();
    socket.recv(&mut [0; 8]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Creates the tun device if it does not exist, as in some containers.
fn make_tun(device: &Path, mode: &str) {
    let make = || {
        std::fs::create_dir_all(device.parent().unwrap()).unwrap();
        Command::new("mknod").args(["-m", mode, device.to_str().unwrap(), "c", "10", "200"]).status().unwrap().success()
    };
    // Another test may have created it in the meantime.
    assert!(device.exists() || make() || device.exists(), "{} cannot be made", device.display());
}

/// A server that accepts and counts connections.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Listener {
    pub(crate) async fn bind(address: impl Into<IpAddr>) -> Self {
        let listener = tokio::net::TcpListener::bind((address.into(), 0)).await.unwrap();
        let (address, accepted) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { address, accepted }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// A name server with one changeable answer: every name resolves to [`HERE`], and after the change
/// to [`ELSEWHERE`].
pub(crate) struct NameServer {
    turned: Arc<AtomicUsize>,
    _files: [tempfile::NamedTempFile; 2],
}

impl NameServer {
    /// Serves on this address, and puts it into the machine's `resolv.conf`.
    pub(crate) fn serve(address: Ipv4Addr) -> Self {
        Self::serve_beside(address, "127.0.0.1 localhost\n")
    }

    /// The same, with a hosts file.
    pub(crate) fn serve_beside(address: Ipv4Addr, hosts: &str) -> Self {
        let files = [replace("/etc/resolv.conf", &format!("nameserver {address}\n")), replace("/etc/hosts", hosts)];
        let socket = UdpSocket::bind((address, 53)).unwrap();
        let turned = Arc::new(AtomicUsize::new(0));
        let state = Arc::clone(&turned);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let address = if state.load(Ordering::Relaxed) == 0 { HERE } else { ELSEWHERE };
                let _gone = socket.send_to(&answer(&query[..length], address), from);
            }
        });
        Self { turned, _files: files }
    }

    pub(crate) fn turn(&self) {
        self.turned.store(1, Ordering::Relaxed);
    }
}

/// Builds a response with one address, or with none for queries other than IPv4 addresses (RFC
/// 1035).
fn answer(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    const HEADER: usize = 12;
    let name = query[HEADER..].iter().position(|byte| *byte == 0).unwrap();
    let question = &query[HEADER..HEADER + name + 5];
    let is_a = question[name + 1..name + 3] == [0, 1];
    let mut answer = [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0], question].concat();
    if is_a {
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}
