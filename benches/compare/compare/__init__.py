"""The side-by-side benchmark of Kastrel and other job systems. See docs/benchmarks.md."""
