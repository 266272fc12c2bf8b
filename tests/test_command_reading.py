"""Commands and permissions as they are told at the port."""

from contextlib import closing
from pathlib import Path

import pytest

from actors.command_file import open_commands
from protocols.ids import CommandId, TaskId
from protocols.jsonrpc import NOT_FOUND, CallError
from protocols.layout import FleetFolder
from protocols.queued import NewCommand, SendText
from tests.port_rig import open_fleet

__all__: list[str] = []


def _keep(folder: FleetFolder, task: str, *texts: str) -> None:
    folder.root.mkdir(parents=True, exist_ok=True)
    with closing(open_commands(folder.commands)) as queue:
        for text in texts:
            new = NewCommand(id=CommandId(f"c-{text}"), task=TaskId(task), action=SendText(text=text), by="me")
            queue.do(lambda rules, new=new: rules.enqueue(new))  # type: ignore[misc] # bound at once


async def test_commands_are_told_newest_first_in_pages_and_those_of_an_instance_under_its_name(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        assert (await fleet.call("command.list")).commands == ()
        _keep(fleet.folder, "lint", "one", "two", "three")
        _keep(FleetFolder(tmp_path / "instances/build/runs/bbbbbbbb"), "deep", "below")
        page = await fleet.call("command.list", task="lint", limit=2)
        rest = await fleet.call("command.list", before=page.commands[-1].number)
        below = await fleet.call("command.list", task="build/deep")
        one = await fleet.call("command.get", command="c-below", task="build/deep")

    assert [(line.command, line.what, line.state, line.by) for line in page.commands] == [
        ("c-three", "three", "queued", "me"),
        ("c-two", "two", "queued", "me"),
    ]
    assert [line.command for line in rest.commands] == ["c-one"]
    assert [line.task for line in below.commands] == ["build/deep"] and one == below.commands[0]


async def test_a_command_that_nobody_gave_is_not_found(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        with pytest.raises(CallError, match="there is none") as caught:
            await fleet.call("command.get", command="x")

    assert caught.value.code == NOT_FOUND


async def test_no_session_no_permission(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        assert (await fleet.call("permission.list")).permissions == ()
