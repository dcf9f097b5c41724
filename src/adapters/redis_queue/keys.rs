//! The names of all keys and channels in Redis.

use kastrel_actors::model::Priority;

/// The consumer group of every stream.
pub(super) const GROUP: &str = "workers";

/// All names begin with `{prefix}:`. The braces are a hash tag: a Redis cluster then keeps all keys
/// of a script in one hash slot, see
/// <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    /// The streams, in the order of [`Priority::ALL`].
    pub(super) streams: Vec<String>,
    /// The delay queues, in the same order.
    delay_queues: Vec<String>,
    traces: String,
    passes: String,
    /// The keys of the probe script: a sorted set, a hash and a stream.
    pub(super) probe: [String; 3],
    /// The channel of control messages.
    pub(super) control: String,
    /// The channel of snapshots.
    pub(super) live: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        let per_priority =
            |kind| Priority::ALL.iter().map(|priority| format!("{{{prefix}}}:{kind}:{priority}")).collect();
        let name = |name| format!("{{{prefix}}}:{name}");
        Self {
            streams: per_priority("stream"),
            delay_queues: per_priority("line"),
            traces: name("traces"),
            passes: name("passes"),
            probe: ["line", "traces", "stream"].map(|kind| format!("{{{prefix}}}:probe:{kind}")),
            control: name("control"),
            live: name("live"),
        }
    }

    /// The keys of the scripts, in the order in which `scripts/delay_queue.lua` numbers them.
    pub(super) fn of_scripts(&self) -> impl Iterator<Item = &str> {
        self.streams.iter().chain(&self.delay_queues).chain([&self.traces, &self.passes]).map(String::as_str)
    }

    /// The priority of a stream.
    pub(super) fn priority_of(&self, stream: &[u8]) -> Option<Priority> {
        let place = self.streams.iter().position(|key| key.as_bytes() == stream)?;
        Priority::ALL.get(place).copied()
    }
}

/// The level (the number that the scripts use) of a priority.
pub(super) const fn level(priority: Priority) -> usize {
    kastrel_actors::policy::fairness::place(priority) + 1
}

/// The priority of a level.
pub(super) fn priority(level: i64) -> Option<Priority> {
    usize::try_from(level).ok()?.checked_sub(1).and_then(|place| Priority::ALL.get(place)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_share_one_hash_slot() {
        let keys = Keys::new("kastrel");
        assert_eq!(
            keys.of_scripts().collect::<Vec<_>>(),
            [
                "{kastrel}:stream:high",
                "{kastrel}:stream:normal",
                "{kastrel}:stream:low",
                "{kastrel}:line:high",
                "{kastrel}:line:normal",
                "{kastrel}:line:low",
                "{kastrel}:traces",
                "{kastrel}:passes"
            ]
        );
        assert_eq!(keys.probe, ["{kastrel}:probe:line", "{kastrel}:probe:traces", "{kastrel}:probe:stream"]);
        assert_eq!((keys.control.as_str(), keys.live.as_str()), ("{kastrel}:control", "{kastrel}:live"));
    }

    #[test]
    fn levels_and_streams_name_their_priority() {
        let keys = Keys::new("x");
        for one in Priority::ALL {
            assert_eq!(priority(i64::try_from(level(*one)).unwrap()), Some(*one));
            assert_eq!(keys.priority_of(keys.streams[level(*one) - 1].as_bytes()), Some(*one));
        }
        assert_eq!((priority(0), priority(4), keys.priority_of(b"other")), (None, None, None));
    }
}
