"""Keys from the terminal as they are pressed, without Enter and without echo, and when its size changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

try:
    import termios
    import tty
except ImportError:  # no POSIX terminal: Ctrl-C still ends
    termios = None  # type: ignore[assignment]


@contextlib.contextmanager
def terminal_events(pressed: Callable[[str], None], resized: Callable[[], None]) -> Iterator[None]:
    """Calls back from the event loop, whatever else it waits for. Without a terminal nothing comes."""
    if termios is None or not sys.stdin.isatty():
        yield
        return
    loop, number = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        keys = os.read(number, 64)
        if not keys:  # the terminal is gone
            loop.remove_reader(number)
        pressed(keys.decode("ascii", "ignore"))

    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    loop.add_reader(number, read)
    loop.add_signal_handler(signal.SIGWINCH, resized)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
