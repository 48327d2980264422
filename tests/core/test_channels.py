"""The channel of a visit: every rule, every kind of source, and the same table read twice."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import PageView, parse_event
from stream.core.channels import TAGS, Channels, Touch, host_of, read_table
from stream.demo import plain_channels
from stream.pipeline.origins import TABLE_FILE, default_table

CHANNELS = Channels(default_table())
HOSTS = [host for kind in default_table().categories.values() for host in (*kind.hosts, *kind.excluded)]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAMES = [name for kind in default_table().categories.values() for name in kind.names]


def channel(url: str = "/", referrer: str | None = None, channels: Channels = CHANNELS) -> str | None:
    touch = channels.touch(referrer, channels.landing(url))
    return None if touch is None else channels.channel(touch)


def tagged(source: str = "", medium: str = "", campaign: str = "") -> str:
    return f"/a?utm_source={source}&utm_medium={medium}&utm_campaign={campaign}"


@pytest.mark.parametrize(
    ("url", "referrer", "expected"),
    [
        ("/", None, None),
        ("/", "", "Direct"),
        (tagged("google", "cpc", "x-Cross-Network-x"), None, "Cross-network"),
        (tagged("amazon", "cpc"), None, "Paid Shopping"),
        (tagged("newsletter", "ppc", "winter-shopping"), None, "Paid Shopping"),
        (tagged("google", "cpc", "shop now"), None, "Paid Shopping"),
        (tagged("google", "cpc", "eshop"), None, "Paid Shopping"),
        (tagged("google", "cpc", "workshop"), None, "Paid Search"),
        (tagged("Google", "CPC"), None, "Paid Search"),
        (tagged("bing.com", "paid"), None, "Paid Search"),
        (tagged("facebook", "paid_social"), None, "Paid Social"),
        (tagged("facebook", "cpm"), None, "Paid Social"),
        (tagged("youtube", "cpv"), None, "Paid Video"),
        (tagged("vimeo.com", "whatever"), None, "Organic Video"),
        (tagged("somebody", "banner"), None, "Display"),
        (tagged("somebody", "cpm"), None, "Display"),
        (tagged("somebody", "retargeting"), None, "Paid Other"),
        ("/", "https://www.amazon.co.uk/dp/1", "Organic Shopping"),
        (tagged("somebody", "", "shop"), None, "Organic Shopping"),
        ("/", "https://t.co/abc", "Organic Social"),
        ("/", "https://L.Facebook.com/", "Organic Social"),
        (tagged("somebody", "social"), None, "Organic Social"),
        ("/", "https://m.youtube.com/watch?v=1", "Organic Video"),
        (tagged("somebody", "in-video"), None, "Organic Video"),
        ("/", "https://www.google.es/", "Organic Search"),
        ("/", "https://uk.search.yahoo.com/", "Organic Search"),
        (tagged("somebody", "organic"), None, "Organic Search"),
        ("/", "https://blog.example/nps", "Referral"),
        ("/", "https://mail.google.com/", "Referral"),
        ("/", "https://google.somebody.com/", "Referral"),
        ("/", "https://notgoogle.com/", "Referral"),
        (tagged("somebody", "link"), None, "Referral"),
        (tagged("boletin", "email"), None, "Email"),
        (tagged("e-mail"), None, "Email"),
        (tagged("partner", "affiliate"), None, "Affiliates"),
        (tagged("podcast", "audio"), None, "Audio"),
        (tagged("sms"), None, "SMS"),
        (tagged("crm", "sms"), None, "SMS"),
        (tagged("crm", "web-push"), None, "Mobile Push Notifications"),
        (tagged("firebase"), None, "Mobile Push Notifications"),
        (tagged("somebody"), None, "Unassigned"),
        (tagged("somebody", "whatever"), "https://www.google.es/", "Unassigned"),
        ("/?gclid=abc", None, "Paid Search"),
        ("/?dclid=abc", "https://blog.example/", "Display"),
        ("/?fbclid=abc", "https://l.facebook.com/", "Organic Social"),
        ("/?ttclid=abc", None, "Paid Social"),
        ("/?gclid=abc&utm_medium=email", None, "Email"),
        ("https://www.shop.example/b", "https://shop.example/a", "Direct"),
        ("https://shop.example:8443/b", "https://user@SHOP.example/a", "Direct"),
        ("https://shop.example/b", "https://blog.shop.example/a", "Referral"),
        ("/b", "https://shop.example/a", "Referral"),
        ("http://[?utm_source=google", "http://[", "Direct"),
    ],
)  # fmt: skip
def test_a_visit_has_the_channel_of_the_first_rule_that_fits(
    url: str, referrer: str | None, expected: str
) -> None:
    assert channel(url, referrer) == expected


def test_every_rule_is_reached_and_has_a_case_above() -> None:
    [mark] = test_a_visit_has_the_channel_of_the_first_rule_that_fits.pytestmark  # type: ignore[attr-defined]
    shown = {expected for _, _, expected in mark.args[1]} - {None}
    table = default_table()
    assert shown == {table.otherwise, *(rule.channel for rule in table.rules)}


@pytest.mark.parametrize("name", [*NAMES, *HOSTS])
def test_a_site_is_of_one_kind(name: str) -> None:
    assert [*NAMES, *HOSTS].count(name) == 1
    assert name == name.lower().strip()


def test_hosts_of_ours_are_no_referrers_nor_are_those_below() -> None:
    ours = Channels(default_table(), own_hosts=("shop.example",))
    for host, expected in (
        ("shop.example", "Direct"),
        ("www.shop.example", "Direct"),
        ("otherwiseshop.example", "Referral"),
    ):
        assert channel("/", f"https://{host}/", ours) == expected


def test_nothing_is_concluded_from_a_referrer_nobody_looked_at() -> None:
    assert CHANNELS.touch(None, "") is None
    touch = CHANNELS.touch(None, CHANNELS.landing("/?utm_campaign=a"))
    assert touch == Touch("(not set)", "(not set)", "a")
    assert CHANNELS.touch(None, CHANNELS.landing("/?gclid=a")) == Touch("google", "cpc", None)


def test_a_tag_off_the_list_is_not_read() -> None:
    without = Channels(default_table(), parameters=("utm_source", "utm_medium"))
    url = "/?utm_source=google&utm_medium=cpc&utm_campaign=otono"
    assert without.touch(None, without.landing(url)) == Touch("google", "cpc", None)
    nothing = Channels(default_table(), parameters=())
    assert nothing.touch("", nothing.landing(url)) == Touch("(direct)", "(none)", None)


def test_a_campaign_keeps_its_case_and_is_cut_to_a_dimension() -> None:
    touch = CHANNELS.touch("", CHANNELS.landing(f"/?utm_campaign=+Oto%C3%B1o+{'x' * 90}"))
    assert touch is not None
    assert touch.campaign == ("Oto\u00f1o " + "x" * 90)[:64]
    assert touch.source == "(direct)"


def test_the_first_of_two_equal_tags_counts() -> None:
    url = "/?utm_source=&utm_source=google&utm_source=facebook&utm_medium=cpc"
    assert channel(url) == "Paid Search"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"category": "video"', b'"category": "vidoe"', ValueError),
        (b'"medium_matches"', b'"medium_match"', msgspec.ValidationError),
        (b"ppc|retargeting", b"ppc|(retargeting", re.error),
        (b'"otherwise"', b'"else"', msgspec.ValidationError),
    ],
)
def test_a_table_with_a_slip_is_refused(old: bytes, new: bytes, problem: type[Exception]) -> None:
    text = TABLE_FILE.read_bytes()
    assert old in text
    with pytest.raises(problem):
        read_table(text.replace(old, new))


# ---------------------------------------------------------------- anything

WORDS = st.sampled_from(
    [
        *NAMES[::5],
        "x",
        "",
        "email",
        "sms",
        "cpc",
        "organic",
        "social",
        "paid",
        "push",
        "Shop",
        "cross-network",
    ]
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from([*TAGS, "gclid", "fbclid", "token", "UTM_SOURCE"]), st.one_of(WORDS, st.text())
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
SITES = st.builds(
    "{}{}".format,
    st.sampled_from(["", "www.", "m.", "mail.", "www.google."]),
    st.sampled_from([h.replace(".*", end) for h in HOSTS for end in (".es", ".co.uk", ".evil.com", "")]),
)
ADDRESSES = st.one_of(
    st.none(), st.text(max_size=30), SITES.map("https://{}/a?token=secret".format), SITES.map("//{}".format)
)
URLS = st.one_of(
    st.builds("/a?{}".format, QUERIES), st.builds("https://{}/b?{}#utm_source=x".format, SITES, QUERIES),
    st.text(min_size=1, max_size=40), st.text(max_size=40).map("http://".__add__),
)  # fmt: skip


@settings(max_examples=400)
@given(url=URLS, referrer=ADDRESSES)
def test_both_readings_of_the_table_agree(url: str, referrer: str | None) -> None:
    view = PageView.model_construct(
        event_id="e",
        visitor_id="v",
        occurred_at=NOON,
        url=url,
        referrer=referrer,
        channel=None,
        campaign=None,
    )
    landing = CHANNELS.landing(url)
    touch = CHANNELS.touch(referrer, landing)
    assert (touch and CHANNELS.channel(touch)) == plain_channels.channel_of(view)
    assert (touch and touch.campaign) == plain_channels.campaign_of(view)


@given(url=URLS)
def test_what_is_remembered_of_an_address_is_what_matters(url: str) -> None:
    landing = CHANNELS.landing(url)
    assert CHANNELS.landing(landing) == landing
    kept = dict(parse_qsl(landing.partition("?")[2]))
    assert kept.keys() <= {*TAGS, *default_table().click_ids}
    assert all(kept[name] == "1" for name in kept.keys() - {*TAGS})


@given(address=st.text())
def test_a_host_holds_nothing_else_of_an_address(address: str) -> None:
    found = host_of(f"https://user:secret@host.example/{address}")
    assert found in ("host.example", None)


def test_the_plain_reading_is_of_real_events_too() -> None:
    view = parse_event(
        {"type": "page_view", "event_id": "e", "visitor_id": "v", "occurred_at": "2026-11-22T10:19:58Z",
         "url": "/?utm_source=google&utm_medium=cpc", "channel": "mine"}
    )  # fmt: skip
    assert plain_channels.channel_of(view) == "mine"
