"""Several nodes on one ledger, in any order of verbs, against a model that knows only what the contract says."""

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.ledger_file import LedgerFile, open_ledger
from protocols.events import Event, TaskStatusChanged
from protocols.ids import TaskId
from protocols.kinds import TaskStatus
from protocols.ledger import OVER, Changed, Done, Entry, Grant, Need, On, Retry, Told
from protocols.ledger_rules import Rules
from tests.ledgers import LEASE, Clock
from tests.memory_ledger import MemoryStore

T = TypeVar("T")

NODES = ("n1", "n2", "n3")
LABELS = ("x", "y")
BAD: frozenset[TaskStatus] = frozenset(("failed", "timed-out", "parked"))
SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None)

ons: st.SearchStrategy[On] = st.sampled_from(("success", "success", "failure", "end"))


@st.composite
def entries(draw: st.DrawFn, known: tuple[TaskId, ...] = ()) -> list[Entry]:
    """A few tasks that need each other, and those that are known, without a cycle."""
    made: list[Entry] = []
    for index in range(draw(st.integers(1, 5))):
        before = [*known, *(entry.id for entry in made)]
        needed = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
        made.append(
            Entry(
                id=TaskId(f"t{len(known) + index}"),
                needs=tuple(Need(task, draw(ons)) for task in needed),
                labels=tuple(draw(st.sets(st.sampled_from(LABELS)))),
                priority=draw(st.integers(-1, 1)),
                order=draw(st.integers(0, 3)),
                allow_failure=draw(st.booleans()),
                not_before=draw(st.sampled_from((0.0, 0.0, 1010.0))),
                slots=draw(st.sampled_from((1, 1, 1, 0))),
            )
        )
    return made


class Nodes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.entries: dict[TaskId, Entry] = {}
        self.needs: dict[TaskId, set[Need]] = {}
        self.outcomes: dict[TaskId, TaskStatus] = {}
        self.attempts: dict[TaskId, int] = {}
        self.grants: dict[TaskId, Grant] = {}
        """That hold."""
        self.leases: dict[TaskId, float] = {}
        self.kept: set[TaskId] = set()
        self.pauses: dict[TaskId, float] = {}
        self.void: list[Grant] = []
        self.events: list[Event] = []
        self.numbers: list[int] = []
        self.trimmed = 0
        self.tokens = 0

    def new_token(self) -> str:
        self.tokens += 1
        return str(self.tokens)

    def do(self, verb: Callable[[Rules], T]) -> T:
        raise NotImplementedError

    def outbox(self) -> list[Told]:
        raise NotImplementedError

    def trim(self, upto: int) -> None:
        raise NotImplementedError

    def take(self, changed: Changed) -> None:
        """Read what was told, as a journal would; only a task that is not over changes."""
        for told in changed.told:
            self.numbers.append(told.number)
            self.events.append(told.event)
            if isinstance(told.event, TaskStatusChanged) and told.event.status in OVER:
                assert told.event.task not in self.outcomes
                self.outcomes[told.event.task] = told.event.status

    def is_met(self, need: Need) -> bool | None:
        """None: nobody knows yet."""
        outcome = self.outcomes.get(need.task)
        if outcome is None or outcome == "stopped":
            return None
        match need.on:
            case "success":
                return outcome == "succeeded" or (outcome in BAD and self.entries[need.task].allow_failure)
            case "failure":
                return outcome in BAD
            case "end":
                return True

    @initialize(made=entries())
    def begin(self, made: list[Entry]) -> None:
        self.submit_these(made)

    def submit_these(self, made: list[Entry], into: TaskId | None = None, on: On = "success") -> None:
        self.entries |= {entry.id: entry for entry in made}
        self.needs |= {entry.id: set(entry.needs) for entry in made}
        if into is not None:
            self.needs[into] |= {Need(entry.id, on) for entry in made}
            if (grant := self.grants.pop(into, None)) is not None:
                self.void.append(grant)
            self.pauses.pop(into, None)
            self.kept.discard(into)
        self.take(self.do(lambda rules: rules.submit(made, into, on)))

    @precondition(lambda self: len(self.entries) < 25)
    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        made = data.draw(entries(tuple(self.entries)))
        self.submit_these(made)
        assert self.do(lambda rules: rules.submit(made)).told == ()

    @precondition(lambda self: len(self.entries) < 25)
    @rule(data=st.data(), count=st.integers(0, 3), on=ons)
    def fan_out(self, data: st.DataObject, count: int, on: On) -> None:
        groups = [task for task, entry in self.entries.items() if not entry.slots and task not in self.outcomes]
        if groups:
            into = data.draw(st.sampled_from(groups))
            size = len(self.entries)
            self.submit_these([Entry(id=TaskId(f"t{size + number}")) for number in range(count)], into, on)

    @rule(node=st.sampled_from(NODES), free=st.integers(0, 4), most=st.integers(0, 4), cap=st.integers(0, 3))
    def claim(self, node: str, free: int, most: int, cap: int) -> None:
        holding = [*self.grants, *self.kept]
        claimed = self.do(lambda rules: rules.claim(node, free, {"x": cap}, most))
        fresh = [grant for grant in claimed.grants if self.entries[grant.task].slots and grant.task not in self.kept]
        assert len(fresh) <= min(free, most)
        assert len(fresh) + len(claimed.held) <= free
        labelled = [task for task in holding if "x" in self.entries[task].labels and self.entries[task].slots]
        more = [grant for grant in fresh if "x" in self.entries[grant.task].labels]
        assert not more or len(labelled) + len(more) <= cap
        for grant in claimed.grants:
            self.check(grant)
            self.grants[grant.task] = grant
            self.leases[grant.task] = self.clock.time + LEASE
            self.kept.discard(grant.task)
            self.pauses.pop(grant.task, None)
        self.take(claimed)

    def check(self, grant: Grant) -> None:
        entry = self.entries[grant.task]
        assert grant.task not in self.outcomes and grant.task not in self.grants
        assert all(self.is_met(need) for need in self.needs[grant.task])
        assert self.clock.time >= max(entry.not_before, self.pauses.get(grant.task, 0.0))
        self.attempts[grant.task] = self.attempts.get(grant.task, 0) + entry.slots
        assert grant.attempt == self.attempts[grant.task]

    @rule(data=st.data(), status=st.sampled_from(("succeeded", "failed", "timed-out", "stopped")))
    def finish(self, data: st.DataObject, status: TaskStatus) -> None:
        if self.grants:
            grant = self.grants.pop(data.draw(st.sampled_from(sorted(self.grants))))
            finished = self.do(lambda rules: rules.finish([Done(grant=grant, status=status)]))
            again = self.do(lambda rules: rules.finish([Done(grant=grant, status=status)]))
            assert (finished.answers, again.answers, again.told) == (("accepted",), ("already",), ())
            self.take(finished)
            assert self.outcomes[grant.task] == status

    @rule(data=st.data(), pause=st.floats(0, 20), keeps=st.booleans())
    def retry(self, data: st.DataObject, pause: float, keeps: bool) -> None:
        if self.grants:
            grant = self.grants.pop(data.draw(st.sampled_from(sorted(self.grants))))
            end = Retry(grant=grant, reason="again", pause=pause, keeps_slot=keeps)
            finished = self.do(lambda rules: rules.finish([end]))
            assert finished.answers == ("accepted",)
            self.take(finished)
            self.pauses[grant.task] = self.clock.time + pause
            self.kept |= {grant.task} if keeps and self.entries[grant.task].slots else set()

    @precondition(lambda self: self.void)
    @rule(data=st.data(), status=st.sampled_from(("succeeded", "failed")))
    def finish_late(self, data: st.DataObject, status: TaskStatus) -> None:
        grant = data.draw(st.sampled_from(self.void))
        late = self.do(lambda rules: rules.finish([Done(grant=grant, status=status)]))
        assert (late.answers, late.told) == (("rejected",), ())

    @rule(seconds=st.sampled_from((1.0, 5.0, LEASE)))
    def wait(self, seconds: float) -> None:
        self.clock.time += seconds

    @rule()
    def renew(self) -> None:
        every = [*self.grants.values(), *self.void]
        renewed = self.do(lambda rules: rules.renew(every))
        assert set(renewed.lost) >= {grant.task for grant in self.void} - self.grants.keys()
        self.leases |= dict.fromkeys(self.grants, self.clock.time + LEASE)

    @rule(node=st.sampled_from((None, *NODES)))
    def reap(self, node: str | None) -> None:
        self.take(self.do(lambda rules: rules.reap(node)))
        for task, grant in [*self.grants.items()]:
            if self.leases[task] <= self.clock.time if node is None else grant.owner.startswith(f"{node}:"):
                self.void.append(self.grants.pop(task))

    @rule()
    def journal(self) -> None:
        """All that was told since the last time is in the outbox, once, in order."""
        box = self.outbox()
        assert [told.event for told in box] == self.events[self.trimmed :]
        if box:
            self.trim(box[-1].number)
        self.trimmed = len(self.events)

    @invariant()
    def numbers_grow(self) -> None:
        assert self.numbers == sorted(set(self.numbers))

    @invariant()
    def who_is_skipped_cannot_run(self) -> None:
        for task in self.entries.keys() - self.outcomes.keys():
            assert not any(self.is_met(need) is False for need in self.needs[task])
        for task, outcome in self.outcomes.items():
            if outcome == "skipped":
                assert any(self.is_met(need) is False for need in self.needs[task])

    def teardown(self) -> None:
        """Whatever has happened, everything comes to its end, but for what needs what was stopped."""
        if not self.entries:
            return
        while True:
            self.clock.time += 1000.0
            claimed = self.do(lambda rules: rules.claim("last", 100))
            self.take(claimed)
            ends = [Done(grant=grant, status="succeeded") for grant in [*claimed.grants, *self.grants.values()]]
            self.grants.clear()
            self.take(self.do(lambda rules: rules.finish(ends)))  # noqa: B023 - it is called at once
            if not claimed.grants and not ends:
                break
        for task in self.entries.keys() - self.outcomes.keys():
            assert any(self.is_met(need) is None for need in self.needs[task])
        self.take(self.do(lambda rules: rules.cancel(None, "over")))
        assert self.outcomes.keys() == self.entries.keys()


class InMemory(Nodes):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self._verbs = Rules(store=self.store, clock=self.clock, now=self.clock, new_token=self.new_token, lease=LEASE)

    def do(self, verb: Callable[[Rules], T]) -> T:
        return verb(self._verbs)

    def outbox(self) -> list[Told]:
        return self.store.box

    def trim(self, upto: int) -> None:
        self.store.box = [told for told in self.store.box if told.number > upto]


class InFile(Nodes):
    """Closed and opened again whenever the outbox was read."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = self.open()

    def open(self) -> LedgerFile:
        path = Path(self.folder.name, "ledger")
        return open_ledger(path, clock=self.clock, now=self.clock, new_token=self.new_token, lease=LEASE)

    def do(self, verb: Callable[[Rules], T]) -> T:
        return self.file.do(verb)

    def outbox(self) -> list[Told]:
        self.file.close()
        self.file = self.open()
        return self.file.store.outbox()

    def trim(self, upto: int) -> None:
        self.file.do(lambda _: self.file.store.trim(upto))

    def teardown(self) -> None:
        with closing(self.file):
            super().teardown()
        self.folder.cleanup()


TestInMemory = InMemory.TestCase
TestInMemory.settings = SETTINGS
TestInFile = InFile.TestCase
TestInFile.settings = settings(SETTINGS, max_examples=15)
