"""Where settings come from, and what to say when one cannot be used."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import structs
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource
from pydantic_settings.exceptions import SettingsError

from stream.core.churn_settings import ChurnSettings
from stream.core.policy import Policy
from stream.settings.alerts import AlertSettings, ReceiverSettings, RuleSettings, SilenceSettings
from stream.settings.churn import parse_churn
from stream.settings.model import (
    PREFIX,
    CollectorSettings,
    DashboardSettings,
    Funnels,
    Goals,
    KafkaSettings,
    Settings,
)
from stream.settings.text import SettingsProblem

DEFAULT_FILE: Final = Path("latido.toml")
CONFIG_VARIABLE: Final = "LATIDO_CONFIG"
NOT_SETTINGS: Final = frozenset({CONFIG_VARIABLE, "LATIDO_CACHE", "LATIDO_PYTHON", "LATIDO_VENV"})
"""Variables of ours that are no settings: where the file is, and what the scripts use."""

_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "kafka": KafkaSettings,
    "collector": CollectorSettings,
    "dashboard": DashboardSettings,
    "alerts": AlertSettings,
}
_TABLES: Final[dict[str, type[BaseModel]]] = {
    "rules": RuleSettings,
    "silences": SilenceSettings,
    "receivers": ReceiverSettings,
}
"""Of [alerts], each a list."""


def load_settings(config: Path | None = None, **given: Any) -> Settings:
    """Read the settings; `given` (values of flags, None = not given) wins over variables and file.

    config: the TOML file; else LATIDO_CONFIG, else ./latido.toml if it is there.
    Raises SettingsProblem: one line that says what to change, without any secret.
    """
    file = find_config(config)
    in_file = read_toml(file) if file is not None else {}
    flags = _without_none(given)

    class _Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, in_file)

    try:
        return _Loaded(**flags)
    except ValidationError as error:
        raise SettingsProblem(_first_problem(error, flags, file)) from None
    except SettingsError as error:
        raise SettingsProblem(f"{_one_line(error)}: a list or a table in a variable is JSON") from None


def find_config(config: Path | None = None) -> Path | None:
    """The settings file that is read, None when there is none."""
    if config is not None:
        return config
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def read_toml(file: Path, check: str = "--config") -> dict[str, Any]:
    """Read a TOML file. check: the flag that names it. Raises SettingsProblem."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsProblem(f"{file}: cannot be read ({error.strerror}); check {check}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsProblem(f"{file}: is not TOML: {_one_line(error)}") from None


class _GoalsFile(BaseModel):
    """What `--goals` takes: the same tables as the settings have."""

    goals: Goals = ()
    funnels: Funnels = ()


def with_goals(policy: Policy, file: Path) -> Policy:
    """The policy with the [[goals]] and the [[funnels]] of a TOML file, for `--goals`; what the file does not
    name stays. Raises SettingsProblem."""
    content = read_toml(file, check="--goals")
    other = sorted(set(content) - {*_GoalsFile.model_fields})
    if other or not content:
        found = f", not {other[0]!r}; 'latido --config FILE' takes all settings" if other else ""
        raise SettingsProblem(f"{file}: a goals file holds tables [[goals]] and [[funnels]]{found}")
    try:
        found_there = _GoalsFile.model_validate(content)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
        raise SettingsProblem(f"{file}: {_place(details)}: {_reason(details)}") from None
    return structs.replace(policy, **{name: getattr(found_there, name) for name in content})


def churn_of(file: Path) -> ChurnSettings:
    """The table [churn] of a TOML file, for `--rules`. Raises SettingsProblem."""
    content = read_toml(file, check="--rules")
    other = sorted(set(content) - {"churn"})
    if other or not content:
        found = f", not {other[0]!r}; 'latido --config FILE' takes all settings" if other else ""
        raise SettingsProblem(f"{file}: a rules file holds the table [churn]{found}")
    try:
        return parse_churn(content["churn"])
    except ValueError as error:
        raise SettingsProblem(f"{file}: churn: {_one_line(error)}") from None


def unknown_variables() -> list[str]:
    """LATIDO_ variables that set nothing: typing errors, most of them."""
    known = {*NOT_SETTINGS, *_variables()}
    return sorted(
        name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known
    )


def close_variable(name: str) -> str | None:
    """The variable that was probably meant by an unknown one."""
    # Without the prefix, which would make all of them alike.
    short = {known.removeprefix(PREFIX): known for known in _variables()}
    close = difflib.get_close_matches(name.upper().removeprefix(PREFIX), short, n=1)
    return short[close[0]] if close else None


def _variables() -> list[str]:
    """Every variable that sets something."""
    names = [f"{PREFIX}{name}".upper() for name in Settings.model_fields]
    for section, model in _SECTIONS.items():
        names += [f"{PREFIX}{section}_{name}".upper() for name in model.model_fields]
    return names


def _first_problem(error: ValidationError, flags: Mapping[str, Any], file: Path | None) -> str:
    """One line about the first error; never the value, it may be a secret."""
    # The group's default waits for a valid namespace: its error is only an echo.
    details = [
        one
        for one in error.errors(include_url=False, include_input=False)
        if one["type"] != "default_factory_not_called"
    ]
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{_place(first)}{_origin(first, flags, file)}: {_reason(first)}{more}"


def _place(details: ErrorDetails) -> str:
    return ".".join(str(part) for part in details["loc"])


def _origin(details: ErrorDetails, flags: Mapping[str, Any], file: Path | None) -> str:
    """Where the value came from, as the reader can find it."""
    path = [str(part) for part in details["loc"][:2]]
    value: Any = flags
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is not None:
        return " (given as a flag)"
    for depth in (2, 1):
        variable = (PREFIX + "_".join(path[:depth])).upper()
        if variable in os.environ:
            return f" (variable {variable})"
    return f" (in {file})" if file is not None else ""


def _reason(details: ErrorDetails) -> str:
    if details["type"] == "extra_forbidden":
        *section, name = (str(part) for part in details["loc"])
        model = _SECTIONS.get(section[0]) if section else None
        if len(section) > 2:
            model = _TABLES.get(section[1], model)
        known = [field.alias or own for own, field in (model or Settings).model_fields.items()]
        close = difflib.get_close_matches(name, known, n=1)
        return "there is no such setting" + (
            f"; did you mean {close[0]}?" if close else "; see 'latido config'"
        )
    if details["type"] == "string_pattern_mismatch":
        return "use 1 to 64 letters, digits, '.', '_' or '-'"
    return _one_line(details["msg"]).removeprefix("Value error, ")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _without_none(given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given, nested ones too."""
    kept = {k: _without_none(v) if isinstance(v, Mapping) else v for k, v in given.items() if v is not None}
    return {name: value for name, value in kept.items() if value != {}}
