//! Kastrel, the program.

fn main() {}
