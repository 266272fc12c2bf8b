"""Reading a table key by key: paths in messages, and mistakes that stop nothing."""

import pytest

from protocols.section import Problems, Section


def test_every_mistake_of_a_table_is_collected() -> None:
    problems = Problems("x.toml")
    section = Section({"a": 1, "b": "", "c": ["x", 2], "d": "d"}, "top", problems)

    assert [section.text("a"), section.flag("b"), section.strings("c"), section.text("d")] == [None, None, None, "d"]
    assert problems.lines == (
        'x.toml: top.a: expected a string, got a number; write "1"',
        "x.toml: top.b: expected true or false, got a string",
        'x.toml: top.c[1]: expected a string, got a number; write "2"',
    )


def test_a_mistake_is_told_once_however_often_it_is_met() -> None:
    problems = Problems("x.toml")
    section = Section({"a": 1}, "", problems)

    section.text("a")
    section.text("a")

    assert len(problems.lines) == 1


def test_a_missing_key_is_none_and_no_mistake() -> None:
    problems = Problems("x.toml")
    section = Section({}, "", problems)

    assert (section.text("a"), section.flag("a"), section.strings("a"), section.table("a")) == (None,) * 4
    assert (section.count("a", 0), section.duration("a", zero=True), section.tables("a")) == (None, None, [])
    assert problems.lines == ()


def test_paths_lead_through_tables_and_lists_and_quote_what_toml_would() -> None:
    section = Section({"roles": {"a b": {"x\n": 1}}, "tasks": [{}, 5, {"id": 1}]}, "", Problems("x.toml"))

    roles = section.table("roles")
    assert roles is not None
    role = roles.table("a b")
    assert role is not None
    assert role.where("x\n") == r'roles."a b"."x\n"'
    assert [entry and entry.path for entry in section.tables("tasks")] == ["tasks[0]", None, "tasks[2]"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a decimal number"),
        ("x", "a string"),
        ([], "a list"),
        (object(), "a date or a time"),
    ],
)
def test_a_wrong_type_is_named_in_the_words_of_toml(value: object, kind: str) -> None:
    problems = Problems("x.toml")

    Section({"a": value}, "", problems).table("a")

    assert problems.lines == (f"x.toml: a: expected a table, got {kind}",)


def test_huge_numbers_are_refused_without_being_printed() -> None:
    problems = Problems("x.toml")
    section = Section({"a": 1 << 100_000, "b": 1 << 100_000}, "", problems)

    assert (section.count("a", 1), section.text("b"), section.duration("b", zero=True)) == (None, None, None)
    assert problems.lines == (
        "x.toml: a: out of range; write a number from 1 to 1000000",
        "x.toml: b: expected a string, got a number",
        'x.toml: b: expected a duration, got a number; write "90s"',
    )
