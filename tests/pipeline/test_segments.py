"""Sessions counted by where they came from: they move when an earlier event says otherwise."""

from __future__ import annotations

from stream.core.policy import MINUTE_MS, Policy
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
