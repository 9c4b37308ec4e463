"""Readers of public data sets: one module a set, each in the layout in which its authors hand it out."""
