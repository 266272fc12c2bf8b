"""A real browser without a window, for pages that tell the test what they saw by a request of their own."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.require import program

__all__ = ["browsing"]

_FLAGS = (
    "--headless",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--remote-debugging-port=0",  # so that it stays
)


@contextmanager
def browsing(folder: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """The page is open, or about to be; the browser and all its processes are gone behind the context."""
    chromium = program("chromium", "install chromium")
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    with (folder / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(
            [chromium, *_FLAGS, f"--user-data-dir={folder / 'profile'}", url],
            env={**os.environ, **home},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield browser
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
