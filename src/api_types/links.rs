//! The public links of scans.

use kastrel_actors::model::{PublicLink, PublicLinkId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::SecretText;
use super::moment::Moment;
use crate::identity::password::Password;
use crate::identity::secret::RandomSecret;
use crate::service::access::{ListedLink, PublicLinkRequest};

/// A public link of a scan, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PublicLink)]
pub struct PublicLinkBody {
    /// The public part, which identifies the link.
    #[schema(value_type = String)]
    pub id: PublicLinkId,
    /// What it is for, in the words of its creator; may be empty.
    pub label: String,
    /// Who created it: `user:NAME`, `service:NAME` or `system`.
    pub created_by: String,
    /// When it was created.
    pub created_at: Moment,
    /// When it expires.
    pub expires_at: Moment,
    /// Whether visitors must enter a password.
    pub has_password: bool,
    /// How often it was opened.
    pub opened: u64,
    /// When it was last opened; null if it was not.
    pub opened_at: Option<Moment>,
    /// Why it opens nothing at the moment, although it has not expired: `creator_disabled`, or
    /// `creator_lacks_role` to share scans of the project; null if it opens the scan.
    #[serde(default)]
    pub paused: Option<String>,
}

impl From<&PublicLink> for PublicLinkBody {
    fn from(link: &PublicLink) -> Self {
        Self {
            id: link.id.clone(),
            label: link.label.clone(),
            created_by: link.created_by.to_string(),
            created_at: Moment::of(link.created_at),
            expires_at: Moment::of(link.expires_at),
            has_password: link.password_hash.is_some(),
            opened: link.opened,
            opened_at: link.opened_at.map(Moment::of),
            paused: None,
        }
    }
}

impl From<&ListedLink> for PublicLinkBody {
    fn from(listed: &ListedLink) -> Self {
        Self { paused: listed.pause.map(|pause| pause.as_str().to_owned()), ..(&listed.link).into() }
    }
}

/// The public links of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicLinkList {
    /// The links, newest first.
    pub links: Vec<PublicLinkBody>,
}

impl PublicLinkList {
    /// Shows links.
    #[must_use]
    pub fn of(links: &[ListedLink]) -> Self {
        Self { links: links.iter().map(Into::into).collect() }
    }
}

/// A public link to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPublicLink)]
pub struct NewPublicLinkBody {
    /// What it is for: at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How many days it is valid; 7 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 365)]
    pub days: Option<u32>,
    /// A password of 12 to 256 characters that visitors must enter; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub password: Option<SecretText>,
}

impl From<NewPublicLinkBody> for PublicLinkRequest {
    fn from(body: NewPublicLinkBody) -> Self {
        Self {
            label: body.label.unwrap_or_default(),
            days: body.days,
            password: body.password.map(|password| Password::new(password.expose().to_owned())),
        }
    }
}

/// A new public link with its secret, which is shown only here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedPublicLink {
    /// The path of the page, to append to the address of the server. It contains the secret of the
    /// link.
    #[schema(value_type = String)]
    pub path: SecretText,
    /// The link.
    pub link: PublicLinkBody,
}

impl CreatedPublicLink {
    /// Shows a link with this secret.
    #[must_use]
    pub fn of(secret: &RandomSecret, link: &PublicLink) -> Self {
        Self { path: SecretText::new(format!("/shared/{}", secret.expose())), link: link.into() }
    }
}
