"""The files around the code: what is installed, pinned, fetched and composed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import stream
from tests.servers.real_kafka import KAFKA_VERSION

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]  # type: ignore[no-any-return]


def compose() -> dict[str, Any]:
    services = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    return dict(services)


def required_names() -> set[str]:
    groups = [project()["dependencies"], *project()["optional-dependencies"].values()]
    names = {re.split(r"[\[<>=;, ]", line)[0].lower() for group in groups for line in group}
    return {name.replace(".", "-") for name in names} - {"latido"}


def test_constraints_are_pins_without_hashes_or_addresses() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not PINNED.fullmatch(line)] == []
    assert lines == sorted(lines)


def test_every_dependency_is_pinned() -> None:
    pins = {
        line.split("==")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    }
    assert required_names() - pins == set()


def test_every_dependency_has_a_lower_bound() -> None:
    groups = [project()["dependencies"], *project()["optional-dependencies"].values()]
    lines = [line for group in groups for line in group if not line.startswith("latido[")]
    assert [line for line in lines if ">=" not in line.split(";")[0]] == []


def test_the_tests_fetch_the_kafka_they_start() -> None:
    pom = (ROOT / "tests/servers/pom.xml").read_text(encoding="utf-8")
    assert f"<kafka.version>{KAFKA_VERSION}</kafka.version>" in pom
    assert compose()["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_compose_builds_this_version() -> None:
    assert compose()["worker"]["image"] == f"latido:{stream.__version__}"


def test_compose_publishes_ports_on_localhost_only() -> None:
    published = [port for service in compose().values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_compose_waits_for_health_not_for_start() -> None:
    services = compose()
    waits = {
        (name, target): wait["condition"]
        for name, service in services.items()
        for target, wait in service.get("depends_on", {}).items()
    }
    assert waits[("worker", "topics")] == "service_completed_successfully"
    assert "service_started" not in waits.values()
    assert all("healthcheck" in services[target] for (_, target), kind in waits.items() if "healthy" in kind)


@pytest.fixture
def copied_scripts(tmp_path: Path) -> Path:
    """The scripts in a folder with a space, beside no virtual environment."""
    root = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    return root


def run(script: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = {name for name in os.environ if name.startswith("LATIDO_")}
    environment = {name: value for name, value in os.environ.items() if name not in ours} | variables
    return subprocess.run(
        [str(script), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_python_that_is_too_old_is_refused_in_one_line(copied_scripts: Path, tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    done = run(copied_scripts / "scripts/demo", LATIDO_PYTHON=str(old))
    assert done.returncode == 1
    assert done.stderr == f"latido: LATIDO_PYTHON={old} is no Python 3.11 or newer\n"


def test_without_venv_and_uv_one_line_says_what_to_install(copied_scripts: Path, tmp_path: Path) -> None:
    """A Python without ensurepip, as Debian's without python3-venv, on a PATH without uv."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for tool in ("bash", "sh", "env", "dirname", "cat", "cksum", "grep", "ls", "mkdir", "rm", "id"):
        (bin_folder / tool).symlink_to(str(shutil.which(tool)))
    python = bin_folder / "python3"
    python.write_text(
        f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n',
        encoding="utf-8",
    )
    python.chmod(0o755)
    done = run(copied_scripts / "scripts/demo", PATH=str(bin_folder))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "python3-venv" in done.stderr
    assert "uv" in done.stderr


def test_a_folder_that_is_not_ours_is_never_replaced(copied_scripts: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter.txt").write_text("dear", encoding="utf-8")
    done = run(copied_scripts / "scripts/demo", LATIDO_VENV=str(precious), LATIDO_PYTHON=sys.executable)
    assert done.returncode == 1
    assert str(precious) in done.stderr
    assert (precious / "letter.txt").read_text(encoding="utf-8") == "dear"
