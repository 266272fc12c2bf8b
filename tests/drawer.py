"""``python -m tests.drawer``: a program that draws small pictures on its terminal, and tells the tests of it.

TERM ends it in order, USR1 in haste; for USR2 it says that it is alive. What it tells goes to the file it is given.
"""

import os
import signal
import sys
from dataclasses import dataclass, field

import trio

from actors.live.terminal import Terminal, open_terminal

__all__: list[str] = []


@dataclass
class _Drawer:
    file: int
    woken: trio.Event = field(default_factory=trio.Event)

    def tell(self, text: str) -> None:
        os.write(self.file, f"{text}\n".encode())

    def wake(self) -> None:
        self.woken.set()

    async def run(self) -> None:
        self.tell(str(os.getpid()))
        scope = trio.CancelScope()
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2) as signals, scope:
            async with open_terminal(1, self.wake) as terminal, trio.open_nursery() as nursery:
                nursery.start_soon(self.draw, terminal)
                while (number := await anext(signals)) == signal.SIGUSR2:
                    self.tell("alive")
                if number == signal.SIGUSR1:
                    scope.cancel(reason="in haste")
                nursery.cancel_scope.cancel(reason="in order")
        self.tell("left")

    async def draw(self, terminal: Terminal) -> None:
        while True:
            columns, rows = terminal.size()
            self.tell(f"drawing {terminal.epoch}" if terminal.shows else "not showing")
            lives = await terminal.write(f"\x1b[Hpicture {terminal.epoch} {columns}x{rows}.".encode())
            self.tell("drawn" if lives else "gone")
            await self.woken.wait()
            self.woken = trio.Event()


if __name__ == "__main__":
    trio.run(_Drawer(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)).run)
