"""What is said: messages, codecs, parsers and rules. No I/O, no trio."""
