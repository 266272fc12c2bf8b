"""Sizes as people read them: "999 B", "1.2 kB", "34 MB"."""

__all__ = ["format_bytes"]


def format_bytes(count: float) -> str:
    """Three digits and a unit at most: 999 B, 1.2 kB, 34 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.1f} {unit}" if size < 9.95 and unit != "B" else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
