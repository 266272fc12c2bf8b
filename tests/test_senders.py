"""Which names of hosts and which pages are taken, and all tricks with them that are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.senders import Senders, is_loopback

_SENDERS = Senders(hosts=frozenset({"Board.example"}), origins=frozenset({"https://Page.example"}))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:3848", "LocalHost", "[::1]:1", "board.example:443", "localhost:"]
)
def test_a_name_of_ours_is_taken_on_any_port(host: str) -> None:
    assert _SENDERS.knows_host([host.encode()])


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "127.0.0.1.evil.example", "localhost.", "localhost:http", "a@localhost", "localhost/x"),
        *("127.0.0.2", "0.0.0.0", "2130706433", "[::ffff:127.0.0.1]", "[::1", "::1", "localhost:123456", "board"),
    ],
)
def test_another_name_is_not(host: str) -> None:
    assert not _SENDERS.knows_host([host.encode()])


def test_there_is_exactly_one_host() -> None:
    assert not _SENDERS.knows_host([])
    assert not _SENDERS.knows_host([b"localhost", b"localhost"])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:3848", "localhost:3848"),
        ("http://LOCALHOST:3848", "localhost:3848"),
        ("http://localhost", "localhost:80"),
        ("https://board.example", "board.example:443"),
        ("http://[::1]:3848", "[::1]:3848"),
        ("https://page.example", "localhost:3848"),
    ],
)
def test_our_own_pages_and_those_of_the_settings_may_ask(origin: str, host: str) -> None:
    assert _SENDERS.knows_origin([origin.encode()], host.encode())


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "http://evil.example", "http://localhost:3849", "file://"),
        *(
            "http://localhost:3848@evil.example",
            "http://localhost:3848/",
            "ws://localhost:3848",
            "http://127.0.0.1:3848",
        ),
        *("http://page.example", "https://page.example:444", "https://page.example.evil.example"),
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    assert not _SENDERS.knows_origin([origin.encode()], b"localhost:3848")


def test_who_is_no_page_has_no_origin_and_nobody_has_two() -> None:
    assert _SENDERS.knows_origin([], b"localhost")
    assert not _SENDERS.knows_origin([b"http://localhost", b"http://localhost"], b"localhost")


@given(st.lists(st.binary(max_size=40), max_size=2), st.lists(st.binary(max_size=40), max_size=2))
def test_whatever_bytes_come_there_is_an_answer(hosts: list[bytes], origins: list[bytes]) -> None:
    known = _SENDERS.knows_host(hosts)

    assert not known or hosts[0].lower().split(b":")[0] in {b"localhost", b"127.0.0.1", b"[", b"board.example"}
    assert isinstance(_SENDERS.knows_origin(origins, hosts[0] if hosts else b""), bool)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *(("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("board.example", False), ("", False)),
    ],
)
def test_what_only_this_machine_reaches_is_known(host: str, local: bool) -> None:
    assert is_loopback(host) is local
