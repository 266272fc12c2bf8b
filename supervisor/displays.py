"""Which actor shows a run, and what is shown where that one fails."""

from collections.abc import Iterator
from itertools import chain, repeat

import trio

from actors.display import Display, JsonText, LiveText, PlainText
from actors.messages import Subscribe
from protocols.layout import FleetFolder
from supervisor.children import Child

__all__ = ["display_child"]


def display_child(
    text: JsonText | PlainText | LiveText,
    folder: FleetFolder,
    subscribe: trio.MemorySendChannel[Subscribe],
    fd: int,
    *,
    after: int = 0,
) -> Child:
    """The actor that shows the records of ``subscribe`` on ``fd``. A picture that fails gives way to plain lines.

    Lines are shown of the records behind number ``after``.
    """
    if not isinstance(text, LiveText):
        display = Display(text=text, folder=folder, subscribe=subscribe, fd=fd, after=after)
        return Child("display", display.run, when_exhausted="park", limit=0)
    from actors.live.screen import Screen  # noqa: PLC0415 - who does not look need not have it in memory

    screen = Screen(text=text, folder=folder, subscribe=subscribe, fd=fd)
    lines = Display(
        text=PlainText(folder, leaves=text.leaves, redactor=text.redactor),
        folder=folder,
        subscribe=subscribe,
        fd=fd,
        after=after,
    )
    actors: Iterator[Screen | Display] = chain((screen,), repeat(lines))

    async def show(*, task_status: trio.TaskStatus[None]) -> None:
        await next(actors).run(task_status=task_status)

    return Child("display", show, when_exhausted="park", limit=1)
