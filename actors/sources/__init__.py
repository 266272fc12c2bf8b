"""Where a worker's bytes come from, one module for each source."""
