"""Sessions counted by where they came from: they move when an earlier event says otherwise."""

from __future__ import annotations

from stream.core.policy import MINUTE_MS, Goal, Policy
from tests.builders import BASE_MS, Lane
from tests.snapshot_reading import read


def sessions_by(lane: Lane, dimension: str) -> dict[str, tuple[int, int]]:
    """Value -> (open, ended) sessions since the beginning."""
    kpis = read(lane.snapshot())
    return {
        segment.partition("=")[2]: (one["sessions"]["open"], one["sessions"]["ended"])
        for (window, _, segment), one in kpis.items()
        if window == "all" and segment.startswith(f"{dimension}=")
    }


def opened(policy: Policy | None = None) -> Lane:
    lane = Lane(policy or Policy())
    lane.wall_ms = BASE_MS + MINUTE_MS
    lane.empty("VCFS")
    return lane


def at(lane: Lane, minutes: int) -> None:
    """The wall clock moves on, and every topic answers that there is nothing new."""
    lane.wall_ms = BASE_MS + minutes * MINUTE_MS
    lane.empty("VCFS")


def test_an_open_session_counts_in_each_of_its_dimensions() -> None:
    lane = opened()
    lane.feed("V", 0, channel="Email", country="ES")
    lane.feed("V", 1000, channel="Direct")  # the visit came by mail, whatever a later page says
    lane.tick(BASE_MS + MINUTE_MS + 2000)
    assert sessions_by(lane, "channel") == {"Email": (1, 0)}
    assert sessions_by(lane, "country") == {"ES": (1, 0)}
    assert sessions_by(lane, "plan") == {}


def test_an_earlier_event_moves_the_session_to_its_own_channel() -> None:
    lane = opened()
    lane.feed("V", 5000, channel="Direct")
    lane.feed("V", 0, channel="Email")
    lane.tick(BASE_MS + MINUTE_MS + 6000)
    assert sessions_by(lane, "channel") == {"Email": (1, 0)}


def test_an_ended_session_moves_as_well() -> None:
    lane = opened()
    lane.feed("V", 5000, channel="Direct")
    at(lane, 33)
    assert sessions_by(lane, "channel") == {"Direct": (0, 1)}
    lane.feed("V", 0, channel="Email")
    at(lane, 34)
    assert sessions_by(lane, "channel") == {"Email": (0, 1)}


def test_pages_count_when_the_visit_is_over() -> None:
    lane = opened()
    lane.feed("V", 0, url="https://shop.example/a?x=1")
    lane.feed("V", 1000, url="/b")
    assert sessions_by(lane, "landing_page") == sessions_by(lane, "exit_page") == {}
    at(lane, 33)
    assert sessions_by(lane, "landing_page") == {"/a": (0, 1)}
    assert sessions_by(lane, "exit_page") == {"/b": (0, 1)}
    assert {window for window, _, segment in read(lane.snapshot()) if segment == "landing_page=/a"} == {
        "24h", "all",
    }  # fmt: skip


def test_the_landing_page_of_a_goal_and_the_time_spent_after_it() -> None:
    lane = opened(Policy(goals=(Goal("thanks", page="/thanks"),)))
    for visitor, url in (("v1", "/thanks"), ("v2", "/away")):
        lane.feed("V", 0, visitor=visitor, url="/a")
        lane.feed("V", 30_000, visitor=visitor, url=url)
    at(lane, 33)
    kpis = read(lane.snapshot())["all", "default", "landing_page=/a"]
    assert kpis["session_conversion_rate"]["value"] == 0.5
    assert kpis["session_duration_ms"]["value"] == 30_000


def test_a_referrer_is_a_host() -> None:
    lane = opened()
    lane.feed("V", 0, referrer="https://me:pw@News.example:8080/inbox?who=me")
    lane.tick(BASE_MS + MINUTE_MS + 2000)
    assert sessions_by(lane, "referrer") == {"news.example": (1, 0)}


def test_a_pair_holds_both_values() -> None:
    lane = opened(Policy(dimension_pairs=("channel+device", "landing_page+plan")))
    lane.feed("V", 0, channel="a+b%", device="mobile", plan="gold")
    lane.feed("V", 0, visitor="w", channel="Email")  # of no device
    lane.tick(BASE_MS + MINUTE_MS + 2000)
    assert sessions_by(lane, "channel+device") == {"a%2Bb%25+mobile": (1, 0)}
    at(lane, 33)
    assert sessions_by(lane, "channel+device") == {"a%2Bb%25+mobile": (0, 1)}
    assert sessions_by(lane, "landing_page+plan") == {"/+gold": (0, 1)}


def test_a_pair_named_later_counts_what_is_not_final_and_what_comes() -> None:
    lane = opened(Policy())
    lane.feed("V", 0, channel="Email", device="mobile")
    lane.feed("V", 0, visitor="w", channel="Email", device="mobile")
    at(lane, 33)
    lane.feed("V", 33 * MINUTE_MS, visitor="x", channel="Email", device="desktop")
    lane.policy = Policy(dimension_pairs=("channel+device",))
    lane.open()
    at(lane, 34)
    assert sessions_by(lane, "channel+device") == {"Email+mobile": (0, 2), "Email+desktop": (1, 0)}
    lane.feed("V", 5000)  # extends the ended session: it is taken out where it was counted
    lane.tick(BASE_MS + 34 * MINUTE_MS + 2000)
    assert sessions_by(lane, "channel+device") == {"Email+mobile": (0, 2), "Email+desktop": (1, 0)}
    lane.policy = Policy()
    lane.open()
    at(lane, 35)
    assert sessions_by(lane, "channel+device") == {}
    assert sessions_by(lane, "channel") == {"Email": (1, 2)}


def test_beyond_the_cap_new_values_share_one_segment() -> None:
    lane = opened(Policy(dimension_values=2))
    for number in range(5):
        lane.feed("V", number * 1000, visitor=f"v{number}", campaign=f"c{number}")
    lane.tick(BASE_MS + MINUTE_MS + 6000)
    found = sessions_by(lane, "campaign")
    assert found == {"c0": (1, 0), "c1": (1, 0), "(other)": (3, 0)}


def test_a_restart_changes_nothing() -> None:
    lane = opened()
    lane.feed("V", 0, channel="Email", device="mobile")
    lane.tick(BASE_MS + MINUTE_MS + 2000)
    lane.open()
    lane.empty("VCFS")
    lane.feed("V", 3000, channel="Direct")
    at(lane, 33)
    assert sessions_by(lane, "channel") == {"Email": (0, 1)}
    assert sessions_by(lane, "device") == {"mobile": (0, 1)}
