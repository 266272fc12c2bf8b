"""Which variables reach a worker."""

from protocols.environment import withheld_environment, worker_environment
from protocols.ids import TaskId
from protocols.kinds import Source
from protocols.plan import Task

BASE = {
    "PATH": "/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "XDG_RUNTIME_DIR": "/run",
    "HTTPS_PROXY": "p",
    "no_proxy": "*",
    "SSL_CERT_FILE": "c",
    "AWS_SECRET_ACCESS_KEY": "s",
    "JAVA_HOME": "j",
    "PATHS": "x",
    "path": "x",
    "CALLBOARD_CFG_STATE": "x",
    "CALLBOARD_MARK": "x",
}


def task(*, env: dict[str, str] | None = None, pass_env: tuple[str, ...] = (), source: Source = "pipe") -> Task:
    return Task(id=TaskId("a"), command=("true",), env=env or {}, pass_env=pass_env, source=source)


def test_a_worker_gets_the_usual_variables_and_no_secrets() -> None:
    usual = ("PATH", "HOME", "LC_ALL", "XDG_RUNTIME_DIR", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE")

    assert worker_environment(task(), BASE) == {name: BASE[name] for name in usual}


def test_a_plan_may_pass_more_by_name_or_pattern() -> None:
    passed = worker_environment(task(pass_env=("JAVA_*", "AWS_SECRET_ACCESS_KE?", "MISSING")), BASE)

    assert passed["JAVA_HOME"] == "j"
    assert passed["AWS_SECRET_ACCESS_KEY"] == "s"
    assert "MISSING" not in passed


def test_what_a_plan_sets_wins_over_what_is_passed() -> None:
    assert worker_environment(task(env={"PATH": "/opt", "NEW": ""}), {"PATH": "/bin"}) == {"PATH": "/opt", "NEW": ""}


def test_nothing_of_callboard_itself_is_passed_whatever_the_plan_asks_for() -> None:
    passed = worker_environment(task(pass_env=("*", "CALLBOARD_CFG_STATE")), BASE)

    assert passed == {name: value for name, value in BASE.items() if not name.startswith("CALLBOARD_")}


def test_a_terminal_of_ours_is_described_as_what_it_is_unless_the_plan_says_otherwise() -> None:
    ours = worker_environment(task(source="pty"), {"TERM": "dumb"})
    without = [worker_environment(task(source="pty", pass_env=names), {}) for names in ((), ("TERM",))]
    set_here = worker_environment(task(source="pty", env={"TERM": "vt100"}), {"TERM": "dumb"})
    passed = worker_environment(task(source="pty", pass_env=("TERM",)), {"TERM": "screen"})
    of_pipes = worker_environment(task(), {"TERM": "dumb"})

    assert [each["TERM"] for each in (ours, *without, set_here, passed, of_pipes)] == [
        *["xterm-256color"] * 3,
        "vt100",
        "screen",
        "dumb",
    ]


def test_what_is_withheld_is_told_by_name_in_order() -> None:
    assert withheld_environment(task(env={"path": ""}, pass_env=("JAVA_*",)), BASE) == (
        "AWS_SECRET_ACCESS_KEY",
        "CALLBOARD_CFG_STATE",
        "CALLBOARD_MARK",
        "PATHS",
    )
