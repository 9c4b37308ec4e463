"""Many photos: blocks of work in this process, in one process a core, or on many machines (Ray)."""
