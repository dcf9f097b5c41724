//! The built-in scanner.
