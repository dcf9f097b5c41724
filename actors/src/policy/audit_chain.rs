//! The chain of the audit log: the canonical forms that are digested and signed, new seals, and the
//! check of a chain.
//!
//! A canonical form is a list of fields, each with its length before it as 8 bytes, most
//! significant first. The first field names what it is the form of. Numbers are decimal text, times
//! are nanoseconds since 1970, digests and ids are their hexadecimal text, and a field that is
//! absent is empty.
//!
//! | form | fields |
//! |---|---|
//! | entry | `kastrel audit entry 1`, time, nonce, principal, scan, event |
//! | list of entries | `kastrel audit entries 1`, the digest of each entry |
//! | seal | `kastrel audit seal 1`, number, time, count, time of the newest entry, digest of the list, digest of the seal before, key id |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::model::{
    ChainDigest, ChainHead, EntryKey, LooseEntry, Seal, SealKey, SealKeyId, SealSignature, SealedEntry, StoredEntry,
};

/// The most entries of one seal.
pub const MOST_ENTRIES: usize = 500;

/// The most faults that a report lists; it counts the rest.
pub const MOST_FAULTS: usize = 50;

/// Verifies the ed25519 signature of a text. The check of a chain takes it as an argument, because
/// this crate has no cryptography of its own besides digests.
pub type SignatureCheck = fn(&SealKey, &[u8], &SealSignature) -> bool;

/// A canonical form.
struct Form(Vec<u8>);

impl Form {
    fn of(name: &str) -> Self {
        Self(Vec::new()).with(name.as_bytes())
    }

    fn with(mut self, field: &[u8]) -> Self {
        self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    fn text(self, field: impl fmt::Display) -> Self {
        self.with(field.to_string().as_bytes())
    }

    fn time(self, at: Timestamp) -> Self {
        self.text(at.as_nanosecond())
    }

    fn digest(&self) -> ChainDigest {
        ChainDigest::new(Sha256::digest(&self.0).into())
    }
}

/// Returns the digest of an entry.
#[must_use]
pub fn entry_digest(entry: &StoredEntry) -> ChainDigest {
    let form = Form::of("kastrel audit entry 1").time(entry.key.at).with(entry.key.nonce.as_bytes());
    let form = form.with(entry.principal.as_bytes());
    let form = match entry.scan {
        Some(scan) => form.text(scan),
        None => form.with(b""),
    };
    form.with(entry.event.as_bytes()).digest()
}

fn list_digest<'a>(entries: impl Iterator<Item = &'a ChainDigest>) -> ChainDigest {
    entries.fold(Form::of("kastrel audit entries 1"), Form::text).digest()
}

/// Returns what the signature of a seal signs.
#[must_use]
pub fn signed_bytes(seal: &Seal) -> Vec<u8> {
    form_of(seal).0
}

/// Returns the digest of a seal, which the next seal has.
#[must_use]
pub fn seal_digest(seal: &Seal) -> ChainDigest {
    form_of(seal).digest()
}

fn form_of(seal: &Seal) -> Form {
    let Seal { number, at, count, newest, entries, previous, key, signature: _, pruned_at: _ } = seal;
    Form::of("kastrel audit seal 1")
        .text(number)
        .time(*at)
        .text(count)
        .time(*newest)
        .text(entries)
        .text(previous)
        .text(key)
}

/// Makes the seal of some entries, and the list of them. Returns `None` without entries.
#[must_use]
pub fn seal_of(
    head: &ChainHead,
    entries: &[StoredEntry],
    at: Timestamp,
    key: SealKeyId,
    sign: impl FnOnce(&[u8]) -> SealSignature,
) -> Option<(Seal, Vec<SealedEntry>)> {
    let newest = entries.iter().map(|entry| entry.key.at).max()?;
    let list: Vec<SealedEntry> =
        entries.iter().map(|entry| SealedEntry { key: entry.key.clone(), digest: entry_digest(entry) }).collect();
    let mut seal = Seal {
        number: head.number + 1,
        at,
        count: list.len() as u64,
        newest,
        entries: list_digest(list.iter().map(|entry| &entry.digest)),
        previous: head.digest,
        key,
        signature: SealSignature::new([0; 64]),
        pruned_at: None,
    };
    seal.signature = sign(&signed_bytes(&seal));
    Some((seal, list))
}

/// Returns how many of these seals, the oldest of the chain whose entries exist, are to be pruned:
/// those whose newest entry is older than `before`, up to about `most` entries.
#[must_use]
pub fn prunable(seals: &[Seal], before: Timestamp, most: u64) -> usize {
    let mut entries = 0;
    let is_next = |seal: &&Seal| {
        let is_first = entries == 0;
        entries += seal.count;
        seal.newest < before && (is_first || entries <= most)
    };
    seals.iter().take_while(is_next).count()
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFault {
    /// An entry was changed after it was sealed.
    EntryChanged {
        /// Its seal.
        seal: u64,
        /// The entry.
        key: EntryKey,
    },
    /// An entry was removed after it was sealed.
    EntryMissing {
        /// Its seal.
        seal: u64,
        /// The entry.
        key: EntryKey,
    },
    /// The list of a seal's entries is not the signed one: entries were removed, added or reordered
    /// together with their place in the list.
    EntriesDiffer {
        /// The seal.
        seal: u64,
    },
    /// An entry is in the log, and neither sealed nor waits for its seal.
    EntryInNoSeal {
        /// The entry.
        key: EntryKey,
    },
    /// Seals are missing.
    SealsMissing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// A seal has the number of an earlier one.
    SealRepeated {
        /// The number.
        seal: u64,
    },
    /// A seal does not follow the one before it: one of them was replaced.
    PreviousDiffers {
        /// The later one.
        seal: u64,
    },
    /// The signature of a seal is wrong.
    BadSignature {
        /// The seal.
        seal: u64,
    },
    /// The public key of a seal's signature is not known.
    UnknownKey {
        /// The seal.
        seal: u64,
        /// The id of the key.
        key: SealKeyId,
    },
    /// A key that the reader does not trust signed a seal.
    UntrustedKey {
        /// The first seal that it signed.
        seal: u64,
        /// The id of the key.
        key: SealKeyId,
    },
    /// The entries of a seal are gone as if they had been pruned because of their age, and no entry
    /// of the log says so.
    PrunedWithoutEntry {
        /// The last such seal.
        seal: u64,
    },
    /// A pruned seal follows one with entries. Only the oldest seals are pruned.
    PrunedOutOfOrder {
        /// The pruned seal.
        seal: u64,
    },
    /// A seal that the reader requires is missing or is another one.
    NotTheRequiredSeal {
        /// Its number.
        seal: u64,
    },
    /// The file is not as it was written.
    FileChanged,
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryChanged { seal, key } => write!(f, "seal {seal}: the entry {key} was changed"),
            Self::EntryMissing { seal, key } => write!(f, "seal {seal}: the entry {key} is missing"),
            Self::EntriesDiffer { seal } => {
                write!(f, "seal {seal}: its list of entries is not the one that was sealed")
            }
            Self::EntryInNoSeal { key } => write!(f, "the entry {key} is in no seal and does not wait for one"),
            Self::SealsMissing { first, last } if first == last => write!(f, "seal {first} is missing"),
            Self::SealsMissing { first, last } => write!(f, "seals {first} to {last} are missing"),
            Self::SealRepeated { seal } => write!(f, "seal {seal} is not in its place"),
            Self::PreviousDiffers { seal } => write!(f, "seal {seal} does not follow the seal before it"),
            Self::BadSignature { seal } => write!(f, "seal {seal}: the signature is wrong"),
            Self::UnknownKey { seal, key } => write!(f, "seal {seal}: the key {key} is not known"),
            Self::UntrustedKey { seal, key } => write!(f, "seal {seal}: the key {key} is not trusted"),
            Self::PrunedWithoutEntry { seal } => {
                write!(f, "seal {seal}: its entries are gone, and no entry of the log says that they were pruned")
            }
            Self::PrunedOutOfOrder { seal } => {
                write!(f, "seal {seal}: its entries are gone, but those of an earlier seal are not")
            }
            Self::NotTheRequiredSeal { seal } => write!(f, "seal {seal} is not the required one"),
            Self::FileChanged => f.write_str("the file was changed after it was written"),
        }
    }
}

/// The result of the check of a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainReport {
    /// The number of seals.
    pub seals: u64,
    /// The number of seals whose entries were deleted because of their age.
    pub pruned: u64,
    /// The number of sealed entries that exist.
    pub entries: u64,
    /// The number of entries that wait for their seal.
    pub waiting: u64,
    /// The last seal: its number, its digest and its time.
    pub last: Option<(u64, ChainDigest, Timestamp)>,
    /// The keys that signed seals, each with the number of its seals.
    pub keys: BTreeMap<SealKeyId, u64>,
    /// The first faults, at most [`MOST_FAULTS`].
    pub faults: Vec<ChainFault>,
    /// The number of further faults.
    pub more_faults: u64,
}

impl ChainReport {
    /// Returns true if the chain has no fault.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        self.faults.is_empty()
    }

    /// Adds a fault.
    pub fn fault(&mut self, fault: ChainFault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }
}

/// What a reader requires of a chain beyond that it is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainTrust {
    /// The keys that may have signed seals; all keys of the chain if empty.
    pub keys: Vec<SealKey>,
    /// Seals that the chain must have, each with its digest: what an earlier check reported.
    pub seals: Vec<(u64, ChainDigest)>,
}

/// The seal whose entries are being read.
struct Open {
    seal: Seal,
    digests: Vec<ChainDigest>,
}

/// The check of a chain, which gets the seals in their order, each followed by its entries. It
/// keeps no entry, so a log of any size can be checked.
pub struct ChainCheck {
    check: SignatureCheck,
    keys: BTreeMap<SealKeyId, SealKey>,
    trust: ChainTrust,
    distrusted: BTreeSet<SealKeyId>,
    open: Option<Open>,
    head: ChainHead,
    has_entries: bool,
    /// The last seal that an entry of the log calls pruned.
    said_pruned: u64,
    report: ChainReport,
}

impl ChainCheck {
    /// Begins the check of a chain with these keys.
    #[must_use]
    pub fn new(check: SignatureCheck, keys: &[SealKey], trust: ChainTrust) -> Self {
        Self {
            check,
            keys: keys.iter().map(|key| (key.id(), *key)).collect(),
            trust,
            distrusted: BTreeSet::new(),
            open: None,
            head: ChainHead::default(),
            has_entries: false,
            said_pruned: 0,
            report: ChainReport::default(),
        }
    }

    /// Checks the next seal.
    pub fn seal(&mut self, seal: Seal) {
        self.close();
        self.report.seals += 1;
        let expected = self.head.number + 1;
        if seal.number > expected {
            self.report.fault(ChainFault::SealsMissing { first: expected, last: seal.number - 1 });
        } else if seal.number < expected {
            self.report.fault(ChainFault::SealRepeated { seal: seal.number });
        } else if seal.previous != self.head.digest {
            self.report.fault(ChainFault::PreviousDiffers { seal: seal.number });
        }
        self.signature(&seal);
        let digest = seal_digest(&seal);
        self.head = ChainHead { number: seal.number.max(self.head.number), digest, pruned: self.head.pruned };
        self.report.last = Some((seal.number, digest, seal.at));
        let is_other = |(number, required): &(u64, ChainDigest)| *number == seal.number && *required != digest;
        if self.trust.seals.iter().any(is_other) {
            self.report.fault(ChainFault::NotTheRequiredSeal { seal: seal.number });
        }
        self.trust.seals.retain(|(number, _)| *number != seal.number);
        if seal.pruned_at.is_some() {
            self.report.pruned += 1;
            if self.has_entries {
                self.report.fault(ChainFault::PrunedOutOfOrder { seal: seal.number });
            }
            self.head.pruned = seal.number;
        } else {
            self.has_entries = true;
        }
        self.open = Some(Open { seal, digests: Vec::new() });
    }

    fn signature(&mut self, seal: &Seal) {
        *self.report.keys.entry(seal.key).or_default() += 1;
        let Some(key) = self.keys.get(&seal.key) else {
            self.report.fault(ChainFault::UnknownKey { seal: seal.number, key: seal.key });
            return;
        };
        if !(self.check)(key, &signed_bytes(seal), &seal.signature) {
            self.report.fault(ChainFault::BadSignature { seal: seal.number });
        }
        let is_trusted = self.trust.keys.is_empty() || self.trust.keys.contains(key);
        if !is_trusted && self.distrusted.insert(seal.key) {
            self.report.fault(ChainFault::UntrustedKey { seal: seal.number, key: seal.key });
        }
    }

    /// Checks the next entry of the last seal: as the seal lists it, and as it is stored, if it
    /// exists.
    pub fn entry(&mut self, listed: &SealedEntry, stored: Option<&StoredEntry>) {
        let number = self.head.number;
        let Some(open) = &mut self.open else {
            self.report.fault(ChainFault::EntryInNoSeal { key: listed.key.clone() });
            return;
        };
        open.digests.push(listed.digest);
        let Some(stored) = stored else {
            self.report.fault(ChainFault::EntryMissing { seal: number, key: listed.key.clone() });
            return;
        };
        self.report.entries += 1;
        if stored.key != listed.key || entry_digest(stored) != listed.digest {
            self.report.fault(ChainFault::EntryChanged { seal: number, key: listed.key.clone() });
            return;
        }
        self.note_pruning(&stored.event);
    }

    /// Checks an entry that no seal lists.
    pub fn loose(&mut self, loose: &LooseEntry) {
        if loose.waits {
            self.report.waiting += 1;
            self.note_pruning(&loose.entry.event);
        } else {
            self.report.fault(ChainFault::EntryInNoSeal { key: loose.entry.key.clone() });
        }
    }

    fn note_pruning(&mut self, event: &str) {
        #[derive(Deserialize)]
        struct Pruned {
            action: String,
            through: u64,
        }
        if let Ok(Pruned { action, through }) = serde_json::from_str(event)
            && action == "audit_pruned"
        {
            self.said_pruned = self.said_pruned.max(through);
        }
    }

    fn close(&mut self) {
        let Some(Open { seal, digests }) = self.open.take() else { return };
        let is_listed = digests.len() as u64 == seal.count && list_digest(digests.iter()) == seal.entries;
        let is_pruned = seal.pruned_at.is_some() && digests.is_empty();
        if !is_listed && !is_pruned {
            self.report.fault(ChainFault::EntriesDiffer { seal: seal.number });
        }
    }

    /// Ends the check. `number` is that of the last seal, as the store counts them.
    #[must_use]
    pub fn finish(mut self, number: u64) -> ChainReport {
        self.close();
        if self.head.number < number {
            self.report.fault(ChainFault::SealsMissing { first: self.head.number + 1, last: number });
        }
        if self.head.pruned > self.said_pruned {
            self.report.fault(ChainFault::PrunedWithoutEntry { seal: self.head.pruned });
        }
        for (seal, _) in std::mem::take(&mut self.trust.seals) {
            self.report.fault(ChainFault::NotTheRequiredSeal { seal });
        }
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: SealKey = SealKey::new([7; 32]);

    /// A signature for tests: the digest of the key and the text, twice.
    fn sign(key: &SealKey, bytes: &[u8]) -> SealSignature {
        let digest: [u8; 32] = Sha256::new().chain_update(key.as_bytes()).chain_update(bytes).finalize().into();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&digest);
        signature[32..].copy_from_slice(&digest);
        SealSignature::new(signature)
    }

    fn check(key: &SealKey, bytes: &[u8], signature: &SealSignature) -> bool {
        sign(key, bytes) == *signature
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(number: i64) -> StoredEntry {
        StoredEntry {
            key: EntryKey { at: at(number), nonce: format!("n{number}") },
            principal: "user:ana".into(),
            scan: (number % 2 == 0).then_some(number),
            event: r#"{"action":"queue_resumed"}"#.into(),
        }
    }

    /// A seal with the entries that it lists, and what is stored of each.
    type SealWithEntries = (Seal, Vec<(SealedEntry, Option<StoredEntry>)>);

    #[derive(Clone)]
    struct Chain {
        seals: Vec<SealWithEntries>,
        loose: Vec<LooseEntry>,
        /// The number of the last seal, as the store counts them.
        head: u64,
    }

    /// A chain of 5 seals with 3 entries each, and one entry that waits.
    fn chain() -> Chain {
        let (mut head, mut seals) = (ChainHead::default(), Vec::new());
        for number in 0..5 {
            let entries: Vec<StoredEntry> = (0..3).map(|place| entry(number * 3 + place)).collect();
            let (seal, list) =
                seal_of(&head, &entries, at(100 + number), SECRET.id(), |bytes| sign(&SECRET, bytes)).unwrap();
            head = ChainHead { number: seal.number, digest: seal_digest(&seal), pruned: 0 };
            seals.push((seal, list.into_iter().zip(entries.into_iter().map(Some)).collect()));
        }
        Chain { seals, loose: vec![LooseEntry { entry: entry(90), waits: true }], head: 5 }
    }

    impl Chain {
        fn report(&self) -> ChainReport {
            self.trusting(ChainTrust::default())
        }

        fn trusting(&self, trust: ChainTrust) -> ChainReport {
            let mut checked = ChainCheck::new(check, &[SECRET], trust);
            for (seal, entries) in &self.seals {
                checked.seal(seal.clone());
                for (listed, stored) in entries {
                    checked.entry(listed, stored.as_ref());
                }
            }
            self.loose.iter().for_each(|loose| checked.loose(loose));
            checked.finish(self.head)
        }

        /// Signs the seals from this one on again, as somebody with the key does.
        fn signed_again(mut self, from: usize) -> Self {
            for index in from..self.seals.len() {
                let previous = if index == 0 { ChainDigest::NONE } else { seal_digest(&self.seals[index - 1].0) };
                let (seal, entries) = &mut self.seals[index];
                seal.previous = previous;
                seal.count = entries.len() as u64;
                seal.entries = list_digest(entries.iter().map(|(listed, _)| &listed.digest));
                seal.signature = sign(&SECRET, &signed_bytes(seal));
            }
            self
        }
    }

    #[test]
    fn chain_without_a_fault_is_verified_and_counted() {
        let report = chain().report();
        assert!(report.is_verified(), "{report:?}");
        assert_eq!((report.seals, report.entries, report.waiting, report.pruned), (5, 15, 1, 0));
        assert_eq!(report.keys, BTreeMap::from([(SECRET.id(), 5)]));
        let last = &chain().seals[4].0;
        assert_eq!(report.last, Some((5, seal_digest(last), last.at)));
        assert!(Chain { seals: Vec::new(), loose: Vec::new(), head: 0 }.report().is_verified());
    }

    #[test]
    fn each_manipulation_is_found_and_named() {
        let key = |number: i64| entry(number).key;
        type Change = fn(&mut Chain);
        let other_key = SealKey::new([8; 32]);
        let table: Vec<(&str, Change, Vec<ChainFault>)> = vec![
            (
                "an edited text",
                |chain| chain.seals[2].1[1].1.as_mut().unwrap().event = "{}".into(),
                vec![ChainFault::EntryChanged { seal: 3, key: key(7) }],
            ),
            (
                "another principal",
                |chain| chain.seals[0].1[0].1.as_mut().unwrap().principal = "user:bo".into(),
                vec![ChainFault::EntryChanged { seal: 1, key: key(0) }],
            ),
            (
                "another scan",
                |chain| chain.seals[0].1[1].1.as_mut().unwrap().scan = Some(0),
                vec![ChainFault::EntryChanged { seal: 1, key: key(1) }],
            ),
            (
                "another time",
                |chain| chain.seals[0].1[1].1.as_mut().unwrap().key.at = Timestamp::UNIX_EPOCH,
                vec![ChainFault::EntryChanged { seal: 1, key: key(1) }],
            ),
            (
                "an edited entry with its digest",
                |chain| {
                    let (listed, stored) = &mut chain.seals[2].1[1];
                    let stored = stored.as_mut().unwrap();
                    stored.event = "{}".into();
                    listed.digest = entry_digest(stored);
                },
                vec![ChainFault::EntriesDiffer { seal: 3 }],
            ),
            (
                "a removed entry",
                |chain| chain.seals[1].1[2].1 = None,
                vec![ChainFault::EntryMissing { seal: 2, key: key(5) }],
            ),
            (
                "an entry removed from the list as well",
                |chain| drop(chain.seals[1].1.remove(2)),
                vec![ChainFault::EntriesDiffer { seal: 2 }],
            ),
            (
                "all entries of a seal removed",
                |chain| chain.seals[1].1.clear(),
                vec![ChainFault::EntriesDiffer { seal: 2 }],
            ),
            ("two entries swapped", |chain| chain.seals[3].1.swap(0, 1), vec![ChainFault::EntriesDiffer { seal: 4 }]),
            (
                "an inserted entry",
                |chain| chain.loose.push(LooseEntry { entry: entry(4), waits: false }),
                vec![ChainFault::EntryInNoSeal { key: key(4) }],
            ),
            (
                "an entry inserted into a seal",
                |chain| {
                    let listed = SealedEntry { key: entry(50).key, digest: entry_digest(&entry(50)) };
                    chain.seals[3].1.push((listed, Some(entry(50))));
                },
                vec![ChainFault::EntriesDiffer { seal: 4 }],
            ),
            (
                "a removed seal",
                |chain| drop(chain.seals.remove(2)),
                vec![ChainFault::SealsMissing { first: 3, last: 3 }],
            ),
            (
                "removed seals at the begin",
                |chain| drop(chain.seals.drain(..3)),
                vec![ChainFault::SealsMissing { first: 1, last: 3 }],
            ),
            (
                "removed seals at the end",
                |chain| chain.seals.truncate(3),
                vec![ChainFault::SealsMissing { first: 4, last: 5 }],
            ),
            (
                "a repeated seal",
                |chain| chain.seals.insert(1, chain.seals[0].clone()),
                vec![ChainFault::SealRepeated { seal: 1 }],
            ),
            (
                "another time of a seal",
                |chain| chain.seals[1].0.at = at(7),
                vec![ChainFault::BadSignature { seal: 2 }, ChainFault::PreviousDiffers { seal: 3 }],
            ),
            (
                "another number",
                |chain| chain.seals[4].0.number = 6,
                vec![ChainFault::SealsMissing { first: 5, last: 5 }, ChainFault::BadSignature { seal: 6 }],
            ),
            (
                "another count",
                |chain| chain.seals[4].0.count = 2,
                vec![ChainFault::BadSignature { seal: 5 }, ChainFault::EntriesDiffer { seal: 5 }],
            ),
            (
                "another link",
                |chain| chain.seals[4].0.previous = ChainDigest::NONE,
                vec![ChainFault::PreviousDiffers { seal: 5 }, ChainFault::BadSignature { seal: 5 }],
            ),
            (
                "a signature of another seal",
                |chain| chain.seals[4].0.signature = chain.seals[3].0.signature,
                vec![ChainFault::BadSignature { seal: 5 }],
            ),
            (
                "a key that is not in the log",
                |chain| chain.seals[4].0.key = SealKey::new([8; 32]).id(),
                vec![ChainFault::UnknownKey { seal: 5, key: other_key.id() }],
            ),
            (
                "entries removed as if they were pruned",
                |chain| {
                    for (seal, entries) in &mut chain.seals[..2] {
                        seal.pruned_at = Some(at(200));
                        entries.clear();
                    }
                },
                vec![ChainFault::PrunedWithoutEntry { seal: 2 }],
            ),
            (
                "later entries removed as if they were pruned",
                |chain| {
                    chain.loose[0].entry.event = r#"{"action":"audit_pruned","through":9,"entries":3}"#.into();
                    chain.seals[2].0.pruned_at = Some(at(200));
                    chain.seals[2].1.clear();
                },
                vec![ChainFault::PrunedOutOfOrder { seal: 3 }],
            ),
        ];
        for (name, change, expected) in table {
            let mut changed = chain();
            change(&mut changed);
            assert_eq!(changed.report().faults, expected, "{name}");
        }
    }

    #[test]
    fn chain_that_was_pruned_verifies_on() {
        let mut pruned = chain();
        pruned.loose[0].entry.event = r#"{"action":"audit_pruned","through":2,"entries":6}"#.into();
        for (seal, entries) in &mut pruned.seals[..2] {
            seal.pruned_at = Some(at(200));
            entries.clear();
        }
        let report = pruned.report();
        assert!(report.is_verified(), "{report:?}");
        assert_eq!((report.seals, report.pruned, report.entries), (5, 2, 9));
    }

    #[test]
    fn replaced_chain_is_found_with_a_trusted_key_or_a_known_seal() {
        let known = chain().report().last.map(|(number, digest, _)| (number, digest)).unwrap();
        let trust =
            |keys: &[SealKey], seals: &[(u64, ChainDigest)]| ChainTrust { keys: keys.to_vec(), seals: seals.to_vec() };
        assert!(chain().trusting(trust(&[SECRET], &[known])).is_verified());
        let other = SealKey::new([9; 32]);
        let faults = chain().trusting(trust(&[other], &[])).faults;
        assert_eq!(faults, [ChainFault::UntrustedKey { seal: 1, key: SECRET.id() }], "once a key");
        // Somebody with the key can write another chain, and cut off its end.
        let mut changed = chain();
        let (listed, stored) = &mut changed.seals[2].1[1];
        stored.as_mut().unwrap().event = "{}".into();
        listed.digest = entry_digest(stored.as_ref().unwrap());
        let changed = changed.signed_again(2);
        assert!(changed.report().is_verified(), "the chain alone cannot show it");
        let required = [ChainFault::NotTheRequiredSeal { seal: 5 }];
        assert_eq!(changed.trusting(trust(&[SECRET], &[known])).faults, required);
        let mut short = Chain { head: 4, ..chain() };
        short.seals.pop();
        assert!(short.report().is_verified(), "the chain alone cannot show it");
        assert_eq!(short.trusting(trust(&[], &[known])).faults, required);
    }

    #[test]
    fn faults_are_bounded_and_the_rest_is_counted() {
        let mut changed = chain();
        for number in 0..60 {
            changed.loose.push(LooseEntry { entry: entry(number), waits: false });
        }
        let report = changed.report();
        assert_eq!((report.faults.len(), report.more_faults), (MOST_FAULTS, 10));
    }

    #[test]
    fn fields_cannot_be_shifted_into_each_other() {
        let one = StoredEntry { principal: "ab".into(), event: "c".into(), scan: None, ..entry(1) };
        let other = StoredEntry { principal: "a".into(), event: "bc".into(), ..one.clone() };
        let third = StoredEntry { scan: Some(0), ..one.clone() };
        let digests: BTreeSet<ChainDigest> = [&one, &other, &third].map(entry_digest).into();
        assert_eq!(digests.len(), 3);
    }

    /// The forms are written down in the documents: a program of somebody else computes the same.
    #[test]
    fn canonical_form_is_the_documented_one() {
        let entry = StoredEntry {
            key: EntryKey { at: Timestamp::from_nanosecond(5).unwrap(), nonce: "n".into() },
            principal: "system".into(),
            scan: None,
            event: "{}".into(),
        };
        let mut bytes = Vec::new();
        for field in ["kastrel audit entry 1", "5", "n", "system", "", "{}"] {
            bytes.extend_from_slice(&u64::try_from(field.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(field.as_bytes());
        }
        assert_eq!(entry_digest(&entry), ChainDigest::new(Sha256::digest(&bytes).into()));
    }

    #[test]
    fn oldest_seals_are_pruned_up_to_a_limit() {
        let seals: Vec<Seal> = chain().seals.into_iter().map(|(seal, _)| seal).collect();
        // The newest entries of the seals are of the seconds 2, 5, 8, 11 and 14.
        for (before, most, expected) in [
            (at(0), 100, 0),
            (at(2), 100, 0),
            (at(3), 100, 1),
            (at(9), 100, 3),
            (at(99), 100, 5),
            (at(99), 6, 2),
            (at(99), 1, 1),
        ] {
            assert_eq!(prunable(&seals, before, most), expected, "{before} {most}");
        }
    }
}
