"""`python -m tests.docs.readme [--check]`: the figures on the first page, from a run of the pipeline."""

from __future__ import annotations

import asyncio
import io
import itertools
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stream.commands.replay_view import Wanted, show
from stream.core.policy import MINUTE_MS, Goal, Policy
from stream.demo.visitors import crowd
from stream.replay import run

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "README.md"
_PLACE: Final = re.compile(r"(<!-- sample -->\n```\n).*?(```\n<!-- end -->)", re.DOTALL)
_START_MS: Final = 1_795_341_600_000
_VISITORS_PER_S: Final = 0.02


def sample() -> str:
    """Three hours of the demo's visitors on its first site, as `latido kpi` shows them."""
    steps = itertools.takewhile(
        lambda step: step.at_ms < 180 * MINUTE_MS, crowd(_START_MS, arrivals_per_s=_VISITORS_PER_S)
    )
    # Topic after topic: every interleaving gives the same, and large batches take less time.
    events = [step.value for step in sorted(steps, key=lambda step: step.topic) if step.value]
    log = io.BytesIO(b"\n".join(events))
    policy = Policy(goals=(Goal("signup", form_id="signup"),))
    lines = asyncio.run(run([log], what="snapshot", policy=policy, until_final=False))
    shown = io.StringIO()
    show(lines, Wanted(("1h", "24h"), None, as_table=True), shown)
    return shown.getvalue().partition("\n●")[0].rstrip() + "\n"


def with_sample(text: str) -> str:
    """The page with the figures of a new run. Raises ValueError when it has no place for them, or two."""
    made, places = _PLACE.subn(lambda place: place[1] + sample() + place[2], text)
    if places != 1:
        raise ValueError(f"{DOCUMENT.name} has {places} places for the sample, not one")
    return made


def main(arguments: Sequence[str]) -> int:
    text = DOCUMENT.read_text(encoding="utf-8")
    made = with_sample(text)
    if "--check" in arguments:
        return int(made != text)
    DOCUMENT.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
