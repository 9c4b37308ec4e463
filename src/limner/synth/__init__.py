"""Synthetic people with exact labels."""
