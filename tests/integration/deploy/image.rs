//! The `Dockerfile` as a list of instructions.

use super::repository;

/// One instruction, with its continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) name: String,
    pub(super) rest: String,
}

impl Instruction {
    /// Returns the words of `["a", "b"]`.
    pub(super) fn words(&self) -> Vec<String> {
        serde_json::from_str(&self.rest).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// Returns the stages of the file. The first element holds the instructions before the first stage.
pub(super) fn stages() -> Vec<Vec<Instruction>> {
    let text = std::fs::read_to_string(repository("Dockerfile")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\\\n", " ");
    let mut stages = vec![Vec::new()];
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap();
        if name == "FROM" {
            stages.push(Vec::new());
        }
        stages
            .last_mut()
            .unwrap()
            .push(Instruction { name: name.to_owned(), rest: rest.split_whitespace().collect::<Vec<_>>().join(" ") });
    }
    stages
}

/// Returns all instructions of this name in a stage.
pub(super) fn all<'a>(stage: &'a [Instruction], name: &str) -> Vec<&'a Instruction> {
    stage.iter().filter(|one| one.name == name).collect()
}

/// Returns the variables that the image sets.
pub(super) fn environment() -> Vec<(String, String)> {
    let last = stages().pop().unwrap();
    let pairs = all(&last, "ENV")
        .iter()
        .flat_map(|one| one.rest.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    pairs
        .iter()
        .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect()
}
