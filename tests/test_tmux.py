"""The language of tmux's control mode: any bytes, however they are cut, and what is written arrives as meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.tmux import ControlParser, Notice, Output, Reply, escape, quote, unescape

_LINE = st.binary(max_size=30).map(lambda data: data.replace(b"\n", b""))
_REPLY = st.builds(Reply, st.booleans(), st.lists(_LINE, max_size=4).map(tuple), st.booleans())
_MESSAGE = st.one_of(
    st.builds(Output, st.just(b"%7"), st.binary(max_size=60)),
    _REPLY.filter(lambda reply: not any(line.startswith((b"%end", b"%error")) for line in reply.lines)),
    st.builds(Notice, st.sampled_from([b"exit", b"sessions-changed", b"pause"]), _LINE),
)


def _written(number: int, message: Output | Reply | Notice) -> bytes:
    match message:
        case Output(pane, data):
            return b"%output " + pane + b" " + escape(data) + b"\n"
        case Reply(ok, lines, ours):
            block = b"1795272208 %d %d" % (number, ours)
            end = b"%end " if ok else b"%error "
            return b"".join([b"%begin " + block + b"\n", *(line + b"\n" for line in lines), end + block + b"\n"])
        case Notice(name, rest):
            return b"%" + name + (b" " + rest if rest else b"") + b"\n"


def _fed(data: bytes, cuts: list[int]) -> list[Output | Reply | Notice]:
    parser, found, start = ControlParser(), [], 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        found += parser.feed(data[start:end])
        start = end
    return found


@given(st.lists(_MESSAGE, max_size=6), st.lists(st.integers(0, 10_000), max_size=6))
def test_what_tmux_writes_is_understood_however_it_is_cut(
    messages: list[Output | Reply | Notice], cuts: list[int]
) -> None:
    data = b"".join(_written(number, message) for number, message in enumerate(messages))

    assert _fed(data, cuts) == messages


@given(st.binary(), st.lists(st.integers(0, 10_000), max_size=6))
def test_no_bytes_are_an_error_and_cuts_make_no_difference(data: bytes, cuts: list[int]) -> None:
    assert _fed(data, cuts) == _fed(data, [])


@given(
    st.lists(st.sampled_from([b"%begin 1 2 1", b"%end 1 2 1", b"%end 1 3 1", b"%error 1 2 1", b"%output %1 x", b"x"]))
)
def test_no_order_of_lines_is_an_error(lines: list[bytes]) -> None:
    ControlParser().feed(b"".join(line + b"\n" for line in lines))


def test_only_its_own_numbers_end_a_block() -> None:
    parser = ControlParser()

    assert parser.feed(b"%begin 1 2 1\n%end 1 3 1\n%output %1 no\n%end 1 2 1\n") == [
        Reply(True, (b"%end 1 3 1", b"%output %1 no"), True)
    ]


def test_a_line_without_end_is_cut() -> None:
    parser = ControlParser()

    (found,) = parser.feed(b"%output %1 " + b"x" * 5_000_000)

    assert isinstance(found, Output) and len(found.data) == 5_000_000


@given(st.binary())
def test_what_is_escaped_comes_back(data: bytes) -> None:
    escaped = escape(data)

    assert unescape(escaped) == data
    assert not any(byte < 0x20 for byte in escaped)


@given(st.binary())
def test_what_is_not_escaped_stays_as_it_is(data: bytes) -> None:
    assert unescape(data.replace(b"\\", b"")) == data.replace(b"\\", b"")


@given(st.binary().filter(lambda data: b"\0" not in data))
def test_a_quoted_argument_is_one_line_of_safe_characters(data: bytes) -> None:
    quoted = quote(data)

    assert quoted.isascii() and quoted.decode().isprintable()
    assert quoted == data or unescape(quoted.removeprefix(b'"').removesuffix(b'"')) == data


def test_a_nul_is_no_argument() -> None:
    with pytest.raises(ValueError, match="cannot hold a NUL"):
        quote("a\0b")
