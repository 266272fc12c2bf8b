"""Merges and checks what file, environment and flags say about the settings, by pydantic-settings."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from protocols.durations import parse_duration
from protocols.errors import SettingsError
from protocols.pressure import Limits
from protocols.sizes import parse_bytes
from protocols.toml_text import parse_toml
from protocols.wording import did_you_mean, escaped
from supervisor.input_files import decode_input, read_input
from supervisor.settings import (
    PREFIX,
    STATE,
    LivenessSettings,
    LogSettings,
    PortSettings,
    RetentionSettings,
    Settings,
    StopSettings,
    StreamSettings,
    UpSettings,
)

__all__ = ["read_settings"]


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError('expected a duration; write it like "90s", "10m", "1h30m" or "500ms"')
    return parse_duration(value)


def _not_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a whole number, got true or false")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, got true or false")
    return value


def _bytes(value: object) -> int:
    if value in (0, "0") and not isinstance(value, bool):
        return 0
    if not isinstance(value, str):
        raise ValueError('expected a size; write it like "500kB", "34MB" or "2GiB"')
    return parse_bytes(value)


_Duration = Annotated[float, BeforeValidator(_seconds)]
_Count = Annotated[int, BeforeValidator(_not_boolean)]
_Size = Annotated[int, BeforeValidator(_bytes)]
_Percent = Annotated[float, BeforeValidator(_number), Field(ge=0, le=100)]
_LONGEST_LINE = 16 * 1024 * 1024


class _Stream(BaseModel):
    flush_interval: Annotated[_Duration, Field(gt=0, le=60)] = StreamSettings().flush_interval
    max_line: Annotated[_Count, Field(ge=64, le=_LONGEST_LINE)] = StreamSettings().max_line


class _Stop(BaseModel):
    grace: _Duration = StopSettings().grace
    linger: _Duration = StopSettings().linger


class _Liveness(BaseModel):
    heartbeat: Annotated[_Duration, Field(ge=0.05, le=60)] = LivenessSettings().heartbeat


class _Admission(BaseModel):
    min_free_memory: _Size = Limits().min_free_memory
    max_memory_pressure: _Percent = Limits().max_memory_pressure
    max_cpu_pressure: _Percent = Limits().max_cpu_pressure


class _Retention(BaseModel):
    keep_runs: Annotated[_Count, Field(ge=1, le=1_000_000)] = RetentionSettings().keep_runs
    keep_days: Annotated[_Count, Field(ge=1, le=1_000_000)] = RetentionSettings().keep_days


class _Up(BaseModel):
    concurrency: Annotated[_Count, Field(ge=1, le=10_000)] = UpSettings().concurrency


class _Port(BaseModel):
    host: Annotated[str, Field(min_length=1)] = PortSettings().host
    port: Annotated[_Count, Field(ge=0, le=65535)] = PortSettings().port
    hosts: str = ""
    origins: str = ""
    certificate: str = ""
    key: str = ""


class _Log(BaseModel):
    file: str = ""
    format: Literal["auto", "text", "json"] = LogSettings().format
    level: Literal["debug", "info", "warning", "error"] = LogSettings().level
    max_size: _Size = LogSettings().max_size
    keep: Annotated[_Count, Field(ge=1, le=9)] = LogSettings().keep


class _Model(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", validate_default=False)
    state: Annotated[str, Field(min_length=1)] = STATE
    stream: _Stream = _Stream()
    stop: _Stop = _Stop()
    liveness: _Liveness = _Liveness()
    admission: _Admission = _Admission()
    retention: _Retention = _Retention()
    up: _Up = _Up()
    port: _Port = _Port()
    log: _Log = _Log()


_SECTIONS: dict[str, type[BaseModel]] = {
    "stream": _Stream,
    "stop": _Stop,
    "liveness": _Liveness,
    "admission": _Admission,
    "retention": _Retention,
    "up": _Up,
    "port": _Port,
    "log": _Log,
}
_NAMES = ("state", *(f"{section}.{key}" for section, model in _SECTIONS.items() for key in model.model_fields))


class _Source(msgspec.Struct, frozen=True):
    """What one source says, under names such as ``stop.grace``, and how messages call each of them."""

    values: dict[str, object]
    place: Callable[[str], str]


def read_settings(start: Path, file: Path | None, flags: Mapping[str, object]) -> Settings:
    """Merge the sources. Raises SettingsError with every name that is unknown, else with every wrong value."""
    document = {} if file is None else _read_file(start / file, str(file))
    sources = (
        _Source(dict(flags), lambda name: f"flag {name}"),
        _Source(_read_environment(), _variable),
        _Source(_flatten(document), lambda name: f"{escaped(str(file))}: {name}"),
    )
    unknown = [_explain_unknown(source, name) for source in sources for name in source.values if name not in _NAMES]
    if unknown:
        raise SettingsError(*unknown)
    try:
        model = _merge(_nest(flags), document)
    except ValidationError as error:
        raise SettingsError(*(_explain(details, sources) for details in error.errors())) from None
    return Settings(
        state=start / model.state,
        stream=StreamSettings(**model.stream.model_dump()),
        stop=StopSettings(**model.stop.model_dump()),
        liveness=LivenessSettings(**model.liveness.model_dump()),
        admission=Limits(**model.admission.model_dump()),
        retention=RetentionSettings(**model.retention.model_dump()),
        up=UpSettings(**model.up.model_dump()),
        port=_port_settings(start, model.port),
        log=_log_settings(start, model.log),
    )


def _log_settings(start: Path, log: _Log) -> LogSettings:
    said = log.model_dump(exclude={"file"})
    return LogSettings(file=start / log.file if log.file else None, **said)


def _port_settings(start: Path, port: _Port) -> PortSettings:
    return PortSettings(
        host=port.host,
        port=port.port,
        hosts=_words(port.hosts.lower()),
        origins=_words(port.origins),
        certificate=start / port.certificate if port.certificate else None,
        key=start / port.key if port.key else None,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _merge(flags: dict[str, object], document: dict[str, object]) -> _Model:
    class Layered(_Model):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            *sources: PydanticBaseSettingsSource,
            **more: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (
                InitSettingsSource(settings_cls, flags),
                EnvSettingsSource(settings_cls),
                InitSettingsSource(settings_cls, document),
            )

    return Layered()


def _read_file(path: Path, file: str) -> dict[str, object]:
    text = decode_input(read_input(path, file, SettingsError), file, SettingsError)
    return parse_toml(text, file, SettingsError)


def _read_environment() -> dict[str, object]:
    """The variables of ours under the names of their settings; under their own where it is not one."""
    names = {_variable(name): name for name in _NAMES}
    return {names.get(name, name): value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}


def _variable(name: str) -> str:
    return name if name not in _NAMES else PREFIX + name.upper().replace(".", "__")


def _flatten(document: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in document.items():
        if isinstance(value, dict) and (value or name in _SECTIONS):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    return flat


def _nest(flat: Mapping[str, object]) -> dict[str, object]:
    nested: dict[str, object] = {name: value for name, value in flat.items() if "." not in name}
    for section in _SECTIONS:
        dot = f"{section}."
        nested[section] = {name.removeprefix(dot): value for name, value in flat.items() if name.startswith(dot)}
    return nested


def _explain_unknown(source: _Source, name: str) -> str:
    section, _, key = name.rpartition(".")
    if name in _SECTIONS:
        problem = f"expected a table; write [{name}]"
    elif name.upper().startswith(PREFIX):
        known = (_variable(setting).removeprefix(PREFIX) for setting in _NAMES)
        guess = did_you_mean(name.upper().removeprefix(PREFIX), known, PREFIX)
        problem = f"no such setting{guess or '; unset it'}"
    elif section in _SECTIONS:
        problem = f"no such key{did_you_mean(key, _SECTIONS[section].model_fields) or '; remove it'}"
    else:
        problem = f"no such key{did_you_mean(name, (*_NAMES, *_SECTIONS)) or '; remove it'}"
    return f"{source.place(escaped(name))}: {problem}"


def _explain(details: ErrorDetails, sources: Iterable[_Source]) -> str:
    name = ".".join(map(str, details["loc"]))
    place = next((source.place(name) for source in sources if name in source.values), name)
    error = details.get("ctx", {}).get("error")
    message = str(error) if error else details["msg"].replace("Input should be", "must be", 1)
    return f"{place}: {message}"
