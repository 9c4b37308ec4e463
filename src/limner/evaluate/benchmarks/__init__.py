"""The field's benchmarks: what each one scores, exactly, and with which data."""
