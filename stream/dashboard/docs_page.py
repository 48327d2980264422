"""/docs: the interface as a page for people."""

from __future__ import annotations

from html import escape
from typing import Final

from stream.dashboard.openapi import ERRORS, PATHS, Parameter, Path

MOST_NAMES: Final = 12
"""More names than that are looked up in the registry."""


def as_html() -> str:
    """The page: no script, so that it works under the same policy as the live one, and in any browser."""
    return "\n".join([
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>latido: the interface</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="stylesheet" href="/docs.css"></head><body><main>',
        "<h1>The figures over HTTP</h1>",
        "<p>Everything is GET and answers JSON, unless it says otherwise. With a token set, send "
        "<code>Authorization: Bearer TOKEN</code>. An error is <code>{\"error\": \"one line\"}</code>. "
        'The same for programs: <a href="/openapi.json">openapi.json</a>. <a href="/">The live page</a>.</p>',
        *map(_section, PATHS),
        "</main></body></html>\n",
    ])  # fmt: skip


def _section(one: Path) -> str:
    link = escape(one.path + one.example)
    errors = "".join(f"<li><code>{status}</code> {escape(ERRORS[status])}</li>" for status in one.errors)
    told = f"<ul>{errors}</ul>" if errors else ""
    return (
        f'<section><h2 id="{_anchor(one)}">{escape(one.summary)}</h2>'
        f"<p><code>GET {escape(one.path)}</code></p><p>{_with_code(one.text)}</p>{_parameters(one)}"
        f'<p>Try <a href="{link}"><code>{link}</code></a></p>{told}</section>'
    )


def _parameters(one: Path) -> str:
    """A table; where another path takes the same ones, a word about that."""
    if not one.parameters:
        return "<p>No parameters.</p>"
    first = next(path for path in PATHS if path.parameters == one.parameters)
    if first is not one:
        return f'<p>Takes what <a href="#{_anchor(first)}">{escape(first.path)}</a> takes.</p>'
    rows = "".join(map(_row, one.parameters))
    return (
        '<div class="scroll"><table><thead><tr><th scope="col">parameter</th><th scope="col">means</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def _row(one: Parameter) -> str:
    names = one.schema.get("enum", ())
    there = f" One of {', '.join(names)}." if 0 < len(names) <= MOST_NAMES else ""
    again = " May be repeated." if one.repeated else ""
    return f"<tr><td><code>{escape(one.name)}</code></td><td>{_with_code(one.text + there + again)}</td></tr>"


def _anchor(one: Path) -> str:
    return one.path.rpartition("/")[2]


def _with_code(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
