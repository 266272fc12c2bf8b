"""Shows a run as a picture on a terminal. However slow that is, it slows nothing but itself."""

import time
from collections.abc import Callable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field

import trio

from actors.cells import Size
from actors.display import LiveText
from actors.live.allotment import Arrangement, arrange
from actors.live.look import Look
from actors.live.painter import Painter
from actors.live.picture import draw
from actors.live.spools import COUNT_EVERY, SpoolReader, Wanted
from actors.live.terminal import Terminal, open_terminal
from actors.messages import Subscribe
from actors.subscription import follow_records
from protocols.board import SIGNAL, Board
from protocols.interrupts import tell_interrupt
from protocols.layout import FleetFolder

__all__ = ["Screen"]

_FRAME = 0.05  # seconds between two pictures: people see no more
_SHARE = 0.02  # of a core: where pictures are large or the machine is slow, there are fewer of them
_TICK = 1.0  # clocks go on, rates fade
_CROWD, _BUSY = 0.02, 0.002  # seconds in which records gather, and in which they are taken then
_LATE = 1.0  # older than that, a record belongs to what there is to catch up with
_BUFFER = 4096


@dataclass(slots=True)
class _Scene:
    """What there is to show, and how it was shown last."""

    reader: SpoolReader
    painter: Painter
    board: Board = field(default_factory=Board)
    moved: trio.Event = field(default_factory=trio.Event)
    """Set when there may be something new to show."""
    epoch: int = 0
    """Of the terminal, as it was when it was painted last."""
    cost: float = 0.0
    """Seconds that the last picture took."""

    def wake(self) -> None:
        self.moved.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Show a run on the terminal ``fd`` until it ends, or nobody looks any more. Then the terminal is as before."""

    text: LiveText
    folder: FleetFolder
    subscribe: trio.MemorySendChannel[Subscribe]
    fd: int
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.text.said or nullcontext():  # whoever has something to say hears when there is no picture any more
            await self._run(task_status)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        scene = _Scene(SpoolReader(self.folder, redactor=self.text.redactor), Painter(self.text.colour))
        async with open_terminal(self.fd, scene.wake) as terminal, trio.open_nursery() as nursery:
            nursery.start_soon(self._show, scene, terminal, nursery.cancel_scope)
            nursery.start_soon(self._listen, scene)
            await self._follow(scene)
            nursery.cancel_scope.cancel(reason="there is nothing more to show")

    async def _follow(self, scene: _Scene) -> None:
        """Records come one by one; waiting for each would cost more than all the rest."""
        busy_until = 0.0
        async with aclosing(follow_records(self.folder.journal, self.subscribe, buffer=_BUFFER)) as records:
            async for record in records:
                scene.board.apply(record)
                scene.moved.set()
                if trio.current_time() >= busy_until and self.now() - record.event.at < _LATE:
                    await trio.sleep(_CROWD)
                    busy_until = trio.current_time() + _BUSY

    async def _listen(self, scene: _Scene) -> None:
        if self.text.said is None:
            return
        async for said in self.text.said:
            scene.board.say(said.about, said.text)
            scene.moved.set()

    async def _show(self, scene: _Scene, terminal: Terminal, scope: trio.CancelScope) -> None:
        while True:
            with trio.move_on_after(self._until_tick(scene)):  # either way there is something to show
                await scene.moved.wait()
            began = trio.current_time()
            scene.moved = trio.Event()
            if not await self._frame(scene, terminal):
                scope.cancel(reason="nobody looks any more")
            await trio.sleep_until(began + max(_FRAME, scene.cost / _SHARE))

    def _until_tick(self, scene: _Scene) -> float:
        """The clock of the run goes on by one, and never by two; lines are counted on before that."""
        tick = _TICK - (self.now() - (scene.board.view.started_at or 0.0)) % _TICK
        return min(tick, COUNT_EVERY) if scene.reader.unsettled else tick

    async def _frame(self, scene: _Scene, terminal: Terminal) -> bool:
        """Draw what is new. False: the terminal is gone."""
        if not terminal.shows:
            return True
        size, now, board = terminal.size(), self.now(), scene.board
        began = time.thread_time()
        arrangement = arrange(board, size, now)
        wanted = _wanted(board, arrangement, size)
        cost = time.thread_time() - began
        texts = await scene.reader.read(wanted)
        began = time.thread_time()
        hint = board.standing.get(SIGNAL) or tell_interrupt(board.view, now, leaves=self.text.leaves)
        rows = draw(board, arrangement, texts, size, now, look=Look(self.text.ascii_only), hint=hint)
        if terminal.epoch != scene.epoch:
            scene.epoch = terminal.epoch
            scene.painter.forget()
        data = scene.painter.paint(rows, size)
        scene.cost = cost + time.thread_time() - began
        return await terminal.write(data) if data else not terminal.has_hung_up()


def _wanted(board: Board, arrangement: Arrangement, size: Size) -> list[Wanted]:
    """What has to be read for those that are shown."""
    wanted: list[Wanted] = []
    for task, lines in arrangement.slots:
        if task not in board.view.tasks:
            continue  # of an instance, which keeps its own secrets out of its lines
        attempts, activity = board.view.tasks[task].attempts, board.activities.get(task)
        if attempts and activity is not None:
            last = attempts[-1]
            ranges, sizes = tuple(activity.latest), dict(last.output)
            wanted.append(Wanted(task, last.number, ranges, sizes, lines, size.columns, sum(last.cuts.values())))
    return wanted
