"""``python -m tests.picture``: run configs/showcase.toml in tmux, and keep its screen as configs/showcase.svg."""

import html
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from actors.cells import width

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parent.parent
_COLUMNS, _ROWS = 118, 36
_MOMENT = 9.5  # seconds from the start: one is being stopped, one waits for its next attempt, some have ended
_CELL = 12.2  # of rich's picture
_TEXT = re.compile(r'textLength="[0-9.]+"(?P<between>[^<>]*)>(?P<text>[^<]*)<')
_FONT_FILES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a picture loads nothing from elsewhere


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, _screen(Path(folder)) as tmux:
        time.sleep(_MOMENT)
        shown = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True).stdout
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown.rstrip("\n")))
    svg = console.export_svg(title="callboard run configs/showcase.toml", unique_id="showcase")
    (_ROOT / "configs" / "showcase.svg").write_text(_TEXT.sub(_measured, _FONT_FILES.sub("", svg)))


def _measured(match: re.Match[str]) -> str:
    """Wide characters take two cells each; rich counts them as one."""
    size = width(html.unescape(match["text"])) * _CELL
    return f'textLength="{size:g}"{match["between"]}>{match["text"]}<'


@contextmanager
def _screen(folder: Path) -> Iterator[list[str]]:
    """A terminal of its own in which the run goes on; the command to ask its tmux."""
    tmux = ["tmux", "-u", "-S", str(folder / "tmux"), "-f", "/dev/null"]
    command = f"{Path(sys.executable).with_name('callboard')} run --state {folder / 'state'} configs/showcase.toml"
    environment = {**os.environ, "LANG": "C.UTF-8"}
    size = ["-x", str(_COLUMNS), "-y", str(_ROWS)]
    subprocess.run([*tmux, "new-session", "-d", *size, command], cwd=_ROOT, env=environment, check=True)
    try:
        yield tmux
    finally:
        subprocess.run([*tmux, "send-keys", "C-c"], check=False)
        subprocess.run([*tmux, "send-keys", "C-c"], check=False)
        deadline = time.monotonic() + 20
        while subprocess.run([*tmux, "has-session"], check=False, capture_output=True).returncode == 0:
            assert time.monotonic() < deadline, "the run does not end"
            time.sleep(0.1)


if __name__ == "__main__":
    main()
