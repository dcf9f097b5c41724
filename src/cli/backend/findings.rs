//! The findings and targets of a backend.

use async_trait::async_trait;
use kastrel_actors::Client;
use kastrel_actors::model::{FieldError, ProjectId, ScanId};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::service::{CommandError, SubmitError};
use kastrel_findings::identity::{FindingId, TargetId};
use reqwest::Method;
use serde_json::Value;

use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;
use super::scans::SubmitAnswer;
use crate::api_types::{
    CommentBody, CompareParams, ComparisonBody, Explanation, FindingDetailBody, FindingGroupList, FindingGroupParams,
    FindingList, FindingParams, RecheckBody, ScanFindingList, ScanFindingParams, ScanNotesBody, TargetDetailBody,
    TargetEditBody, TargetList, TargetParams, TriageBody, TriageList,
};
use crate::service::findings::{CompareError, FindingQuery, FindingSort, MOST_ON_PAGE, TargetQuery, TriageError};

/// The findings and targets of a backend.
#[async_trait]
pub trait FindingBackend: Send + Sync {
    /// Returns a page of findings. The server allows at most 500 a page.
    async fn findings(&self, params: &FindingParams) -> Result<FindingList, BackendError>;

    /// Returns a page of issues with their numbers of findings and targets.
    async fn finding_groups(&self, params: &FindingGroupParams) -> Result<FindingGroupList, BackendError>;

    /// Returns a finding; `None` if it does not exist.
    async fn finding(&self, id: FindingId) -> Result<Option<FindingDetailBody>, BackendError>;

    /// Decides about findings or assigns them. Each finding has a result of its own.
    async fn triage_findings(&self, triage: &TriageBody) -> Result<TriageList, BackendError>;

    /// Adds a comment to a finding. Returns `false` if it does not exist.
    async fn comment_finding(&self, id: FindingId, text: &str) -> Result<bool, BackendError>;

    /// Explains why the sightings of a finding are one; `None` if it does not exist.
    async fn explain_finding(&self, id: FindingId) -> Result<Option<Explanation>, BackendError>;

    /// Returns a page of targets. The server allows at most 500 a page.
    async fn targets(&self, params: &TargetParams) -> Result<TargetList, BackendError>;

    /// Returns a target; `None` if it does not exist.
    async fn target(&self, id: TargetId) -> Result<Option<TargetDetailBody>, BackendError>;

    /// Changes tags and notes of a target; `None` if it does not exist.
    async fn edit_target(&self, id: TargetId, edit: TargetEditBody) -> Result<Option<TargetDetailBody>, BackendError>;

    /// Scans a target again with one plugin, or with those of its newest scan; `None` if it does
    /// not exist.
    async fn check_target(&self, id: TargetId, check: RecheckBody) -> Result<Option<SubmitAnswer>, BackendError>;

    /// Returns all that a scan saw; `None` if the scan does not exist or has no result yet.
    async fn scan_findings(&self, scan: ScanId) -> Result<Option<ScanFindingList>, BackendError>;

    /// Returns the tags and notes of a scan; `None` if it does not exist.
    async fn scan_notes(&self, scan: ScanId) -> Result<Option<ScanNotesBody>, BackendError>;

    /// Sets the tags and notes of a scan. Returns `false` if it does not exist.
    async fn set_scan_notes(&self, scan: ScanId, notes: ScanNotesBody) -> Result<bool, BackendError>;

    /// Compares a scan with an earlier one of its target, or with the newest earlier one (`None`).
    /// Returns `None` if the scan, or one to compare it with, does not exist.
    async fn compare(&self, later: ScanId, earlier: Option<ScanId>) -> Result<Option<ComparisonBody>, BackendError>;
}

/// The rows of a page without a limit.
const PAGE: u32 = 50;

/// Returns the result of an operation; `None` if its object does not exist.
pub(super) fn visible<T>(result: Result<T, CommandError>) -> Result<Option<T>, BackendError> {
    match result {
        Err(CommandError::Denied(Denial::NotVisible)) => Ok(None),
        result => Ok(Some(result?)),
    }
}

fn invalid(field: &str, message: impl Into<String>) -> BackendError {
    BackendError::Invalid(vec![FieldError::new(field, message)])
}

/// Reads a parameter of a list; a missing one has its default value.
fn read<T: std::str::FromStr + Default>(field: &str, text: Option<&str>) -> Result<T, BackendError>
where
    T::Err: std::fmt::Display,
{
    text.map_or_else(
        || Ok(T::default()),
        |text| text.parse().map_err(|error: T::Err| invalid(field, error.to_string())),
    )
}

fn rows(skip: Option<u32>, limit: Option<u32>) -> (usize, usize) {
    let all = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    (all(skip.unwrap_or(0)), all(limit.unwrap_or(PAGE)).clamp(1, MOST_ON_PAGE))
}

fn target_query(params: &TargetParams) -> Result<TargetQuery, BackendError> {
    let (skip, limit) = rows(params.skip, params.limit);
    let words = TargetQuery::words_of(params.q.as_deref().unwrap_or_default());
    let tags = TargetQuery::tags_of(params.tag.iter().flat_map(|tags| tags.split(',')));
    let project = params.project.as_deref().map(str::parse::<ProjectId>).transpose();
    Ok(TargetQuery {
        words: words.map_err(|why| invalid("q", why))?,
        tags: tags.map_err(|why| invalid("tag", why))?,
        projects: project.map_err(|error| invalid("project", error.to_string()))?.into_iter().collect(),
        skip,
        limit,
        ..TargetQuery::default()
    })
}

#[async_trait]
impl FindingBackend for LocalBackend {
    async fn findings(&self, params: &FindingParams) -> Result<FindingList, BackendError> {
        let (skip, limit) = rows(params.skip, params.limit);
        let sort = params.sort.as_deref().map_or(Some(FindingSort::default()), FindingSort::read);
        let sort = sort.ok_or_else(|| invalid("sort", "expected one of severity, newest, due, target"))?;
        let query = FindingQuery { filter: read("q", params.q.as_deref())?, sort, skip, limit };
        Ok((&self.findings.list(&context(), &query).await?).into())
    }

    async fn finding_groups(&self, params: &FindingGroupParams) -> Result<FindingGroupList, BackendError> {
        let ((skip, limit), filter) = (rows(params.skip, params.limit), read("q", params.q.as_deref())?);
        Ok((&self.findings.groups(&context(), &filter, skip, limit).await?).into())
    }

    async fn finding(&self, id: FindingId) -> Result<Option<FindingDetailBody>, BackendError> {
        let detail = visible(self.findings.get(&context(), id).await)?.flatten();
        Ok(detail.as_ref().map(Into::into))
    }

    async fn triage_findings(&self, triage: &TriageBody) -> Result<TriageList, BackendError> {
        let results = self.findings.change_many(&context(), &triage.clone().into()).await?;
        Ok(TriageList::of(&results))
    }

    async fn comment_finding(&self, id: FindingId, text: &str) -> Result<bool, BackendError> {
        let stored = self.findings.comment(&context(), id, text).await;
        Ok(visible(stored)? == Some(true))
    }

    async fn explain_finding(&self, id: FindingId) -> Result<Option<Explanation>, BackendError> {
        let lines = visible(self.findings.explain(&context(), id).await)?.flatten();
        Ok(lines.map(|lines| Explanation { lines }))
    }

    async fn targets(&self, params: &TargetParams) -> Result<TargetList, BackendError> {
        Ok((&self.targets.list(&context(), &target_query(params)?).await?).into())
    }

    async fn target(&self, id: TargetId) -> Result<Option<TargetDetailBody>, BackendError> {
        let detail = visible(self.targets.get(&context(), id).await)?.flatten();
        Ok(detail.as_ref().map(Into::into))
    }

    async fn edit_target(&self, id: TargetId, edit: TargetEditBody) -> Result<Option<TargetDetailBody>, BackendError> {
        let edited = self.targets.edit(&context(), id, edit.into()).await;
        if visible(edited)? == Some(true) { self.target(id).await } else { Ok(None) }
    }

    async fn check_target(&self, id: TargetId, check: RecheckBody) -> Result<Option<SubmitAnswer>, BackendError> {
        let (targets, plugin) = (&self.targets, check.plugin.as_deref());
        match targets.check_again(&context(), Client::Local, id, plugin, check.confirm_active).await {
            Ok(accepted) => {
                Ok(accepted.map(|accepted| SubmitAnswer { id: accepted.scan.record.id, warning: accepted.warning() }))
            }
            Err(SubmitError::Invalid(errors)) => Err(BackendError::Invalid(errors)),
            Err(SubmitError::Store(error)) => Err(error.into()),
            Err(SubmitError::Denied(Denial::NotVisible)) => Ok(None),
            Err(
                error @ (SubmitError::KeyReused(_)
                | SubmitError::NotEnded(..)
                | SubmitError::Denied(_)
                | SubmitError::Queue(_)),
            ) => Err(BackendError::Other(error.to_string())),
        }
    }

    async fn scan_findings(&self, scan: ScanId) -> Result<Option<ScanFindingList>, BackendError> {
        let mut all: Option<ScanFindingList> = None;
        let mut skip = Some(0);
        while let Some(from) = skip {
            let page = self.findings.seen_page(&context(), scan, from, MOST_ON_PAGE).await;
            let Some(page) = visible(page)?.flatten() else { return Ok(None) };
            skip = page.next;
            add_page(&mut all, ScanFindingList::from(&page));
        }
        Ok(all)
    }

    async fn scan_notes(&self, scan: ScanId) -> Result<Option<ScanNotesBody>, BackendError> {
        Ok(visible(self.findings.scan_notes(&context(), scan).await)?.flatten().map(Into::into))
    }

    async fn set_scan_notes(&self, scan: ScanId, notes: ScanNotesBody) -> Result<bool, BackendError> {
        let set = self.findings.set_scan_notes(&context(), scan, notes.into()).await;
        Ok(visible(set)? == Some(true))
    }

    async fn compare(&self, later: ScanId, earlier: Option<ScanId>) -> Result<Option<ComparisonBody>, BackendError> {
        let findings = &self.findings;
        let compared = match earlier {
            Some(earlier) => findings.compare(&context(), earlier, later).await.map(Some),
            None => findings.compare_with_last(&context(), later).await,
        };
        match compared {
            Ok(comparison) => Ok(comparison.as_ref().map(Into::into)),
            Err(CompareError::NoScan(_) | CompareError::NoResult(_)) => Ok(None),
            Err(CompareError::Store(error)) => Err(error.into()),
            Err(error @ (CompareError::SameScan(_) | CompareError::OtherTarget(..))) => {
                Err(invalid("with", error.to_string()))
            }
        }
    }
}

/// Adds a page of what a scan saw to the pages before it.
fn add_page(all: &mut Option<ScanFindingList>, page: ScanFindingList) {
    match all {
        None => *all = Some(page),
        Some(all) => {
            all.findings.extend(page.findings);
            all.next_skip = page.next_skip;
        }
    }
}

#[async_trait]
impl FindingBackend for RemoteBackend {
    async fn findings(&self, params: &FindingParams) -> Result<FindingList, BackendError> {
        self.read_at("api/findings", params).await
    }

    async fn finding_groups(&self, params: &FindingGroupParams) -> Result<FindingGroupList, BackendError> {
        self.read_at("api/findings/groups", params).await
    }

    async fn finding(&self, id: FindingId) -> Result<Option<FindingDetailBody>, BackendError> {
        self.get_json(&format!("api/findings/{id}"), &[]).await
    }

    async fn triage_findings(&self, triage: &TriageBody) -> Result<TriageList, BackendError> {
        let results = self.order(Method::POST, "api/findings/triage", triage).await?;
        results.ok_or_else(|| BackendError::Other("a finding does not exist, or you may not read it".into()))
    }

    async fn comment_finding(&self, id: FindingId, text: &str) -> Result<bool, BackendError> {
        let body = CommentBody { text: text.to_owned() };
        self.done(Method::POST, &format!("api/findings/{id}/comments"), &body).await
    }

    async fn explain_finding(&self, id: FindingId) -> Result<Option<Explanation>, BackendError> {
        self.get_json(&format!("api/findings/{id}/explain"), &[]).await
    }

    async fn targets(&self, params: &TargetParams) -> Result<TargetList, BackendError> {
        self.read_at("api/targets", params).await
    }

    async fn target(&self, id: TargetId) -> Result<Option<TargetDetailBody>, BackendError> {
        self.get_json(&format!("api/targets/{id}"), &[]).await
    }

    async fn edit_target(&self, id: TargetId, edit: TargetEditBody) -> Result<Option<TargetDetailBody>, BackendError> {
        self.order(Method::PATCH, &format!("api/targets/{id}"), &edit).await
    }

    async fn check_target(&self, id: TargetId, check: RecheckBody) -> Result<Option<SubmitAnswer>, BackendError> {
        // The scan is stored: a body that cannot be read as a whole must not hide it.
        let accepted: Option<Value> = self.order(Method::POST, &format!("api/targets/{id}/check"), &check).await?;
        let Some(accepted) = accepted else { return Ok(None) };
        let scan = accepted.get("scan_id").and_then(Value::as_u64).map(ScanId);
        let scan = scan.ok_or_else(|| self.strange("a scan without a number"))?;
        let warning = accepted.get("warning").and_then(Value::as_str).map(str::to_owned);
        Ok(Some(SubmitAnswer { id: scan, warning }))
    }

    async fn scan_findings(&self, scan: ScanId) -> Result<Option<ScanFindingList>, BackendError> {
        let mut all: Option<ScanFindingList> = None;
        let mut skip = Some(0);
        let most = u32::try_from(MOST_ON_PAGE).unwrap_or(PAGE);
        while let Some(from) = skip {
            let params = ScanFindingParams { skip: Some(from), limit: Some(most) };
            let page = self.get_with(&format!("api/scans/{scan}/findings"), &params).await?;
            let Some(page): Option<ScanFindingList> = page else { return Ok(None) };
            // A page that does not lead on would never end.
            skip = page.next_skip.filter(|next| *next > from);
            add_page(&mut all, page);
        }
        Ok(all)
    }

    async fn scan_notes(&self, scan: ScanId) -> Result<Option<ScanNotesBody>, BackendError> {
        self.get_json(&format!("api/scans/{scan}/notes"), &[]).await
    }

    async fn set_scan_notes(&self, scan: ScanId, notes: ScanNotesBody) -> Result<bool, BackendError> {
        let set: Option<ScanNotesBody> = self.order(Method::PUT, &format!("api/scans/{scan}/notes"), &notes).await?;
        Ok(set.is_some())
    }

    async fn compare(&self, later: ScanId, earlier: Option<ScanId>) -> Result<Option<ComparisonBody>, BackendError> {
        let params = CompareParams { with: earlier.map(|scan| scan.0) };
        self.get_with(&format!("api/scans/{later}/compare"), &params).await
    }
}

impl From<TriageError> for BackendError {
    fn from(error: TriageError) -> Self {
        match error {
            TriageError::Invalid(errors) => Self::Invalid(errors),
            TriageError::Denied(denial) => Self::Other(denial.to_string()),
            TriageError::Store(error) => error.into(),
        }
    }
}
