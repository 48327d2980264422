"""Packages of npm that the page and its tests use: pinned, fetched into the cache folder, verified.

npm itself says where from: the machine's configuration names the registry, nothing here does.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

FETCHED_WITHIN_S: Final = 120


class Package(NamedTuple):
    """One version of one package. `integrity`: SHA-512 of its archive, in base64, as npm writes it."""

    name: str
    version: str
    licence: str
    integrity: str


PREACT: Final = Package(
    "preact", "10.29.8", "MIT",
    "ej2aVZ+vZ8WO7tvlQWRM9N63A0KzF9q4mWJfDUHgYaIofWY9hu74QdnQrjoPMmZi2/nZ5gN0bJCQF49xQqx09Q==",
)  # fmt: skip
HTM: Final = Package(
    "htm", "3.1.1", "Apache-2.0",
    "983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
)  # fmt: skip
UPLOT: Final = Package(
    "uplot", "1.6.32", "MIT",
    "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
)  # fmt: skip
# Tools of the checks; nothing of them is in the tree.
AXE: Final = Package(
    "axe-core", "4.14.1", "MPL-2.0",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)  # fmt: skip
TYPESCRIPT: Final = Package(
    "typescript", "5.9.3", "Apache-2.0",
    "jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw==",
)  # fmt: skip


class NotFetched(Exception):
    """A package is not to be had; the message says why and what to do."""


def fetched(package: Package) -> Path:
    """The folder with the package's files, fetched if it is not in the cache. Raises NotFetched."""
    folder = _cache() / f"{package.name}-{package.version}"
    if not folder.is_dir():
        _fetch(package, folder)
    return folder


def has_node() -> bool:
    """Whether node and npm are there; whoever has none cannot check types, and is told."""
    return shutil.which("npm") is not None and shutil.which("node") is not None


def _cache() -> Path:
    """As scripts/real: LATIDO_CACHE, else ~/.cache/latido."""
    return Path(os.environ.get("LATIDO_CACHE") or Path.home() / ".cache/latido") / "npm"


def _fetch(package: Package, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetched(f"{package.name} is fetched by npm, which is missing (Debian: apt-get install npm)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        packed = subprocess.run(
            [npm, "pack", "--silent", f"{package.name}@{package.version}"],
            cwd=name, capture_output=True, text=True, timeout=FETCHED_WITHIN_S, check=False,
        )  # fmt: skip
        archives = list(Path(name).glob("*.tgz"))
        if packed.returncode != 0 or len(archives) != 1:
            reason = packed.stderr.strip()[-300:]
            raise NotFetched(f"npm pack {package.name}@{package.version} failed: {reason}")
        _verify(package, archives[0])
        with tarfile.open(archives[0]) as archive:
            archive.extractall(name, filter="data")
        # Complete or not there at all: the folder gets its name when everything is in it.
        (Path(name) / "package").replace(folder)


def _verify(package: Package, archive: Path) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.integrity:
        raise NotFetched(f"{package.name}@{package.version} is not what was pinned: its SHA-512 is {found}")
