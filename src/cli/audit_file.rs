//! `kastrel audit export`: writes the audit log with its seals to a file. `kastrel audit verify`:
//! verifies such a file without anything else, or the log itself.

use std::path::Path;

use jiff::Timestamp;
use kastrel_actors::model::{ChainDigest, SealKey, SealKeyId};
use kastrel_actors::policy::audit_chain::{ChainReport, ChainTrust};
use kastrel_actors::policy::audit_file::{AuditFileCheck, AuditFileError, MAX_LINE};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter};

use super::args::{AuditExportArgs, AuditVerifyArgs};
use super::backend::AuditLines;
use super::backup::STANDARD;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::new_file::NewFile;
use super::text::{bytes, count};
use crate::adapters::audit_key::AuditKey;
use crate::sentence::sentence;

/// How many bytes of a file are read at once.
const CHUNK: usize = 64 << 10;

/// Runs `kastrel audit export`.
///
/// # Errors
/// Neither a server nor the database is available; or the file exists or cannot be written.
pub(super) async fn export(args: &AuditExportArgs, context: &mut Context) -> Result<Exit, CliError> {
    let common = &args.common;
    let config = context.resolve(&common.config, common.flags(), None)?.config;
    let is_stream = args.file.as_os_str() == STANDARD;
    let file = if is_stream { None } else { Some(NewFile::begin(&context.directory.join(&args.file), args.force)?) };
    let Some(session) = context.open(&common.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let written = tokio::select! {
        written = async { write(session.audit_lines(true).await?, file).await } => Some(written),
        () = context.interrupts.next() => None,
    };
    session.close().await;
    let Some(written) = written else { return Ok(Exit::Interrupted) };
    let length = written?;
    let name = args.file.to_string_lossy();
    // Standard output contains the log.
    if is_stream {
        context.output.note(&format!("Exported the audit log: {}", bytes(length)));
    } else if common.json {
        context.output.json(&serde_json::json!({ "file": name, "bytes": length }))?;
    } else {
        context.output.line(&format!("Exported the audit log to {name}: {}", bytes(length)))?;
    }
    Ok(Exit::Done)
}

/// Writes all lines, and returns the number of bytes.
async fn write(lines: AuditLines, file: Option<NewFile>) -> Result<u64, CliError> {
    let Some(mut file) = file else { return copy(lines, tokio::io::stdout()).await };
    let length = copy(lines, BufWriter::with_capacity(CHUNK, &mut file.file)).await?;
    file.finish().await?;
    Ok(length)
}

async fn copy(mut lines: AuditLines, mut into: impl AsyncWrite + Unpin) -> Result<u64, CliError> {
    let (mut length, mut last) = (0, Vec::new());
    while let Some(piece) = lines.next().await? {
        into.write_all(&piece).await?;
        length += piece.len() as u64;
        last.extend_from_slice(&piece);
        // The begin of the last line is enough to recognize it.
        let begin = last.iter().rev().skip(1).position(|byte| *byte == b'\n').map_or(0, |at| last.len() - 1 - at);
        last.drain(..begin);
        last.truncate(MAX_LINE);
    }
    into.flush().await?;
    // A server that stops in the middle breaks the connection; this is for those that do not.
    if !last.starts_with(b"{\"end\":") {
        return Err(CliError::App(Box::new(Incomplete)));
    }
    Ok(length)
}

#[derive(Debug, thiserror::Error)]
#[error("the audit log was not sent to its end")]
struct Incomplete;

/// The source of the lines to verify.
enum Source {
    Log(AuditLines),
    File(Box<dyn AsyncRead + Send + Unpin>),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        match self {
            Self::Log(lines) => Ok(lines.next().await?),
            Self::File(file) => {
                let mut chunk = vec![0; CHUNK];
                let read = file.read(&mut chunk).await.map_err(|error| CliError::App(Box::new(Unreadable(error))))?;
                chunk.truncate(read);
                Ok((read > 0).then_some(chunk))
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("failed to read the file")]
struct Unreadable(#[source] std::io::Error);

/// Runs `kastrel audit verify`.
///
/// # Errors
/// The file is not an exported audit log or cannot be read, or neither a server nor the database is
/// available.
pub(super) async fn verify(args: &AuditVerifyArgs, context: &mut Context) -> Result<Exit, CliError> {
    let trust = ChainTrust { keys: args.key.clone(), seals: args.seal.clone() };
    let verified = match &args.file {
        Some(file) => {
            let source = Source::File(open(&context.directory, file).await?);
            tokio::select! {
                verified = verified(source, trust) => verified?,
                () = context.interrupts.next() => return Ok(Exit::Interrupted),
            }
        }
        None => {
            let common = &args.common;
            let config = context.resolve(&common.config, common.flags(), None)?.config;
            let Some(session) = context.open(&common.server, &config, Role::Offline).await? else {
                return Ok(Exit::Interrupted);
            };
            let verified = tokio::select! {
                verified = async { verified(Source::Log(session.audit_lines(false).await?), trust).await } => Some(verified),
                () = context.interrupts.next() => None,
            };
            session.close().await;
            let Some(verified) = verified else { return Ok(Exit::Interrupted) };
            verified?
        }
    };
    let exit = if verified.report.is_verified() { Exit::Done } else { Exit::Tampered };
    if args.common.json {
        context.output.json(&verified.body())?;
    } else {
        context.output.line(&verified.text(!args.key.is_empty()))?;
    }
    Ok(exit)
}

async fn open(directory: &Path, file: &Path) -> Result<Box<dyn AsyncRead + Send + Unpin>, CliError> {
    if file.as_os_str() == STANDARD {
        return Ok(Box::new(tokio::io::stdin()));
    }
    let path = directory.join(file);
    let opened = File::open(&path).await;
    Ok(Box::new(opened.map_err(|error| CliError::Usage(format!("failed to open {}: {error}", path.display())))?))
}

/// The result of a verification, and the keys that the log names.
struct Verified {
    report: ChainReport,
    keys: Vec<SealKey>,
}

/// Splits a source into lines, and checks them.
async fn verified(mut source: Source, trust: ChainTrust) -> Result<Verified, CliError> {
    let (mut trust, mut check) = (Some(trust), None::<AuditFileCheck>);
    let mut feed = |line: &[u8]| -> Result<(), AuditFileError> {
        match &mut check {
            Some(check) => check.line(line),
            None => {
                let trust = trust.take().unwrap_or_default();
                check = Some(AuditFileCheck::begin(line, AuditKey::check, trust)?);
                Ok(())
            }
        }
    };
    let unusable = |error: AuditFileError| CliError::App(Box::new(error));
    let mut rest = Vec::new();
    while let Some(piece) = source.next().await? {
        let searched = rest.len();
        rest.extend_from_slice(&piece);
        let mut begin = 0;
        while let Some(end) = rest[begin.max(searched)..].iter().position(|byte| *byte == b'\n') {
            let end = begin.max(searched) + end + 1;
            feed(&rest[begin..end]).map_err(unusable)?;
            begin = end;
        }
        rest.drain(..begin);
        if rest.len() > MAX_LINE {
            feed(&rest).map_err(unusable)?;
        }
    }
    if !rest.is_empty() {
        feed(&rest).map_err(unusable)?;
    }
    let check = check.ok_or_else(|| unusable(AuditFileError::NotAnExport("it is empty".into())))?;
    let keys = check.keys().to_vec();
    Ok(Verified { report: check.finish().map_err(unusable)?, keys })
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct Body {
    verified: bool,
    seals: u64,
    /// The seals whose entries were deleted because of their age.
    pruned_seals: u64,
    entries: u64,
    /// The entries that wait for their seal.
    waiting: u64,
    last_seal: Option<LastSeal>,
    keys: Vec<KeyBody>,
    faults: Vec<String>,
    /// The number of further faults.
    more_faults: u64,
}

#[derive(Debug, Serialize)]
struct LastSeal {
    number: u64,
    digest: String,
    at: String,
}

#[derive(Debug, Serialize)]
struct KeyBody {
    id: SealKeyId,
    /// The public key; null if the log does not have it.
    public: Option<SealKey>,
    seals: u64,
}

impl Verified {
    fn body(&self) -> Body {
        let report = &self.report;
        let public = |id: SealKeyId| self.keys.iter().copied().find(|key| key.id() == id);
        let key = |(id, seals): (&SealKeyId, &u64)| KeyBody { id: *id, public: public(*id), seals: *seals };
        let last = |(number, digest, at): (u64, ChainDigest, Timestamp)| LastSeal {
            number,
            digest: digest.to_string(),
            at: at.to_string(),
        };
        Body {
            verified: report.is_verified(),
            seals: report.seals,
            pruned_seals: report.pruned,
            entries: report.entries,
            waiting: report.waiting,
            last_seal: report.last.map(last),
            keys: report.keys.iter().map(key).collect(),
            faults: report.faults.iter().map(|fault| sentence(&fault.to_string())).collect(),
            more_faults: report.more_faults,
        }
    }

    fn text(&self, is_pinned: bool) -> String {
        let body = self.body();
        let faults = body.faults.len() as u64 + body.more_faults;
        let mut lines = vec![match faults {
            0 => format!("Verified: {} in {}", entries(body.entries), count(body.seals, "seal")),
            faults => format!(
                "Not verified: {} in {} of {}",
                count(faults, "fault"),
                entries(body.entries),
                count(body.seals, "seal")
            ),
        }];
        lines.extend(body.faults.iter().map(|fault| format!("- {fault}")));
        if body.more_faults > 0 {
            lines.push(format!("- and {} more", body.more_faults));
        }
        if body.pruned_seals > 0 {
            lines.push(format!("Deleted because of their age: the entries of {}", count(body.pruned_seals, "seal")));
        }
        if body.waiting > 0 {
            lines.push(format!("Not sealed yet, and so not verified: {}", entries(body.waiting)));
        }
        if let Some(LastSeal { number, digest, at }) = &body.last_seal {
            lines.push(format!("Last seal: {number}:{digest}, of {at}"));
        }
        for KeyBody { id, public, seals } in &body.keys {
            let key = public.map_or_else(|| format!("{id}, which is not known"), |key| key.to_string());
            lines.push(format!("Key: {key}, of {}", count(*seals, "seal")));
        }
        if !is_pinned && faults == 0 && !body.keys.is_empty() {
            lines.push("The keys are those that the log names. --key accepts only keys that you trust.".into());
        }
        lines.join("\n")
    }
}

fn entries(number: u64) -> String {
    format!("{number} {}", if number == 1 { "entry" } else { "entries" })
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{ChainHead, EntryKey, LooseEntry, SealContent, StoredEntry};
    use kastrel_actors::policy::audit_chain::{seal_digest, seal_of};
    use kastrel_actors::policy::audit_file::AuditFileWriter;
    use kastrel_actors::ports::SealSigner as _;
    use kastrel_actors::testing::Script;

    use super::*;
    use crate::cli::args::ReadArgs;
    use crate::cli::error::chain;
    use crate::cli::scan::tests::World;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(number: i64) -> StoredEntry {
        StoredEntry {
            key: EntryKey { at: at(number), nonce: format!("n{number}") },
            principal: "user:ana".into(),
            scan: None,
            event: "{\"action\":\"queue_resumed\"}".into(),
        }
    }

    /// A file with two seals of two entries, and one entry that waits; and the last seal.
    fn file(key: &AuditKey) -> (String, (u64, ChainDigest)) {
        let mut writer = AuditFileWriter::default();
        let mut file = writer.head(at(50), 2, vec![key.key()]);
        let mut head = ChainHead::default();
        for number in 0..2 {
            let all = [entry(2 * number), entry(2 * number + 1)];
            let (seal, list) = seal_of(&head, &all, at(100 + number), key.key().id(), |bytes| key.sign(bytes)).unwrap();
            head = ChainHead { number: seal.number, digest: seal_digest(&seal), pruned: 0 };
            file.extend(writer.seal(SealContent { seal, entries: list.into_iter().zip(all.map(Some)).collect() }));
        }
        file.extend(writer.loose(LooseEntry { entry: entry(90), waits: true }));
        file.extend(writer.end());
        (String::from_utf8(file).unwrap(), (head.number, head.digest))
    }

    fn args(file: &str, key: Option<SealKey>, seal: Option<(u64, ChainDigest)>) -> AuditVerifyArgs {
        AuditVerifyArgs {
            file: Some(file.into()),
            key: key.into_iter().collect(),
            seal: seal.into_iter().collect(),
            common: ReadArgs::default(),
        }
    }

    #[tokio::test]
    async fn exported_file_is_verified_offline_and_a_change_has_its_own_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let key = AuditKey::open(folder.path()).unwrap();
        let (text, last) = file(&key);
        let mut context = World::new(Script::Hang).context;
        context.directory = folder.path().to_owned();
        std::fs::write(folder.path().join("good"), &text).unwrap();
        std::fs::write(folder.path().join("edited"), text.replacen("user:ana", "user:bob", 1)).unwrap();
        std::fs::write(folder.path().join("short"), &text[..text.len() - 30]).unwrap();
        let other = SealKey::new([1; 32]);
        for (file, key, seal, expected) in [
            ("good", None, None, Exit::Done),
            ("good", Some(key.key()), Some(last), Exit::Done),
            ("good", Some(other), None, Exit::Tampered),
            ("good", None, Some((2, ChainDigest::NONE)), Exit::Tampered),
            ("edited", None, None, Exit::Tampered),
        ] {
            assert_eq!(
                verify(&args(file, key, seal), &mut context).await.unwrap(),
                expected,
                "{file} {key:?} {seal:?}"
            );
        }
        let error = verify(&args("short", None, None), &mut context).await.unwrap_err();
        assert!(error.exit() == Exit::Failed && chain(&error).contains("The file is cut off after line"), "{error}");
        let error = verify(&args("missing", None, None), &mut context).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
    }

    #[tokio::test]
    async fn verification_lists_faults_and_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        std::fs::write(folder.path().join("audit.key"), secret).unwrap();
        let (text, _) = file(&AuditKey::open(folder.path()).unwrap());
        let of = async |text: String| {
            let source = Source::File(Box::new(std::io::Cursor::new(text.into_bytes())));
            verified(source, ChainTrust::default()).await.unwrap()
        };
        let good = of(text.clone()).await.text(false);
        let lines: Vec<&str> = good.lines().collect();
        assert_eq!(lines[0], "Verified: 4 entries in 2 seals");
        assert_eq!(lines[1], "Not sealed yet, and so not verified: 1 entry");
        assert!(lines[2].starts_with("Last seal: 2:") && lines[2].ends_with(", of 1970-01-01T00:01:41Z"), "{good}");
        assert_eq!(lines[3], "Key: d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a, of 2 seals");
        assert!(lines[4].contains("--key"), "{good}");
        let bad = of(text.replacen("user:ana", "user:bob", 1)).await;
        assert_eq!(
            bad.text(false).lines().take(3).collect::<Vec<_>>(),
            [
                "Not verified: 2 faults in 4 entries of 2 seals",
                "- Seal 1: the entry 1970-01-01T00:00:00Z n0 was changed",
                "- The file was changed after it was written",
            ]
        );
        let body = serde_json::to_value(bad.body()).unwrap();
        assert_eq!((&body["verified"], &body["more_faults"]), (&false.into(), &0.into()));
        assert_eq!(body["faults"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn required_keys_and_seals_are_parsed_strictly() {
        use clap::Parser as _;
        let parse = |option: &str, value: &str| {
            crate::cli::Cli::try_parse_from(["kastrel", "audit", "verify", "a", option, value]).is_ok()
        };
        let hex = "ab".repeat(32);
        assert!(parse("--key", &hex) && parse("--seal", &format!("12:{hex}")));
        for wrong in ["", "ab", &hex[..62], &hex.to_uppercase()] {
            assert!(!parse("--key", wrong), "{wrong}");
        }
        for wrong in ["", "12", "12:", &format!("0:{hex}"), &format!("-1:{hex}"), &format!("{hex}:12"), &hex] {
            assert!(!parse("--seal", wrong), "{wrong}");
        }
    }
}
