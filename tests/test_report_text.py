from pathlib import Path

import msgspec
import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len

from protocols.events import Event, Record
from protocols.sizes import format_bytes
from protocols.states import RunView
from supervisor.fleets import Fleet
from supervisor.report import Report, build_report
from supervisor.report_text import render_markdown, summary_table, write_markdown
from supervisor.state import open_state
from tests.made_fleets import (
    AT,
    exited,
    fill_spool,
    judged,
    make_fleet,
    run_ended,
    run_started,
    started,
    starting,
    status,
)

NASTY = "a|b `c` <script> [x](http://y) **z** \\ \x1b[31m\nnext"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(open_state(tmp_path / ".callboard"), None)


def report_on(fleet: Fleet, *events: Event) -> Report:
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    assert fleet.identity is not None
    return build_report(fleet.folder, fleet.identity, view)


def failed_run(fleet: Fleet, reason: str = "exit code 3") -> Report:
    return report_on(
        fleet,
        run_started("good", "bad"),
        starting("good"),
        started("good"),
        exited("good"),
        status("good", "succeeded"),
        starting("bad"),
        started("bad"),
        exited("bad", code=3),
        status("bad", "failed", reason=reason),
        run_ended(succeeded=1, failed=1),
    )


def test_the_summary_has_a_line_for_each_task_and_one_for_the_run(fleet: Fleet) -> None:
    fill_spool(fleet, "good", b"line\n" * 300)

    lines = summary_table(failed_run(fleet), None).splitlines()

    assert lines[0].split() == ["task", "status", "attempts", "time", "exit", "lines", "output", "reason"]
    assert lines[1].split() == ["good", "succeeded", "1", "2s", "0", "300", "1.5", "kB"]
    assert lines[2].split() == ["bad", "failed", "1", "2s", "3", "0", "0", "B", "exit", "code", "3"]
    assert lines[3:] == ["", "failed in 3s: 1 succeeded, 1 failed"]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_the_summary_fits_the_terminal(fleet: Fleet, width: int) -> None:
    summary = summary_table(failed_run(fleet, NASTY * 5), width)

    assert all(cell_len(line) <= width and line.isprintable() for line in summary.splitlines())


def test_a_failure_that_is_allowed_is_told_as_such(fleet: Fleet) -> None:
    allowed = msgspec.structs.replace(status("bad", "failed", reason="exit code 3"), allowed=True)
    report = report_on(fleet, run_started("bad"), starting("bad"), started("bad"), exited("bad", code=3), allowed)

    assert summary_table(report, None).splitlines()[1].endswith("exit code 3 (allowed)")
    assert "exit code 3 (allowed) |" in render_markdown(fleet.folder, report)


def test_how_long_a_worker_stood_still_is_part_of_the_reason(fleet: Fleet) -> None:
    begun = (starting("a"), started("a"), judged("a", "stalled", at=AT))
    report = report_on(fleet, run_started("a"), *begun, exited("a"), status("a", "succeeded"))

    assert summary_table(report, None).splitlines()[1].endswith("  stalled for 2s in all")


def test_failures_come_first_with_the_end_of_their_errors(fleet: Fleet) -> None:
    fill_spool(fleet, "bad", b"".join(b"error %d\n" % number for number in range(100)), stream="stderr")
    fill_spool(fleet, "bad", b"this is not shown\n")

    text = render_markdown(fleet.folder, failed_run(fleet))

    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split()[1] for row in rows] == ["task", "---", "bad", "good"]
    assert "## bad: failed\n\nexit code 3\n\n- Attempt 1: exit code 3; 2s\n" in text
    assert "```text\nerror 80\n" in text and "\nerror 99\n```" in text
    assert "error 79" not in text and "not shown" not in text


def test_without_errors_the_end_of_the_output_is_shown(fleet: Fleet) -> None:
    fill_spool(fleet, "bad", b"10%\r20%\r\x1b[32mdone\x1b[0m\r\n\xff\xfe half \xc3")

    text = render_markdown(fleet.folder, failed_run(fleet))

    assert "The end of stdout of attempt 1:\n\n```text\ndone\n\ufffd\ufffd half \ufffd\n```" in text


def test_output_cannot_leave_its_block(fleet: Fleet) -> None:
    fill_spool(fleet, "bad", b"```\n# not a title\n````\n<b>\n")

    tokens = MarkdownIt().parse(render_markdown(fleet.folder, failed_run(fleet)))

    [fence] = [token for token in tokens if token.type == "fence"]
    assert fence.content == "```\n# not a title\n````\n<b>\n"
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h1", "h2"]


def test_reasons_are_text_and_no_markup(fleet: Fleet) -> None:
    html = MarkdownIt().enable("table").render(render_markdown(fleet.folder, failed_run(fleet, NASTY)))

    assert "<td>a|b `c` &lt;script&gt; [x](http://y) **z** \\ \\x1b[31m next</td>" in html
    assert "<script>" not in html and "<a " not in html and "<strong>" not in html


def test_one_long_line_is_cut(fleet: Fleet) -> None:
    fill_spool(fleet, "bad", b"x" * 1_000_000)

    assert max(map(len, render_markdown(fleet.folder, failed_run(fleet)).splitlines())) == 200


def test_a_run_without_tasks_has_a_text(fleet: Fleet) -> None:
    report = report_on(fleet)
    write_markdown(fleet.folder, report)

    assert fleet.folder.report_markdown.read_text().startswith(f"# Run {fleet.name}: not ended\n")
    assert summary_table(report, None).endswith("not ended: no tasks")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (9951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (34_000_000, "34 MB"),
        (5 * 10**9, "5.0 GB"),
        (12 * 10**12, "12.0 TB"),
    ],
)
def test_sizes_have_the_digits_that_matter(count: int, text: str) -> None:
    assert format_bytes(count) == text
