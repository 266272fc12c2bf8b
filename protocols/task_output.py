"""What a task gives to those that need it: what the plan says of its output, and what is recorded of one."""

from typing import Literal, TypeAlias

import msgspec

from protocols.bases import BaseEvent
from protocols.ids import TaskId
from protocols.section import Section

__all__ = ["DEEPEST", "Failure", "Form", "Output", "TaskOutput", "read_output"]

DEEPEST = 100
"""Levels of arrays and objects; whoever reads more of them by recursion could fail."""
_USUAL = 8 * 1024 * 1024
_MOST = 256 * 1024 * 1024  # it is read into memory
_WRITE = 'write { file = "PATH" }, { stdout_json = true }, { last_message = true } or { report = true }'

Kind: TypeAlias = Literal["file", "stdout-json", "last-message", "report"]
Form: TypeAlias = Literal["json", "text"]


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where the output of a task is found at the end of an attempt."""

    kind: Kind
    path: str = ""
    """Of the ``file``."""
    schema: str = ""
    """The path of a JSON Schema; empty: any JSON will do."""
    max_output: int = _USUAL
    """Bytes."""
    plan: bool = False
    """It is a plan, which an instance runs."""

    @property
    def form(self) -> Form:
        """The last message of an agent is text, but where a schema says what it has to be; a plan always is."""
        return "text" if self.plan or (self.kind == "last-message" and not self.schema) else "json"

    @property
    def label(self) -> str:
        """As messages name it."""
        labels: dict[Kind, str] = {
            "stdout-json": "its stdout",
            "last-message": "its last message",
            "report": "its report",
        }
        return labels.get(self.kind, self.path)


class TaskOutput(BaseEvent, frozen=True, kw_only=True, tag="task.output"):
    """The output of an attempt that would succeed was found and is as the plan wants it. Recorded before the end of the
    attempt."""

    task: TaskId
    attempt: int
    form: Form
    bytes: int
    sha256: str
    path: str
    """Of a copy in the folder of the run, relative to that."""


class Failure(msgspec.Struct, frozen=True):
    """How the attempt before failed."""

    reason: str
    of_output: bool
    """Its output was not what the plan wants."""


def read_output(section: Section) -> Output | None:
    """The key ``output``."""
    table = section.table("output", '{ file = "PATH" } or { stdout_json = true }')
    if table is None:
        return None
    table.check_keys(("file", "stdout_json", "last_message", "report", "plan", "schema", "max_output"), {})
    path = table.text("file")
    kinds: list[Kind] = ["file"] if "file" in table else []
    kinds += ["stdout-json"] if table.flag("stdout_json") else []
    kinds += ["last-message"] if table.flag("last_message") else []
    kinds += ["report"] if table.flag("report") else []
    plan = bool(table.flag("plan"))
    if plan and (kinds not in (["file"], ["last-message"]) or "schema" in table):
        table.reject("plan", "a plan is TOML in a file or a last message, without schema; remove the other keys")
    if len(kinds) != 1:
        section.reject("output", f"{'more than one' if kinds else 'none'} of the four places; {_WRITE}")
        return None
    most = table.size("max_output")
    if most is not None and most > _MOST:
        table.reject("max_output", 'it is read into memory; write at most "256MiB"')
    schema = table.text("schema") or ""
    return Output(kind=kinds[0], path=path or "", schema=schema, max_output=most or _USUAL, plan=plan)
