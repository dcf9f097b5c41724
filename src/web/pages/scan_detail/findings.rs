//! The issues of a scan, worst first. Each issue is listed once, with its description from the
//! scanner's registry. A cut list shows how many of its issues it contains.

use std::collections::BTreeMap;

use kastrel_actors::model::{IssueRef, PluginResult, Severity, SeverityCounts, grouped_count, total_count};

use crate::ports::{IssueText, ScannerCatalog};
use crate::web::pages::badge::SeverityChip;
use crate::web::text::{clean, counted};

/// The issues of one severity.
pub(crate) struct SeverityGroup {
    pub(crate) chip: SeverityChip,
    pub(crate) count: String,
    pub(crate) is_open: bool,
    pub(crate) issues: Vec<IssueView>,
}

/// An issue.
pub(crate) struct IssueView {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) category: String,
    /// The plugins that reported the issue.
    pub(crate) plugins: String,
    pub(crate) times: Option<String>,
    pub(crate) description: String,
    pub(crate) remediation: String,
}

/// Groups the issues of `plugins` by severity.
pub(crate) fn group(plugins: &[PluginResult], catalogue: Option<&ScannerCatalog>) -> Vec<SeverityGroup> {
    let counts = SeverityCounts::of(plugins);
    let mut groups = Vec::new();
    for severity in Severity::ALL {
        // Grouped by id: the same issue of two plugins is one issue.
        let mut issues: BTreeMap<&str, (&IssueRef, Vec<&str>, u64)> = BTreeMap::new();
        for (plugin, issue) in plugins.iter().flat_map(|plugin| plugin.issues.iter().map(move |issue| (plugin, issue)))
        {
            if issue.severity != *severity {
                continue;
            }
            let (_, names, times) = issues.entry(&issue.id).or_insert((issue, Vec::new(), 0));
            *times += 1;
            if !names.contains(&plugin.name.as_str()) {
                names.push(&plugin.name);
            }
        }
        let all = counts.number(*severity);
        if all == 0 {
            continue;
        }
        let listed = total_count(issues.values().map(|(_, _, times)| *times));
        groups.push(SeverityGroup {
            chip: SeverityChip::new(*severity, all),
            count: if listed < all {
                format!("{} of {} shown", grouped_count(listed), grouped_count(all))
            } else {
                counted(issues.len() as u64, "issue", "issues")
            },
            is_open: matches!(severity, Severity::Critical | Severity::High),
            issues: issues
                .into_values()
                .map(|(issue, plugins, times)| view(issue, &plugins, times, catalogue))
                .collect(),
        });
    }
    groups
}

fn view(issue: &IssueRef, plugins: &[&str], times: u64, catalogue: Option<&ScannerCatalog>) -> IssueView {
    let known: Option<&IssueText> = catalogue.and_then(|catalogue| catalogue.issues.get(&issue.id));
    let text = |of: fn(&IssueText) -> &str| known.map(|known| clean(of(known))).unwrap_or_default();
    IssueView {
        id: clean(&issue.id),
        title: clean(&issue.title),
        category: text(|known| &known.category),
        plugins: clean(&plugins.join(", ")),
        times: (times > 1).then(|| format!("{times} times")),
        description: text(|known| &known.description),
        remediation: text(|known| &known.remediation),
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::PluginStatus;

    use super::*;
    use crate::web::testing::catalogue;

    #[test]
    fn each_issue_is_listed_once_with_all_its_plugins() {
        let issue = |id: &str, severity| IssueRef { id: id.into(), severity, title: format!("The {id}") };
        let plugin =
            |name: &str, issues: Vec<IssueRef>| PluginResult::new(name, PluginStatus::Completed).with_issues(issues);
        let plugins = [
            plugin(
                "testssl",
                vec![issue("weak-cipher", Severity::High), issue("x", Severity::Low), issue("x", Severity::Low)],
            ),
            plugin("whatweb", vec![issue("weak-cipher", Severity::High)]),
        ];
        let groups = group(&plugins, Some(&catalogue()));
        let shape: Vec<_> =
            groups.iter().map(|group| (group.chip.name, group.chip.count, group.issues.len(), group.is_open)).collect();
        assert_eq!(shape, [("high", 2, 1, true), ("low", 2, 1, false)]);
        let high = &groups[0].issues[0];
        assert_eq!(
            (high.plugins.as_str(), high.category.as_str(), high.remediation.as_str()),
            ("testssl, whatweb", "TLS", "Turn it off.")
        );
        let low = &groups[1].issues[0];
        assert_eq!((low.times.as_deref(), low.description.as_str()), (Some("2 times"), ""));
    }

    #[test]
    fn a_list_that_is_cut_says_how_much_of_it_is_shown() {
        let issue = |n: usize| IssueRef {
            id: format!("i{n}"),
            severity: if n < 1_340 { Severity::Low } else { Severity::Informational },
            title: String::new(),
        };
        let groups =
            group(&[PluginResult::new("katana", PluginStatus::Completed).with_issues((0..1_350).map(issue))], None);
        let shape: Vec<_> =
            groups.iter().map(|group| (group.chip.name, group.count.as_str(), group.issues.len())).collect();
        assert_eq!(shape, [("low", "200 of 1,340 shown", 200), ("informational", "0 of 10 shown", 0)]);
    }
}
