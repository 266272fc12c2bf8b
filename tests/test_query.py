"""The query of a URL as typed parameters, and what is said where it does not fit."""

import pytest

from protocols.http_routes import EventsQuery, OutputQuery, Paging
from protocols.port_params import ReadParams, TaskListParams
from protocols.problems import ProblemError
from protocols.query import decode_fields, decode_query


def test_numbers_truths_and_lists_are_read() -> None:
    pairs = [("after", "7"), ("topics", "task,run"), ("topics", "error"), ("workers", "a,b/c")]

    found = decode_query(pairs, ReadParams)

    assert found == ReadParams(after=7, topics=("task", "run", "error"), workers=("a", "b/c"))


def test_all_workers_are_not_one_that_is_called_all() -> None:
    assert decode_query([("workers", "all")], EventsQuery) == EventsQuery(workers="all")
    assert decode_query([("workers", "all,b")], EventsQuery) == EventsQuery(workers=("all", "b"))


def test_what_stands_in_the_path_cannot_be_said_again() -> None:
    assert decode_query([("attempt", "2")], OutputQuery, {"task": "a"}) == OutputQuery(task="a", attempt=2)
    with pytest.raises(ProblemError, match="no parameter"):
        decode_query([("task", "b")], OutputQuery, {"task": "a"})


def test_names_that_others_read_are_passed_over() -> None:
    assert decode_query([("limit", "x"), ("run", "a")], TaskListParams, more=("limit",)) == TaskListParams(run="a")


@pytest.mark.parametrize(
    ("pairs", "where"),
    [
        ([("limit", "0")], "query limit"),
        ([("limit", "a")], "query limit"),
        ([("limit", "")], "query limit"),
        ([("limit", "1"), ("limit", "1")], "query limit"),
        ([("offset", "-1")], "query offset"),
        ([("lmit", "1")], "query"),
    ],
)
def test_the_place_of_a_mistake_is_told(pairs: list[tuple[str, str]], where: str) -> None:
    with pytest.raises(ProblemError) as raised:
        decode_query(pairs, Paging)

    problem = raised.value.problem
    assert (problem.status, problem.where) == (422, where)
    assert problem.hint


def test_fields_of_a_body_have_their_own_types_only() -> None:
    with pytest.raises(ProblemError) as raised:
        decode_fields({"limit": "1"}, Paging, "body")

    assert raised.value.problem.where == "body limit"
