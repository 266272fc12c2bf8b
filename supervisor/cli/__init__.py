"""The commands of `callboard`, one file for each group."""
