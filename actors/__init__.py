"""Who acts: one module for each actor, with all the I/O."""
