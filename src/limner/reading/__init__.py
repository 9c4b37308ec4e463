"""Files that somebody else made: read within limits, nothing in them runs, whatever is wrong becomes limner's error."""
