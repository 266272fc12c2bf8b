"""The keeper: a small program of the standard library alone that owns the workers' processes and their pipes."""
