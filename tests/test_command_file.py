"""The file of a command queue: what it knows is on the disk."""

import stat
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from actors.command_file import open_commands, read_command, read_commands
from protocols.command_events import CommandQueued, CommandWritten
from protocols.command_rules import Rules
from protocols.errors import QueueError
from protocols.ids import CommandId, TaskId
from protocols.queued import NewCommand, Queued, SendKeys, SendText

__all__: list[str] = []


def _enqueue(name: str, rules: Rules) -> Queued:
    return rules.enqueue(_text(name))


def _text(name: str, task: str = "a") -> NewCommand:
    return NewCommand(id=CommandId(name), task=TaskId(task), action=SendText(text=name))


def test_a_queue_that_is_opened_again_knows_its_commands_and_what_was_not_told_yet(tmp_path: Path) -> None:
    path = tmp_path / "commands"
    keys = NewCommand(id=CommandId("two"), task=TaskId("a"), action=SendKeys(data=b"\x1b[A\xff"))
    with closing(open_commands(path, now=lambda: 5.0)) as queue:
        first = queue.do(lambda rules: rules.enqueue(_text("one")))
        queue.do(lambda rules: rules.enqueue(keys))
        queue.do(lambda rules: rules.begin(first.id, 1))
        queue.do(lambda rules: rules.written(first.id, mark=7))
        queue.do(lambda _: queue.store.trim(1))

    with closing(open_commands(path)) as queue:
        one, two = queue.do(lambda _: queue.store.get(CommandId("one"))), queue.do(lambda _: queue.store.waiting())
        told = queue.do(lambda _: queue.store.outbox())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert one is not None
    assert (one.state, one.mark, one.attempt, one.written_at) == ("written", 7, 1, 5.0)
    assert [row.new for row in two] == [keys]
    assert [(each.number, type(each.event)) for each in told] == [(2, CommandQueued), (3, CommandWritten)]


def test_a_verb_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    with closing(open_commands(tmp_path / "commands")) as queue:
        queue.do(lambda rules: rules.enqueue(_text("one")))
        with pytest.raises(QueueError):
            queue.do(lambda rules: (rules.enqueue(_text("two")), rules.enqueue(_text("one", "b"))))

        assert [row.id for row in queue.do(lambda _: queue.store.waiting())] == ["one"]


def test_the_history_of_a_worker_is_read_newest_first_in_pages_while_the_queue_is_at_work(tmp_path: Path) -> None:
    path = tmp_path / "commands"
    assert read_commands(path) == []
    with closing(open_commands(path)) as queue:
        for index in range(5):
            queue.do(partial(_enqueue, f"a{index}"))
        queue.do(lambda rules: rules.enqueue(_text("b", "b")))

        newest = read_commands(path, TaskId("a"), most=2)
        assert [row.id for row in newest] == ["a4", "a3"]
        assert [row.id for row in read_commands(path, TaskId("a"), before=newest[-1].number)] == ["a2", "a1", "a0"]
        assert len(read_commands(path)) == 6
        found = read_command(path, CommandId("b"))
        assert found is not None
        assert (found.task, read_command(path, CommandId("c"))) == ("b", None)


def test_a_file_that_is_no_queue_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "commands"
    path.write_text("mine")

    with pytest.raises(QueueError, match="move it away"):
        open_commands(path)
    assert path.read_text() == "mine"
