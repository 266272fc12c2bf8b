"""Tables of markers: what is in ours, how a user adds to them, and what is found in the end of an output."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import InputError
from protocols.evidence import Doing, Mark
from protocols.markers import Markers, find_mark, parse_markers
from protocols.progress import TAIL

BUILTIN = parse_markers((Path(__file__).parent.parent / "protocols" / "markers.toml").read_text(), "markers.toml")
TABLE = Markers(
    (("reading", b"Read "), ("working", b"Running"), ("testing", b"Running tests"), ("testing", b"\xe2\x9c\x93"))
)


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_markers(text, "x.toml", BUILTIN)
    assert all(line.startswith("x.toml: ") for line in caught.value.problems)
    return [line.removeprefix("x.toml: ") for line in caught.value.problems]


@pytest.mark.parametrize(
    ("agent", "output", "doing"),
    [
        ("generic", "Reading src/main.py\n", "reading"),
        ("generic", "\x1b[1mThinking\x1b[0m…", "thinking"),
        ("generic", "Running ls\n", "working"),
        ("build", "   Compiling serde v1.0.0\n", "working"),
        ("build", "[ 45%] Building CXX object a.o\n", "working"),
        ("build", "make[1]: Entering directory '/src'\n", "working"),
        ("build", "> Task :app:compileJava\n", "working"),
        ("pytest", "====== test session starts ======\ncollecting ... ", "reading"),
        ("pytest", "collecting ... collected 12 items\n", "testing"),
        ("pytest", "tests/test_a.py::test_b PASSED [ 8%]\n", "testing"),
        ("tests", "test result: ok. 3 passed; 0 failed\n", "testing"),
        ("tests", "=== RUN   TestParse\n", "testing"),
        ("tests", "Linking target\n", "working"),
        ("claude", '{"type":"tool_use","id":"t","name":"Read","input":{"file_path":"/a"}}', "reading"),
        ("claude", '{"type":"tool_use","id":"t","name":"Bash","input":{"command":"ls"}}', "working"),
        ("claude", '{"type":"tool_use","id":"t","name":"Bash","input":{"command":"pytest -q"}}', "testing"),
        ("claude", '{"type":"content_block_delta","delta":{"type":"thinking_delta"}}', "thinking"),
        ("claude", '{"type":"system","subtype":"api_retry","attempt":1}', "thinking"),
        ("claude", "✳ Pondering… (esc to interrupt)", "thinking"),
        ("codex", '{"type":"item.completed","item":{"id":"i","type":"reasoning"}}', "thinking"),
        ("codex", '{"type":"item.started","item":{"type":"command_execution","command":"bash -lc ls"}}', "working"),
        ("codex", """{"item":{"type":"command_execution","command":"bash -lc 'pytest -q'"}}""", "testing"),
        ("opencode", '{"type":"tool_use","part":{"type":"tool","tool":"grep"}}', "reading"),
        ("opencode", '{"type":"step_start","timestamp":1,"part":{"type":"step-start"}}', "thinking"),
        ("opencode", '{"part":{"tool":"bash","state":{"input":{"command":"go test ./..."}}}}', "testing"),
    ],
)
def test_our_tables_know_what_agents_and_tools_print(agent: str, output: str, doing: Doing) -> None:
    found = find_mark(output.encode(), BUILTIN[agent])

    assert found is not None and found.doing == doing


@pytest.mark.parametrize("agent", ["generic", "build", "pytest", "tests", "claude", "codex", "opencode"])
def test_ordinary_text_shows_nothing(agent: str) -> None:
    text = "2026-11-20 12:00:00 done with 12 of 40\nhello, world; bread, spreading, prethinking\n{}[]\n"

    assert find_mark(text.encode(), BUILTIN[agent]) is None


def test_the_agents_of_our_table_know_all_four_doings() -> None:
    for agent in ("generic", "claude", "codex", "opencode", "tests"):
        assert {doing for doing, _ in BUILTIN[agent].known} == set(get_args(Doing))


@pytest.mark.parametrize(
    ("output", "mark"),
    [
        (b"", None),
        (b"nothing", None),
        (b"Read a\nRunning b\n", Mark("working", "Running")),
        (b"Running b\nRead a\n", Mark("reading", "Read ")),
        (b"Running tests\n", Mark("testing", "Running tests")),
        (b"Running tests\nRunning it\n", Mark("working", "Running")),
        (b"ReRead and ReRead it", None),
        (b"Read one, ReRead two, ReRead three", Mark("reading", "Read ")),
        (b"x" * 10 + b"\xe2\x9c\x93 ok", Mark("testing", "✓")),
        (b"\x1b[32mRun\x1b[0mning", Mark("working", "Running")),
        (b"Running" + b"." * TAIL, None),
        (b"." * TAIL + b"Running", Mark("working", "Running")),
        (b"." * TAIL + b" Running", Mark("working", "Running")),
    ],
)
def test_the_marker_that_ends_last_counts_and_the_longer_of_two(output: bytes, mark: Mark | None) -> None:
    assert find_mark(output, TABLE) == mark


def test_of_two_that_end_together_the_longer_counts_in_any_order() -> None:
    known: tuple[tuple[Doing, bytes], ...] = (("working", b"tests"), ("testing", b"Run tests"))

    for table in (Markers(known), Markers(known[::-1])):
        assert find_mark(b"Run tests", table) == Mark("testing", "Run tests")


def test_a_marker_within_words_only_is_given_up_soon() -> None:
    assert find_mark(b"xaaa" * 1000, Markers((("reading", b"aaa"),))) is None


@given(st.binary(max_size=300), st.sampled_from(sorted(BUILTIN)))
def test_any_bytes_show_a_marker_that_is_in_them_or_nothing(data: bytes, agent: str) -> None:
    for output in (data, data + b" Running tests " + data):
        found = find_mark(output, BUILTIN[agent])

        assert found is None or (found.doing, found.text.encode()) in BUILTIN[agent].known


@given(st.text(max_size=80))
def test_any_text_is_a_table_or_a_list_of_mistakes(text: str) -> None:
    try:
        parse_markers(text, "x.toml")
    except InputError as error:
        said = error.problems
    else:
        said = ("x.toml: ",)

    assert said and all(line.startswith("x.toml: ") for line in said)


def test_a_file_of_a_user_adds_to_ours_and_wins() -> None:
    mine = parse_markers(
        '[claude]\nworking = ["Thinking"]\n[mine]\nlike = ["claude"]\nreading = ["lese "]\n', "x.toml", BUILTIN
    )

    assert find_mark(b"Thinking", mine["claude"]) == find_mark(b"Thinking", mine["mine"]) == Mark("working", "Thinking")
    assert find_mark(b"lese 1", mine["mine"]) == Mark("reading", "lese ")
    assert find_mark(b"Bash(ls)", mine["mine"]) == Mark("working", "Bash(")
    assert mine["codex"] == BUILTIN["codex"]
    assert set(mine) == {*BUILTIN, "mine"}


def test_an_agent_s_own_meaning_of_a_marker_wins_over_an_inherited_one() -> None:
    found = parse_markers('[a]\nlike = ["b"]\nreading = ["one"]\n[b]\nworking = ["one"]\n', "x.toml")

    assert (found["a"].known, found["b"].known) == ((("reading", b"one"),), (("working", b"one"),))


def test_agents_that_are_like_each_other_have_the_same_markers() -> None:
    both = parse_markers('[a]\nlike = ["b"]\nreading = ["one"]\n[b]\nlike = ["a"]\nreading = ["two"]\n', "x.toml")

    assert set(both["a"].known) == set(both["b"].known) == {("reading", b"one"), ("reading", b"two")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("claude = 5", ["claude: expected a table, got a number"]),
        ("[a]\nreadin = ['abc']", ['a.readin: no such key; did you mean "reading"?']),
        ("[a]\nmarkers = ['abc']", ["a.markers: put the markers under one of reading, thinking, working, testing"]),
        ("[a]\nreading = 'abc'", ['a.reading: expected a list of strings, got a string; write ["abc"]']),
        (
            "[a]\nreading = ['ab', '    ']",
            [
                'a.reading: "ab" is no marker; write 3 to 100 bytes, not only blanks',
                'a.reading: "    " is no marker; write 3 to 100 bytes, not only blanks',
            ],
        ),
        ("[a]\nlike = ['claud']", ['a.like: no agent "claud"; did you mean "claude"?']),
        ("[a]\nlike = ['zzz']", ['a.like: no agent "zzz"; add its table, or remove it']),
        ("[a]\nlike = ['a']", ["a.like: an agent cannot be like itself; remove it"]),
        (
            "[a]\nworking = " + str([f"word{n}" for n in range(65)]),
            ["a.working: 65 markers, and each is looked for all the time; keep at most 64"],
        ),
        ("[a\n", ["line 1, column 3: not valid TOML: Expected ']' at the end of a table declaration; correct it"]),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_do(text: str, expected: list[str]) -> None:
    assert problems(text) == expected
