"""When a service is started again, and when no more."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PlanError
from protocols.outcomes import Verdict
from protocols.plan import Task
from protocols.plan_parser import parse_plan
from protocols.restarts import SHORTEST, Again, RestartPolicy, Restarts

OK = Verdict("succeeded", "", retry=False)
BAD = Verdict("failed", "exit code 1", retry=True)
STOPPED = Verdict("stopped", "killed by SIGTERM", retry=False)
RETRIES = "retries are for a task that is to finish; write retries = 0, or leave restart out"
SERVICE = '[[tasks]]\nid = "web"\ncommand = ["web"]\n'


def restarts(policy: RestartPolicy, first: float = 1.0) -> Restarts:
    """With pauses of 1, 2, 4 … times ``first``."""
    return Restarts(policy, first, lambda failures, first: first * 2.0 ** (failures - 1))


def plan_of(*lines: str) -> Task:
    return parse_plan(SERVICE + "\n".join(lines), "x.toml").tasks[0]


def mistakes(*lines: str) -> tuple[str, ...]:
    try:
        plan_of(*lines)
    except PlanError as error:
        return error.problems
    return ()


def test_the_first_restart_after_a_healthy_time_comes_at_once() -> None:
    service = restarts(RestartPolicy(when="always", healthy_after=10.0))

    assert service.ended(100.0, 10.0, BAD) == Again(0.0)


def test_who_never_was_healthy_waits_longer_from_restart_to_restart_until_it_is() -> None:
    service = restarts(RestartPolicy(when="always", limit=9))

    pauses = [service.ended(0.0, lived, BAD) for lived in (0.1, 0.1, 0.1, 10.0, 0.1)]

    assert pauses == [Again(1.0), Again(2.0), Again(4.0), Again(0.0), Again(1.0)]


def test_after_too_many_restarts_within_the_window_it_is_parked_with_the_last_end() -> None:
    service = restarts(RestartPolicy(when="on-failure", limit=2, window=60.0))
    service.ended(0.0, 0.1, BAD)
    service.ended(1.5, 0.1, BAD)

    parked = service.ended(4.0, 0.1, BAD)

    reason = "exit code 1, after 2 restarts within 1m; correct it and run it again"
    assert parked == Verdict("parked", reason, retry=False)


def test_restarts_that_the_window_has_left_behind_do_not_count() -> None:
    service = restarts(RestartPolicy(when="always", limit=1, window=60.0))

    assert service.ended(0.0, 100.0, OK) == Again(0.0)
    assert service.ended(60.0, 60.0, OK) == Again(0.0)
    assert service.ended(119.0, 59.0, OK) == Verdict(
        "parked", "exit code 0, after 1 restart within 1m; correct it and run it again", retry=False
    )


def test_on_failure_leaves_a_success_alone_and_always_does_not() -> None:
    assert restarts(RestartPolicy(when="on-failure")).ended(0.0, 99.0, OK) == OK
    assert restarts(RestartPolicy(when="always")).ended(0.0, 99.0, OK) == Again(0.0)


def test_who_was_stopped_is_never_started_again() -> None:
    for when in ("never", "on-failure", "always"):
        assert restarts(RestartPolicy(when=when)).ended(0.0, 99.0, STOPPED) == STOPPED


@given(
    policy=st.builds(
        RestartPolicy,
        when=st.just("always"),
        limit=st.integers(1, 6),
        window=st.floats(0.1, 100.0),
        healthy_after=st.floats(SHORTEST, 20.0),
    ),
    lives=st.lists(st.floats(0.0, 40.0), max_size=60),
)
def test_no_window_ever_holds_more_restarts_than_the_limit_and_no_crash_loop_spins(
    policy: RestartPolicy, lives: list[float]
) -> None:
    service = Restarts(policy, SHORTEST)
    now, starts = 0.0, list[float]()
    for lived in lives:
        now += lived
        follows = service.ended(now, lived, BAD)
        if not isinstance(follows, Again):
            assert follows.status == "parked"
            assert len([moment for moment in starts if moment > now - policy.window]) == policy.limit
            break
        assert follows.pause >= SHORTEST / 2 or lived >= policy.healthy_after
        now += follows.pause
        starts.append(now)
        assert len([moment for moment in starts if moment > now - policy.window]) <= policy.limit


def test_one_word_in_a_plan_is_enough() -> None:
    assert plan_of('restart = "always"').restart == RestartPolicy(when="always")
    assert plan_of().restart == RestartPolicy(when="never")


def test_a_table_says_all_there_is_to_say() -> None:
    task = plan_of('restart = { when = "on-failure", limit = 2, window = "10s", healthy_after = "1s" }')

    assert task.restart == RestartPolicy(when="on-failure", limit=2, window=10.0, healthy_after=1.0)


def test_what_is_wrong_in_it_is_told_with_what_to_write() -> None:
    assert mistakes('restart = "allways"') == (
        'x.toml: tasks[0].restart: "allways" is no rule for restarts; did you mean "always"?',
    )
    assert mistakes("restart = true") == (
        'x.toml: tasks[0].restart: expected a string, got true or false; write "true"',
    )
    assert mistakes('restart = { limt = 3, healthy_after = "50ms" }') == (
        'x.toml: tasks[0].restart.limt: no such key; did you mean "limit"?',
        'x.toml: tasks[0].restart.when: missing; write "on-failure" or "always"',
        "x.toml: tasks[0].restart.healthy_after: shorter than 100ms, so a crash loop would count as health",
    )


def test_retries_and_a_restart_do_not_go_together_nor_does_a_restart_without_a_pause() -> None:
    assert mistakes("retries = 1", 'backoff = "0s"', 'restart = "always"') == (
        f"x.toml: tasks[0].restart: retries is 1 here; {RETRIES}",
        "x.toml: tasks[0].backoff: a crash loop would spin; write at least 100ms",
    )


def test_nobody_can_need_what_is_never_done() -> None:
    needing = '[[tasks]]\nid = "b"\ncommand = ["b"]\nneeds = ["web"]'

    assert mistakes('restart = "on-failure"', needing) == ()
    (mistake,) = mistakes('restart = "always"', needing)
    assert mistake.startswith('x.toml: tasks[1].needs: "web" is restarted always, so it is never done; remove')
