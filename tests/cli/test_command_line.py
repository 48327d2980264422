"""The command line itself: help, exit codes, errors in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import stream
from stream import cli
from stream.commands import options
from stream.commands.failures import explain
from stream.kafka.errors import BrokerUnreachable
from stream.pipeline.ports import StoreUnreachable
from stream.pipeline.unreachable import no_broker
from tests.cli.conftest import ROOT, Run

HEAVY = (
    "aiokafka",
    "faust",
    "numpy",
    "redis",
    "pydantic_settings",
    "rich",
    "scipy",
    "starlette",
    "structlog",
    "uvicorn",
)


NO_BROKER = (
    "latido: no Kafka broker answers at 127.0.0.1:1 (no connection); "
    "start it, or name another with --broker (LATIDO_BROKER)"
)


def all_commands() -> Iterator[tuple[str, Any]]:
    queue: list[tuple[str, Any]] = [("latido", typer.main.get_command(cli.app))]
    while queue:
        path, command = queue.pop()
        yield path, command
        queue += [(f"{path} {name}", one) for name, one in getattr(command, "commands", {}).items()]


def test_there_are_all_commands() -> None:
    wanted = {
        "demo",
        "worker",
        "send",
        "collector",
        "watch",
        "kpi",
        "scores",
        "replay",
        "ingest",
        "config",
        "doctor",
        "version",
    }
    wanted |= {"topics create", "topics check", "dead-letters list"}
    assert wanted <= {path.removeprefix("latido ") for path, _ in all_commands()}


@pytest.mark.parametrize(("path", "command"), list(all_commands()))
def test_every_command_has_help_with_an_example(path: str, command: Any) -> None:
    example = (command.help or "").partition("Example:\n")[2]
    assert [line for line in example.splitlines() if "latido" in line], path


@pytest.mark.parametrize(("path", "command"), list(all_commands()))
def test_every_option_says_what_it_is_for(path: str, command: Any) -> None:
    silent = [one.name for one in command.params if not getattr(one, "help", None)]
    assert silent == [], path


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom stream import cli\n"
        "assert cli.run(['--help']) == 0 and cli.run(['worker', '--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "latido COMMAND --help" in done.stdout


def test_version(latido: Run) -> None:
    for arguments in (["version"], ["--version"]):
        done = latido(*arguments)
        assert (done.returncode, done.stdout) == (0, f"latido {stream.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--nonsense"], "latido: No such option: --nonsense; see 'latido --help'"),
        (["nonsense"], "latido: No such command 'nonsense'; see 'latido --help'"),
        (["send", "click"], "latido: Missing option '--visitor'; see 'latido send click --help'"),
        (["worker", "--broker", "x"], "latido: broker (given as a flag): is no list of Kafka servers"),
        (
            ["worker", "--config", "none.toml"],
            "latido: none.toml: cannot be read (No such file or directory)",
        ),
        (["replay", "x.jsonl", "--gap", "30"], "latido: gap (given as a flag): is no duration"),
        (
            ["replay", "x.jsonl", "--goals", "none.toml"],
            "latido: none.toml: cannot be read (No such file or directory); check --goals",
        ),
        (["replay", "x.jsonl", "--print", "x"], "latido: Invalid value for '--print': 'x' is not one of"),
        (
            ["explain", r"x[red]\e[31m"],
            r"latido: there is no KPI 'x[red]\e[31m'; 'latido kpis' lists all",
        ),
        (["explain", "x\x1b[31m"], r"latido: there is no KPI 'x\x1b[31m'; 'latido kpis' lists all"),
        (["ingest", "x", "--rate", "fast"], "latido: --rate is a number of events per second"),
        (["dead-letters", "list", "--code", "x"], "latido: --code is one of invalid_json"),
        (["kpi", "--segment", "*"], "latido: --segment '*' needs --json"),
        (["collector", "--host", "0.0.0.0"], "latido: listening on 0.0.0.0 lets other machines send events"),
        (
            ["send", "page_view", "--visitor", "", "--url", "/"],
            "latido: visitor_id: String should have at least 1",
        ),
        (
            ["send", "page_ping", "--visitor", "v", "--url", "/", "--engaged", "5"],
            "latido: Invalid value: --engaged",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(latido: Run, arguments: list[str], line: str) -> None:
    done = latido(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["replay", "none.jsonl"], "latido: none.jsonl: No such file or directory"),
        (["ingest", "none.log", "--dry-run"], "latido: none.log: cannot be read (No such file or directory)"),
        (["kpi", "--redis", "redis://127.0.0.1:1"], "latido: store at 127.0.0.1:1: Error"),
        (["watch", "--once", "--redis", "redis://127.0.0.1:1"], "latido: store at 127.0.0.1:1: Error"),
        (["topics", "check", "--broker", "127.0.0.1:1"], NO_BROKER),
        (["topics", "create", "--broker", "127.0.0.1:1"], NO_BROKER),
        (["dead-letters", "list", "--broker", "127.0.0.1:1"], NO_BROKER),
        (["send", "click", "--visitor", "v", "--element", "e", "--broker", "127.0.0.1:1"], NO_BROKER),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(
    latido: Run, arguments: list[str], line: str
) -> None:
    done = latido(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(line)


def test_debug_shows_where_an_error_comes_from(latido: Run) -> None:
    done = latido("replay", "none.jsonl", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("latido: none.jsonl:")


def test_config_and_debug_may_stand_anywhere(latido: Run, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('namespace = "a"\n', encoding="utf-8")
    for arguments in (
        ["--config", "a.toml", "config"],
        ["config", "--config", "a.toml"],
        ["config", "--json", "--config=a.toml"],
    ):
        assert '"a"' in latido(*arguments).stdout


def test_config_hides_secrets(latido: Run) -> None:
    done = latido(
        "config", LATIDO_REDIS="redis://u:geheim@h:1/0", LATIDO_COLLECTOR_TOKEN="geheim-geheim-geheim"
    )
    assert done.returncode == 0
    assert "geheim" not in done.stdout
    assert "redis://u:***@h:1/0" in done.stdout


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m stream config --json | head -c 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("{", "")


def test_ctrl_c_is_exit_code_130_without_a_traceback(tmp_path: Path) -> None:
    """It waits for a pipe that never ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stream", "replay", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"{}\n" * 100_000)  # more than a pipe holds: it was read from, so it is running
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"")


class _StrangeError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            StoreUnreachable("store at h:1: gone."),
            "store at h:1: gone; start it, or name another with --redis",
        ),
        (
            BrokerUnreachable(no_broker("h:1", TimeoutError(), 20.0)),
            "no Kafka broker answers at h:1 (no answer in 20 s); start it, or name another with --broker",
        ),
        (ModuleNotFoundError("No module named 'faust'", name="faust"), "pip install 'latido[worker]'"),
        (
            ModuleNotFoundError("No module named 'uvicorn.x'", name="uvicorn.x"),
            "pip install 'latido[collector]'",
        ),
        (_StrangeError("a\nb\x1b"), "unexpected _StrangeError: a b\\x1b; the same command with --debug"),
    ],
)
def test_errors_say_what_to_do(error: Exception, line: str) -> None:
    text, code = explain(error)
    assert line in text
    assert code == 1


def test_shared_options_go_to_the_front() -> None:
    moved = cli._shared_first(["send", "--debug", "click", "--config", "f", "--", "--debug"])
    assert moved == ["--debug", "--config", "f", "send", "click", "--", "--debug"]
    assert options.Shared.debug is False
