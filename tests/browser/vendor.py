"""Write the libraries of the page into the tree, or check that they are as written: scripts/vendor [--check].

A browser resolves no package names, and a strict content security policy allows no import map inside the
page. So a file is taken as published, but for the edits named here; VENDOR.md lists them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final, NamedTuple

from tests.browser.packages import HTM, PREACT, UPLOT, NotFetched, Package, fetched

FOLDER: Final = Path(__file__).resolve().parents[2] / "stream/dashboard/static/vendor"
TABLE: Final = "VENDOR.md"


class Edit(NamedTuple):
    """What stands there once, what it becomes (`old` empty: what is appended), and why."""

    old: str
    new: str
    why: str


class Vendored(NamedTuple):
    package: Package
    source: str
    target: str
    edits: tuple[Edit, ...] = ()


def _without_map(name: str) -> Edit:
    return Edit(f"//# sourceMappingURL={name}.map", "", "without its source map")


FILES: Final = (
    Vendored(PREACT, "dist/preact.module.js", "preact.js", (_without_map("preact.module.js"),)),
    Vendored(
        PREACT,
        "hooks/dist/hooks.module.js",
        "hooks.js",
        (
            Edit('from"preact"', 'from"./preact.js"', "imports preact by its file"),
            _without_map("hooks.module.js"),
        ),
    ),
    Vendored(PREACT, "LICENSE", "preact.LICENSE"),
    Vendored(HTM, "dist/htm.mjs", "htm.js"),
    Vendored(HTM, "LICENSE", "htm.LICENSE"),
    Vendored(
        UPLOT,
        "dist/uPlot.iife.min.js",
        "uplot.js",
        (Edit("", "export default uPlot;\n", "the small build, made a module"),),
    ),
    Vendored(UPLOT, "dist/uPlot.min.css", "uplot.css"),
    Vendored(UPLOT, "LICENSE", "uplot.LICENSE"),
)


def content(file: Vendored) -> bytes:
    """The file as it stands in the tree. Raises NotFetched, ValueError when an edit does not fit."""
    text = (fetched(file.package) / file.source).read_text(encoding="utf-8")
    for edit in file.edits:
        if not edit.old:
            text = text.rstrip("\n") + "\n" + edit.new
        elif text.count(edit.old) != 1:
            raise ValueError(f"{file.source} of {file.package.name} has {edit.old!r} not once")
        else:
            text = text.replace(edit.old, edit.new)
    return (text.rstrip("\n") + "\n").encode()


def table(digests: dict[str, str]) -> str:
    """VENDOR.md: what each file is and its SHA-512."""
    lines = [
        "# Libraries of the page",
        "",
        "Written by `scripts/vendor`, which fetches each package from npm and verifies its archive; a check",
        "fails when a file is not as it says here. SHA-512 is of the file beside this table.",
        "",
        "| file | package | licence | as published, but | SHA-512 |",
        "|---|---|---|---|---|",
    ]
    for file in FILES:
        edits = "; ".join(edit.why for edit in file.edits) or "-"
        package = f"{file.package.name} {file.package.version} `{file.source}`"
        lines.append(
            f"| {file.target} | {package} | {file.package.licence} | {edits} | `{digests[file.target]}` |"
        )
    return "\n".join(lines) + "\n"


def differences(folder: Path = FOLDER) -> list[str]:
    """What in the folder is not as its table says; needs no network."""
    expected = {TABLE, *(file.target for file in FILES)}
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    found = [f"{name}: {'missing' if name in expected else 'unknown'}" for name in sorted(expected ^ there)]
    if found:
        return found
    digests = {file.target: _digest((folder / file.target).read_bytes()) for file in FILES}
    written = (folder / TABLE).read_text(encoding="utf-8")
    if written != table(digests):
        changed = [name for name, digest in digests.items() if digest not in written]
        return [f"{name}: not as in {TABLE}" for name in changed or [TABLE]]
    return []


def write(folder: Path = FOLDER) -> None:
    """Fetch and write every file and the table. Raises NotFetched."""
    contents = {file.target: content(file) for file in FILES}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    digests = {name: _digest(data) for name, data in contents.items()}
    (folder / TABLE).write_text(table(digests), encoding="utf-8")


def _digest(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()


def main(arguments: list[str]) -> int:
    try:
        if arguments != ["--check"]:
            write()
    except NotFetched as error:
        print(f"latido: {error}", file=sys.stderr)
        return 1
    found = differences()
    for line in found:
        print(f"vendor: {line}; 'scripts/vendor' writes it anew")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
