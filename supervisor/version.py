"""Which callboard this is. `importlib.metadata` would tell too, for seven megabytes of memory."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
