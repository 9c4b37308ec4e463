"""The data files that limner ships. The embedded body model and the network weights."""
