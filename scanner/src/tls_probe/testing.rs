//! A ServerHello, for the tests of this folder.

/// Returns the record of a ServerHello of TLS 1.`minor - 1` with a suite.
pub(super) fn hello(minor: u8, suite: u16) -> Vec<u8> {
    let mut bytes = vec![22, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
    bytes.extend([7; 32]);
    bytes.push(0);
    bytes.extend(suite.to_be_bytes());
    bytes.push(0);
    bytes
}
