//! One run of a node on one data folder, and the marks by which the processes and containers of its
//! attempts are found again.

use kastrel_actors::model::{AttemptNumber, FencingToken, ScanId};

/// The most characters of the data folder's name that a container's name holds.
const MOST_OF_NAME: usize = 40;
/// Where the marker of an attempt has the scan and the token.
const KEEPER: &str = "keeper";
/// How many characters name a run.
const ID_CHARS: usize = 12;

/// Names a data folder and one run on it. A successor on the same folder has another, so that
/// whoever clears up after this run never touches the attempts of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub(super) data_dir_id: String,
    pub(super) id: String,
}

impl Run {
    /// A new run on a data folder.
    #[must_use]
    pub fn new(data_dir_id: &str) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        Self { data_dir_id: data_dir_id.to_owned(), id: id[..ID_CHARS].to_owned() }
    }

    /// The value that marks the processes of one attempt.
    pub(super) fn marker(&self, scan: ScanId, token: FencingToken) -> String {
        marker_start(&self.data_dir_id, scan, token) + &self.id
    }

    /// The value that marks the keepers of this run: the marker of no attempt, which whoever looks
    /// for one of this run or of this data folder finds as well.
    pub(super) fn keeper_mark(&self) -> String {
        format!("{}:{KEEPER}:{}", self.data_dir_id, self.id)
    }

    /// The name of an attempt's container.
    pub(super) fn container(&self, scan: ScanId, attempt: AttemptNumber, token: FencingToken) -> String {
        format!("{}{scan}-{attempt}-{token}-{}", container_prefix(&self.data_dir_id), self.id)
    }

    /// Whether a process with this marker belongs to this run.
    pub(super) fn owns(&self, marker: &str) -> bool {
        is_of_data_dir(&self.data_dir_id, marker) && marker.rsplit_once(':').is_some_and(|(_, run)| run == self.id)
    }

    /// Whether a container of this data folder belongs to this run.
    pub(super) fn owns_container(&self, name: &str) -> bool {
        name.starts_with(&container_prefix(&self.data_dir_id))
            && name.rsplit_once('-').is_some_and(|(_, run)| run == self.id)
    }
}

/// What the markers of one attempt begin with, whichever run it was of.
pub(super) fn marker_start(data_dir_id: &str, scan: ScanId, token: FencingToken) -> String {
    format!("{data_dir_id}:{scan}:{token}:")
}

/// Whether a text can name a run.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// Whether a process with this marker belongs to any run on the data folder.
pub(super) fn is_of_data_dir(data_dir_id: &str, marker: &str) -> bool {
    marker.strip_prefix(data_dir_id).is_some_and(|rest| rest.starts_with(':'))
}

/// The start of the names of a data folder's containers.
pub(super) fn container_prefix(data_dir_id: &str) -> String {
    let id: String = data_dir_id.chars().filter(char::is_ascii_alphanumeric).take(MOST_OF_NAME).collect();
    format!("kastrel-zap-{id}-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_owns_its_attempts_and_no_others() {
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
