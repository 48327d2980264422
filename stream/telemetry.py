"""Logs: one structured line per event on standard error, safe to print whatever a user sent.

Every value that reaches a line is escaped and cut here, in one place, so that no page title can move a
terminal's cursor, fake a second line or flood the log. Credentials inside URLs are hidden.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Literal, TextIO, TypeAlias

import structlog

LogFormat: TypeAlias = Literal["auto", "text", "json"]
_Event: TypeAlias = MutableMapping[str, Any]

LONGEST_VALUE: Final = 300
"""Characters of one value in a line; the rest is counted, not shown."""
REPEATS_PER_PERIOD: Final = 5
REPEAT_PERIOD_S: Final = 10.0
"""A client library in an outage repeats one message thousands of times a minute; five say the same."""
NOISY: Final = ("aiokafka", "faust", "mode", "asyncio", "uvicorn")

_PASSWORD_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s]*@", re.IGNORECASE)


def configure(level: str = "info", log_format: LogFormat = "auto", stream: TextIO | None = None) -> None:
    """Send all logs, those of libraries too, to `stream` (standard error by default).

    log_format `auto`: text in a terminal, JSON lines elsewhere. May be called again.
    """
    out = sys.stderr if stream is None else stream
    as_json = log_format == "json" or (log_format == "auto" and not out.isatty())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(structlog.processors.JSONRenderer() if as_json else _text_renderer(out)))
    handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level != "debug":
        for name in NOISY:
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)  # its debug lines tell about the interpreter only


def _shared() -> list[Any]:
    """What our lines and those of libraries have in common."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(renderer: Any) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *_shared()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            escape_values,
            renderer,
        ],
    )


def escape_values(_logger: Any, _method: str, event: _Event) -> _Event:
    """Escape and cut every text of a log line, keys too."""
    return {escape(str(name)): _safe(value) for name, value in event.items()}


def _safe(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe(one) for one in list(value)[:20]]
    if isinstance(value, dict):
        return {escape(str(name)): _safe(one) for name, one in list(value.items())[:20]}
    return escape(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value))


def escape(text: str, longest: int = LONGEST_VALUE) -> str:
    """Return the text in one printable line: controls, line breaks and marks of direction escaped, cut.

    Our own tracebacks keep their lines as the two characters `\\n`.
    """
    hidden = _PASSWORD_IN_URL.sub(r"\1:***@", text)
    limit = longest if not hidden.startswith("Traceback ") else 20 * longest
    shown = hidden[:limit]
    if not shown.isprintable():
        shown = "".join(one if one.isprintable() else _escaped(one) for one in shown)
    return shown if len(hidden) <= limit else f"{shown}... ({len(hidden)} characters)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class RepeatFilter(logging.Filter):
    """Lets a message of a library pass a few times per period, then says how many it held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(NOISY) or not isinstance(record.msg, str):
            return True
        now = self._clock()
        key = (record.name, record.msg)
        since, count = self._seen.get(key, (now, 0))
        if now - since >= REPEAT_PERIOD_S:
            if count > REPEATS_PER_PERIOD:
                record.msg = f"{record.msg} ({count - REPEATS_PER_PERIOD} repeats of this kind not shown)"
            since, count = now, 0
        if len(self._seen) > 1000:  # messages are templates, but a library may format its own
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        return count < REPEATS_PER_PERIOD


def _text_renderer(out: TextIO) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=out.isatty(), pad_event_to=30, exception_formatter=structlog.dev.plain_traceback
    )


def silence_libraries() -> None:
    """Nothing from client libraries, not even errors: the caller reports what failed."""
    for name in ("aiokafka", "kafka", "asyncio", "redis"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
