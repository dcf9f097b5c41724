//! Device logins on a server: how `kastrel login` gets a token.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::error::BackendError;
use super::remote::{RemoteBackend, is_json};
use crate::api_types::{DeviceCode, DeviceCodeBody, DeviceToken, NewDeviceLoginBody, SecretText};

/// The answer of a server to a poll.
#[derive(Debug)]
pub enum DeviceAnswer {
    /// The token.
    Token(Box<DeviceToken>),
    /// Nobody has decided yet.
    Pending,
    /// The poll came too early: wait for 5 seconds more from now on.
    SlowDown,
    /// Somebody denied it.
    Denied,
    /// The device login is not valid any more.
    Expired,
}

impl RemoteBackend {
    /// Creates a device login; `None` if the server has none.
    ///
    /// # Errors
    /// The server does not respond, or refuses.
    pub async fn start_device_login(&self, new: &NewDeviceLoginBody) -> Result<Option<DeviceCode>, BackendError> {
        self.order(Method::POST, "api/device/code", new).await
    }

    /// Polls for the token of a device login.
    ///
    /// # Errors
    /// The server does not respond, or its response is not one to a poll.
    pub async fn poll_device_login(&self, code: &SecretText) -> Result<DeviceAnswer, BackendError> {
        let body = DeviceCodeBody { device_code: code.clone() };
        let response = self.send(Method::POST, "api/device/token", &body).await?;
        if response.status().is_success() {
            return Ok(DeviceAnswer::Token(Box::new(self.body(response).await?)));
        }
        if response.status() == StatusCode::NOT_FOUND && is_json(&response) {
            return Ok(DeviceAnswer::Expired);
        }
        match self.problem(response).await {
            BackendError::Problem(problem) => match problem.kind.rsplit(':').next().unwrap_or_default() {
                "authorization-pending" => Ok(DeviceAnswer::Pending),
                "slow-down" => Ok(DeviceAnswer::SlowDown),
                "access-denied" => Ok(DeviceAnswer::Denied),
                "expired-token" => Ok(DeviceAnswer::Expired),
                _ => Err(BackendError::Problem(problem)),
            },
            error => Err(error),
        }
    }

    /// Ends a device login that nobody needs any more.
    ///
    /// # Errors
    /// The server does not respond, or refuses.
    pub async fn cancel_device_login(&self, code: &SecretText) -> Result<(), BackendError> {
        self.done(Method::POST, "api/device/cancel", &json!({ "device_code": code })).await.map(drop)
    }
}
