//! The message format of the channels: a body and the node that sent it.

use kastrel_actors::model::NodeId;
use serde::{Deserialize, Serialize};

/// A message on a channel. It is serialized from references and deserialized into values.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope<N, T> {
    from: N,
    body: T,
}

/// Serializes a message.
pub(super) fn seal<T: Serialize>(from: &NodeId, body: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Envelope { from, body })
}

/// Parses a message; `None` if this node sent it.
pub(super) fn open<T: for<'a> Deserialize<'a>>(node: &NodeId, bytes: &[u8]) -> Result<Option<T>, serde_json::Error> {
    let envelope: Envelope<NodeId, T> = serde_json::from_slice(bytes)?;
    Ok((envelope.from != *node).then_some(envelope.body))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScanId;
    use kastrel_actors::ports::Control;

    use super::*;

    #[test]
    fn envelopes_from_this_node_are_ignored() {
        let (a, b): (NodeId, NodeId) = ("a".parse().unwrap(), "b".parse().unwrap());
        for control in [
            Control::Cancel(ScanId(7)),
            Control::RefreshDirectives(None),
            Control::RefreshDirectives(Some(b.clone())),
            Control::Follow(ScanId(1)),
        ] {
            let bytes = seal(&a, &control).unwrap();
            assert_eq!(open::<Control>(&b, &bytes).unwrap(), Some(control));
            assert_eq!(open::<Control>(&a, &bytes).unwrap(), None);
        }
        for bad in
            [&b""[..], b"{}", br#"{"from":"a","body":"dance"}"#, br#"{"from":"a b","body":{"cancel":1}}"#, b"\xff"]
        {
            assert!(open::<Control>(&b, bad).is_err());
        }
    }
}
