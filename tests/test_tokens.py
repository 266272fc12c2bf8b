"""A token says what it is for, and nobody without the secret can say more."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.tokens import Grant, check_token, cookie_name, make_token

_SECRET = "s3cret-of-the-admin"
_NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
_GRANTS = st.builds(
    Grant, scope=st.sampled_from(["worker", "read", "operate", "admin"]), name=_NAMES, expires=st.just(0)
)


def test_the_secret_itself_is_the_token_of_the_admin() -> None:
    assert check_token(_SECRET, _SECRET, 0.0) == Grant(scope="admin", name="admin")


@given(_GRANTS)
def test_a_token_that_was_made_says_what_it_was_made_for(grant: Grant) -> None:
    assert check_token(_SECRET, make_token(_SECRET, grant), 1e9) == grant


@given(_GRANTS, st.data())
def test_a_token_with_one_other_character_is_worth_nothing(grant: Grant, data: st.DataObject) -> None:
    token = make_token(_SECRET, grant)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda each: each != token[place]))

    assert check_token(_SECRET, token[:place] + other + token[place + 1 :], 0.0) is None


@given(st.text(max_size=300))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    assert check_token(_SECRET, text, 0.0) is None


def test_a_token_is_good_until_its_time_and_not_at_it() -> None:
    token = make_token(_SECRET, Grant(scope="read", name="board", expires=1000))

    assert check_token(_SECRET, token, 999.9) == Grant(scope="read", name="board", expires=1000)
    assert check_token(_SECRET, token, 1000.0) is None


def test_another_secret_ends_all_tokens() -> None:
    token = make_token(_SECRET, Grant(scope="operate", name="ci"))

    assert check_token("another", token, 0.0) is None
    assert cookie_name("another") != cookie_name(_SECRET)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "a" * 65, "a\n"])
def test_a_name_with_other_characters_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be named"):
        make_token(_SECRET, Grant(scope="read", name=name))
