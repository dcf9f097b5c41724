//! The DNS plugin against a name server on the loopback interface.

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tempfile::tempdir;
use tokio::net::UdpSocket;

use crate::server::{issues, processed, scan, status};

/// Answers TXT queries from a list. Other names below kastrel-site.com exist without records; all
/// other names do not exist.
async fn name_server(texts: &'static [(&'static str, &'static str)]) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let question = query.queries[0].clone();
            let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
            reply.metadata.recursion_desired = true;
            reply.metadata.recursion_available = true;
            let name = question.name().to_string();
            let found = texts
                .iter()
                .filter(|(owner, _)| question.query_type() == RecordType::TXT && format!("{owner}.") == name);
            for (_, text) in found {
                reply.answers.push(Record::from_rdata(
                    question.name().clone(),
                    60,
                    RData::TXT(TXT::new(vec![(*text).to_owned()])),
                ));
            }
            if !name.ends_with("kastrel-site.com.") {
                reply.metadata.response_code = ResponseCode::NXDomain;
            }
            reply.queries.push(question);
            let _ = socket.send_to(&reply.to_vec().unwrap(), peer).await;
        }
    });
    format!("dns_posture.nameserver={address}")
}

#[tokio::test]
async fn dns_records_are_read_and_missing_ones_are_reported() {
    let server = name_server(&[
        ("kastrel-site.com", "v=spf1 +all"),
        ("kastrel-site.com", "other"),
        ("_dmarc.kastrel-site.com", "v=DMARC1; p=none"),
    ])
    .await;
    let folder = tempdir().unwrap();
    let info = scan("www.kastrel-site.com", &["dns_posture"], folder.path(), &[&server]).await;
    assert_eq!(status(&info, "dns_posture"), "success", "{:?}", info.plugins);
    assert_eq!(issues(folder.path(), "dns_posture"), ["spf_permissive", "dmarc_policy_none", "caa_missing"]);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_no_finding() {
    let server = name_server(&[]).await;
    let folder = tempdir().unwrap();
    let info = scan("no-such-site.com", &["dns_posture"], folder.path(), &[&server]).await;
    assert_eq!(status(&info, "dns_posture"), "fail");
    assert!(processed(folder.path(), "dns_posture")["summary"].as_str().unwrap().contains("does not exist"));
}

#[tokio::test]
async fn a_silent_name_server_is_a_failure_in_time() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let folder = tempdir().unwrap();
    let setting = format!("dns_posture.nameserver={}", socket.local_addr().unwrap());
    let info =
        scan("kastrel-site.com", &["dns_posture"], folder.path(), &[&setting, "dns_posture.timeout_seconds=1"]).await;
    assert_eq!(status(&info, "dns_posture"), "fail");
    assert!(info.duration_seconds < 2.0, "{} s", info.duration_seconds);
    assert_eq!(processed(folder.path(), "dns_posture")["findings_count"], 0);
}
