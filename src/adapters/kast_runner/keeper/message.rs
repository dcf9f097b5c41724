//! Encodes and decodes the frames between the node and a keeper. This module makes no decisions.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// The maximum size of a frame's content in bytes. It exceeds the kernel's limit for the arguments
/// and the environment of a program.
const MOST_BYTES: u32 = 16 << 20;
/// The maximum number of descriptors with a frame.
const MOST_DESCRIPTORS: usize = 3;
const HEAD: usize = 5;

/// A request of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Start,
    Exit,
    Collect,
}

impl Request {
    const ALL: [(Self, u8); 3] = [(Self::Start, b'S'), (Self::Exit, b'E'), (Self::Collect, b'C')];

    fn letter(self) -> u8 {
        Self::ALL.iter().find(|(request, _)| *request == self).map_or(0, |(_, letter)| *letter)
    }

    fn read(letter: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == letter).map(|(request, _)| *request)
    }
}

/// The description of a scanner to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Start {
    pub(in super::super) program: PathBuf,
    /// The folder for its temporary files. It is mounted as its `/tmp` if the machine allows that.
    pub(in super::super) tmp: PathBuf,
    pub(in super::super) args: Vec<OsString>,
    pub(in super::super) environment: Vec<(OsString, OsString)>,
    /// The serialized network that limits the scanner.
    pub(in super::super) network: Option<String>,
}

/// The error for a frame that violates the protocol.
fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Start {
    /// Encodes texts, each with a terminating zero byte. No text contains a zero byte.
    fn encode(&self) -> Vec<u8> {
        let count = self.args.len().to_string();
        let network = self.network.as_deref().unwrap_or_default();
        let head = [
            self.program.as_os_str().as_bytes(),
            self.tmp.as_os_str().as_bytes(),
            network.as_bytes(),
            count.as_bytes(),
        ];
        let args = self.args.iter().map(|arg| arg.as_bytes());
        let environment = self.environment.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        head.into_iter().chain(args).chain(environment).flat_map(|text| text.iter().copied().chain([0])).collect()
    }

    fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut texts: Vec<OsString> =
            bytes.split(|byte| *byte == 0).map(|text| OsString::from_vec(text.to_vec())).collect();
        // The empty text after the last zero byte.
        texts.pop();
        let mut texts = texts.into_iter();
        let mut next = || texts.next().ok_or_else(|| broken("an order is too short"));
        let (program, tmp, network, count) = (next()?, next()?, next()?, next()?);
        let network = network.into_string().map_err(|_| broken("a network is no text"))?;
        let network = (!network.is_empty()).then_some(network);
        let count: usize =
            count.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| broken("an order has no count"))?;
        let args: Vec<OsString> = texts.by_ref().take(count).collect();
        if args.len() < count {
            return Err(broken("an order lacks arguments"));
        }
        let mut environment = Vec::new();
        while let Some(name) = texts.next() {
            environment.push((name, texts.next().ok_or_else(|| broken("a variable has no value"))?));
        }
        Ok(Self { program: program.into(), tmp: tmp.into(), args, environment, network })
    }

    /// Returns true if no text contains a zero byte, which would end it early.
    fn is_plain(&self) -> bool {
        let texts = self.args.iter().chain(self.environment.iter().flat_map(|(name, value)| [name, value]));
        let own =
            [self.program.as_os_str(), self.tmp.as_os_str(), self.network.as_deref().unwrap_or_default().as_ref()];
        texts.map(OsString::as_os_str).chain(own).all(|text| !text.as_bytes().contains(&0))
    }
}

/// Sends a request without content.
pub(super) fn ask(stream: &mut UnixStream, request: Request) -> io::Result<()> {
    stream.write_all(&frame_head(request, 0)?)
}

/// Sends a request to start a scanner, with its descriptors.
pub(super) fn send_start(
    stream: &mut UnixStream,
    start: &Start,
    descriptors: &[BorrowedFd<'_>; MOST_DESCRIPTORS],
) -> io::Result<()> {
    if !start.is_plain() {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error()));
    }
    let content = start.encode();
    let head = frame_head(Request::Start, content.len())?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    // The descriptors are sent with the first byte. The kernel may send only a part of the rest.
    let send = || rustix::net::sendmsg(stream.as_fd(), &[IoSlice::new(&head)], &mut control, SendFlags::NOSIGNAL);
    let sent = rustix::io::retry_on_intr(send)?;
    stream.write_all(&head[sent..])?;
    stream.write_all(&content)
}

fn frame_head(request: Request, length: usize) -> io::Result<[u8; HEAD]> {
    let length = u32::try_from(length).ok().filter(|length| *length <= MOST_BYTES);
    // The same error as the kernel's for a command line that is too long.
    let length = length.ok_or_else(|| io::Error::from_raw_os_error(rustix::io::Errno::TOOBIG.raw_os_error()))?;
    let [a, b, c, d] = length.to_le_bytes();
    Ok([request.letter(), a, b, c, d])
}

/// A request as received by the keeper.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) request: Request,
    content: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Received {
    pub(super) fn start(&self) -> io::Result<Start> {
        Start::decode(&self.content)
    }
}

/// Reads a request. Returns `None` at the end of the connection.
pub(super) fn receive(stream: &mut UnixStream) -> io::Result<Option<Received>> {
    let mut head = [0; HEAD];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let receive = || {
        rustix::net::recvmsg(stream.as_fd(), &mut [IoSliceMut::new(&mut head)], &mut control, RecvFlags::CMSG_CLOEXEC)
    };
    let read = rustix::io::retry_on_intr(receive)?.bytes;
    if read == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    stream.read_exact(&mut head[read..])?;
    let [letter, length @ ..] = head;
    let request = Request::read(letter).ok_or_else(|| broken("an unknown request"))?;
    let length = u32::from_le_bytes(length);
    if length > MOST_BYTES {
        return Err(broken("a request is too long"));
    }
    let mut content = Vec::new();
    stream.take(length.into()).read_to_end(&mut content)?;
    if content.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Received { request, content, descriptors }))
}

/// A response of the keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Started(i32),
    /// The errno of the failure.
    Failed(i32),
    Code(i32),
    Signal(i32),
    Runs,
    Idle,
    Left,
}

impl Answer {
    fn line(self) -> String {
        match self {
            Self::Started(pid) => format!("started {pid}\n"),
            Self::Failed(errno) => format!("failed {errno}\n"),
            Self::Code(code) => format!("code {code}\n"),
            Self::Signal(signal) => format!("signal {signal}\n"),
            Self::Runs => "runs\n".into(),
            Self::Idle => "idle\n".into(),
            Self::Left => "left\n".into(),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (word, number) = line.split_once(' ').map_or((line, None), |(word, number)| (word, number.parse().ok()));
        Some(match (word, number) {
            ("started", Some(pid)) => Self::Started(pid),
            ("failed", Some(errno)) => Self::Failed(errno),
            ("code", Some(code)) => Self::Code(code),
            ("signal", Some(signal)) => Self::Signal(signal),
            ("runs", None) => Self::Runs,
            ("idle", None) => Self::Idle,
            ("left", None) => Self::Left,
            _ => return None,
        })
    }

    pub(super) fn send(self, stream: &mut UnixStream) -> io::Result<()> {
        stream.write_all(self.line().as_bytes())
    }

    /// Reads a response. Fails if the keeper is gone.
    pub(super) fn read(stream: &mut UnixStream) -> io::Result<Self> {
        const LONGEST: usize = 64;
        // Reads byte by byte, because a buffer could take bytes of the next response.
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LONGEST {
            stream.read_exact(&mut byte)?;
            if byte == *b"\n" {
                return std::str::from_utf8(&line)
                    .ok()
                    .and_then(Self::parse)
                    .ok_or_else(|| broken("an unknown answer"));
            }
            line.extend(byte);
        }
        Err(broken("an answer is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(args: &[&str]) -> Start {
        let environment =
            vec![("A".into(), OsString::from_vec(b"b\xff=c".to_vec())), ("EMPTY".into(), OsString::new())];
        Start {
            program: "/opt/kast".into(),
            tmp: "/t".into(),
            args: args.iter().map(OsString::from).collect(),
            environment,
            network: None,
        }
    }

    #[test]
    fn start_request_arrives_with_its_descriptors() {
        let (mut node, mut keeper) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let order = start(&["-t", "", "a b\n"]);
        send_start(&mut node, &order, &[file.as_fd(), file.as_fd(), file.as_fd()]).unwrap();
        ask(&mut node, Request::Collect).unwrap();
        let received = receive(&mut keeper).unwrap().unwrap();
        assert_eq!(
            (received.request, received.start().unwrap(), received.descriptors.len()),
            (Request::Start, order, 3)
        );
        assert_eq!(receive(&mut keeper).unwrap().unwrap().request, Request::Collect);
        drop(node);
        assert!(receive(&mut keeper).unwrap().is_none());
    }

    #[test]
    fn malformed_requests_are_refused() {
        for bytes in
            [&b""[..], b"/kast\0", b"/kast\0/t\0one\0", b"/kast\x00/t\x002\0one\0", b"/kast\x00/t\x000\0NAME\0"]
        {
            assert!(Start::decode(bytes).is_err(), "{bytes:?}");
        }
        let (mut node, mut keeper) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let descriptors = [file.as_fd(), file.as_fd(), file.as_fd()];
        assert_eq!(
            send_start(&mut node, &start(&["a\0b"]), &descriptors).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        let long = "x".repeat(MOST_BYTES as usize);
        assert_eq!(
            send_start(&mut node, &start(&[&long]), &descriptors).unwrap_err().kind(),
            io::ErrorKind::ArgumentListTooLong
        );
        node.write_all(b"Q\0\0\0\0").unwrap();
        assert!(receive(&mut keeper).is_err());
        node.write_all(b"S\xff\xff\xff\xff").unwrap();
        assert!(receive(&mut keeper).is_err());
    }

    #[test]
    fn keeper_responses_round_trip() {
        let (mut node, mut keeper) = UnixStream::pair().unwrap();
        for answer in [
            Answer::Started(7),
            Answer::Failed(2),
            Answer::Code(-1),
            Answer::Signal(9),
            Answer::Runs,
            Answer::Idle,
            Answer::Left,
        ] {
            answer.send(&mut keeper).unwrap();
            assert_eq!(Answer::read(&mut node).unwrap(), answer);
        }
        for line in ["started", "started x", "idle 1", "", "bye"] {
            assert_eq!(Answer::parse(line), None, "{line}");
        }
        drop(keeper);
        assert!(Answer::read(&mut node).is_err());
    }
}
