"""Curated sets: photos with fitted people, scored by rules, judged by reviewers, handed on for training."""
