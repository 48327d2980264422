"""Commands run as a person runs them: a process, its output and its exit code."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.demo.servers import EmbeddedBroker, EmbeddedStore
from tests.cli import forked

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def latido(tmp_path: Path) -> Run:
    """Run `latido ARGUMENTS` in an empty folder, without variables of this machine."""

    def run(*arguments: str, stdin: str | bytes = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LATIDO_")}
        environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables}
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = forked.run(arguments, given, tmp_path, environment, LIMIT_S)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err or "--debug" in arguments, err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    return run


@pytest.fixture(scope="module")
def own_broker() -> Iterator[EmbeddedBroker]:
    """A broker whose input topics nobody else writes to."""
    with EmbeddedBroker() as server:
        yield server


@pytest.fixture
def own_store() -> Iterator[EmbeddedStore]:
    """A store in which nobody else has a namespace."""
    with EmbeddedStore() as server:
        yield server


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are those of the test alone."""
    for name in os.environ:
        if name.startswith("LATIDO_"):
            monkeypatch.delenv(name)
