//! Sends hellos to a server, and detects the suites of a version one after the other.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{Answer, is_enough, read_answer};
use super::hello::client_hello;
use super::suite::Suite;
use super::survey::{End, Survey};
use super::version::Version;

/// The limit for the part of a server's first flight that is read, in bytes. A certificate chain
/// rarely has 10 KiB.
const MAX_FLIGHT: usize = 64 * 1024;

/// The limit for the suites of one version.
const MAX_SUITES: usize = 60;

/// The address and the parameters of a probe.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The name for SNI.
    pub name: Option<&'a str>,
    /// The time limit of one hello.
    pub limit: Duration,
}

impl Probe<'_> {
    /// Sends one hello and reads the answer.
    ///
    /// # Errors
    /// Returns a readable reason if no connection can be opened or no answer arrives in time.
    pub async fn ask(&self, version: Version, suites: &[Suite], whole_flight: bool) -> Result<Answer, String> {
        let mut bytes = Vec::new();
        let talk = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(&client_hello(version, suites, self.name)).await?;
            let mut buffer = [0; 4096];
            while bytes.len() < MAX_FLIGHT && !is_enough(&bytes, whole_flight) {
                match stream.read(&mut buffer).await {
                    Ok(0) => break,
                    Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                    // Some servers answer an unknown version with a reset. Some have sent their
                    // complete answer before it.
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let fault = match timeout(self.limit, talk).await {
            Ok(Ok(())) => return Ok(read_answer(&bytes, version, suites)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                format!("no {}answer within {} s", if bytes.is_empty() { "" } else { "whole " }, self.limit.as_secs())
            }
        };
        // The bytes received before the timeout count if they contain an answer.
        match read_answer(&bytes, version, suites) {
            Answer::Closed | Answer::Unclear(_) => Err(fault),
            answer => Ok(answer),
        }
    }

    /// Detects all suites of one version, in the order in which the server prefers them.
    ///
    /// # Errors
    /// Same as [`Probe::ask`], for the first hello.
    pub async fn survey(&self, version: Version) -> Result<Survey, String> {
        let mut left = version.suites();
        let mut survey =
            Survey { version, suites: Vec::new(), chain: Vec::new(), dh_bits: None, refusal: None, end: End::Complete };
        while !left.is_empty() {
            if survey.suites.len() == MAX_SUITES {
                survey.end = End::Limit;
                break;
            }
            // The certificates and the first Diffie-Hellman key are read once.
            let whole_flight =
                survey.suites.is_empty() || (survey.dh_bits.is_none() && left.iter().any(|suite| suite.is_dhe()));
            match self.ask(version, &left, whole_flight).await {
                Ok(Answer::Accepted(agreement)) => {
                    left.retain(|suite| *suite != agreement.suite);
                    survey.suites.push(agreement.suite);
                    survey.dh_bits = survey.dh_bits.or(agreement.dh_bits);
                    if survey.chain.is_empty() {
                        survey.chain = agreement.chain;
                    }
                    continue;
                }
                Ok(refusal) if survey.suites.is_empty() => survey.refusal = Some(refusal),
                Ok(Answer::Refused(_)) => {}
                Ok(Answer::Unclear(what)) => survey.end = End::Open(what),
                Ok(Answer::Closed) => survey.end = End::Open("the connection was closed".to_owned()),
                Ok(Answer::NotTls) => survey.end = End::Open("an answer was no TLS".to_owned()),
                Err(reason) if survey.suites.is_empty() => return Err(reason),
                Err(reason) => survey.end = End::Lost(reason),
            }
            break;
        }
        Ok(survey)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hello;
    use super::*;

    /// Starts a server that accepts the first offered suite on the first `takes` connections. It
    /// answers all later connections with the bytes of `then`; with `None` it keeps the connection
    /// open and sends nothing.
    async fn server(takes: usize, then: Option<Vec<u8>>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            for count in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut head = [0; 5];
                stream.read_exact(&mut head).await.unwrap();
                let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
                stream.read_exact(&mut record).await.unwrap();
                // The suites come after the message header, the version, the random, an empty
                // session and their length.
                let first = u16::from_be_bytes([record[41], record[42]]);
                let answer = if count < takes {
                    Some([hello(3, first), vec![22, 3, 3, 0, 4, 14, 0, 0, 0]].concat())
                } else {
                    then.clone()
                };
                match answer {
                    Some(bytes) => stream.write_all(&bytes).await.unwrap(),
                    None => held.push(stream),
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn suite_list_records_how_it_ends() {
        let open = |what: &str| End::Open(what.to_owned());
        for (takes, then, end) in [
            (3, Some(vec![21, 3, 3, 0, 2, 2, 40]), End::Complete),
            (3, Some(hello(2, 0x2F)), End::Complete),
            (3, Some(Vec::new()), open("the connection was closed")),
            (3, Some(b"HTTP/1.1 400 Bad Request\r\n".to_vec()), open("an answer was no TLS")),
            (3, Some(hello(3, 0x2F)[..30].to_vec()), open("its hello breaks off")),
            (3, Some(hello(3, 0x1301)), open("it chooses a suite that was not offered, 0x1301")),
            (3, None, End::Lost("no answer within 1 s".to_owned())),
            (MAX_SUITES, Some(Vec::new()), End::Limit),
            (1000, None, End::Limit),
        ] {
            let probe = Probe { address: server(takes, then.clone()).await, name: None, limit: Duration::from_secs(1) };
            let survey = probe.survey(Version::Tls12).await.unwrap();
            assert_eq!((survey.suites.len(), &survey.end), (takes.min(MAX_SUITES), &end), "{then:?}");
            assert_eq!(survey.is_whole(), matches!(end, End::Complete | End::Open(_)));
        }
    }

    #[tokio::test]
    async fn a_version_without_an_answer_is_not_taken_for_a_refusal() {
        let probe = Probe { address: server(0, None).await, name: None, limit: Duration::from_secs(1) };
        assert_eq!(probe.survey(Version::Tls12).await.unwrap_err(), "no answer within 1 s");
    }
}
