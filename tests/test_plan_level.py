"""What each key of a task accepts, and what it says to anything else."""

import pytest

from protocols.errors import PlanError
from protocols.plan import Stdin, Tmux
from protocols.plan_parser import parse_plan

NUL = "holds a NUL character, which no command, path or variable can; remove it"
ADOPTED = "a session that is adopted has its own; remove this key, or tmux.adopt"
STDIN_OF_TERMINAL = 'write "none", { text = "TEXT" } or { file = "PATH" }'
WINDOW = 'window: "{}" is not COLUMNSxROWS; write it like "120x40"'
STDIN = 'stdin: write "none", "pipe", { text = "TEXT" } or { file = "PATH" }'


def problems(line: str) -> list[str]:
    """What is wrong with a task that says this."""
    command = "" if line.startswith("command") else 'command = ["true"]'
    with pytest.raises(PlanError) as caught:
        parse_plan(f'[[tasks]]\nid = "a"\n{command}\n{line}', "x.toml")
    return [problem.removeprefix("x.toml: tasks[0].") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("command = []", 'command: empty; write what to run, such as ["make", "test"]'),
        ('command = ["", "x"]', 'command: empty; write what to run, such as ["make", "test"]'),
        ('command = "  "\nshell = true', 'command: empty; write what to run, such as ["make", "test"]'),
        ('command = ""\nshell = true', "command: empty; write something, or leave the key out"),
        ('command = ["a", 5]', 'command[1]: expected a string, got a number; write "5"'),
        ('command = ["a", "b\\u0000"]', f"command[1]: {NUL}"),
        ('command = "a\\u0000"\nshell = true', f"command: {NUL}"),
        ("command = 2020-01-01", "command: expected a list of strings, got a date or a time"),
        (
            'command = "make"',
            'command: a string needs shell = true; add that, or write a list such as ["make", "test"]',
        ),
        ('command = ["make"]\nshell = true', "command: a list with shell = true; write one string, or shell = false"),
        ('shell = "yes"', "shell: expected true or false, got a string"),
        ('tmux = { adopt = "a" }', 'tmux: this key needs source = "tmux"; add that, or remove this key'),
        ("tmux = 5", "tmux: expected a table, got a number"),
        (
            'source = "tmux"\ntmux = {}',
            'tmux.adopt: missing; name a session or a pattern such as "agent-*", or leave tmux out',
        ),
        (
            'source = "tmux"\nlimits = { spool_limit = "1 MB" }',
            "limits: what a task prints in tmux has no spool_limit; leave it out, or choose pty",
        ),
        (
            'source = "tmux"\nstdin = "pipe"',
            f'stdin: "pipe": a task with source = "tmux" reads from its terminal; {STDIN_OF_TERMINAL}',
        ),
        ("cwd = 5", 'cwd: expected a string, got a number; write "5"'),
        ('cwd = ""', "cwd: empty; write something, or leave the key out"),
        ('cwd = "a\\u0000"', f"cwd: {NUL}"),
        ('env = ["A"]', "env: expected a table, got a list"),
        ("env = { A = 8080 }", 'env.A: expected a string, got a number; write "8080"'),
        ("env = { A = true }", 'env.A: expected a string, got true or false; write "true"'),
        ('env = { A = "\\u0000" }', f"env.A: {NUL}"),
        ('env = { "A=B" = "" }', 'env."A=B": no name of a variable; write one without "=" and NUL'),
        ('env = { "" = "" }', 'env."": no name of a variable; write one without "=" and NUL'),
        ('env = { "A\\u0000" = "" }', 'env."A\\x00": no name of a variable; write one without "=" and NUL'),
        (
            'env = { CALLBOARD_MARK = "" }',
            "env.CALLBOARD_MARK: names that begin with CALLBOARD_ are callboard's own; choose another",
        ),
        ('pass_env = "JAVA_*"', 'pass_env: expected a list of strings, got a string; write ["JAVA_*"]'),
        ('pass_env = [""]', 'pass_env: no name of a variable; write names such as "JAVA_HOME" or "JAVA_*"'),
        ('pass_env = ["A=1"]', 'pass_env: no name of a variable; write names such as "JAVA_HOME" or "JAVA_*"'),
        ('needs = "b"', 'needs: expected a list of strings, got a string; write ["b"]'),
        ('timeout = "5x"', 'timeout: "5x": not a duration; write it like "90s", "10m", "1h30m" or "500ms"'),
        ("timeout = 90", 'timeout: expected a duration, got a number; write "90s"'),
        ("timeout = 1.5", 'timeout: expected a duration, got a decimal number; write "1.5s"'),
        ("timeout = -1", 'timeout: expected a duration, got a number; write "90s"'),
        ("timeout = nan", 'timeout: expected a duration, got a decimal number; write "90s"'),
        ("timeout = true", 'timeout: expected a duration, got true or false; write "90s"'),
        ('timeout = "0s"', 'timeout: "0s" is no time at all; write a longer one, or leave the key out'),
        ("grace = {}", 'grace: expected a duration, got a table; write "90s"'),
        ('backoff = "9999h"', 'backoff: "9999h": longer than a year; write at most "8784h"'),
        ("retries = -1", "retries: out of range; write a number from 0 to 1000000"),
        ("retries = 1.0", "retries: expected a whole number, got a decimal number"),
        ("retries = true", "retries: expected a whole number, got true or false"),
        ('stdin = "pip"', STDIN),
        ("stdin = 5", STDIN),
        ("stdin = {}", STDIN),
        ("stdin = { text = 5 }", STDIN),
        ('stdin = { text = "a", file = "b" }', STDIN),
        ('stdin = { fil = "b" }', STDIN),
        ('stdin = { file = "" }', "stdin.file: empty; write something, or leave the key out"),
        ("stdin = { file = 5 }", 'stdin.file: expected a string, got a number; write "5"'),
        ("allow_failure = 1", "allow_failure: expected true or false, got a number"),
        ('source = "ptty"', 'source: "ptty" is no source; did you mean "pty"?'),
        ('source = "terminal"', 'source: "terminal" is no source; write "pipe", "pty", "logfile" or "tmux"'),
        ("source = true", 'source: expected a string, got true or false; write "true"'),
        ('window = "120x40"', 'window: only a terminal has a size; add source = "pty", or remove this key'),
        (
            'source = "pipe"\nwindow = "120x40"',
            'window: only a terminal has a size; add source = "pty", or remove this key',
        ),
        ('source = "pty"\nwindow = "0x40"', WINDOW.format("0x40")),
        ('source = "pty"\nwindow = "120x10000"', WINDOW.format("120x10000")),
        ('source = "pty"\nwindow = "120 x 40"', WINDOW.format("120 x 40")),
        ('source = "pty"\nwindow = "120x٤٠"', WINDOW.format("120x٤٠")),
        ('source = "pty"\nwindow = [120, 40]', "window: expected a string, got a list"),
        (
            'source = "pty"\nstdin = "pipe"',
            f'stdin: "pipe": a task with source = "pty" reads from its terminal; {STDIN_OF_TERMINAL}',
        ),
        ('logfile = { path = "x" }', 'logfile: only source = "logfile" follows a file; add that, or remove this key'),
        ('source = "logfile"\nlogfile = "x"', "logfile: expected a table, got a string"),
        ('source = "logfile"\nlogfile = {}', "logfile.path: missing; name the file to follow"),
        ('source = "logfile"\nlogfile = { path = "" }', "logfile.path: empty; write something, or leave the key out"),
        ('source = "logfile"\nlogfile = { path = "x", pat = 1 }', 'logfile.pat: no such key; did you mean "path"?'),
        (
            'source = "logfile"\nlogfile = { path = "x", appear_within = 5 }',
            'logfile.appear_within: expected a duration, got a number; write "5s"',
        ),
        (
            'source = "logfile"\nlogfile = { path = "x", until = "a\\nb" }',
            "logfile.until: more than one line; write the line that ends the task, without its end",
        ),
        ('progress_file = ""', "progress_file: empty; write something, or leave the key out"),
    ],
)
def test_what_a_key_does_not_accept_is_told_with_what_it_does(line: str, expected: str) -> None:
    assert problems(line) == [expected]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'tmux = { adopt = "a:1" }',
            ['tmux.adopt: "a:1": no session of tmux has ":" or "." in its name; write another one'],
        ),
        ('tmux = { adopt = "a", sockt = "x" }', ['tmux.sockt: no such key; did you mean "socket"?']),
        ('tmux = { adopt = "a", own = "yes" }', ["tmux.own: expected true or false, got a string"]),
        ('tmux = { adopt = "a" }\ncommand = ["b"]', [f"command: {ADOPTED}"]),
        (
            'tmux = { adopt = "a" }\nstdin = "none"\nwindow = "80x24"',
            [f"stdin: {ADOPTED}", f"window: {ADOPTED}"],
        ),
    ],
)
def test_a_task_that_adopts_a_session_has_nothing_to_say_about_its_start(line: str, expected: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(f'[[tasks]]\nid = "a"\nsource = "tmux"\n{line}', "x.toml")

    assert list(caught.value.problems) == [f"x.toml: tasks[0].{each}" for each in expected]


def test_a_session_is_adopted_by_name_or_pattern_of_the_default_server() -> None:
    plan = parse_plan('[[tasks]]\nid = "a"\nsource = "tmux"\ntmux = { adopt = "agent-*" }', "x.toml")

    assert plan.tasks[0].tmux == Tmux(socket="default", adopt="agent-*", own=False, appear_within=5.0)
    assert plan.tasks[0].command == ("tmux", "attach-session", "-t", "agent-*")


def test_what_linux_takes_in_no_single_argument_is_refused_before_the_start() -> None:
    long = "x" * (128 * 1024)
    message = "longer than the 128 KiB that Linux takes; pass it in a file or by stdin"

    assert problems(f'command = ["a", "{long}"]') == [f"command: {message}"]
    assert problems(f'command = "{long}"\nshell = true') == [f"command: {message}"]
    assert problems(f'env = {{ A = "{long[2:]}" }}') == [f"env.A: {message}"]
    assert parse_plan(f'tasks = [{{ id = "a", command = ["{long[1:]}"] }}]', "x.toml")


def test_a_long_text_for_stdin_belongs_in_a_file() -> None:
    assert problems(f'stdin = {{ text = "{"ü" * 1024 * 513}" }}') == [
        'stdin: longer than 1 MiB; put it in a file and write { file = "PATH" }'
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"none"', Stdin("none")),
        ('"pipe"', Stdin("pipe")),
        ('{ text = "" }', Stdin("text", "")),
        ('{ text = "a\\u0000\\n" }', Stdin("text", "a\0\n")),
        ('{ file = "in put" }', Stdin("file", "in put")),
    ],
)
def test_stdin_is_nothing_or_a_text_or_a_file_or_a_pipe(line: str, expected: Stdin) -> None:
    plan = parse_plan(f'tasks = [{{ id = "a", command = ["cat"], stdin = {line} }}]', "x.toml")

    assert plan.tasks[0].stdin == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ("pipe", (120, 40))),
        ('source = "pty"', ("pty", (120, 40))),
        ('source = "pty"\nwindow = "1x9999"', ("pty", (1, 9999))),
        ('role = "tui"', ("pty", (80, 24))),
        ('role = "tui"\nwindow = "200x50"', ("pty", (200, 50))),
        ('role = "tui"\nsource = "pipe"', ("pipe", (80, 24))),
    ],
)
def test_a_worker_writes_to_pipes_or_to_a_terminal_of_some_size(lines: str, expected: tuple[object, ...]) -> None:
    roles = 'roles.tui = { source = "pty", window = "80x24" }'
    plan = parse_plan(f'{roles}\n[[tasks]]\nid = "a"\ncommand = ["true"]\n{lines}', "x.toml")

    assert (plan.tasks[0].source, plan.tasks[0].window) == expected


def test_a_task_may_take_back_what_its_role_says() -> None:
    plan = parse_plan(
        """
        roles.x = { shell = true, allow_failure = true, stdin = "pipe", retries = 3, backoff = "9s" }
        [[tasks]]
        id = "a"
        role = "x"
        shell = false
        command = ["true"]
        allow_failure = false
        stdin = "none"
        retries = 0
        backoff = "0s"
        """,
        "x.toml",
    )

    task = plan.tasks[0]
    assert (task.shell, task.allow_failure, task.stdin, task.retries, task.backoff) == (False, False, Stdin(), 0, 0)
