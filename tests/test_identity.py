import os
import re
from pathlib import Path

import msgspec
import pytest

from actors.keeper_process.procfs import read_process
from supervisor.identity import Identity, identify


def test_an_identity_names_this_very_process_and_folder(tmp_path: Path) -> None:
    identity = identify(tmp_path, "plan.toml", "/work", "1.2", 100.0)

    process = read_process(os.getpid())
    assert process is not None
    assert (identity.pid, identity.start_ticks) == (process.pid, process.start_ticks)
    assert identity.inode == tmp_path.stat().st_ino
    assert identity.is_local()


def test_no_two_fleets_are_the_same(tmp_path: Path) -> None:
    first, second = (identify(tmp_path, "plan.toml", "/work", "1.2", 100.0) for _ in range(2))

    assert first.fleet != second.fleet and first.run != second.run
    assert re.fullmatch("[0-9a-f]{32}", first.fleet) and re.fullmatch("[a-z2-7]{8}", first.run)


@pytest.mark.parametrize("change", [{"boot_id": "another"}, {"pid_namespace": 1}])
def test_pids_of_another_boot_or_namespace_are_not_local(tmp_path: Path, change: dict[str, object]) -> None:
    identity = identify(tmp_path, "plan.toml", "/work", "1.2", 100.0)

    assert not msgspec.structs.replace(identity, **change).is_local()


@pytest.mark.parametrize(
    "change", [{"fleet": ""}, {"fleet": "0" * 31}, {"fleet": "0" * 32 + "\n"}, {"run": "../../.."}, {"pid": 0}]
)
def test_an_identity_that_could_name_strangers_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """An empty fleet would be the beginning of every mark there is."""
    identity = msgspec.structs.replace(identify(tmp_path, "plan.toml", "/work", "1.2", 100.0), **change)

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(identity), type=Identity)
