"""Run a worker as a process of its own, from variables, as `latido worker` does."""

from __future__ import annotations

import asyncio
import os

from stream.settings import load_settings
from stream.telemetry import configure
from stream.wiring import open_worker

if __name__ == "__main__":
    configure(os.environ.get("LATIDO_LOG_LEVEL", "info"), "text")
    raise SystemExit(asyncio.run(open_worker(load_settings())))
