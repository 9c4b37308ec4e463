"""The benchmarks' protocols."""
