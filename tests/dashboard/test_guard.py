"""Who may look: hosts, origins, tokens; and the headers of every answer."""

from __future__ import annotations

import io
import json
import logging

import httpx
import pytest

from stream import telemetry
from stream.dashboard.config import DashboardConfig
from stream.serving.listening import NeedsToken
from tests.dashboard.feeding import Stage, record

TOKEN = "0123456789abcdef"
PATHS = ("/", "/docs", "/docs.css", "/openapi.json", "/static/index.html", "/api/v1/kpis", "/api/v1/kpis.csv",
         "/api/v1/history", "/api/v1/results", "/api/v1/explain?kpi=nps", "/api/v1/registry",
         "/api/v1/health")  # fmt: skip
STREAM = "/api/v1/kpis/stream"
BROWSER = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_has_the_headers(stage: Stage, path: str) -> None:
    await stage.publish(record())
    answers = [await stage.get(path), await stage.get(path, host="evil.example"), await stage.get("/nowhere")]
    assert [one.status_code for one in answers] == [200, 421, 404]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "unsafe" not in policy
        for directive in ("base-uri 'none'", "frame-ancestors 'none'", "object-src 'none'"):
            assert directive in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] in ("no-store", "no-cache")
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["localhost:8090", "127.0.0.1", "127.1.2.3:1", "[::1]:8090", "LOCALHOST"])
async def test_this_machine_by_any_of_its_names(stage: Stage, host: str) -> None:
    assert (await stage.get("registry", host=host)).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8090", "192.0.2.1", "", "[::1", "@"],
)
async def test_another_name_is_refused_even_if_it_leads_here(stage: Stage, host: str) -> None:
    for path in ("/", "/api/v1/kpis", STREAM):
        assert (await stage.get(path, host=host)).status_code == 421


async def test_names_of_the_settings_are_ours() -> None:
    stage = Stage(host="192.0.2.7", token=TOKEN, hosts=("monitor.example",))
    statuses = {
        host: (await stage.get("registry", host=host)).status_code
        for host in ("monitor.example:443", "192.0.2.7:8090", "192.0.2.8", "localhost")
    }
    assert statuses == {
        "monitor.example:443": 401, "192.0.2.7:8090": 401, "192.0.2.8": 421, "localhost": 401
    }  # fmt: skip
    everywhere = Stage(host="0.0.0.0", token=TOKEN)
    assert (await everywhere.get("registry", host="192.0.2.8")).status_code == 401
    assert (await everywhere.get("registry", host="evil.example")).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200), ({"origin": "http://127.0.0.1:8090"}, 200), ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200), ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:3000"}, 403), ({"origin": "null"}, 403), (BROWSER, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
    ],
)  # fmt: skip
async def test_pages_of_other_origins_may_not_read(
    stage: Stage, headers: dict[str, str], status: int
) -> None:
    await stage.publish(record())
    for path in ("/api/v1/kpis", "/api/v1/results", "/static/index.html"):
        assert (await stage.get(path, **headers)).status_code == status
    if status == 403:
        assert (await stage.get(STREAM, **headers)).status_code == 403


async def test_a_link_from_anywhere_leads_to_the_page(stage: Stage) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (await stage.get("/", **link)).status_code == 200
    assert (await stage.get("/", **BROWSER)).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_nothing_can_be_changed(stage: Stage, method: str) -> None:
    async with stage.client() as http:
        for path in (*PATHS, STREAM):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/api/v1/explain?kpi=nps"])
async def test_head_is_get_without_a_body(stage: Stage, path: str) -> None:
    await stage.publish(record())
    async with stage.client() as http:
        answer = await http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_head_of_the_stream_ends(stage: Stage) -> None:
    async with stage.client() as http:
        answer = await http.head(STREAM)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401), ("Bearer", 401), ("Bearer wrong", 401), (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401), ("Bearer \u00e9", 401), (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN} ", 200),
    ],
)  # fmt: skip
async def test_with_a_token_only_its_holder_may_look(authorization: str | None, status: int) -> None:
    stage = Stage(token=TOKEN)
    await stage.publish(record())
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    async with stage.client() as http:
        for path in PATHS:
            answer = await http.get(path, headers=headers)
            assert answer.status_code == status
            assert ("www-authenticate" in answer.headers) is (status == 401)


async def test_a_browser_brings_the_token_once_and_keeps_something_else() -> None:
    stage = Stage(token=TOKEN)
    await stage.publish(record())
    async with stage.client() as http:
        assert (await http.get(f"/?token={TOKEN}x")).status_code == 401
        assert (await http.get(f"/api/v1/kpis?token={TOKEN}")).status_code == 401
        entered = await http.get(f"/?token={TOKEN}&wall=1&site=a%26b")
        assert (entered.status_code, entered.headers["location"]) == (303, "/?wall=1&site=a%26b")
        cookie = entered.headers["set-cookie"].lower()
        assert TOKEN not in entered.headers["set-cookie"]
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert entered.headers["cache-control"] == "no-store"
        assert (await http.get("/")).status_code == 200
        assert (await http.get("/api/v1/kpis")).status_code == 200
        foreign = await http.get("/api/v1/kpis", headers=BROWSER)
        assert foreign.status_code == 403
    other = Stage(token=TOKEN[::-1])
    async with other.client(cookie=entered.headers["set-cookie"].partition(";")[0]) as http:
        assert (await http.get("/api/v1/kpis")).status_code == 401


async def test_a_link_from_elsewhere_leads_in_by_a_page_of_ours() -> None:
    stage = Stage(token=TOKEN)
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}  # a strict cookie is not sent then
    entered = await stage.get(f"/?token={TOKEN}", **link)
    cookie = entered.headers["set-cookie"].partition(";")[0]
    between = await stage.get("/", **link)
    assert (between.status_code, between.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert 'http-equiv="refresh" content="0"' in between.text
    ours = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
    assert (await stage.get("/", **ours)).status_code == 401
    page = await stage.get("/", **ours, cookie=cookie)
    assert page.status_code == 200
    assert "http-equiv" not in page.text
    assert (await stage.get("/api/v1/kpis", **link)).status_code == 403


async def test_behind_tls_the_cookie_stays_there() -> None:
    transport = httpx.ASGITransport(Stage(token=TOKEN).app)
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as http:
        entered = await http.get(f"/?token={TOKEN}")
    assert "secure" in entered.headers["set-cookie"].lower()
    assert entered.headers["location"] == "/"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "monitor.example", ""])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(NeedsToken, match="LATIDO_DASHBOARD_TOKEN"):
        DashboardConfig(host=host)
    assert TOKEN not in repr(DashboardConfig(host=host, token=TOKEN))


async def test_files_beside_the_page_are_out_of_reach(stage: Stage) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/"):
        assert (await stage.get(path)).status_code == 404


async def test_the_page_is_asked_for_anew_but_not_sent_again(stage: Stage) -> None:
    for path in ("/", "/static/index.html", "/docs", "/openapi.json", "/docs.css", "/api/v1/registry"):
        first = await stage.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = await stage.get(path, **{"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_the_log_holds_nothing_of_the_caller(
    logging_restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    telemetry.configure("debug", "json", out)
    monkeypatch.setattr(logging.getLogger("httpx"), "disabled", True)  # the caller's log, not ours
    stage = Stage(token=TOKEN)
    await stage.publish(record("geheim"))
    bearer = {"authorization": f"Bearer {TOKEN}", "user-agent": "geheim", "referer": "http://geheim.example"}
    for path in ("/api/v1/kpis?site=geheim", "/api/v1/explain?kpi=geheim", "/geheim", "/static/geheim", "/"):
        await stage.get(path, **bearer)
    await stage.get(f"/?token={TOKEN}&geheim=1")
    await stage.get("/", host="geheim.example")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["path"], line["status"], line["level"]) for line in lines] == [
        ("/api/v1/kpis", 200, "debug"), ("/api/v1/explain", 400, "info"), ("(other)", 404, "info"),
        ("(other)", 404, "info"), ("/", 200, "debug"), ("/", 303, "debug"), ("/", 421, "info"),
    ]  # fmt: skip
    assert "geheim" not in out.getvalue()
    assert TOKEN not in out.getvalue()
