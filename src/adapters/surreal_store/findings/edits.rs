//! What people change about findings, targets, scans and projects, and their saved filters.
//!
//! Each change and its entry of the audit log are one transaction. A call that is repeated after a
//! lost response finds its own change by `made_by`. A saved filter has no entry; a deletion of one
//! whose row was there before the lost response, and is gone after it, was committed.

use kastrel_actors::model::{
    DomainEvent, FindingRecord, Principal, ProjectId, Put, SavedFilter, ScanId, ScanNotes, TargetRecord,
};
use kastrel_actors::ports::StoreError;
use kastrel_findings::lifecycle::SlaPolicy;
use surrealdb::types::{RecordId, SurrealValue};

use super::rows::{
    FindingRow, IsStored, Key, TargetRow, Write, compare_version, raise_mark, text, write_finding, write_target,
};
use crate::adapters::surreal_store::calls;
use crate::adapters::surreal_store::event::{EventRows, write_event};
use crate::adapters::surreal_store::row;
use crate::adapters::surreal_store::store::SurrealStore;

/// A change of one row by a person. `$write` writes the row.
macro_rules! edit {
    ($($write:tt)*) => {
        concat!(
            "
            BEGIN;
            ",
            compare_version!(),
            "
            LET $is_done = $old.made_by = $event.nonce;
            IF $is_current AND !$is_done {
                ",
            raise_mark!(),
            $($write)*,
            write_event!(),
            "
            };
            RETURN { stored: $is_current OR $is_done };
            COMMIT;"
        )
    };
}

const EDIT_FINDING: &str = edit!(write_finding!(", made_by = $event.nonce"));

const EDIT_TARGET: &str = edit!(write_target!(", made_by = $event.nonce"));

const BODY: &str = "RETURN { body: (SELECT VALUE body FROM ONLY $key) };";

const SET_POLICY: &str = concat!(
    "
    BEGIN;
    IF (SELECT VALUE made_by FROM ONLY $key) != $event.nonce {
        UPSERT $key SET project = $project, body = $body, made_by = $event.nonce RETURN NONE;
        ",
    write_event!(),
    "
    };
    COMMIT;"
);

/// FOR UPDATE makes the commit fail if the scan is deleted in the meantime.
const SET_NOTES: &str = concat!(
    "
    BEGIN;
    LET $project = (SELECT VALUE project FROM ONLY $of_scan FOR UPDATE);
    LET $has_scan = $project != NONE;
    IF $has_scan AND (SELECT VALUE made_by FROM ONLY $key) != $event.nonce {
        UPSERT $key SET scan = $scan, body = $body, made_by = $event.nonce RETURN NONE;
        DELETE scan_tag:[$scan]..[$scan + 1] WHERE tag NOT IN $tags RETURN NONE;
        FOR $one IN $tag_rows {
            UPSERT $one.key SET tag = $one.tag, number = $scan, project = $project RETURN NONE;
        };
        ",
    write_event!(),
    "
    };
    RETURN { stored: $has_scan };
    COMMIT;"
);

/// No name of a principal has characters below `!`.
const FILTERS: &str = "
    RETURN { rows: (SELECT name, body FROM saved_filter:[$owner]..[$owner + '!'] WHERE owner = $owner) };";

/// Calls for several filters at one time can exceed the limit by their number.
const SAVE_FILTER: &str = "
    BEGIN;
    LET $others = array::len((SELECT VALUE name FROM saved_filter:[$owner]..[$owner + '!'] WHERE owner = $owner AND name != $name));
    IF $others < $most {
        UPSERT $key SET owner = $owner, name = $name, body = $body RETURN NONE;
    };
    RETURN { stored: $others < $most };
    COMMIT;";

const DELETE_FILTER: &str = "
    BEGIN;
    LET $gone = DELETE $key RETURN BEFORE;
    RETURN { gone: array::len($gone) };
    COMMIT;";

#[derive(Debug, Clone, SurrealValue)]
struct EditFinding {
    row: FindingRow,
    amount: i64,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct EditTarget {
    row: TargetRow,
    amount: i64,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct Body {
    body: Option<String>,
}

#[derive(Debug, Clone, SurrealValue)]
struct SetPolicy {
    key: RecordId,
    project: String,
    body: String,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct SetNotes {
    key: RecordId,
    of_scan: RecordId,
    scan: i64,
    body: String,
    tags: Vec<String>,
    tag_rows: Vec<TagRow>,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct TagRow {
    key: RecordId,
    tag: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct OfOwner {
    owner: String,
}

#[derive(Debug, SurrealValue)]
struct FilterRow {
    name: String,
    body: String,
}

#[derive(Debug, SurrealValue)]
struct FilterRows {
    rows: Vec<FilterRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct SaveFilter {
    key: RecordId,
    owner: String,
    name: String,
    body: String,
    most: i64,
}

#[derive(Debug, SurrealValue)]
struct Gone {
    gone: i64,
}

fn policy_key(project: &ProjectId) -> RecordId {
    RecordId::new("sla_policy", project.to_string())
}

/// The key of the tags and notes of a scan.
pub(in crate::adapters::surreal_store) fn notes_key(scan: i64) -> RecordId {
    RecordId::new("scan_notes", row::parts_key([scan.into_value()]))
}

/// The key of a tag of a scan.
pub(in crate::adapters::surreal_store) fn tag_key(tag: &str, scan: i64) -> RecordId {
    RecordId::new("scan_tag", row::parts_key([scan.into_value(), tag.to_owned().into_value()]))
}

fn filter_key(owner: &str, name: &str) -> RecordId {
    RecordId::new("saved_filter", row::parts_key([owner, name].map(|part| part.to_owned().into_value())))
}

impl SurrealStore {
    pub(super) async fn write_edited_finding(
        &self,
        finding: &FindingRecord,
        event: &DomainEvent,
        by: &Principal,
    ) -> Result<Put, StoreError> {
        let row = FindingRow::new(finding, 1, Write::Put)?;
        let arguments = EditFinding { row, amount: 1, event: self.audited(event, by)? };
        Ok(calls::call_again::<IsStored>(&self.inner.db, EDIT_FINDING, arguments).await?.put())
    }

    pub(super) async fn write_edited_target(
        &self,
        target: &TargetRecord,
        event: &DomainEvent,
        by: &Principal,
    ) -> Result<Put, StoreError> {
        let arguments = EditTarget { row: TargetRow::new(target)?, amount: 1, event: self.audited(event, by)? };
        Ok(calls::call_again::<IsStored>(&self.inner.db, EDIT_TARGET, arguments).await?.put())
    }

    pub(super) async fn read_sla_policy(&self, project: &ProjectId) -> Result<SlaPolicy, StoreError> {
        let Body { body } = calls::call_again(&self.inner.db, BODY, Key { key: policy_key(project) }).await?;
        body.map_or_else(|| Ok(SlaPolicy::default()), |body| serde_json::from_str(&body).map_err(row::corrupt))
    }

    pub(super) async fn write_sla_policy(
        &self,
        project: &ProjectId,
        policy: &SlaPolicy,
        by: &Principal,
    ) -> Result<(), StoreError> {
        let arguments = SetPolicy {
            key: policy_key(project),
            project: project.to_string(),
            body: text("the times to fix findings", policy)?,
            event: self.audited(&DomainEvent::SlaPolicySet { project: project.clone() }, by)?,
        };
        Ok(calls::execute_again(&self.inner.db, SET_POLICY, arguments).await?)
    }

    pub(super) async fn read_scan_notes(&self, scan: ScanId) -> Result<ScanNotes, StoreError> {
        let key = Key { key: notes_key(row::signed(scan.0)?) };
        let Body { body } = calls::call_again(&self.inner.db, BODY, key).await?;
        body.map_or_else(|| Ok(ScanNotes::default()), |body| serde_json::from_str(&body).map_err(row::corrupt))
    }

    pub(super) async fn write_scan_notes(
        &self,
        scan: ScanId,
        notes: &ScanNotes,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let Some(of_scan) = row::scan_key(scan) else { return Ok(false) };
        let number = row::signed(scan.0)?;
        let arguments = SetNotes {
            key: notes_key(number),
            of_scan,
            scan: number,
            body: text("the notes of a scan", notes)?,
            tags: notes.tags.clone(),
            tag_rows: notes.tags.iter().map(|tag| TagRow { key: tag_key(tag, number), tag: tag.clone() }).collect(),
            event: self.audited_about(&DomainEvent::ScanNotesChanged, by, scan)?,
        };
        let IsStored { stored } = calls::call_again(&self.inner.db, SET_NOTES, arguments).await?;
        Ok(stored)
    }

    pub(super) async fn read_filters(&self, owner: &str) -> Result<Vec<SavedFilter>, StoreError> {
        let of_owner = OfOwner { owner: owner.to_owned() };
        let FilterRows { mut rows } = calls::call_again(&self.inner.db, FILTERS, of_owner).await?;
        rows.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        rows.iter().map(|row| serde_json::from_str(&row.body).map_err(row::corrupt)).collect()
    }

    pub(super) async fn write_filter(
        &self,
        owner: &str,
        filter: &SavedFilter,
        most: usize,
    ) -> Result<bool, StoreError> {
        // A text of the database holds no NUL.
        if owner.contains('\0') || filter.name.contains('\0') {
            return Err(row::corrupt("the name of a saved filter has a NUL character"));
        }
        let arguments = SaveFilter {
            key: filter_key(owner, &filter.name),
            owner: owner.to_owned(),
            name: filter.name.clone(),
            body: text("a saved filter", filter)?,
            most: row::at_most(most),
        };
        let IsStored { stored } = calls::call_again(&self.inner.db, SAVE_FILTER, arguments).await?;
        Ok(stored)
    }

    pub(super) async fn remove_filter(&self, owner: &str, name: &str) -> Result<bool, StoreError> {
        if !self.read_filters(owner).await?.iter().any(|filter| filter.name == name) {
            return Ok(false);
        }
        let key = Key { key: filter_key(owner, name) };
        let (answer, is_unanswered) = calls::call_again_noting_loss::<Gone>(&self.inner.db, DELETE_FILTER, key).await?;
        Ok(answer.gone > 0 || is_unanswered)
    }
}
