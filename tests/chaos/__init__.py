"""Rounds of chaos: bad workers, and kills at random moments; then every byte and every process is asked for."""
