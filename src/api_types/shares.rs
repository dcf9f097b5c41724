//! The shares of scans, and transfers.

use kastrel_actors::model::{Grantee, Share, ShareRight};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::moment::Moment;
use super::scans::ScanSummary;
use crate::service::access::{ReceivedShare, ShareRequest};

/// A share of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Share)]
pub struct ShareBody {
    /// Who has the right: `user:NAME` or `project:ID`.
    #[schema(value_type = String)]
    pub grantee: Grantee,
    /// The right.
    pub right: ShareRight,
    /// Who created it: `user:NAME`, `service:NAME` or `system`.
    pub created_by: String,
    /// When it was created.
    pub created_at: Moment,
    /// When it expires; null if it does not.
    pub expires_at: Option<Moment>,
}

impl From<&Share> for ShareBody {
    fn from(share: &Share) -> Self {
        Self {
            grantee: share.grantee.clone(),
            right: share.right,
            created_by: share.created_by.to_string(),
            created_at: Moment::of(share.created_at),
            expires_at: share.expires_at.map(Moment::of),
        }
    }
}

/// The shares of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareList {
    /// The shares that have not expired, newest first.
    pub shares: Vec<ShareBody>,
}

impl ShareList {
    /// Shows shares.
    #[must_use]
    pub fn of(shares: &[Share]) -> Self {
        Self { shares: shares.iter().map(Into::into).collect() }
    }
}

/// A share to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewShare)]
pub struct NewShareBody {
    /// Who gets the right: `user:NAME` or `project:ID`.
    #[serde(default)]
    #[schema(required = true)]
    pub grantee: String,
    /// The right: `view` or `edit`; `view` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ShareRight>)]
    pub right: Option<String>,
    /// How many days it is valid; it does not expire if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 365)]
    pub days: Option<u32>,
}

impl From<NewShareBody> for ShareRequest {
    fn from(body: NewShareBody) -> Self {
        let right = body.right.unwrap_or_else(|| ShareRight::View.as_str().to_owned());
        Self { grantee: body.grantee, right, days: body.days }
    }
}

/// A scan that is shared with the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SharedScanBody {
    /// The scan.
    pub scan: ScanSummary,
    /// The right that the caller has by the share: at most that of the share.
    pub right: ShareRight,
    /// The share that gives most.
    pub share: ShareBody,
}

impl SharedScanBody {
    /// Shows a scan with the share that opens it.
    #[must_use]
    pub fn of(scan: ScanSummary, received: &ReceivedShare) -> Self {
        Self { scan, right: received.right, share: (&received.share).into() }
    }
}

/// A page of the scans that are shared with the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SharedScanList {
    /// The scans, newest first.
    pub scans: Vec<SharedScanBody>,
    /// The value of `before` that gets the next scans; null after the last scan.
    pub next_before: Option<u64>,
}

/// The page of a list of shared scans.
#[derive(Debug, Clone, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SharedScanParams {
    /// Only scans with a number below this one.
    pub before: Option<u64>,
    /// The maximum number of scans.
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub limit: Option<u32>,
}

/// The transfer of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Transfer)]
pub struct TransferBody {
    /// The id of the project to which the scan goes.
    #[serde(default)]
    #[schema(required = true)]
    pub project: String,
}
