"""The whole demo as a user runs it: exact at the end, and nothing left behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from stream.demo.run import run_demo
from stream.demo.servers import EmbeddedBroker, EmbeddedStore, NoEmbeddedServer

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 150.0
GONE_WITHIN_S = 30.0


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`latido demo` whose temporary files go to `folder`; killed at the end if it still runs."""
    with (folder.parent / "demo.out").open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream", "demo", *arguments],
            cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def printed(folder: Path) -> str:
    return (folder.parent / "demo.out").read_text(encoding="utf-8")


def wait_for(what: str, process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while what not in printed(folder):
        assert process.poll() is None, printed(folder)
        assert time.monotonic() < deadline, printed(folder)
        time.sleep(0.02)


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that were started in, or told of, `folder` (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            about = (entry / "environ").read_bytes(), os.fsencode((entry / "cwd").readlink())
            if any(os.fsencode(folder) in one for one in about):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def assert_nothing_left(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    deadline = time.monotonic() + GONE_WITHIN_S
    while processes_of(folder):
        assert time.monotonic() < deadline, processes_of(folder)
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder for temporary files, with a space in its name."""
    made = tmp_path / "a folder"
    made.mkdir()
    return made


@pytest.mark.slow
def test_the_demo_ends_exact_and_leaves_nothing(folder: Path) -> None:
    with demo(folder, "--seconds", "8") as process:
        assert process.wait(ENDS_WITHIN_S) == 0, printed(folder)
        assert_nothing_left(folder)
    last = printed(folder).splitlines()[-1]
    found = re.fullmatch(r"exact: (\d+) of (\d+) figures, 0 differ", last)
    assert found is not None, printed(folder)
    assert found[1] == found[2]
    assert int(found[1]) > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("broker 127.0.0.1", signal.SIGINT),
        ("worker ", signal.SIGTERM),
        ("generated visitors arrive now", signal.SIGINT),
        ("waiting until all of them are counted", signal.SIGINT),
    ],
)
def test_a_signal_at_any_moment_leaves_nothing(folder: Path, moment: str, number: signal.Signals) -> None:
    with demo(folder, "--seconds", "2") as process:
        wait_for(moment, process, folder)
        process.send_signal(number)
        process.send_signal(number)  # impatience changes nothing
        assert process.wait(GONE_WITHIN_S) == 128 + number, printed(folder)
        assert_nothing_left(folder)
    assert "Traceback" not in printed(folder)
    assert "exact" not in printed(folder)


@pytest.mark.slow
def test_children_end_with_a_killed_demo(folder: Path) -> None:
    with demo(folder) as process:
        wait_for("generated visitors arrive now", process, folder)
        assert len(processes_of(folder)) >= 5
        process.kill()
        process.wait()
        deadline = time.monotonic() + GONE_WITHIN_S
        while processes_of(folder):
            assert time.monotonic() < deadline, processes_of(folder)
            time.sleep(0.05)


@pytest.mark.slow
def test_your_own_servers_are_used_and_your_store_is_left_as_it_was(folder: Path) -> None:
    with EmbeddedBroker() as broker, EmbeddedStore() as store:
        client = redis.Redis.from_url(store.url)
        client.set("yours", "kept")
        with demo(folder, "--seconds", "3", "--broker", broker.address, "--redis", store.url) as process:
            assert process.wait(ENDS_WITHIN_S) == 0, printed(folder)
        assert f"broker {broker.address}" in printed(folder)
        assert "0 differ" in printed(folder).splitlines()[-1]
        assert client.keys() == [b"yours"]
        client.close()
    assert_nothing_left(folder)


def test_without_wheels_one_line_names_your_own_servers(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(NoEmbeddedServer, match=r"--broker .*--redis") as refused:
        run_demo(1)
    assert "\n" not in str(refused.value)
    assert list(folder.iterdir()) == []
