//! The identity of one run of a node on one data folder, and the markers that identify the
//! processes and containers of its attempts.

use kastrel_actors::model::{AttemptNumber, FencingToken, ScanId};

/// The maximum number of characters of the data folder's id in a container's name.
const MOST_OF_NAME: usize = 40;
/// The part of a keeper's mark that replaces the scan and the token of an attempt's marker.
const KEEPER: &str = "keeper";
/// The length of a run's id in characters.
const ID_CHARS: usize = 12;

/// Identifies a data folder and one run on it. The next run on the same folder has a different id,
/// so the cleanup of this run never touches the attempts of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub(super) data_dir_id: String,
    pub(super) id: String,
}

impl Run {
    /// Creates the identity of a new run on a data folder.
    #[must_use]
    pub fn new(data_dir_id: &str) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        Self { data_dir_id: data_dir_id.to_owned(), id: id[..ID_CHARS].to_owned() }
    }

    /// The marker of the processes of one attempt.
    pub(super) fn marker(&self, scan: ScanId, token: FencingToken) -> String {
        marker_start(&self.data_dir_id, scan, token) + self.id.as_str()
    }

    /// The marker of the keepers of this run. It is not the marker of any attempt, but a search for
    /// this run or this data folder finds it too.
    pub(super) fn keeper_mark(&self) -> String {
        format!("{}:{KEEPER}:{}", self.data_dir_id, self.id)
    }

    /// The name of an attempt's container.
    pub(super) fn container(&self, scan: ScanId, attempt: AttemptNumber, token: FencingToken) -> String {
        format!("{}{scan}-{attempt}-{token}-{}", container_prefix(&self.data_dir_id), self.id)
    }

    /// Returns true if a process with this marker belongs to this run.
    pub(super) fn owns(&self, marker: &str) -> bool {
        is_of_data_dir(&self.data_dir_id, marker) && marker.rsplit_once(':').is_some_and(|(_, run)| run == self.id)
    }

    /// Returns true if a container of this data folder belongs to this run.
    pub(super) fn owns_container(&self, name: &str) -> bool {
        name.starts_with(&container_prefix(&self.data_dir_id))
            && name.rsplit_once('-').is_some_and(|(_, run)| run == self.id)
    }
}

/// The prefix of an attempt's markers, the same for all runs.
pub(super) fn marker_start(data_dir_id: &str, scan: ScanId, token: FencingToken) -> String {
    format!("{data_dir_id}:{scan}:{token}:")
}

/// Returns true if the text has the form of a run's id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// Returns true if a process with this marker belongs to any run on the data folder.
pub(super) fn is_of_data_dir(data_dir_id: &str, marker: &str) -> bool {
    marker.strip_prefix(data_dir_id).is_some_and(|rest| rest.starts_with(':'))
}

/// The prefix of the names of a data folder's containers.
pub(super) fn container_prefix(data_dir_id: &str) -> String {
    let id: String = data_dir_id.chars().filter(char::is_ascii_alphanumeric).take(MOST_OF_NAME).collect();
    format!("kastrel-zap-{id}-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_owns_only_its_attempts() {
        let run = |data: &str, id: &str| Run { data_dir_id: data.into(), id: id.into() };
        let own = run("d1", "aa");
        let marker = own.marker(ScanId(7), FencingToken(3));
        let container = own.container(ScanId(7), AttemptNumber(2), FencingToken(3));
        assert_eq!((marker.as_str(), container.as_str()), ("d1:7:3:aa", "kastrel-zap-d1-7-2-3-aa"));
        for (other, owned) in
            [(own, true), (run("d1", "bb"), false), (run("d", "aa"), false), (run("d11", "aa"), false)]
        {
            assert_eq!((other.owns(&marker), other.owns_container(&container)), (owned, owned), "{other:?}");
        }
        for (data, is_of) in [("d1", true), ("d", false), ("d11", false)] {
            assert_eq!(is_of_data_dir(data, &marker), is_of, "{data}");
        }
        assert_eq!(container_prefix("Ab-1/2"), "kastrel-zap-Ab12-");
        let keeper = run("d1", "aa").keeper_mark();
        assert!(run("d1", "aa").owns(&keeper) && !run("d1", "bb").owns(&keeper) && is_of_data_dir("d1", &keeper));
        assert!(!keeper.starts_with(&marker_start("d1", ScanId(7), FencingToken(3))));
        assert_ne!(Run::new("d1"), Run::new("d1"));
    }
}
