"""What the demo says about where it listens."""

from __future__ import annotations

import shlex
import sys
import webbrowser

import pytest

from stream.demo.view import SCREENS, kpi_command, open_page, where

SETTINGS = {"REDIS": "redis://127.0.0.1:41669/0", "NAMESPACE": "demo-df462afa", "CONFIG": "x"}


PAGE = "http://127.0.0.1:2/"


class Opened(list[str]):
    """A browser that only remembers."""

    def open(self, url: str) -> bool:
        self.append(url)
        return True


def test_the_foot_of_the_live_view_names_page_collector_store_and_namespace() -> None:
    assert where(SETTINGS, "http://127.0.0.1:1/v1/events", PAGE).splitlines() == [
        f"page: {PAGE} · events: POST http://127.0.0.1:1/v1/events",
        "latido kpi --redis redis://127.0.0.1:41669/0 --namespace demo-df462afa",
    ]


def test_the_line_to_paste_holds_no_password_and_nothing_for_the_shell() -> None:
    line = kpi_command("redis://me:geheim@h:1/0;reboot", "n")
    assert "geheim" not in line
    assert shlex.split(line)[3] == "redis://me:***@h:1/0;reboot"


@pytest.mark.parametrize(("screen", "opened"), [("WAYLAND_DISPLAY", [PAGE]), ("DISPLAY", [PAGE]), (None, [])])
def test_the_page_is_opened_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, screen: str | None, opened: list[str]
) -> None:
    browser = Opened()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "get", lambda: browser)
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    if screen is not None:
        monkeypatch.setenv(screen, ":0")
    open_page(PAGE)
    assert browser == opened


def test_a_machine_without_a_browser_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Opened:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "get", none)
    open_page(PAGE)
