"""docs/statistics.md: its tables are what the code computes, and what it says in words is so."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest

from stream.core.statistics import wilson
from tests.docs import statistics as document
from tests.docs.enumeration import coverage, multinomial
from tests.docs.figures import (
    DISTRIBUTIONS,
    RATE_GRID,
    SCORE_GRID,
    SIZES,
    bucket_around,
    enumerable,
    means,
    rates,
    scores,
    worst_rate,
    worst_score,
)

MEAN = pytest.approx(0.955, abs=0.015)  # 94 to 97 %
FLOOR = 0.89
ALL_THREE = [(p, d) for p, d in SCORE_GRID if min(p, d) > 0 and p + d < 100]


def test_the_tables_of_the_document_are_what_the_code_computes() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    assert document.with_tables(text) == text, "run scripts/docs"


@pytest.mark.parametrize("n", SIZES)
def test_wilson_covers_what_it_says(n: int) -> None:
    held = [pair.published for pair in rates(n).values()]
    assert fmean(held) == MEAN
    assert min(held) >= FLOOR


@pytest.mark.parametrize("n", SIZES)
def test_wilson_is_worst_where_five_of_six_samples_have_no_success(n: int) -> None:
    worst = worst_rate(n)
    assert 0.83 < worst.held < 0.84
    assert n * worst.share == pytest.approx(0.18, abs=0.005)
    assert (1 - worst.share) ** n == pytest.approx(5 / 6, abs=0.01)


def test_a_grid_of_every_per_cent_would_show_a_valley_at_five() -> None:
    intervals = [wilson(k, 5) for k in range(6)]
    held = coverage(list(multinomial(5, (0.03, 0.97))), lambda outcome: intervals[outcome[0]], 0.03)
    assert round(100 * held, 1) == 85.9


@pytest.mark.parametrize("n", SIZES)
def test_the_score_covers_what_it_says_where_all_three_kinds_are_given(n: int) -> None:
    assert len(SCORE_GRID) == 63
    assert len(ALL_THREE) == 36
    assert fmean(pair.published for pair in scores(n).values()) == MEAN
    assert fmean(scores(n)[pair].published for pair in ALL_THREE) == MEAN
    assert min(scores(n)[pair].published for pair in ALL_THREE) >= FLOOR


@pytest.mark.parametrize(("n", "lowest"), [(5, 83.7), (10, 87.9), (30, 92.1), (100, 93.8), (1000, 94.4)])
def test_the_score_falls_short_in_small_samples_where_one_kind_is_missing(n: int, lowest: float) -> None:
    held = min(pair.published for pair in scores(n).values())
    assert round(100 * held, 1) == lowest


@pytest.mark.parametrize(("n", "lowest"), [(5, 79.7), (10, 86.1), (30, 90.3)])
def test_the_score_at_its_worst_pair_of_whole_per_cents(n: int, lowest: float) -> None:
    assert round(100 * worst_score(n)[0], 1) == lowest


def test_the_plain_interval_fails_at_ten_answers_and_ninety_per_cent() -> None:
    assert round(100 * rates(10)[90].plain) == 65
    for pair in ((90, 0), (90, 10)):
        assert round(100 * scores(10)[pair].plain) == 65
        assert round(100 * scores(10)[pair].published) == 93


@pytest.mark.parametrize("n", [5, 10, 30])
def test_the_plain_interval_covers_less_on_the_whole(n: int) -> None:
    assert fmean(pair.plain for pair in rates(n).values()) < 0.80
    assert fmean(pair.plain for pair in scores(n).values()) < 0.93


def test_mirrored_shares_have_the_same_coverage() -> None:
    for n in (5, 30):
        for share in RATE_GRID:
            assert rates(n)[share] == pytest.approx(rates(n)[100 - share])


def test_a_mean_holds_by_the_rule_of_skewness_and_fails_without() -> None:
    found = {(d.name, n): means(d, n) for d in DISTRIBUTIONS for n in SIZES if enumerable(d, n)}
    enough = [found[d.name, n].published for d in DISTRIBUTIONS for n in SIZES
              if n > d.enough and enumerable(d, n)]  # fmt: skip
    assert len(enough) == 9
    assert round(100 * min(enough), 1) == 93.7
    assert round(100 * found["one in fifty stays", 30].published) == 49
    assert all(pair.published >= pair.plain for pair in found.values())


def test_every_bucket_up_to_a_day_errs_by_at_most_a_sixty_fourth() -> None:
    value, errors = 0, []
    while value <= 86_400_000:
        bucket = bucket_around(value)
        assert bucket.low == value  # no gap, no overlap
        errors.append(bucket.error)
        value = bucket.high + 1
    assert errors[:64] == [0.0] * 64
    assert max(errors) == 1 / 64


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the document in which one figure is wrong, in place of the document."""
    text = document.DOCUMENT.read_text(encoding="utf-8")
    assert text.count("95.1 / 4.9") == 1
    path = tmp_path / "statistics.md"
    path.write_text(text.replace("95.1 / 4.9", "95.1 / 94.9"), encoding="utf-8")
    monkeypatch.setattr(document, "DOCUMENT", path)
    return path


def test_check_refuses_a_wrong_figure_and_writes_nothing(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = copy.read_text(encoding="utf-8")
    assert document.main(["--check"]) == 1
    assert capsys.readouterr().err == "statistics.md: out of date; run scripts/docs\n"
    assert copy.read_text(encoding="utf-8") == before


def test_without_check_a_wrong_figure_is_put_right(copy: Path) -> None:
    assert document.main([]) == 0
    assert "95.1 / 4.9" in copy.read_text(encoding="utf-8")
    assert document.main(["--check"]) == 0


def test_a_document_without_a_place_for_a_table_is_refused(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = copy.read_text(encoding="utf-8")
    copy.write_text(text.replace("<!-- table: percentiles -->", ""), encoding="utf-8")
    assert document.main([]) == 1
    assert "places for tables: mean-distributions" in capsys.readouterr().err
