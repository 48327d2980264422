"""The page's files, without a browser: what is vendored is what it says, and nothing makes markup of text."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.browser.vendor import FILES, FOLDER, TABLE, differences

STATIC = FOLDER.parent
MODULES = sorted((STATIC / "js").rglob("*.js"))
MAKES_MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser"
    r"|\beval\b|new Function|dangerouslySet|srcdoc"
)
AT_START = re.compile(r"""(?:import|export)\b[^;]*?from\s*["'](\.[^"']+)["']""")
IMPORT = re.compile(r"""(?:from|import)\s*\(?["'](\.[^"']+)["']""")


def test_vendored_files_are_as_their_table_says() -> None:
    assert differences() == []


@pytest.mark.parametrize("name", ["preact.js", "uplot.css", TABLE])
def test_a_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "vendor"
    shutil.copytree(FOLDER, folder)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert differences(folder) == [f"{name}: not as in {TABLE}"]


def test_a_file_too_many_or_too_few_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "vendor"
    shutil.copytree(FOLDER, folder)
    (folder / "other.js").touch()
    (folder / "htm.js").unlink()
    assert differences(folder) == ["htm.js: missing", "other.js: unknown"]


def test_every_library_comes_with_its_licence() -> None:
    licences = {file.package.name for file in FILES if file.source == "LICENSE"}
    assert licences == {file.package.name for file in FILES}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_nothing_of_ours_makes_markup_of_text(module: Path) -> None:
    assert MAKES_MARKUP.findall(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_modules_import_files_that_are_there_and_are_short(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    missing = [name for name in IMPORT.findall(text) if not (module.parent / name).is_file()]
    assert missing == []
    assert len(text.splitlines()) < 400


def loaded_with(module: Path, found: set[Path]) -> set[Path]:
    """What a module imports at its start, directly and not."""
    for name in AT_START.findall(module.read_text(encoding="utf-8")):
        target = (module.parent / name).resolve()
        if target not in found:
            found.add(target)
            loaded_with(target, found)
    return found


def test_the_page_names_every_module_it_will_need() -> None:
    """The browser fetches all of them at once, instead of one after the other as they import each other."""
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'rel="modulepreload" href="/static/([^"]+)"', page)
    needed = loaded_with(STATIC / "js/main.js", set())
    assert named == sorted(str(path.relative_to(STATIC)) for path in needed)


def test_the_page_holds_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page) == []
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/static/")
        assert (STATIC / address.removeprefix("/static/")).is_file()
