"""What the demo says about where it listens."""

from __future__ import annotations

import shlex

from stream.demo.view import kpi_command, where

SETTINGS = {"REDIS": "redis://127.0.0.1:41669/0", "NAMESPACE": "demo-df462afa", "CONFIG": "x"}


def test_the_foot_of_the_live_view_names_collector_store_and_namespace() -> None:
    assert where(SETTINGS, "http://127.0.0.1:1/v1/events").splitlines() == [
        "events: POST http://127.0.0.1:1/v1/events",
        "latido kpi --redis redis://127.0.0.1:41669/0 --namespace demo-df462afa",
    ]


def test_the_line_to_paste_holds_no_password_and_nothing_for_the_shell() -> None:
    line = kpi_command("redis://me:geheim@h:1/0;reboot", "n")
    assert "geheim" not in line
    assert shlex.split(line)[3] == "redis://me:***@h:1/0;reboot"
