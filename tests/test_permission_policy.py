"""What a plan's rules reply to a permission that is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.agents import Agent, PermissionRule, Prompting, Reply
from protocols.permission_policy import Ruling, decide, order_rules, server_rules

AGENT = Agent(name="coder")
GIT = PermissionRule(reply="allow", tool="bash", pattern="git *")
PUSH = PermissionRule(reply="deny", tool="bash", pattern="git push*")
BASH = PermissionRule(reply="ask", tool="bash")
replies: st.SearchStrategy[Reply] = st.sampled_from(("allow", "deny", "ask"))
words = st.sampled_from(("", "*", "bash", "edit", "git *", "git push*", "a?", "[x"))
rules = st.lists(st.builds(PermissionRule, reply=replies, tool=words, pattern=words), max_size=6)


def prompting(*said: PermissionRule, otherwise: Reply = "deny") -> Prompting:
    return Prompting(agent=AGENT, prompts=("x",), permissions=order_rules(said), otherwise=otherwise)


@pytest.mark.parametrize(
    ("tool", "asked", "expected"),
    [
        ("bash", ["git status"], Ruling("allow", 'bash(git *) = "allow"')),
        ("bash", ["git push --force"], Ruling("deny", 'bash(git push*) = "deny"')),
        ("bash", ["git status", "git push"], Ruling("deny", 'bash(git push*) = "deny"')),
        ("bash", ["git status", "rm -r x"], Ruling("ask", 'bash = "ask"')),
        ("bash", ["git commit -m 'a\nb'"], Ruling("allow", 'bash(git *) = "allow"')),
        ("bash", [], Ruling("ask", 'bash = "ask"')),
        ("webfetch", ["http://x"], Ruling("deny", 'otherwise = "deny"')),
    ],
)
def test_the_most_particular_rule_decides_and_of_several_commands_the_strictest(
    tool: str, asked: list[str], expected: Ruling
) -> None:
    assert decide(prompting(BASH, GIT, PUSH), tool, asked) == expected


def test_where_no_rule_matches_the_plan_says_what_is_replied() -> None:
    assert decide(prompting(otherwise="allow"), "edit", ["a.py"]) == Ruling("allow", 'otherwise = "allow"')


def test_a_whole_name_of_a_tool_counts_more_than_a_pattern_of_names() -> None:
    wild = PermissionRule(reply="deny", tool="ba*")

    assert decide(prompting(wild, BASH), "bash", ["ls"]).reply == "ask"
    assert decide(prompting(wild, BASH), "bake", ["ls"]).reply == "deny"


@given(rules, st.permutations(range(6)), words, st.lists(words, max_size=3))
def test_the_order_of_the_rules_in_a_plan_changes_no_reply(
    said: list[PermissionRule], order: list[int], tool: str, asked: list[str]
) -> None:
    shuffled = [said[index] for index in order if index < len(said)]

    assert decide(prompting(*said), tool, asked).reply == decide(prompting(*shuffled), tool, asked).reply


@given(rules, words, st.lists(words, min_size=1, max_size=3), words)
def test_to_ask_for_more_at_once_never_gets_a_milder_reply(
    said: list[PermissionRule], tool: str, asked: list[str], more: str
) -> None:
    strictness = {"allow": 0, "ask": 1, "deny": 2}
    fewer, all_of_it = decide(prompting(*said), tool, asked), decide(prompting(*said), tool, [*asked, more])

    assert strictness[all_of_it.reply] >= strictness[fewer.reply]


def test_the_server_gets_the_rules_with_the_deciding_ones_last() -> None:
    assert server_rules(prompting(BASH, PUSH)) == [
        {"permission": "bash", "pattern": "*", "action": "ask"},
        {"permission": "bash", "pattern": "git push*", "action": "deny"},
    ]
