"""Devices and bots by user agent: well-known ones of each kind, and anything at all."""

from __future__ import annotations

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st

from stream.pipeline.user_agents import Agent, agent_of

APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", "desktop"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {APPLE} Version/17.5 Safari/605.1.15", "desktop"),
        ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "desktop"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36", "desktop"),
        ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", "desktop"),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {APPLE} Mobile/15E148 Safari/604.1",
            "mobile",
        ),
        (f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (Android 13; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "mobile"),
        ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) Edge/15.15063", "mobile"),
        ("Opera/9.80 (J2ME/MIDP; Opera Mini/9.80; U; en) Presto/2.5.25 Version/10.54", "mobile"),
        (f"Mozilla/5.0 (Linux; Android 9; CUBOT NOTE 20) {CHROME} Mobile Safari/537.36", "mobile"),
        (f"Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) {APPLE} Mobile/15E148 Safari/604.1", "tablet"),
        (f"Mozilla/5.0 (Linux; Android 13; SM-X700) {CHROME} Safari/537.36", "tablet"),
        ("Mozilla/5.0 (Android 13; Tablet; rv:128.0) Gecko/128.0 Firefox/128.0", "tablet"),
        (f"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) {APPLE} Version/6.0 TV Safari/538.1", "tv"),
        (f"Mozilla/5.0 (Web0S; Linux/SmartTV) {CHROME} Safari/537.36 WebAppManager", "tv"),
        (f"Mozilla/5.0 (Linux; Android 12; AFTKA) {CHROME} Safari/537.36", "tv"),
        ("Mozilla/5.0 (PlayStation 5 8.20) AppleWebKit/601.2 (KHTML, like Gecko)", "console"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {CHROME} Safari/537.36", "console"),
        ("Mozilla/5.0", None),
        ("", None),
        (" ", None),
    ],
)
def test_people_and_their_devices(user_agent: str, device: str | None) -> None:
    assert agent_of(user_agent) == Agent(is_bot=False, device=device)


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) {CHROME} Mobile (compatible; Googlebot/2.1)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0.0.0 Safari/537.36",
        "curl/8.5.0",
        "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/",
        "Mozilla/5.0 (compatible; Ezooms/1.0; help@moz.com)",
        "LumiBot 2.0",
        "python-requests/2.31.0",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; GPTBot/1.2; +https://openai.com/gptbot",
    ],
)
def test_bots_have_no_device(user_agent: str) -> None:
    assert agent_of(user_agent) == Agent(is_bot=True, device=None)


def test_every_example_of_the_list_is_a_bot() -> None:
    examples = [text for entry in CRAWLER_USER_AGENTS_DATA for text in entry["instances"] if text.strip()]
    assert len(examples) > 1000
    assert [text for text in examples if not agent_of(text).is_bot] == []


@given(st.text(max_size=512))
def test_anything_is_somebody(user_agent: str) -> None:
    assert agent_of(user_agent).device in ("desktop", "mobile", "tablet", "tv", "console", None)
