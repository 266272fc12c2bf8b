"""The port of `callboard up`: HTTP, server-sent events and WebSocket on the same listeners."""
