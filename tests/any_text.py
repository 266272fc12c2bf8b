"""Text as bad as it comes, for Hypothesis, and the cells that it takes: counted without the code under test."""

from unicodedata import category, east_asian_width

from hypothesis import strategies as st

__all__ = ["any_text", "cells_of"]

_NASTY = (
    *("\x1b[2J\x1b[1;1H", "\x1b]0;title\x07", "\x1b[31m", "\x9b31m", "\r", "\n", "\t", "\x00", "\x7f", "\u2028"),
    *(
        "日本語",
        "🚀",
        "👍🏽",
        "👨\u200d👩\u200d👧",
        "🇩🇪",
        "1\ufe0f\u20e3",
        "❤\ufe0f",
        "\u3000",
        "\u1112\u1161\u11ab",
        "\u11ab",
    ),
    *("e\u0301", "\u0301", "z\u0300\u0301\u0302\u0303\u0304", "ก\u0e31\u0e48", "क\u093e", "\u202e", "\u2066", "\ufeff"),
    *("\u00ad", "\ud800", "\ue0a0", "\U000e0041", "\U0010ffff", "\u0378", "☰", "䷀", "…", "ﬁ", "½"),
)

any_text: st.SearchStrategy[str] = st.lists(
    st.one_of(st.sampled_from(_NASTY), st.text(st.characters(), max_size=5), st.text("abc 123", max_size=20)),
    max_size=8,
).map("".join)


def cells_of(text: str) -> int:
    """Marks take no cell, East Asian wide characters two."""
    return sum(0 if category(char) in {"Mn", "Me"} else 2 if east_asian_width(char) in "WF" else 1 for char in text)
