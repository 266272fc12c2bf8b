"""Running some tasks of a run again that has ended: they wait anew, all others stay as they came out."""

import dataclasses
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing

from actors.journal_file import open_journal
from protocols.errors import InputError
from protocols.events import Record
from protocols.fan_out import planned
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.plan import Plan
from protocols.resumption import find_resumption
from protocols.states import RunView
from protocols.task_events import RunRetried
from protocols.wording import did_you_mean, quote
from supervisor.fleets import find_fleet, take_fleet
from supervisor.outbox import take_in_outbox
from supervisor.output import Output, choose_output
from supervisor.resuming import hold_run, load_again
from supervisor.runner import Course
from supervisor.settings import Settings
from supervisor.state import open_state, state_error
from supervisor.summary import read_identity
from supervisor.sweep import conclude
from supervisor.version import VERSION
from supervisor.views import read_view

__all__ = ["retry_run"]


def retry_run(
    prefix: str | None,
    settings: Settings,
    *,
    origins: Sequence[str],
    only: bool,
    output: Output | None,
    show_output: bool,
) -> int:
    """Run tasks of an ended run again, and unless ``only`` all that depends on them. Return its exit code.

    Raise InputError or StateError before anything has changed.
    """
    output = choose_output(output, show_output=show_output)
    state = open_state(settings.state)
    found = find_fleet(state, prefix)
    conclude(found)
    with hold_run(found, ended=True) as fleet:
        if read_identity(fleet).standing:
            raise InputError(f"run {fleet.name}: it was that of `callboard up`; its tasks can be spawned anew there")
        view = read_view(fleet.folder.journal, samples=True)
        wanted = _find_tasks(view, origins)
        needs = load_again(fleet, settings, leave=view.tasks).plan.needs()
        _check_needs(view, needs, wanted)
        again = _with_items(view, wanted)
        if not only:
            again = _with_dependents(_of_items(needs, view), again)
        _check_fan_outs(needs, view, again)
        loaded = load_again(fleet, settings, leave=view.tasks.keys() - set(again))
        _check_spaces(fleet.folder, loaded.plan, again)
        _set_aside(fleet.folder)
        _forget_ledger(fleet.folder)
        taken = take_fleet(fleet, VERSION)
        shown = view.last_seq
        _reopen(fleet.folder, view, RunRetried(at=time.time(), origins=tuple(wanted), tasks=again))
        left = dataclasses.replace(find_resumption(view, taken.identity.epoch), last_seq=shown)
        course = Course(taken, loaded, settings, output, show_output, left)
        end = course.run()
    return course.tell(find_fleet(state, found.name), end)


def _find_tasks(view: RunView, names: Sequence[str]) -> list[TaskId]:
    """Raise InputError for what is not there, and for what would be skipped again."""
    wanted = [TaskId(name) for name in dict.fromkeys(names)]
    problems = []
    for task in wanted:
        known = view.tasks.get(task)
        if known is None:
            hint = did_you_mean(task, view.tasks) or f"; it has {', '.join(view.tasks)}"
            problems.append(f"--from {quote(task)}: the run has no such task{hint}")
        elif known.status == "skipped":
            problems.append(f"--from {quote(task)}: it was skipped: {known.reason}; begin with that")
    if problems:
        raise InputError("\n".join(problems))
    return wanted


def _with_items(view: RunView, tasks: Sequence[TaskId]) -> tuple[TaskId, ...]:
    """Who is wanted again is so with all for which it stands."""
    return tuple(dict.fromkeys(each for task in tasks for each in (task, *(view.tasks[task].made or ()))))


def _of_items(needs: Mapping[TaskId, Sequence[TaskId]], view: RunView) -> dict[TaskId, Sequence[TaskId]]:
    """With the tasks that were made for items of outputs, which those need that stand for them."""
    made = {task: each.made for task, each in view.tasks.items() if each.made is not None}
    items: dict[TaskId, Sequence[TaskId]] = {item: () for each in made.values() for item in each}
    return {task: (*wanted, *made.get(task, ())) for task, wanted in needs.items()} | items


def _check_fan_outs(needs: Mapping[TaskId, Sequence[TaskId]], view: RunView, again: Collection[TaskId]) -> None:
    """Raise InputError where what tasks were made from would change behind them."""
    for task, wanted in needs.items():
        if task in again and view.tasks[task].made is not None and (changed := set(again).intersection(wanted)):
            why = f"the tasks of {quote(task)} were made from what was there then"
            advice = f"begin with {quote(task)} or with one of them, add --only, or start a new run"
            raise InputError(f"--from: {quote(min(changed))} cannot run again in this run: {why}; {advice}")


def _check_needs(view: RunView, needs: Mapping[TaskId, Sequence[TaskId]], wanted: Sequence[TaskId]) -> None:
    """Raise InputError for who would wait for a task that was stopped, and so never came to an end of its own."""
    problems = [
        f"--from {quote(task)}: it needs {quote(need)}, which was stopped; begin with that"
        for task in wanted
        for need in needs.get(task, ())
        if need not in wanted and view.tasks[need].status == "stopped"
    ]
    if problems:
        raise InputError("\n".join(problems))


def _check_spaces(folder: FleetFolder, plan: Plan, again: Collection[TaskId]) -> None:
    """Raise InputError for who would work in a place of another task that is gone with the end of the run."""
    planned_again = {planned(task) for task in again}
    for task in plan.tasks:
        owner = task.workspace.shared_with
        if task.id not in planned_again or owner is None or owner in planned_again:
            continue
        if not folder.space_record(owner).exists():
            advice = f'begin with --from {owner}, and say keep = "always" there in plans to come'
            raise InputError(
                f"--from: {quote(task.id)} works in the workspace of {quote(owner)}, which is gone; {advice}"
            )


def _with_dependents(needs: Mapping[TaskId, Sequence[TaskId]], tasks: Collection[TaskId]) -> tuple[TaskId, ...]:
    """In the order of the plan."""
    found = set(tasks)
    grown = True
    while grown:
        more = {task for task, wanted in needs.items() if task not in found and found.intersection(wanted)}
        found |= more
        grown = bool(more)
    return tuple(task for task in needs if task in found)


def _set_aside(folder: FleetFolder) -> None:
    """Keep the report of the pass before under a number. Raise StateError."""
    number = 1
    while folder.earlier(folder.report_json, number).exists():
        number += 1
    try:
        for path in (folder.report_markdown, folder.report_json):
            if path.exists():
                path.rename(folder.earlier(path, number))
    except OSError as error:
        raise state_error(folder.root, error) from error


def _forget_ledger(folder: FleetFolder) -> None:
    """Another one is brought up from the records, which have all that this one told. Raise StateError, JournalError,
    LedgerError, QueueError."""
    try:
        take_in_outbox(folder)
        for suffix in ("", "-wal", "-shm"):
            folder.ledger.with_name(folder.ledger.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise state_error(folder.root, error) from error


def _reopen(folder: FleetFolder, view: RunView, event: RunRetried) -> None:
    """Raise JournalError, StateError."""
    try:
        with closing(open_journal(folder.journal)) as journal:
            journal.append([event])
    except OSError as error:
        raise state_error(folder.root, error) from error
    view.apply(Record(view.last_seq + 1, event))
