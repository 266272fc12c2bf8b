"""Readable text of sessions: it streams, and no block tears another."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.session_text import SessionText


def test_text_is_written_as_it_streams_under_its_heading() -> None:
    text = SessionText()

    written = [text.grow("p", "TEXT", piece, 0.0) for piece in ("Hel", "lo", " you")]

    assert written == ["[TEXT]\nHel", "lo", " you"]
    assert text.close("p", 0.0) == "\n"


def test_blocks_stand_apart_and_single_lines_together() -> None:
    text = SessionText()

    written = text.add("READ", "", 0.0, about="a.py") + text.add("READ", "", 0.0, about="b.py")
    written += text.add("TEXT", "fine", 0.0) + text.add("READ", "", 0.0, about="c.py")

    assert written == "[READ] a.py\n[READ] b.py\n\n[TEXT]\nfine\n\n[READ] c.py\n"


def test_output_stands_under_its_command_and_names_it_where_something_came_between() -> None:
    text = SessionText()

    near = text.add("BASH", "", 0.0, about="$ ls", block="1")
    near += text.add("OUTPUT", "a b\n", 0.0, about="$ ls", under="1")
    far = text.add("OUTPUT", "c\n", 0.0, about="$ ls", under="1")

    assert near == "[BASH] $ ls\n[OUTPUT]\na b\n"
    assert far == "\n[OUTPUT] $ ls\nc\n"


def test_a_block_waits_while_another_is_open_and_children_have_labels() -> None:
    text = SessionText()

    first = text.grow("p", "TEXT", "one", 0.0)
    waiting = text.grow("c", "TEXT", "two", 0.1, label="explore")
    second = text.grow("p", "TEXT", " and more", 0.2)
    rest = text.close("p", 0.3)

    assert (first, waiting, second, rest) == ("[TEXT]\none", "", " and more", "\n\n[explore] [TEXT]\ntwo")
    assert text.grow("c", "TEXT", "!", 0.4) == "!"


def test_a_block_that_stands_still_lets_others_through_and_goes_on_later() -> None:
    text = SessionText()
    text.grow("p", "TEXT", "one", 0.0)
    text.add("READ", "", 1.0, about="a.py")

    due = text.due_at
    assert due == 2.0
    assert text.tick(1.9) == ""
    assert text.tick(2.0) == "\n\n[READ] a.py\n"
    assert text.grow("p", "TEXT", "more", 9.0) == "\n[TEXT continued]\nmore"
    assert text.close("p", 9.0) == "\n"


def test_one_that_waits_with_a_lot_is_let_through() -> None:
    text = SessionText()
    text.grow("p", "TEXT", "one", 0.0)

    written = text.grow("c", "TEXT", "x" * 300_000, 0.0)

    assert written == "\n\n[TEXT]\n" + "x" * 300_000


_STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["grow", "close", "add", "tick"]),
        st.sampled_from(["", "x", "y\n", "z" * 9]),
    ),
    max_size=60,
)


@given(_STEPS, st.sampled_from([0.1, 1.0, 5.0]))
def test_whatever_the_order_each_block_is_whole_and_nothing_is_lost(
    steps: list[tuple[str, str, str]], pause: float
) -> None:
    text, written, said = SessionText(), "", ""
    alive: set[str] = set()

    for number, (block, what, piece) in enumerate(steps):
        at, mark = number * pause, f"{block.upper()}{piece}"
        match what:
            case "grow":
                written += text.grow(block, block, mark, at)
                said += mark
                alive.add(block)
            case "close":
                written += text.close(block, at)
            case "add":
                written += text.add("s", mark, at)
                said += mark
            case _:
                written += text.tick(at)
    written += text.flush(999.0)

    assert sorted(written.replace("\n", "")) != [] or not said
    body = [line for line in written.splitlines(keepends=True) if not line.startswith("[")]
    for name in "ABCD":
        assert "".join(body).count(name) == said.count(name)
    current = ""
    for line in written.splitlines():
        if line.startswith("["):
            current = line[1]
        elif line and current != "s":
            assert {each for each in line if each in "ABCD"} <= {current.upper()}
    assert not written or written.endswith("\n")
    assert text.due_at is None
