"""/docs: the interface as a page for people."""

from __future__ import annotations

from html import escape

from stream.dashboard.openapi import ERRORS, PATHS, Parameter, Path


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
    rows = "".join(_row(parameter) for parameter in one.parameters)
    table = (
        '<div class="scroll"><table><thead><tr><th scope="col">parameter</th><th scope="col">means</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
        if rows else "<p>No parameters.</p>"
    )  # fmt: skip
    errors = "; ".join(f"{status} {ERRORS[status]}" for status in one.errors)
    link = escape(one.path + one.example)
    told = f" {escape(errors)}" if errors else ""
    return (
        f"<section><h2>{escape(one.summary)}</h2><p><code>GET {escape(one.path)}</code></p>"
        f"<p>{_with_code(one.text)}</p>{table}"
        f'<p>Try <a href="{link}"><code>{link}</code></a>.{told}</p></section>'
    )


def _row(one: Parameter) -> str:
    names = one.schema.get("enum", ())
    there = f" One of {', '.join(names)}." if names else ""
    again = " May be repeated." if one.repeated else ""
    return f"<tr><td><code>{escape(one.name)}</code></td><td>{_with_code(one.text + there + again)}</td></tr>"


def _with_code(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
