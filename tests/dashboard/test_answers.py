"""explain, registry, and that every answer is what /openapi.json says."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from stream.core.registry import KPIS
from stream.dashboard.docs_page import as_html
from stream.dashboard.openapi import PATHS, document
from tests.dashboard.feeding import Stage, record


@pytest.mark.parametrize("kpi", ["nps", "ctr", "pages_per_session", "sessions"])
async def test_explain_is_that_of_the_command(stage: Stage, kpi: str) -> None:
    await stage.publish(record(), record("shop-de", "1h", "channel", "Email"))
    said = (await stage.get(f"explain?kpi={kpi}&site=shop-es")).json()
    assert (said["kpi"], said["meaning"], said["site"]) == (kpi, KPIS[kpi].meaning, "shop-es")
    assert said["counts"]
    other = (await stage.get(f"explain?kpi={kpi}&window=1h&segment=channel%3DEmail")).json()
    assert (other["site"], other["segment"]) == ("shop-de", "channel=Email")


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("", 400, "there is no KPI ''"), ("kpi=bounce", 400, "did you mean bounce_rate?"),
        ("kpi=nps&limit=1", 400, "there is no filter 'limit'"),
        ("kpi=nps&window=1h", 404, "not published for window '1h' of site 'shop-es'"),
        ("kpi=nps&segment=%0A%1B%5B", 404, r"nps of '\n\x1b[' is not published"),
        ("kpi=mau", 404, "mau of 'all' is not published"),
    ],
)  # fmt: skip
async def test_what_cannot_be_explained(stage: Stage, query: str, status: int, reason: str) -> None:
    await stage.publish(record())
    answer = await stage.get(f"explain?{query}")
    assert answer.status_code == status
    assert reason in answer.json()["error"]


async def test_the_registry_is_whole(stage: Stage) -> None:
    entries = (await stage.get("registry")).json()
    assert [one["id"] for one in entries] == list(KPIS)
    by_id = {one["id"]: one for one in entries}
    assert by_id["bounce_rate"]["up_is_good"] is False
    assert by_id["nps"]["up_is_good"] is True
    assert by_id["active_visitors"]["windows"] == ["5m"]
    assert by_id["ctr"]["dimensions"][0] == "all"


def checked(path: str, answer: Any) -> None:
    """The answer is what the document says of that path."""
    spec = document()
    schema = spec["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    whole = {"components": spec["components"], **schema}
    Draft202012Validator(whole).validate(answer)


async def test_answers_are_what_the_document_says(stage: Stage) -> None:
    await stage.publish(record(), record("shop-es", "5m", "channel", "Email"))
    for one in PATHS:
        if one.media_type == "application/json":
            answer = await stage.get(f"{one.path}{one.example}")
            assert answer.status_code == 200, one.path
            checked(one.path, answer.json())
    assert (await stage.get("/openapi.json")).json() == json.loads(json.dumps(document()))


def test_the_document_names_every_path_and_filter() -> None:
    assert document()["openapi"] == "3.1.0"
    assert {one.path for one in PATHS} == set(document()["paths"])
    page = as_html()
    for one in PATHS:
        assert f"<code>GET {one.path}</code>" in page
        assert f'href="{escape(one.path + one.example)}"' in page
        for parameter in one.parameters:
            assert f"<td><code>{parameter.name}</code></td>" in page
    assert not re.search(r"<script|style=|onclick", page)
