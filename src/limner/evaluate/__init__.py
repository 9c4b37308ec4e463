"""Metrics, benchmarks and their tables."""
