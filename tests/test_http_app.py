"""The HTTP side of the port: what it answers, and what it says where it does not."""

from pathlib import Path

import httpx
import msgspec
import pytest

from protocols.commands import CancelTask, ReplyPermission, SendToWorker, SpawnWorker, StopTask
from protocols.events import Event
from protocols.problems import MEDIA_TYPE
from protocols.queued import SendText
from tests.http_side import open_side
from tests.made_fleets import run_started, started, starting, status
from tests.port_client import SECRET


def _problem(answer: httpx.Response) -> dict[str, object]:
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert isinstance(found, dict) and found["status"] == answer.status_code
    return found


async def test_health_is_for_everybody_and_tells_nothing_else(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        side.client.headers.pop("authorization")

        assert (await side.get("/health")).json() == {"status": "ok", "version": "1.2"}
        await side.get("/api/workers", 401)


async def test_workers_of_the_whole_tree_are_listed_and_narrowed(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:

        async def names(query: str) -> list[str]:
            return [each["task"] for each in (await side.get(f"/api/workers{query}")).json()["workers"]]

        assert await names("") == ["build", "build/deep", "lint"]
        assert await names("?run=build") == ["build/deep"]
        assert await names("?status=running") == ["build", "build/deep", "lint"]
        assert await names("?status=failed,pending") == []
        assert await names("?role=coder") == []


async def test_a_long_list_comes_in_parts_that_name_the_next_one(tmp_path: Path) -> None:
    async with open_side(tmp_path, [run_started(*"abcde")]) as side:
        seen, path = list[str](), "/api/workers?limit=2&status=pending"
        while path:
            answer = await side.get(path)
            seen += [each["task"] for each in answer.json()["workers"]]
            assert answer.headers["x-total-count"] == "5"
            path = answer.links.get("next", {}).get("url", "")

        assert seen == list("abcde")


async def test_a_worker_of_an_instance_is_found_by_its_path(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        for path in ("/api/workers/build/deep", "/api/workers/build%2Fdeep", "/api/tasks/build/deep"):
            found = (await side.get(path)).json()

            assert (found["task"], found["run"], found["status"]) == ("build/deep", "bbbbbbbb", "running")


async def test_a_task_that_is_called_like_a_word_of_a_path_is_found_with_an_escaped_slash(tmp_path: Path) -> None:
    events: list[Event] = [run_started("output"), starting("output"), started("output"), status("output", "running")]
    async with open_side(tmp_path, events) as side:
        side.spool("output", b"bytes")

        assert (await side.get("/api/workers/output")).json()["task"] == "output"
        assert (await side.get("/api/workers/output/output")).content == b"bytes"
        assert "output/output" in (await side.get("/api/workers/output%2Foutput", 404)).text


async def test_runs_sessions_instances_and_records_are_told(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        assert [each["task"] for each in (await side.get("/api/runs")).json()["runs"]] == [".", "build"]
        assert [each["task"] for each in (await side.get("/api/runs/build")).json()["tasks"]] == ["build/deep"]
        assert (await side.get("/api/runs/bbbbbbbb")).json()["run"]["task"] == "build"
        assert (await side.get("/api/sessions")).json()["sessions"] == []
        assert (await side.get("/api/instances/build")).json()["run"] == "bbbbbbbb"
        assert (await side.get("/api/info")).json()["who"] == "token tester"
        assert (await side.get("/api/health")).json()["status"] == "ok"
        records = (await side.get("/api/records?after=2&limit=2&topics=worker,task")).json()
        assert [each["seq"] for each in records["records"]] == [3, 4]


async def test_what_is_at_work_is_told_in_short(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        active = (await side.get("/api/active")).json()
        stats = (await side.get("/api/stats")).json()

        assert active["tasks"] == ["build", "build/deep", "lint"] and active["runs"] == [".", "build"]
        assert (stats["tasks"], stats["attempts"], stats["runs"]) == ({"running": 3}, 3, 2)
        assert stats["seconds"] == 10.0


async def test_what_acts_is_handed_on_and_answered_when_it_is_done(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        done = (await side.post("/api/workers/build/deep/stop", {"grace": 2, "reason": "enough"})).json()
        await side.post("/api/workers/lint/kill")
        await side.post("/api/runs/bbbbbbbb/cancel")

        assert (done["task"], done["attempt"]) == ("build/deep", 1)
        assert side.fleet.commander.asked == [
            StopTask(task="build/deep", grace=2.0, reason="enough"),
            StopTask(task="lint", grace=0.0, reason="killed by a client"),
            CancelTask(task="build"),
        ]


async def test_what_is_sent_to_a_worker_goes_to_the_queue_and_permissions_to_who_asked(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        sent = await side.post("/api/workers/build/deep/commands", {"action": {"kind": "text", "text": "go"}}, 202)
        await side.post("/api/permissions/per_1", {"task": "lint", "reply": "reject", "message": "no"})

        assert sent.headers["location"] == "/api/commands/?task=build%2Fdeep"
        assert side.fleet.commander.asked == [
            SendToWorker(task="build/deep", action=SendText(text="go")),
            ReplyPermission(task="lint", permission="per_1", reply="reject", message="no"),
        ]
        assert (await side.get("/api/workers/lint/commands")).json()["commands"] == []
        assert (await side.get("/api/commands")).json()["commands"] == []
        assert (await side.get("/api/permissions")).json()["permissions"] == []
        await side.get("/api/commands/none", 404)


async def test_a_new_worker_is_told_with_its_place(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        side.fleet.commander.made = "new/1"

        answer = await side.post("/api/workers", {"task": {"command": "true"}, "cwd": "/"}, 201)

        assert answer.headers["location"] == "/api/workers/new%2F1"
        assert side.fleet.commander.asked == [SpawnWorker(task={"command": "true"}, cwd="/")]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/nothing", 404, ["/nothing"]),
        ("/api/workers/lnt", 404, ['did you mean "lint"']),
        ("/api/workers/lint/output?attempt=9", 404, ["no attempt 9"]),
        ("/api/workers/lint/output?stream=terminal", 404, ["it has stdout, stderr"]),
        ("/api/workers/lint/output?stream=tty", 422, ["query stream"]),
        ("/api/workers?statu=running", 422, ['did you mean "status"']),
        ("/api/workers?status=runing", 422, ["query status", "runing"]),
        ("/api/workers?limit=0", 422, ["query limit"]),
        ("/api/workers?run=a&run=b", 422, ["given twice", "query run"]),
        ("/api/workers/lint?task=build", 422, ["no parameter"]),
        ("/api/records?after=x", 422, ["query after"]),
        ("/api/sessions/lint", 404, ["no session"]),
        ("/api/events?after=17:3", 422, ["RUN:SEQ"]),
        ("/api/events?after=aaaaaaaa:9999", 409, ["is ahead"]),
        ("/api/events?topics=tsk", 422, ["query topics"]),
        ("/api/workers/%ff%fe", 404, ["there is none"]),
        ("/api/workers/" + "x" * 2000, 422, ["path task", "1024"]),
    ],
)
async def test_what_is_wrong_is_told_with_where_and_what_to_do(
    tmp_path: Path, path: str, code: int, words: list[str]
) -> None:
    async with open_side(tmp_path) as side:
        answer = await side.get(path, code)

        assert _problem(answer)
        assert [word for word in words if word not in answer.json().__str__()] == []


@pytest.mark.parametrize(
    ("body", "kind", "code", "words"),
    [
        (b"{", "application/json", 400, ["body"]),
        (b"\xff", "application/json", 400, ["body"]),
        (b'{"a":' * 100_000, "application/json", 400, ["body"]),
        (b"[]", "application/json", 422, ["send a JSON object"]),
        (b'{"grce": 2}', "application/json", 422, ["grce"]),
        (b'{"grace": -2}', "application/json", 422, ["body grace"]),
        (b'{"grace": "2"}', "application/json", 422, ["body grace"]),
        (b'{"task": "build"}', "application/json", 422, ["task stands in the path"]),
        (b"grace=2", "application/x-www-form-urlencoded", 415, ["application/x-www-form-urlencoded"]),
        (b"{}", "text/plain", 415, ["send application/json"]),
        (b"x" * 2_000_000, "application/json", 413, ["1048576"]),
    ],
)
async def test_a_body_that_is_wrong_changes_nothing(
    tmp_path: Path, body: bytes, kind: str, code: int, words: list[str]
) -> None:
    async with open_side(tmp_path) as side:
        answer = await side.client.post("/api/workers/lint/stop", content=body, headers={"content-type": kind})

        assert answer.status_code == code
        assert [word for word in words if word not in str(_problem(answer))] == []
        assert side.fleet.commander.asked == []


async def test_a_method_that_a_path_does_not_take_is_refused_with_those_that_it_does(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        for verb, path, allowed in (
            ("DELETE", "/api/workers", "HEAD, GET, POST"),
            ("GET", "/api/workers/lint/stop", "POST"),
            ("POST", "/api/events", "HEAD, GET"),
        ):
            answer = await side.client.request(verb, path)

            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
            _problem(answer)


async def test_a_refusal_is_a_conflict_with_its_reason(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        answer = await side.post("/api/workers/no/restart", None, 409)

        assert 'task "no": not now' in str(_problem(answer)["detail"])


async def test_who_may_only_read_cannot_act(tmp_path: Path) -> None:
    async with open_side(tmp_path, scope="read") as side:
        await side.get("/api/workers")
        answer = await side.post("/api/workers/lint/stop", None, 403)

        assert "operate" in str(_problem(answer)["detail"])
        assert side.fleet.commander.asked == []


@pytest.mark.parametrize("key", ["", '""', "k" * 129])
async def test_a_key_that_is_empty_or_too_long_is_refused(tmp_path: Path, key: str) -> None:
    async with open_side(tmp_path) as side:
        answer = await side.post("/api/workers/lint/stop", None, 422, idempotency_key=key)

        assert _problem(answer)["where"] == "header Idempotency-Key"


async def test_two_keys_that_differ_are_refused(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        await side.post("/api/workers/lint/stop", {"key": "a"}, 422, idempotency_key="b")
        await side.post("/api/workers/lint/stop", {"key": "a"}, idempotency_key='"a"')


async def test_head_has_the_headers_and_no_body(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        for path in ("/health", "/api/workers", "/api/events", "/api/workers/lint/output"):
            answer = await side.client.head(path)

            assert (answer.status_code, answer.content) == (200, b"")


async def test_no_problem_tells_the_token(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side:
        answer = await side.client.get("/api/nothing", headers={"authorization": f"Bearer {SECRET}x"})

        assert answer.status_code == 401 and SECRET not in answer.text


async def test_text_that_is_no_unicode_is_told_escaped(tmp_path: Path) -> None:
    odd = msgspec.structs.replace(starting("lint"), argv=("cat", "a\udcff"))
    async with open_side(tmp_path, [run_started("lint")]) as side:
        await side.write(odd, started("lint"))
        await side.fleet.dispatcher.reader.picture.wait_for(3)

        assert (await side.get("/api/workers/lint")).json()["argv"] == ["cat", "a\\udcff"]
