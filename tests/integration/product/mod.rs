//! The real program, driven over HTTP and its command line, with the fake KAST or the built-in scanner.

mod app;

mod artifacts;
mod behaviours;
mod builtin;
mod cancels;
mod crashes;
mod hostile;
mod warden;
