"""`python -m tests.benchmarks`, which scripts/bench calls.

Exit code 1: a wrong answer, a ceiling exceeded, or it could not run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from stream.demo.child_process import ServerError
from tests.benchmarks import options as command_line
from tests.benchmarks import report, scenarios
from tests.benchmarks.figures import Section
from tests.benchmarks.load import BrokerFailed
from tests.benchmarks.options import Options
from tests.benchmarks.processes import WorkerFailed
from tests.benchmarks.published import WrongSessions
from tests.benchmarks.sampling import NoSampler
from tests.benchmarks.throughput import WrongAnswer

_SCENARIOS: Final[dict[str, Callable[[Options], list[Section]]]] = {
    "backlog": scenarios.backlog,
    "mixed": scenarios.mixed,
    "latency": scenarios.latency,
    "standstill": scenarios.standstill,
    "sessions": scenarios.open_sessions,
    "publisher": scenarios.publisher,
}
_FAILURES = (
    BrokerFailed, NoSampler, ServerError, WorkerFailed, WrongAnswer, WrongSessions, scenarios.TooSlow,
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    options = command_line.parse(arguments)
    facts = report.facts(arguments, os.getloadavg()[0])
    sections: list[Section] = []
    try:
        for name in options.scenarios:
            found = _SCENARIOS[name](options)
            for section in found:
                print(report.to_text(section), flush=True)
            sections += found
    except _FAILURES as failure:
        report.say(f"failed: {failure}")
        return 1
    except KeyboardInterrupt:
        return 130
    if options.write_docs:
        print(f"\nwritten: {report.write_document(sections, facts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
