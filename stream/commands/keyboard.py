"""Single keys from the terminal, without Enter and without echo; nothing where there is no terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

try:
    import termios
    import tty
except ImportError:  # no POSIX terminal: Ctrl-C still ends
    termios = None  # type: ignore[assignment]


@contextlib.contextmanager
def pressed_keys() -> Iterator[Callable[[], str]]:
    """Yields a function that returns what was typed since the last call ('' if nothing)."""
    if termios is None or not sys.stdin.isatty():
        yield lambda: ""
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield lambda: _waiting(number)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _waiting(number: int) -> str:
    import select

    ready, _, _ = select.select([number], [], [], 0)
    return os.read(number, 64).decode("ascii", "ignore") if ready else ""
