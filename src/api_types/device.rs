//! Device logins: how a command line gets an API token after its user allowed that in a browser.
//! The words are those of RFC 8628, the device authorization grant of OAuth 2.0.

use std::net::IpAddr;

use kastrel_actors::model::{ProjectRole, TokenRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::{SecretText, TokenBody};
use crate::identity::token::ApiToken;
use crate::service::access::{DeviceRequest, NewDeviceLogin};

/// A device login to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDeviceLogin)]
pub struct NewDeviceLoginBody {
    /// The machine, for the person who allows the login: 1 to 64 characters.
    #[serde(default)]
    #[schema(required = true, example = "ana@laptop")]
    pub label: String,
    /// The highest role in a project of the token; `operator` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ProjectRole>,
    /// Whether the token has the role of its account on the server.
    #[serde(default)]
    pub server_role: bool,
    /// How many days the token is valid; 90 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 366)]
    pub days: Option<u32>,
}

impl NewDeviceLoginBody {
    /// Returns what a client at `address` requests.
    #[must_use]
    pub fn request(self, address: IpAddr) -> DeviceRequest {
        let Self { label, role, server_role, days } = self;
        DeviceRequest { label, role, has_server_role: server_role, days, address }
    }
}

/// A new device login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceCode {
    /// The code with which the client polls for its token. Show it to nobody.
    #[schema(value_type = String)]
    pub device_code: SecretText,
    /// The code that the user compares and enters.
    #[schema(example = "BCDF-GHJK")]
    pub user_code: String,
    /// The page on which the user enters the code: an address, or a path that follows the address
    /// of the server as the client knows it.
    #[schema(example = "/device")]
    pub verification_uri: String,
    /// The same page with the code.
    #[schema(example = "/device?code=BCDF-GHJK")]
    pub verification_uri_complete: String,
    /// How long both codes are valid, in seconds.
    pub expires_in: u64,
    /// The least time between two polls, in seconds.
    pub interval: u64,
}

impl DeviceCode {
    /// Shows a device login whose user code is entered on `page`.
    #[must_use]
    pub fn of(new: &NewDeviceLogin, page: String) -> Self {
        Self {
            device_code: SecretText::new(new.device_code.expose()),
            user_code: new.user_code.to_string(),
            verification_uri_complete: format!("{page}?code={}", new.user_code),
            verification_uri: page,
            expires_in: new.lifetime.as_secs(),
            interval: new.interval.into(),
        }
    }
}

/// The device login of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeviceLogin)]
pub struct DeviceCodeBody {
    /// The code of the client.
    #[serde(default)]
    #[schema(value_type = String, required = true)]
    pub device_code: SecretText,
}

/// The token of a device login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceToken {
    /// The API token. It is shown only here.
    #[schema(value_type = String)]
    pub access_token: SecretText,
    /// How a request sends it: `Bearer`.
    pub token_type: String,
    /// How long it is valid, in seconds.
    pub expires_in: i64,
    /// The token, without its secret.
    pub token: TokenBody,
}

impl DeviceToken {
    /// Shows a token that was just created.
    #[must_use]
    pub fn of(token: &ApiToken, record: &TokenRecord) -> Self {
        Self {
            access_token: SecretText::new(token.expose()),
            token_type: "Bearer".into(),
            expires_in: record.expires_at.duration_since(record.created_at).as_secs(),
            token: record.into(),
        }
    }
}
