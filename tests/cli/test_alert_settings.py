"""The tables of [alerts]: what they become, and what is said when they cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.commands.config_text import as_plain, as_toml
from stream.core.alerts import Rule, Silence
from stream.settings import SettingsProblem, load_settings
from stream.settings.alerts import alert_rules

SECRET = "whsec_" + "A" * 32
WHOLE = """
[alerts]
monitor = "https://monitor.example"

[[alerts.rules]]
name = "ctr-low"
kpi = "ctr"
segment = "channel=*"
below = 0.02
clear = 0.03
for = "10m"
cooldown = "1h"
severity = "critical"

[[alerts.rules]]
name = "quiet"
kpi = "page_views"
site = "shop"
below = -4
against = "earlier_weeks"

[[alerts.silences]]
rule = "quiet"
end = 1970-01-01T00:00:01Z
"""
RECEIVER = f"""
[[alerts.receivers]]
name = "ops"
url = "https://hooks.example/T0K3N"
secret = "{SECRET}"
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "latido.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_rules_and_silences_as_the_core_has_them(tmp_path: Path) -> None:
    found = alert_rules(load_settings(written(tmp_path, WHOLE)).alerts)
    assert found.monitor == "https://monitor.example"
    assert found.rules == (
        Rule(
            name="ctr-low", kpi="ctr", window="1h", direction="below", limit=0.02, clear=0.03, measure="high",
            dimension="channel", least_n=30, for_ms=600_000, cooldown_ms=3_600_000, severity="critical",
        ),
        Rule(
            name="quiet", kpi="page_views", window="1h", direction="below", limit=-4, clear=-4, site="shop",
            deviations=True,
        ),
    )  # fmt: skip
    assert found.silences == (Silence(rule="quiet", end_ms=1000),)


def test_what_config_prints_is_read_back(tmp_path: Path) -> None:
    first = load_settings(written(tmp_path, WHOLE))
    assert load_settings(written(tmp_path, as_toml(first, None))).alerts == first.alerts


def test_addresses_and_secrets_of_receivers_are_hidden(tmp_path: Path) -> None:
    chosen = load_settings(written(tmp_path, RECEIVER))
    for text in (as_toml(chosen, None), str(as_plain(chosen)), repr(chosen)):
        assert "T0K3N" not in text
        assert SECRET not in text


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('kpi = "ctx"\nbelow = 1', "there is no such KPI; did you mean ctr?"),
        ('kpi = "ctr"', "give one limit: below or above"),
        ('kpi = "ctr"\nbelow = 1\nabove = 2', "give one limit: below or above"),
        ('kpi = "ctr"\nbelow = 0.1\nclear = 0.05', "clear: must not be under below"),
        ('kpi = "ctr"\nabove = 0.1\nclear = 0.2', "clear: must not be over above"),
        ('kpi = "ctr"\nbelow = nan', "finite number"),
        ('kpi = "ctr"\nbelow = 0.1\nwindow = "7d"', "window: ctr has none of that name; there is 1m, 5m"),
        ('kpi = "ctr"\nbelow = 0.1\nsegment = "plan=pro"', "ctr is not published by 'plan'; there is all, c"),
        ('kpi = "ctr"\nbelow = 0.1\nsegment = "channel"', "write all, or a dimension and a value"),
        ('kpi = "ctr"\nbelow = 0.1\nfor = "10"', "is no duration"),
        ('kpi = "ctr"\nbelow = -3\nagainst = "earlier_weeks"\nwindow = "5m"', "write window = '1h'"),
        ('kpi = "sessions"\nbelow = 1\ncompare = "interval"', "is a count and has no interval"),
        ('kpi = "sessions"\nbelow = 1\nleast_n = 5', "is a count and stands on nothing"),
        ('kpi = "ctr"\nbelw = 1', "there is no such setting; did you mean below?"),
    ],
)
def test_a_rule_that_cannot_be_judged_says_what_to_change(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(SettingsProblem) as caught:
        load_settings(written(tmp_path, f'[[alerts.rules]]\nname = "a"\n{table}\n'))
    assert str(caught.value).startswith("alerts.rules.0")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('url = "ftp://hooks.example/T0K3N"\nsecret = "S"', "is no address; write https://host/path"),
        ('url = "https://[T0K3N/"\nsecret = "S"', "is no address"),
        ('url = "https://hooks.example/T0K3N"', "a webhook is signed; make one: echo whsec_"),
        (
            'url = "https://hooks.example/T0K3N"\nsecret = "T0K3N"',
            "must be whsec_ and the base64 of 24 to 64",
        ),
        (
            'url = "https://a.example"\nkind = "alertmanager"\nchurn = ["lost"]',
            "send churn signals to a webh",
        ),
    ],
)
def test_a_receiver_that_cannot_be_used_says_so_without_its_secrets(
    tmp_path: Path, table: str, said: str
) -> None:
    with pytest.raises(SettingsProblem) as caught:
        load_settings(
            written(tmp_path, f'[[alerts.receivers]]\nname = "a"\n{table}\n'.replace('"S"', f'"{SECRET}"'))
        )
    assert said in str(caught.value)
    assert "T0K3N" not in str(caught.value)


def test_names_are_different(tmp_path: Path) -> None:
    rule = '[[alerts.rules]]\nname = "a"\nkpi = "ctr"\nbelow = 1\n'
    with pytest.raises(SettingsProblem, match="two rules are named 'a'"):
        load_settings(written(tmp_path, rule * 2))


def test_who_would_wait_in_vain_is_told(tmp_path: Path) -> None:
    silence = '[[alerts.silences]]\nrule = "quit"\n'
    with pytest.raises(SettingsProblem, match=r"no rule is named 'quit'; did you mean quiet\?"):
        load_settings(written(tmp_path, WHOLE + silence))
    with pytest.raises(SettingsProblem, match=r"no rule is named 'nps-\*'; there is ctr-low, quiet"):
        load_settings(written(tmp_path, WHOLE + RECEIVER + 'rules = ["nps-*"]\n'))
    assert load_settings(written(tmp_path, RECEIVER + 'rules = ["nps-*"]\n')).alerts.rules == ()


def test_the_variables_of_the_sections_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from stream.settings.load import unknown_variables

    monkeypatch.setenv("LATIDO_DASHBOARD_TOKEN", "x")
    monkeypatch.setenv("LATIDO_ALERTS_MONITOR", "x")
    assert unknown_variables() == []
