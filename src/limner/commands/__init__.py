"""The commands of `limner`, one function a file; heavy modules are imported when a command runs."""
