"""Which of the permissions that sessions wait for a person means."""

import pytest

from protocols.errors import InputError
from protocols.open_permissions import OpenPermission
from supervisor.cli.permissions import choose


def asked(task: str, name: str) -> OpenPermission:
    return OpenPermission(
        task=task, attempt=1, permission=name, session="s", tool="bash", patterns=("ls",), asked_at=1.0
    )


FOUND = (asked("a", "p1"), asked("b", "p2"), asked("b", "p3"))


def test_the_only_one_of_a_worker_need_not_be_named() -> None:
    assert choose(FOUND, "a", None) == FOUND[0]
    assert choose(FOUND, "b", "p3") == FOUND[2]


@pytest.mark.parametrize(
    ("worker", "name", "problem"),
    [
        ("c", None, 'worker "c": it waits for no permission; who does: callboard approve'),
        ("b", None, 'worker "b": it waits for several; name one by --permission: p2, p3'),
        ("a", "p2", '--permission: "a" does not wait for "p2"; it waits for: p1'),
    ],
)
def test_what_is_not_clear_is_told_with_what_there_is(worker: str, name: str | None, problem: str) -> None:
    with pytest.raises(InputError) as refused:
        choose(FOUND, worker, name)

    assert str(refused.value) == problem
