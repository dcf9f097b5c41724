//! Tests of users, passwords and certificates.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use std::sync::LazyLock;

use super::*;
use crate::adapters::redis_queue::prefix_of;
use crate::config::RedisUrlError;

/// The rights that the documentation lists for a user.
fn grants() -> Vec<&'static str> {
    static PAGE: LazyLock<String> =
        LazyLock::new(|| std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap());
    PAGE.lines().find(|line| line.starts_with("~{kastrel-")).unwrap().split_whitespace().collect()
}

/// An installation with the prefix that the application uses. The documented rights apply to it.
fn installation() -> RedisOptions {
    RedisOptions { prefix: prefix_of("kastrel", "01a21fb3-5d9c-4b57-8ab5-0f6a8e2f2c11"), ..RedisOptions::default() }
}

async fn add_user(server: &RedisServer, name: &str, rules: &[&str]) {
    let mut command = redis::cmd("ACL");
    command
        .arg("SETUSER")
        .arg(name)
        .arg("on")
        .arg(">pass word/@#")
        .arg("resetkeys")
        .arg("resetchannels")
        .arg("-@all")
        .arg(rules);
    command.exec_async(&mut raw(server).await).await.unwrap();
}

const CREDENTIALS: &str = "kastrel:pass%20word%2F%40%23@";

#[tokio::test]
async fn a_user_with_the_documented_rights_can_do_everything() {
    let server = RedisServer::start().await;
    add_user(&server, "kastrel", &grants()).await;
    let node = open(&server.url_for(CREDENTIALS), "one", &installation());
    connected(&node).await;
    listening(&node, 1).await;
    assert_eq!(node.health().address(), format!("127.0.0.1:{}/0", server.port()));
    let other = open(&server.url(), "two", &installation());
    listening(&other, 1).await;
    let mut heard = other.bus.subscribe();
    node.bus.publish(kastrel_actors::ports::Control::Cancel(ScanId(1))).await;
    heard.recv().await.unwrap();
    send(&*node.queue, signal(1, Priority::Low, 100)).await.unwrap();
    let delivery = next(&node).await;
    node.queue.release(&delivery.receipt, Duration::ZERO).await.unwrap();
    assert_eq!(take(&node).await, 1);
    assert_eq!(node.queue.depth().await.unwrap(), 0);
    // Includes the probe.
    node.link.try_out().await.unwrap();
    assert_eq!(node.queue.trouble(), None);
}

#[tokio::test]
async fn a_missing_signal_right_is_detected_without_a_signal() {
    let server = RedisServer::start().await;
    let without_zadd: Vec<&str> = grants().into_iter().chain(["-zadd"]).collect();
    add_user(&server, "kastrel", &without_zadd).await;
    let node = open(&server.url_for(CREDENTIALS), "one", &installation());
    let error = refusing(&node).await;
    assert!(error.contains("can't run this command") || error.contains("NOPERM"), "{error}");
    add_user(&server, "kastrel", &grants()).await;
    redis::cmd("ACL").arg("SETUSER").arg("kastrel").arg("+zadd").exec_async(&mut raw(&server).await).await.unwrap();
    connected(&node).await;
    assert_eq!(node.queue.trouble(), None);
}

#[tokio::test]
async fn missing_user_rights_are_named() {
    let server = RedisServer::start().await;
    add_user(&server, "kastrel", &["~{kastrel}:*", "+@connection", "+@scripting"]).await;
    let node = open(&server.url_for(CREDENTIALS), "one", &RedisOptions::default());
    let RedisState::Down { error, .. } = down(&node).await else { panic!() };
    assert!(error.contains("can't run this command") || error.contains("permission"), "{error}");
}

#[tokio::test]
async fn a_denied_channel_is_reported_with_the_error_of_redis() {
    let server = RedisServer::start().await;
    let without = |part: &str| -> Vec<&str> { grants().into_iter().filter(|grant| !grant.starts_with(part)).collect() };
    // Every right except the channels: signals work, but no message of other nodes arrives.
    add_user(&server, "kastrel", &without("&")).await;
    let node = open(&server.url_for(CREDENTIALS), "one", &installation());
    connected(&node).await;
    let mut subscription_denied = node.dispatcher.subscription_denied();
    let why = tokio::time::timeout(PATIENCE, subscription_denied.wait_for(Option::is_some))
        .await
        .unwrap()
        .unwrap()
        .clone()
        .unwrap();
    assert!(why.contains("NOPERM") && why.contains("channel"), "{why}");
    assert_eq!(node.health().subscription_denied(), Some(why));
    send(&*node.queue, signal(1, Priority::Low, 0)).await.unwrap();
    assert_eq!(take(&node).await, 1);

    // Only the snapshot channel is denied: control messages still arrive.
    let control_only: Vec<&str> = without("&").into_iter().chain(["&{kastrel-*}:control"]).collect();
    add_user(&server, "kastrel", &control_only).await;
    listening(&node, 1).await;
    tokio::time::timeout(PATIENCE, subscription_denied.wait_for(Option::is_none)).await.unwrap().unwrap();
    drop(node.feed.subscribe());
    tokio::time::timeout(PATIENCE, subscription_denied.wait_for(Option::is_some)).await.unwrap().unwrap();
    let other = open(&server.url(), "two", &installation());
    listening(&other, 1).await;
    let mut control = node.bus.subscribe();
    other.bus.publish(kastrel_actors::ports::Control::Cancel(ScanId(1))).await;
    tokio::time::timeout(PATIENCE, control.recv()).await.unwrap().unwrap();

    // Once permitted, the snapshot channel is subscribed to on the same connection.
    add_user(&server, "kastrel", &grants()).await;
    tokio::time::timeout(PATIENCE, subscription_denied.wait_for(Option::is_none)).await.unwrap().unwrap();
    assert!(*node.dispatcher.live_heard.borrow());
}

#[tokio::test]
async fn a_wrong_password_is_reported_without_repeating_it() {
    let server = RedisServer::start_with(&["--requirepass", "right"]).await;
    for (credentials, expected) in
        [(":hunter2@", "the user or the password was refused"), ("", "NOAUTH Authentication required")]
    {
        let node = open(&server.url_for(credentials), "one", &RedisOptions::default());
        let RedisState::Down { error, .. } = down(&node).await else { panic!() };
        assert_eq!(error, expected);
        let error = send(&*node.queue, signal(1, Priority::Low, 0)).await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let node = open(&server.url_for(":right@"), "one", &RedisOptions::default());
    connected(&node).await;
}

/// Redis in protected mode refuses only connections from other machines, so the test imitates it
/// with its original text.
#[tokio::test]
async fn protected_mode_is_reported_with_a_fix() {
    use tokio::io::AsyncWriteExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://127.0.0.1:{}/0", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let said = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface.\r\n";
            // Redis closes the connection immediately, whether or not the client has read the line.
            let _ = stream.write_all(said).await;
        }
    });
    let node = open(&url, "one", &RedisOptions::default());
    let RedisState::Down { error, .. } = down(&node).await else { panic!() };
    assert!(
        error.contains("protected mode") && error.contains("requirepass") && error.contains("redis.url"),
        "{error}"
    );
    let error = send(&*node.queue, signal(1, Priority::Low, 0)).await.unwrap_err();
    assert!(error.0.to_string().contains("protected mode"), "{error:?}");
}

#[tokio::test]
async fn another_database_is_another_queue() {
    let server = RedisServer::start().await;
    let one = connect(&server, "one").await;
    let two = open(&server.url().replace("/0", "/5"), "two", &RedisOptions::default());
    send(&*one.queue, signal(1, Priority::Low, 0)).await.unwrap();
    send(&*two.queue, signal(2, Priority::Low, 0)).await.unwrap();
    assert_eq!((take(&one).await, take(&two).await), (1, 2));
    let missing = open(&server.url().replace("/0", "/99"), "three", &RedisOptions::default());
    let RedisState::Down { error, .. } = down(&missing).await else { panic!() };
    assert!(error.contains("DB index is out of range") || error.contains("database"), "{error}");
}

#[tokio::test]
async fn groups_with_different_prefixes_do_not_meet() {
    let server = RedisServer::start().await;
    let (one, two) = (
        connect(&server, "one").await,
        open(&server.url(), "two", &RedisOptions { prefix: "other".into(), ..RedisOptions::default() }),
    );
    send(&*one.queue, signal(1, Priority::Low, 0)).await.unwrap();
    nothing_comes(&two).await;
    for bad in ["", "a b", "{x}", &"x".repeat(65)] {
        let options = RedisOptions { prefix: bad.into(), ..RedisOptions::default() };
        let error = RedisConnections::open_with(&server.url(), node("three"), Arc::new(SystemClock), &options).err();
        assert_eq!(error, Some(RedisUrlError::Prefix), "{bad}");
    }
}

#[tokio::test]
async fn a_bad_address_is_refused_at_once() {
    let error = RedisConnections::open("amqp://localhost", node("one"), Arc::new(SystemClock)).err();
    assert_eq!(error, Some(RedisUrlError::Scheme("amqp".into())));
}

/// Writes a certificate for 127.0.0.1 to `folder`; returns the authority's certificate in PEM.
fn certify(folder: &Path) -> Vec<u8> {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    authority.pem().into_bytes()
}

#[tokio::test]
async fn tls_is_used_and_the_certificate_is_checked() {
    let folder = TempDir::new().unwrap();
    let authority = certify(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key, ca) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
    let options = [
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "secret",
    ];
    let server = RedisServer::start_with(&options).await;
    let trusting = RedisOptions { root_certificate: Some(authority), ..RedisOptions::default() };
    let node = open(&server.url_for(":secret@"), "one", &trusting);
    connected(&node).await;
    listening(&node, 1).await;
    send(&*node.queue, signal(1, Priority::Low, 0)).await.unwrap();
    assert_eq!(take(&node).await, 1);

    let other = TempDir::new().unwrap();
    for stranger in [
        RedisOptions { root_certificate: Some(certify(other.path())), ..RedisOptions::default() },
        RedisOptions::default(),
    ] {
        let node = open(&server.url_for(":secret@"), "two", &stranger);
        let RedisState::Down { error, .. } = down(&node).await else { panic!() };
        assert!(error.contains("certificate"), "{error}");
    }
    let plain = open(&server.url_for(":secret@").replace("rediss:", "redis:"), "three", &RedisOptions::default());
    let RedisState::Down { error, .. } = down(&plain).await else { panic!() };
    assert!(!error.contains("secret"), "{error}");

    let garbage = RedisOptions {
        root_certificate: Some(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_vec()),
        ..RedisOptions::default()
    };
    let error =
        RedisConnections::open_with(&server.url(), super::node("four"), Arc::new(SystemClock), &garbage).err().unwrap();
    assert!(matches!(error, RedisUrlError::Certificate(_)), "{error}");
}
