"""What holds for every test: an end in time, a clean environment, and no process left behind."""

import contextlib
import functools
import inspect
import os
import signal
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, settings
from trio.testing import MockClock

from tests.opencode import OpenCode, open_opencode
from tests.scripted_model import ScriptedModel, open_model

__all__: list[str] = []

DEADLINE = 30.0
# Mock time costs nothing: a test may sleep for days in it, and a deadlock jumps to the end at once.
MOCK_DEADLINE = 365 * 86400.0
# A child may be on its way out: reaped by a thread that the test does not wait for.
PARTING = 1.0

settings.register_profile(
    "callboard", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("callboard")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None]:
    """Put a deadline around the test, inside of what pytest-trio wraps around it."""
    marker = item.get_closest_marker("deadline")
    seconds: float = marker.args[0] if marker else DEADLINE
    handle = getattr(item.obj, "hypothesis", None)
    if handle is not None and inspect.iscoroutinefunction(handle.inner_test):
        handle.inner_test = _in_time(handle.inner_test, seconds)
    elif inspect.iscoroutinefunction(item.obj):
        item.obj = _in_time(item.obj, seconds)
    elif item.get_closest_marker("trio") is None:
        with _alarm(seconds):
            return (yield)
    return (yield)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise ``TimeoutError`` where the main thread is after ``seconds``."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _in_time(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def bounded(**fixtures: object) -> None:
        mocked = isinstance(trio.lowlevel.current_clock(), MockClock)
        with trio.fail_after(MOCK_DEADLINE if mocked else seconds):
            await test(**fixtures)

    return bounded


@pytest.fixture(autouse=True)
def _clean_environment() -> Iterator[None]:
    """No setting of ours from outside, such as those of a callboard that runs the tests as its worker."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("CALLBOARD_") and name != "CALLBOARD_REQUIRE":
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    before = _children()
    yield
    patience = time.monotonic() + PARTING
    while (left := _children() - before) and time.monotonic() < patience:
        time.sleep(0.01)
    if left:
        commands = [f"{pid} {_end(pid)}" for pid in sorted(left)]
        pytest.fail(f"the test left processes behind: {', '.join(commands)}", pytrace=False)


def _children() -> set[int]:
    """The pids of our child processes, those not yet reaped included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
    return found


def _end(pid: int) -> str:
    """Kill and reap a child, so that it disturbs no other test; its command line."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return command.strip() or "(ended, but never reaped)"


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with open_model() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCode]:
    """One for most tests of a module: to start one takes seconds, and it keeps 60 MB for each directory that a test
    has on it."""
    with open_opencode(tmp_path_factory.mktemp("opencode"), model.url) as opened:
        yield opened
