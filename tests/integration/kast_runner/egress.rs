//! Tests which addresses an attempt can reach, with and without the egress limit, in a private
//! network.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use kastrel::adapters::kast_runner::{EgressLimit, KastRunnerConfig, RunAs, ScannerCommand};
use kastrel_actors::model::FailureKind;
use kastrel_actors::ports::{StartError, StopMode};

use super::stage::{PATIENCE, Stage, fake_kast_at, marked};
use crate::private_network::{self, ELSEWHERE, ELSEWHERE_V6, HERE, HERE_V6, Listener, NameServer};

/// Creates a stage on which the fake KAST tries to reach `wanted`.
async fn reaching(wanted: &[String], limit: Option<EgressLimit>, change: impl FnOnce(&mut KastRunnerConfig)) -> Stage {
    Stage::with(|config| {
        config.env_extra =
            vec![("FAKE_KAST".into(), "reach-1p".into()), ("FAKE_KAST_REACH".into(), wanted.join(",").into())];
        config.isolation.as_mut().unwrap().egress = limit;
        change(config);
    })
    .await
}

/// Returns the fake KAST's result for each address that it tried.
fn tried(log: &Path) -> BTreeMap<String, String> {
    let log = std::fs::read_to_string(log).unwrap();
    log.lines()
        .filter_map(|line| line.strip_prefix("reach ")?.split_once(' '))
        .map(|(wanted, came)| (wanted.to_owned(), came.to_owned()))
        .collect()
}

async fn scan(stage: &Stage, target: &str) -> BTreeMap<String, String> {
    let job = stage.job(target);
    let log = stage.runner.paths(&job).log;
    let ended = stage.start(job).await.unwrap().ended(None).await;
    assert_eq!(ended.name, "completed", "{}", ended.detail());
    assert_eq!(ended.report.notes, Vec::<String>::new(), "its connection is nothing that the scanner left");
    tried(&log)
}

#[test]
fn an_attempt_reaches_its_target_and_the_resolver_alone() {
    private_network::within(|| async {
        let _names = NameServer::serve(Ipv4Addr::new(127, 0, 0, 53));
        let (target, other) = (Listener::bind(HERE).await, Listener::bind(ELSEWHERE).await);
        let other_v6 = Listener::bind(ELSEWHERE_V6.parse::<std::net::Ipv6Addr>().unwrap()).await;
        let loopback = Listener::bind(Ipv4Addr::LOCALHOST).await;
        let wanted: Vec<String> = [&target, &other, &other_v6, &loopback]
            .iter()
            .map(|one| one.address.to_string())
            .chain(["dns".into()])
            .collect();

        let open = reaching(&wanted, None, |_| ()).await;
        let came = scan(&open, "203.0.113.1").await;
        assert!(wanted.iter().all(|one| came[one] == "yes"), "without the limit all of it can be reached: {came:?}");
        let before = (other.accepted(), other_v6.accepted(), loopback.accepted());

        let stage = reaching(&wanted, Some(EgressLimit::default()), |_| ()).await;
        let came = scan(&stage, "203.0.113.1").await;
        assert_eq!((came[&wanted[0]].as_str(), came["dns"].as_str()), ("yes", "yes"), "{came:?}");
        for kept_away in &wanted[1..4] {
            assert_ne!(came[kept_away], "yes", "{kept_away}");
        }
        assert_eq!(
            (other.accepted(), other_v6.accepted(), loopback.accepted()),
            before,
            "nobody else was connected to"
        );
    });
}

#[test]
fn a_program_that_binds_to_the_interface_gets_no_further() {
    private_network::within(|| async {
        let _names = NameServer::serve(HERE);
        let (target, other) = (Listener::bind(HERE).await, Listener::bind(ELSEWHERE).await);
        let other_v6 = Listener::bind(ELSEWHERE_V6.parse::<std::net::Ipv6Addr>().unwrap()).await;
        let group = private_network::join_groups(8085);
        let bound = |one: &Listener| format!("device:{}", one.address);
        let wanted = [bound(&target), bound(&other), bound(&other_v6), "multicast".into()];
        let stage = reaching(&wanted, Some(EgressLimit::default()), |_| ()).await;
        let came = scan(&stage, "203.0.113.1").await;
        assert_eq!((came[&wanted[0]].as_str(), came["multicast"].as_str()), ("yes", "yes"), "{came:?}");
        assert!(came[&wanted[1]] != "yes" && came[&wanted[2]] != "yes", "{came:?}");
        assert_eq!((other.accepted(), other_v6.accepted()), (0, 0));
        assert!(group.iter().all(private_network::is_silent), "no datagram came out");
    });
}

#[test]
fn a_connection_that_ends_early_is_no_clean_scan() {
    private_network::within(|| async {
        let _names = NameServer::serve(HERE);
        let gates = tempfile::tempdir().unwrap();
        let stage = reaching(&[], Some(EgressLimit::default()), |config| {
            config.env_extra =
                vec![("FAKE_KAST".into(), "gated-1p".into()), ("FAKE_KAST_GATES".into(), gates.path().into())];
        })
        .await;
        let mut running = stage.start(stage.job("203.0.113.1")).await.unwrap();
        running.in_progress().await;
        let connections: Vec<String> =
            marked(&stage.id).into_iter().filter(|process| process.contains(" pas")).collect();
        assert_eq!(connections.len(), 1, "{connections:?}");
        let pid =
            connections[0].split(' ').next().unwrap().parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL).unwrap();
        let mut gone = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        // The ends of other tests' children are signals, which interrupt poll(2).
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut gone, None)).unwrap();
        for plugin in ["whatweb", "wafw00f"] {
            std::fs::write(gates.path().join(plugin), "").unwrap();
        }
        let ended = running.ended(None).await;
        assert_eq!(ended.name, "nothing_checked", "{:?}", ended.report);
        assert!(
            ended.report.plugins[0].message.as_deref().unwrap().contains("nothing shows what this plugin reached"),
            "{:?}",
            ended.report.plugins
        );
    });
}

#[test]
fn a_large_list_of_hosts_and_hosts_of_secrets_are_no_argument() {
    private_network::within(|| async {
        let _names = NameServer::serve_beside(HERE, &"203.0.113.99 blocked.example.com\n".repeat(10_000));
        let target = Listener::bind(HERE).await;
        let wanted = [target.address.to_string()];
        let stage =
            reaching(&wanted, Some(EgressLimit::default()), |config| config.env_extra[0].1 = "reach-hang".into()).await;
        let mut running = stage.start(stage.job("203.0.113.1")).await.unwrap();
        running.in_progress().await;
        // Only the scanner receives its target as an argument; the other processes are Kastrel's.
        for process in marked(&stage.id).into_iter().filter(|process| !process.ends_with("fake-kast")) {
            let line =
                std::fs::read(format!("/proc/{}/cmdline", process.split(' ').next().unwrap())).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&line).contains("203.0.113.1"), "{process}");
        }
        running.control.as_ref().unwrap().stop(StopMode::Kill);
        running.ended(None).await;
    });
}

#[test]
fn a_name_leads_where_it_was_checked_to_lead() {
    private_network::within(|| async {
        let names = NameServer::serve(Ipv4Addr::new(127, 0, 0, 53));
        let (target, other) = (Listener::bind(HERE).await, Listener::bind(ELSEWHERE).await);
        let by_name = format!("rebound.test:{}", target.address.port());
        let wanted = [by_name.clone(), other.address.to_string(), "turned".into()];
        let stage = reaching(&wanted, Some(EgressLimit::default()), |_| ()).await;
        // The fake KAST has listed its plugins by now. Below it queries the name server itself, and
        // gets the other address.
        let job = stage.job("rebound.test");
        let log = stage.runner.paths(&job).log;
        let running = stage.start(job).await.unwrap();
        names.turn();
        assert_eq!(running.ended(None).await.name, "completed");
        let came = tried(&log);
        assert_eq!(came[&by_name], "yes", "{came:?}");
        assert_eq!(came["turned"], "203.0.113.2", "the server does lead elsewhere: {came:?}");
        assert_ne!(came[&wanted[1]], "yes", "{came:?}");
        assert_eq!(other.accepted(), 0);
    });
}

#[test]
fn ipv6_targets_and_what_an_operator_allows_are_reached() {
    private_network::within(|| async {
        let _names = NameServer::serve(HERE);
        let (target, other) =
            (Listener::bind(HERE_V6.parse::<std::net::Ipv6Addr>().unwrap()).await, Listener::bind(ELSEWHERE).await);
        let elsewhere = Listener::bind(ELSEWHERE_V6.parse::<std::net::Ipv6Addr>().unwrap()).await;
        let wanted: Vec<String> = [&target, &other, &elsewhere].iter().map(|one| one.address.to_string()).collect();
        let limit = EgressLimit { allow: vec!["203.0.113.0/28".parse().unwrap()] };
        let stage = reaching(&wanted, Some(limit), |_| ()).await;
        let came = scan(&stage, "[2001:db8::1]").await;
        assert_eq!((came[&wanted[0]].as_str(), came[&wanted[1]].as_str()), ("yes", "yes"), "{came:?}");
        assert_ne!(came[&wanted[2]], "yes", "{came:?}");
    });
}

#[test]
fn another_users_attempt_is_limited_and_ended_like_any_other() {
    const USER: u32 = 64_325;
    private_network::within(|| async {
        let _names = NameServer::serve(HERE);
        let (target, other) = (Listener::bind(HERE).await, Listener::bind(ELSEWHERE).await);
        let wanted = [target.address.to_string(), other.address.to_string()];
        let words = |config: &mut KastRunnerConfig, words: &str| {
            let root = config.results_dir.parent().unwrap().to_owned();
            private_network::open_tun(&root);
            fake_kast_at(&root.join("fake-kast"));
            config.scanner = ScannerCommand::kast(root.join("fake-kast"));
            config.env_extra[0].1 = words.into();
            config.isolation.as_mut().unwrap().run_as = Some(RunAs::resolve(&USER.to_string()).unwrap());
        };
        let stage = reaching(&wanted, Some(EgressLimit::default()), |config| words(config, "reach-look-1p")).await;
        let job = stage.job("203.0.113.1");
        let log = stage.runner.paths(&job).log;
        let ended = stage.start(job).await.unwrap().ended(None).await;
        assert_eq!(ended.name, "completed", "{}", ended.detail());
        let came = tried(&log);
        assert!(came[&wanted[0]] == "yes" && came[&wanted[1]] != "yes", "{came:?}");
        let log = std::fs::read_to_string(log).unwrap();
        for line in [
            format!("look Uid: {USER} {USER} {USER} {USER}"),
            "look CapPrm: 0000000000000000".into(),
            "look CapEff: 0000000000000000".into(),
        ] {
            assert!(log.lines().any(|one| one == line), "{line}: {log}");
        }

        let hanging = reaching(&wanted, Some(EgressLimit::default()), |config| words(config, "hang-stubborn")).await;
        for mode in [StopMode::Graceful, StopMode::Kill] {
            let mut running = hanging.start(hanging.job("203.0.113.1")).await.unwrap();
            running.in_progress().await;
            assert!(
                marked(&hanging.id).iter().any(|process| process.contains("pas")),
                "it is connected: {:?}",
                marked(&hanging.id)
            );
            running.control.as_ref().unwrap().stop(mode);
            running.ended(None).await;
            assert_eq!(marked(&hanging.id), Vec::<String>::new(), "{mode:?}");
        }
    });
}

#[test]
fn a_target_on_this_machine_is_refused_with_the_reason() {
    private_network::within(|| async {
        let stage = reaching(&[], Some(EgressLimit::default()), |_| ()).await;
        for target in ["127.0.0.1", "localhost", "[::1]"] {
            let refused = stage.start(stage.job(target)).await.err().unwrap();
            let StartError::Failed(failure) = refused else { panic!("{refused:?}") };
            assert_eq!(failure.kind, FailureKind::NotStarted);
            assert!(
                failure.detail.contains("this machine itself, which an attempt cannot reach with scans.egress_limit"),
                "{}",
                failure.detail
            );
        }
    });
}

#[test]
fn where_it_cannot_be_limited_nothing_starts() {
    private_network::within(|| async {
        // The test removes the default routes, so an attempt has no address to connect to.
        for family in ["-4", "-6"] {
            assert!(
                std::process::Command::new("ip").args([family, "route", "del", "default"]).status().unwrap().success()
            );
        }
        let root = tempfile::tempdir().unwrap();
        let mut config = KastRunnerConfig::new(
            ScannerCommand::kast(super::stage::fake_kast()),
            root.path().join("results"),
            root.path().join("cache"),
            "x",
        );
        let isolation = config.isolation.as_mut().unwrap();
        isolation.keeper = env!("CARGO_BIN_EXE_kastrel").into();
        isolation.egress = Some(EgressLimit::default());
        let made =
            tokio::time::timeout(PATIENCE, async { kastrel::adapters::kast_runner::KastRunner::new(config).err() })
                .await
                .unwrap();
        let why = made.unwrap().to_string();
        assert!(why.starts_with("scans.egress_limit: pasta could not connect the network: "), "{why}");
        assert!(!why.contains("syslog"), "{why}");
    });
}
