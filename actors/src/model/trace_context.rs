//! The W3C trace context that follows a scan through rows, queue entries and restarts.
//!
//! Format: <https://www.w3.org/TR/trace-context/#traceparent-header>.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use serde::{Deserialize, Serialize};

/// A `traceparent`: version 00, 16 bytes of trace id, 8 bytes of parent id, one byte of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

/// The text is not a valid `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct TraceContextError;

impl TraceContext {
    /// Creates a new, sampled context from `random`.
    #[must_use]
    pub fn generate(random: &mut impl rand::Rng) -> Self {
        Self { trace_id: random.random_range(1..=u128::MAX), parent_id: random.random_range(1..=u64::MAX), flags: 1 }
    }

    /// Creates the context of a span in a trace. `None` if an id is all zero, which the
    /// specification calls invalid.
    #[must_use]
    pub const fn of_span(trace_id: u128, span_id: u64, is_sampled: bool) -> Option<Self> {
        if trace_id == 0 || span_id == 0 {
            None
        } else {
            Some(Self { trace_id, parent_id: span_id, flags: is_sampled as u8 })
        }
    }

    /// Returns the ids of the trace and of the span, as numbers.
    #[must_use]
    pub const fn ids(&self) -> (u128, u64) {
        (self.trace_id, self.parent_id)
    }

    /// Returns true if the creator of the context records the trace.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Returns the trace id in 32 lower-case hex digits, the form that tracing user interfaces use.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace_id, parent_id, flags] = parts[..] else { return Err(TraceContextError) };
        let hex = |part: &str, digits: usize| {
            let lower_hex = part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            (part.len() == digits && lower_hex)
                .then(|| u128::from_str_radix(part, 16).ok())
                .flatten()
                .ok_or(TraceContextError)
        };
        if version != "00" {
            return Err(TraceContextError);
        }
        let context = Self {
            trace_id: hex(trace_id, 32)?,
            parent_id: u64::try_from(hex(parent_id, 16)?).map_err(|_| TraceContextError)?,
            flags: u8::try_from(hex(flags, 2)?).map_err(|_| TraceContextError)?,
        };
        // The specification calls all-zero ids invalid.
        if context.trace_id == 0 || context.parent_id == 0 { Err(TraceContextError) } else { Ok(context) }
    }
}

impl TryFrom<String> for TraceContext {
    type Error = TraceContextError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TraceContext> for String {
    fn from(context: TraceContext) -> Self {
        context.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_round_trips_and_invalid_text_is_refused() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context: TraceContext = text.parse().unwrap();
        assert_eq!(context.to_string(), text);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(TraceContextError), "{bad}");
        }
    }
}
