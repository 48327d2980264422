"""How the demo tells its live view, a `latido watch` of its own, which addresses to keep on the screen."""

from typing import Final

VARIABLE: Final = "DEMO_WATCH_NOTE"
"""Environment variable with the lines. Without the prefix of the settings, since it is none."""
