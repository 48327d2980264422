"""The table [churn]: limits of everybody, and tables [churn.segments."plan=premium"] with what differs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from stream.core.churn_settings import SEGMENTED_BY, ChurnSettings, Limits
from stream.settings.text import format_duration, parse_duration

_DURATION: Final = "_ms"
_FIELDS: Final = {name.removesuffix(_DURATION): name for name in Limits.__struct_fields__}
"""As it is written -> as the core calls it: `shortest_silence = "1d"` is shortest_silence_ms."""
_TABLES: Final = ("bgnbd", "weights")
_SWITCHES: Final = ("anonymous", "live")
_TIMES: Final = ("order_within", "remember")
_OF_ALL: Final = (*_SWITCHES, *_TIMES, "segments")


def parse_churn(value: object) -> ChurnSettings:
    """Read the table. Raises ValueError: one line that names the entry."""
    if isinstance(value, ChurnSettings):
        return value
    table = _table(value)
    _check_names(table, (*_FIELDS, *_OF_ALL))
    of_all: dict[str, Any] = {}
    for name in _SWITCHES:
        of_all[name] = table.get(name, False)
        if not isinstance(of_all[name], bool):
            raise ValueError(f"{name} is true or false")
    for name in _TIMES:
        if name in table:
            of_all[name + _DURATION] = _duration(name, table[name])
    own = {name: one for name, one in table.items() if name in _FIELDS}
    segments = tuple(_segments(own, table.get("segments", {})))
    return ChurnSettings(_limits(own), segments, **of_all)


def _duration(name: str, value: Any) -> int:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _segments(own: dict[str, Any], value: object) -> list[tuple[str, Limits]]:
    """Each with the limits of everybody, but for what it says itself."""
    found = []
    for name, differing in _table(value, "segments: ").items():
        if not any(name.startswith(f"{dimension}=") for dimension in SEGMENTED_BY):
            raise ValueError(f"segments: {name!r} is no segment; write plan=NAME or site=NAME")
        try:
            differs = _table(differing)
            _check_names(differs, tuple(_FIELDS))
            merged = {key: {**_table(own.get(key, {})), **_table(differs.get(key, {}))} for key in _TABLES}
            found.append((name, _limits({**own, **differs, **{k: v for k, v in merged.items() if v}})))
        except ValueError as error:
            raise ValueError(f"segments.{name}: {error}") from None
    return found


def _limits(table: dict[str, Any]) -> Limits:
    values = {}
    for name, value in table.items():
        field = _FIELDS[name]
        values[field] = _duration(name, value) if field.endswith(_DURATION) else value
    try:
        return msgspec.convert(values, Limits)
    except msgspec.ValidationError as error:
        # "Expected `int`, got `str` - at `$.least_gaps`"
        what, _, where = str(error).partition(" - at ")
        place = where.strip("`").removeprefix("$").removeprefix(".")
        raise ValueError(f"{place}: {what}" if place else what) from None


def _table(value: object, name: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}is a table, such as [churn]")
    return dict(value)


def _check_names(table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; see docs/churn.md"
            raise ValueError(f"{name}: there is no such setting{hint}")


def plain_churn(settings: ChurnSettings) -> dict[str, Any]:
    """The table as it is written; of segments only what differs."""
    own = _plain(settings.limits)
    segments = {
        name: {key: one for key, one in _plain(limits).items() if one != own.get(key)}
        for name, limits in settings.segments
    }
    switches = {name: getattr(settings, name) for name in _SWITCHES}
    times = {name: format_duration(getattr(settings, name + _DURATION)) for name in _TIMES}
    return {**switches, **times, **own, "segments": segments}


def _plain(limits: Limits) -> dict[str, Any]:
    found = {}
    for name, field in _FIELDS.items():
        value = getattr(limits, field)
        if value is not None:
            found[name] = format_duration(value) if field.endswith(_DURATION) else msgspec.to_builtins(value)
    return found
