"""docs/alerts.md: its tables are what the product's own rules do, and what it says in words is so."""

from __future__ import annotations

import tomllib

import pytest

from stream.settings.alerts import AlertSettings, alert_rules
from tests.docs.alarms import DOCUMENT, FALLEN, LIMIT, TABLES, USUAL, fires_at_one_look, rule
from tests.docs.statistics import with_tables

TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_the_tables_of_the_document_are_what_the_rules_do() -> None:
    assert with_tables(TEXT, TABLES) == TEXT, "run scripts/docs"


def test_the_settings_of_the_document_are_settings() -> None:
    [block] = [part for part in TEXT.split("```") if part.startswith("toml")]
    settings = tomllib.loads(block.removeprefix("toml").replace("whsec_...", "whsec_" + "A" * 32))
    found = alert_rules(AlertSettings.model_validate(settings["alerts"]))
    assert [one.name for one in found.rules] == ["ctr-low", "quiet"]
    assert found.rules[1].deviations


def test_below_72_impressions_the_interval_does_not_fire_at_this_limit() -> None:
    for share in (USUAL, FALLEN, 0.0):
        assert fires_at_one_look(rule("interval"), 72, share) == 0
    assert fires_at_one_look(rule("interval"), 73, 0.0) == 1


def test_with_ten_impressions_the_value_fires_by_chance_and_the_interval_never() -> None:
    assert fires_at_one_look(rule("value"), 10, USUAL) == pytest.approx((1 - USUAL) ** 10)
    assert fires_at_one_look(rule("interval"), 10, USUAL) == 0 < LIMIT
