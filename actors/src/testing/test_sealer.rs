//! A sealer for tests that needs no key and protects nothing.

use crate::ports::{SealError, SecretSealer};

/// Encodes the purpose and the secret as hexadecimal text.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestSealer;

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<String> {
    let bytes = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}

impl SecretSealer for TestSealer {
    fn seal(&self, purpose: &str, clear: &str) -> Result<String, SealError> {
        Ok(format!("test.{}.{}", hex(purpose), hex(clear)))
    }

    fn open(&self, purpose: &str, sealed: &str) -> Result<String, SealError> {
        let parts: Vec<&str> = sealed.split('.').collect();
        match parts.as_slice() {
            ["test", of, clear] if *of == hex(purpose) => unhex(clear).ok_or(SealError::Broken),
            _ => Err(SealError::Broken),
        }
    }
}
