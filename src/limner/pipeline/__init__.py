"""What inference and training share: part crops, merging, the result record."""
