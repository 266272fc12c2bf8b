"""The live display: a picture of a run on a terminal, drawn anew where it changed."""
