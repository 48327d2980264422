"""`latido backtest` and `latido churn fit` as a person runs them; what is said of rules that are wrong."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from schemas.churn import ChurnSignal
from stream.commands.config_text import as_toml
from stream.core.churn_settings import ChurnSettings
from stream.settings import SettingsProblem, churn_of, load_settings
from tests.churn.lives import lines, lives
from tests.cli.conftest import Run

RULES = """
[churn]
live = true
order_within = "5m"
remember = "400d"
overdue = [1, 2]
shortest_silence = "2d"
[churn.bgnbd]
r = 0.2
alpha_days = 30
a = 0.8
b = 2.4
[churn.weights]
detractor = 0.5
[churn.segments."plan=premium"]
overdue = [4.0, 5.0]
[churn.segments."plan=premium".weights]
overdue = 1
"""


@pytest.fixture(scope="module")
def events() -> bytes:
    return lines(lives(5))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.toml"
    file.write_text(RULES, encoding="utf-8")
    return file


def test_the_report_says_how_good_each_rule_is(latido: Run, events: bytes, rules: Path) -> None:
    done = latido("backtest", "-", "--rules", str(rules), "--horizon", "21d", stdin=events)
    assert (done.returncode, done.stderr) == (0, "")
    assert "times somebody stayed away for 21 days or longer" in done.stdout
    visits = events.count(b'"/news"')
    assert f"1 of {visits:,} sessions name no customer and are left out" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    names = [
        line[0] for line in lines if len(line) > 5 and line[0] in ("overdue", "alive_probability", "all")
    ]
    assert names == ["overdue", "alive_probability", "all"]
    assert "needs [churn.bgnbd]" not in done.stdout


def test_for_programs_it_is_one_object(latido: Run, events: bytes) -> None:
    done = latido("backtest", "-", "--json", stdin=events)
    found = json.loads(done.stdout)
    assert found["customers"] == len(lives(5))  # all but the anonymous one, and who ends the history
    lost = found["scores"][-1]
    assert (lost["rule"], lost["level"]) == ("state", "lost")
    assert lost["precision"]["denominator"] == lost["signals"] - lost["undecided"] - lost["late"]


def test_signals_are_the_records_of_the_topic(latido: Run, events: bytes) -> None:
    done = latido("backtest", "-", "--print", "signals", stdin=events)
    records = [ChurnSignal.model_validate_json(line) for line in done.stdout.splitlines()]
    assert "lost" in {one.state for one in records}


def test_what_fit_prints_is_a_file_of_rules(latido: Run, events: bytes, tmp_path: Path) -> None:
    done = latido("churn", "fit", "-", stdin=events)
    assert (done.returncode, done.stderr) == (0, "")
    file = tmp_path / "fitted.toml"
    file.write_text(done.stdout, encoding="utf-8")
    model = churn_of(file).limits.bgnbd
    assert model is not None
    assert model.r == tomllib.loads(done.stdout)["churn"]["bgnbd"]["r"]


@pytest.mark.parametrize(
    ("command", "stdin", "line"),
    [
        (["backtest", "-"], b"", "latido: there are no events in it"),
        (["backtest", "-"], b"nonsense\n", "latido: none of its 1 records counts as a visit or an answer"),
        (["backtest", "-", "--horizon", "30"], b"", "latido: Invalid value for --horizon: is no duration"),
        (["backtest", "-", "--horizon", "0s"], b"", "latido: Invalid value for --horizon: must be longer"),
        (["backtest", "-", "--rules", "none.toml"], b"", "latido: none.toml: cannot be read (No such file"),
        (["churn", "fit", "-"], lines(lives(1)), "latido: 7 of 8 customers ever returned; 30 are needed"),
        (
            ["backtest", "-", "--horizon", "200d"],
            lines(lives(1)),
            "latido: the history covers 150 days, less",
        ),
        (
            ["backtest", "-"],
            lines(lives(1)[-1:]).splitlines()[0] + b"\n",
            "latido: none of its 1 sessions names a customer_id; set anonymous = true in [churn]",
        ),
    ],
)
def test_what_cannot_be_judged_is_one_line(latido: Run, command: list[str], stdin: bytes, line: str) -> None:
    done = latido(*command, stdin=stdin)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.startswith(line), done.stderr
    assert done.stderr.count("\n") == 1


def test_rules_come_from_the_settings_or_a_file_of_their_own(rules: Path) -> None:
    churn = churn_of(rules)
    assert churn == load_settings(rules).churn
    assert churn.limits.shortest_silence_ms == 2 * 86_400_000
    assert (churn.live, churn.order_within_ms, churn.remember_ms) == (True, 300_000, 400 * 86_400_000)
    premium = churn.of("default", "premium")
    assert premium.overdue == (4.0, 5.0)
    assert (premium.bgnbd, premium.shortest_silence_ms) == (churn.limits.bgnbd, 2 * 86_400_000)
    assert (premium.weights.overdue, premium.weights.detractor) == (1, 0.5)
    assert churn.of("default", None).overdue == (1, 2)
    assert load_settings().churn == ChurnSettings()


def test_rules_that_were_printed_can_be_read_back(rules: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.toml"
    again.write_text(as_toml(load_settings(rules), rules), encoding="utf-8")
    assert load_settings(again).churn == churn_of(rules)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a rules file holds the table [churn]"),
        ("gap = '1m'", "a rules file holds the table [churn], not 'gap'; 'latido --config FILE' takes all"),
        ("churn = 3", "churn: is a table, such as [churn]"),
        ("[churn]\noverdu = [1]", "churn: overdu: there is no such setting; did you mean overdue?"),
        ("[churn]\nxyz = 1", "churn: xyz: there is no such setting; see docs/churn.md"),
        ("[churn]\noverdue = ['a']", "churn: overdue[0]: Expected `float`, got `str`"),
        ("[churn]\noverdue = [2, 1]", "churn: overdue takes one to three rising limits"),
        ("[churn]\noverdue = [nan]", "churn: overdue takes one to three rising limits"),
        ("[churn]\nband = 3.5", "churn: band: Expected `int`, got `float`"),
        (
            "[churn]\nshortest_silence = 5",
            "churn: shortest_silence is no duration; write a number and one of",
        ),
        ("[churn]\nanonymous = 'yes'", "churn: anonymous is true or false"),
        ("[churn]\nlive = 1", "churn: live is true or false"),
        ("[churn]\norder_within = '1 minute'", "churn: order_within is no duration; write a number and"),
        ("[churn]\nremember = '1h'", "churn: remember must be at least 1d"),
        ("[churn.bgnbd]\nr = 1", "churn: bgnbd: Object missing required field `alpha_days`"),
        ("[churn.bgnbd]\nr = 0\nalpha_days = 1\na = 1\nb = 1", "churn: bgnbd: r must lie between 1e-06 and"),
        ("[churn.weights]\nx = 1", "churn: weights: Object contains unknown field `x`"),
        ("[churn.weights]\noverdue = -1", "churn: weights: weights are numbers from 0"),
        ("[churn]\nsegments = 3", "churn: segments: is a table"),
        ("[churn.segments.gold]\nband = 1", "churn: segments: 'gold' is no segment; write plan=NAME or site"),
        ("[churn.segments.'plan=a']\nband = 99", "churn: segments.plan=a: band lies between 0 and 100"),
        (
            "[churn.segments.'plan=a']\nanonymous = true",
            "churn: segments.plan=a: anonymous: there is no such",
        ),
    ],
)
def test_a_rule_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsProblem) as caught:
        churn_of(file)
    assert str(caught.value).startswith(f"{file}: {reason}")
    assert "\n" not in str(caught.value)
    if text.startswith("[churn"):
        with pytest.raises(SettingsProblem, match=r"^churn \(in "):
            load_settings(file)
