"""Who starts and stops whom: settings, restarts, wiring, command line."""
