"""What every source of a worker's bytes does, however it comes by them: the contract, and who serves which task.

A source is an actor that takes requests from one channel:

- `AskSpawn`: begin with one attempt. The folders of its spool and its status file exist; the files are made by the
  source. It answers exactly once, with `protocols.keeper.Spawned` or with a `SpawnError` that says what to do. Asked
  again for the same attempt it gives the same answer and starts nothing. A request with ``resume`` starts nothing at
  all: it takes up what is still there, or is refused with the code ``unknown-attempt``.
- From then on ``reports`` gets what happens: `Blocked` and `Resumed` as the disk has it, `Stopping` where an end
  begins, one `Exited` when its leader is gone, one `Ended` as the last of all: nothing of the worker is left, and
  every byte of it is in the spool. The bytes themselves go into the spool files, never through a channel.
- `Ask` of a `Stop` begins the end, or hurries it; it is answered at once and never refused for being late. `Resize`
  and `CloseStdin` mean nothing to some sources and are then ignored. `Forget`: the end is in the journal.
- `Write` and `Interrupt` reach the worker as a person would, without waiting, or are refused: ``EAGAIN`` where it reads
  nothing, ``EBADF`` where it has no input, ``EPIPE`` where it has closed it, ``ESRCH`` where it has ended.

The keeper's client (`actors.keeper`) is the source of pipes and terminals; the others are in `actors.sources`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from actors.orders import KeeperAsk
from protocols.kinds import Source
from protocols.plan import Task

__all__ = ["Sources"]


@dataclass(frozen=True, slots=True)
class Sources:
    """The channels of all sources."""

    keeper: trio.MemorySendChannel[KeeperAsk]
    others: Mapping[Source, trio.MemorySendChannel[KeeperAsk]] = field(default_factory=dict)
    """For the tasks whose source is one of these."""

    def of(self, task: Task) -> trio.MemorySendChannel[KeeperAsk]:
        """Who serves the task."""
        return self.others.get(task.source, self.keeper)
