"""Types into a pane of tmux, and finds out whether the program there has taken it."""

import fcntl
import os
import struct
import termios

import msgspec
import trio

from actors.orders import Answer, Ask
from actors.replies import reply
from actors.tmux_client import ControlClient
from actors.tmux_reader import PaneReader
from protocols.errors import SpawnError, TmuxError
from protocols.keeper_codec import from_os
from protocols.keeper_inputs import Write, Written

__all__ = ["answer_keys", "type_keys"]

_PATIENCE = 1.5  # for a program that is busy; one that waits for keys takes them in a millisecond
_LOOK = 0.02
_AT_ONCE = 256  # keys of one command


async def answer_keys(ask: Ask, write: Write, reader: PaneReader | None) -> None:
    """Type what is asked for, and answer: with `protocols.keeper.Written`, or why nobody took it."""
    data = from_os(write.data)
    failed, code = "its pane is not there", "ESRCH"
    if reader is not None and reader.place is not None and not reader.gone.is_set():
        failed, code = "its control client is just gone; try again", "EAGAIN"
        if reader.client is not None:
            failed = await type_keys(reader.client, reader.place.pane, reader.place.tty, data)
    answer = Answer(error=SpawnError(failed, code)) if failed else Answer(msgspec.json.encode(Written(len(data))))
    reply(ask.answer, answer)


async def type_keys(
    client: ControlClient, pane: str, terminal: str, data: bytes, *, patience: float = _PATIENCE
) -> str:
    """Type bytes (Enter is ``\\r``) into a pane. Return why they were not taken; empty where they were.

    ``terminal``: the path of the pane's terminal. What a terminal that edits lines holds back until Enter counts as
    taken; so the proof for a text comes with its Enter.
    """
    try:
        fd = os.open(terminal, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"its terminal {terminal}: {error.strerror}"
    try:
        return await _type(client, pane, data) or await _prove(client, fd, patience)
    except TmuxError as error:
        return str(error)
    finally:
        os.close(fd)


async def _type(client: ControlClient, pane: str, data: bytes) -> str:
    if await client.command("display-message", "-p", "-t", pane, "#{pane_in_mode}") != ["0"]:
        return "somebody scrolls in its pane, which takes no keys meanwhile"
    for start in range(0, len(data), _AT_ONCE):
        keys = [f"{byte:02x}" for byte in data[start : start + _AT_ONCE]]
        await client.command("send-keys", "-t", pane, "-H", *keys)
    return ""


async def _prove(client: ControlClient, fd: int, patience: float) -> str:
    """Wait until nothing waits to be read; twice, as tmux may not have written all of it when it answers."""
    until, clean, waiting = trio.current_time() + patience, 0, 0
    while trio.current_time() < until:
        try:
            await client.command("display-message", "-p", "")
        except TmuxError as error:
            return f"typed, and before it was sure that somebody had read it, that was over: {error}"
        waiting = _unread(fd)
        clean = 0 if waiting else clean + 1
        if clean == 2:
            return ""
        await trio.sleep(_LOOK)
    return f"it does not read its terminal: {waiting} bytes wait there"


def _unread(fd: int) -> int:
    try:
        count: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]
    except OSError:
        return 0  # it is closed: the client tells
    return count
