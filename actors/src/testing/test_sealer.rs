//! A sealer for tests that needs no key and protects nothing.

use crate::ports::{SealError, SecretSealer};

/// Encodes the purpose and the secret as hexadecimal text.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestSealer;

impl SecretSealer for TestSealer {
    fn seal(&self, purpose: &str, clear: &str) -> Result<String, SealError> {
        Ok(format!("test.{}.{}", hex::encode(purpose), hex::encode(clear)))
    }

    fn open(&self, purpose: &str, sealed: &str) -> Result<String, SealError> {
        let parts: Vec<&str> = sealed.split('.').collect();
        match parts.as_slice() {
            ["test", of, clear] if *of == hex::encode(purpose) => {
                let clear = hex::decode(clear).map_err(|_| SealError::Broken)?;
                String::from_utf8(clear).map_err(|_| SealError::Broken)
            }
            _ => Err(SealError::Broken),
        }
    }
}
