//! Converts stream entries to signals, and entry ids to receipts.

use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::{Priority, ScanId, TraceContext};
use kastrel_actors::ports::{Delivery, JobSignal, Receipt};
use redis::Value;

use super::error::CallError;
use super::keys::{self, Keys};

/// A stream entry that was delivered to this reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) priority: Priority,
    pub(super) id: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// Parses `[id, [field, value, …]]`.
    pub(super) fn read(priority: Priority, value: &Value) -> Result<Self, CallError> {
        let unreadable = || CallError::Answer(format!("an entry of the {priority} stream has another form"));
        let [id, fields] =
            value.as_sequence().and_then(|parts| <&[Value; 2]>::try_from(parts).ok()).ok_or_else(unreadable)?;
        let id = bytes(id).and_then(|id| String::from_utf8(id.to_vec()).ok()).ok_or_else(unreadable)?;
        let fields = fields.as_sequence().ok_or_else(unreadable)?;
        let fields = fields
            .chunks_exact(2)
            .filter_map(|pair| Some((bytes(&pair[0])?.to_vec(), bytes(&pair[1])?.to_vec())))
            .collect();
        Ok(Self { priority, id, fields })
    }

    /// The signal in this entry; `None` if Kastrel did not write the entry.
    pub(super) fn signal(&self) -> Option<JobSignal> {
        let id: u64 = self.field("scan")?.parse().ok()?;
        let due = Timestamp::from_microsecond(self.field("due")?.parse().ok()?).ok()?;
        let trace: TraceContext = self.field("trace")?.parse().ok()?;
        Some(JobSignal { id: ScanId(id), priority: self.priority, due, trace })
    }

    pub(super) fn delivery(&self) -> Option<Delivery> {
        Some(Delivery { signal: self.signal()?, receipt: receipt(self.priority, &self.id) })
    }

    fn field(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(field, _)| field == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }
}

/// Parses the response of `XREADGROUP`: `[[stream, [entry, …]], …]`, or nil when the read timed
/// out.
pub(super) fn read_streams(keys: &Keys, answer: &Value) -> Result<Vec<Entry>, CallError> {
    let unreadable = || CallError::Answer("the streams were answered in another form".into());
    let mut entries = Vec::new();
    for stream in answer.as_sequence().ok_or_else(unreadable)? {
        let [key, list] =
            stream.as_sequence().and_then(|parts| <&[Value; 2]>::try_from(parts).ok()).ok_or_else(unreadable)?;
        let priority = bytes(key).and_then(|key| keys.priority_of(key)).ok_or_else(unreadable)?;
        for entry in list.as_sequence().ok_or_else(unreadable)? {
            entries.push(Entry::read(priority, entry)?);
        }
    }
    entries.sort_by_key(|entry| keys::level(entry.priority));
    Ok(entries)
}

/// The due time of a signal in whole microseconds, the unit of the scripts. Rounded up, so that it
/// is never early.
pub(super) fn due_us(due: Timestamp) -> i64 {
    let whole = due.as_microsecond();
    if due.as_nanosecond() > i128::from(whole) * 1_000 { whole + 1 } else { whole }
}

/// A wait in whole microseconds, rounded up.
pub(super) fn wait_us(wait: Duration) -> i64 {
    // A century is practically forever, and its sum with the current time is still an integer that
    // Lua represents exactly.
    const LONGEST: u128 = 100 * 365 * 86_400 * 1_000_000;
    i64::try_from(wait.as_nanos().div_ceil(1_000).min(LONGEST)).unwrap_or(i64::MAX)
}

/// The name of a scan in Redis. Names have a fixed width, so that scans with the same due time sort
/// by number.
pub(super) fn scan_name(id: ScanId) -> String {
    format!("{:020}", id.0)
}

fn receipt(priority: Priority, id: &str) -> Receipt {
    Receipt(format!("{priority}/{id}"))
}

/// The level of the stream and the entry id in a receipt.
pub(super) fn named_by(receipt: &Receipt) -> Result<(usize, &str), CallError> {
    let named = receipt.0.split_once('/').and_then(|(priority, id)| {
        let priority: Priority = priority.parse().ok()?;
        let (ms, sequence) = id.split_once('-')?;
        let numbers = ms.parse::<u64>().is_ok() && sequence.parse::<u64>().is_ok();
        numbers.then_some((keys::level(priority), id))
    });
    named.ok_or_else(|| CallError::Receipt(receipt.0.clone()))
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(fields: &[&str]) -> Value {
        Value::Array(vec![text("5-0"), Value::Array(fields.iter().map(|field| text(field)).collect())])
    }

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn malformed_entries_have_no_delivery() {
        let good =
            Entry::read(Priority::Low, &entry(&["scan", "00000000000000000007", "due", "1500000", "trace", TRACE]))
                .unwrap();
        let delivery = good.delivery().unwrap();
        assert_eq!(
            (delivery.signal.id, delivery.signal.priority, delivery.receipt.0.as_str()),
            (ScanId(7), Priority::Low, "low/5-0")
        );
        assert_eq!(delivery.signal.due, Timestamp::from_millisecond(1500).unwrap());
        assert_eq!(named_by(&delivery.receipt).unwrap(), (3, "5-0"));
        for poison in [
            &["scan", "7", "due", "1500"][..],
            &["scan", "-7", "due", "1500", "trace", TRACE],
            &["scan", "7", "due", "soon", "trace", TRACE],
            &["scan", "7", "due", "9223372036854775807", "trace", TRACE],
            &["scan", "7", "due", "1500", "trace", ""],
            &["hello", "world"],
            &["odd"],
            &[],
        ] {
            assert_eq!(Entry::read(Priority::Low, &entry(poison)).unwrap().delivery(), None, "{poison:?}");
        }
    }

    #[test]
    fn streams_are_read_highest_priority_first() {
        let keys = Keys::new("k");
        let stream = |name: &str| Value::Array(vec![text(name), Value::Array(vec![entry(&["a", "b"])])]);
        let answer = Value::Array(vec![stream("{k}:stream:low"), stream("{k}:stream:high")]);
        let read = read_streams(&keys, &answer).unwrap();
        assert_eq!(read.iter().map(|entry| entry.priority).collect::<Vec<_>>(), [Priority::High, Priority::Low]);
        assert_eq!(read_streams(&keys, &Value::Nil).unwrap(), []);
        for bad in [Value::Int(1), Value::Array(vec![Value::Int(1)]), Value::Array(vec![stream("other")])] {
            assert!(read_streams(&keys, &bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_due_is_never_rounded_to_an_earlier_time() {
        for (nanoseconds, us) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (-1, 0), (-1_000, -1), (-1_001, -1)]
        {
            assert_eq!(due_us(Timestamp::from_nanosecond(nanoseconds).unwrap()), us, "{nanoseconds}");
        }
        assert!(due_us(Timestamp::MAX) > due_us(Timestamp::MIN));
    }

    #[test]
    fn other_receipts_are_refused() {
        for bad in ["", "1", "high", "high/", "high/1", "high/1-x", "urgent/1-0", "high/1-0-0", "high/*"] {
            assert!(named_by(&Receipt(bad.into())).is_err(), "{bad}");
        }
    }
}
