"""The settings in force as text that can be read back, without a secret."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic import BaseModel, SecretStr

from stream.settings import format_duration
from stream.settings.churn import plain_churn
from stream.tables.redis_client import hide_credentials

if TYPE_CHECKING:
    from stream.settings import Settings

HIDDEN: Final = "(hidden)"
DURATIONS: Final = frozenset({
    "gap", "grace", "survey_tolerance", "visitor_memory", "acknowledge_within", "for_", "cooldown", "give_up",
})  # fmt: skip
SECTIONS: Final = ("kafka", "collector", "dashboard")


def as_plain(settings: Settings) -> dict[str, Any]:
    """The settings as JSON has them: durations as text, secrets hidden, null where nothing is set."""
    return {name: _plain(name, getattr(settings, name)) for name in type(settings).model_fields}


def _plain(name: str, value: Any) -> Any:
    if name == "redis":
        return hide_credentials(value.get_secret_value())
    if isinstance(value, SecretStr):
        return HIDDEN
    if name in DURATIONS:
        return format_duration(value)
    if isinstance(value, BaseModel):
        return {inner: _plain(inner, getattr(value, inner)) for inner in type(value).model_fields}
    if name == "goals":
        return [
            {key: one for key, one in msgspec.structs.asdict(goal).items() if one is not None}
            for goal in value
        ]
    if name == "funnels":
        return [msgspec.to_builtins(funnel) for funnel in value]
    if name == "churn":
        return plain_churn(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return [_entry_of_list(one) for one in value]
    return list(value) if isinstance(value, tuple) else value


def _entry_of_list(table: BaseModel) -> dict[str, Any]:
    """What was set, under the names it is written by."""
    fields = type(table).model_fields
    return {
        fields[name].alias or name: _plain(name, getattr(table, name))
        for name in fields if name in table.model_fields_set
    }  # fmt: skip


def as_toml(settings: Settings, file: Path | None) -> str:
    """The same as a settings file; what is not set or hidden is a comment."""
    plain = as_plain(settings)
    sections = {name: plain.pop(name) for name in SECTIONS}
    goals, funnels = plain.pop("goals"), plain.pop("funnels")
    churn, alerts = plain.pop("churn"), plain.pop("alerts")
    read = f"read from {file}" if file is not None else "no settings file was read"
    lines = [f"# {read}; LATIDO_ variables and flags win over it", *_entries(plain)]
    for name, section in sections.items():
        lines += ["", f"[{name}]", *_entries(section)]
    for goal in goals:
        lines += ["", "[[goals]]", *_entries(goal)]
    for funnel in funnels:
        steps = ",\n".join(f"  {{ {_inline(step)} }}" for step in funnel["steps"])
        lines += ["", "[[funnels]]", _entry("name", funnel["name"]), f"steps = [\n{steps},\n]"]
    return "\n".join([*lines, *_churn(churn), *_alerts(alerts)]) + "\n"


def _churn(table: dict[str, Any]) -> list[str]:
    segments = table.pop("segments")
    lines = ["", "[churn]", *_entries(table)]
    for name, differing in segments.items():
        lines += ["", f"[churn.segments.{json.dumps(name)}]", *_entries(differing)]
    return lines


def _alerts(table: dict[str, Any]) -> list[str]:
    lists = {name: table.pop(name) for name in ("rules", "silences", "receivers")}
    lines = ["", "[alerts]", *_entries(table)]
    for name, tables in lists.items():
        for one in tables:
            lines += ["", f"[[alerts.{name}]]", *_entries(one)]
    return lines


def _inline(table: dict[str, Any]) -> str:
    return ", ".join(_entries(table))


def _entries(table: dict[str, Any]) -> list[str]:
    return [_entry(name, value) for name, value in table.items()]


def _entry(name: str, value: Any) -> str:
    if value is None:
        return f"# {name} is not set"
    if value == HIDDEN or (isinstance(value, str) and ":***@" in value):
        return f"# {name} = {json.dumps(value)}"
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {json.dumps(one)}" for key, one in value.items())
        return f"{name} = {{ {inner} }}" if value else f"{name} = {{}}"
    return f"{name} = {json.dumps(value)}"  # a JSON text, number, boolean or list of texts is TOML too


def secrets_in(settings: Settings) -> list[str]:
    """Names of the settings whose values are hidden."""
    plain = as_plain(settings)
    tables = [("", plain), *((f"{name}.", plain[name]) for name in SECTIONS)]
    return [prefix + name for prefix, table in tables for name, value in table.items() if value == HIDDEN]
