//! Runs one attempt as one process of KAST or of the built-in scanner.
