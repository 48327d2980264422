"""What holds of every KPI value, whatever it is about."""

from __future__ import annotations

from stream.core.kpi import Count, Kpi, Mean, Rate, Score


def check_kpi(name: str, kpi: Kpi) -> None:
    """Bounds, nulls and intervals. Raises AssertionError with the name of the KPI."""
    if isinstance(kpi, Count):
        parts = [n for n in (kpi.value, kpi.open, kpi.ended) if n is not None]
        assert all(type(n) is int and n >= 0 for n in parts), (name, kpi)
    elif isinstance(kpi, Rate):
        _check_rate(name, kpi)
    elif isinstance(kpi, Score):
        _check_score(name, kpi)
    else:
        _check_mean(name, kpi)


def _check_rate(name: str, kpi: Rate) -> None:
    assert type(kpi.numerator) is type(kpi.denominator) is int, (name, kpi)
    assert min(kpi.numerator, kpi.denominator) >= 0, (name, kpi)
    assert (kpi.value is None) is (kpi.denominator == 0), (name, kpi)
    assert kpi.of, name
    if kpi.value is None or kpi.numerator > kpi.denominator:
        assert kpi.low is kpi.high is None, (name, kpi)
        assert kpi.suspect is True or kpi.numerator == 0, (name, kpi)
        return
    assert kpi.value == kpi.numerator / kpi.denominator, (name, kpi)
    assert kpi.low is not None, (name, kpi)
    assert kpi.high is not None, (name, kpi)
    assert 0 <= kpi.low <= kpi.value <= kpi.high <= 1, (name, kpi)


def _check_score(name: str, kpi: Score) -> None:
    parts = (kpi.promoters, kpi.passives, kpi.detractors, kpi.skipped)
    assert all(type(n) is int and n >= 0 for n in parts), (name, kpi)
    assert kpi.n == sum(parts[:3]), (name, kpi)
    assert (kpi.value is None) is (kpi.rounded is None) is (kpi.n == 0), (name, kpi)
    if kpi.value is None:
        assert kpi.low is kpi.high is None, (name, kpi)
        return
    net = kpi.promoters - kpi.detractors
    assert kpi.value == 100 * net / kpi.n, (name, kpi)
    assert kpi.low is not None, (name, kpi)
    assert kpi.high is not None, (name, kpi)
    # The adjusted interval surrounds the adjusted score, with three answers more: few answers that all say
    # the same are drawn to the middle, and may themselves lie outside.
    assert -100 <= kpi.low <= 100 * net / (kpi.n + 3) <= kpi.high <= 100, (name, kpi)


def _check_mean(name: str, kpi: Mean) -> None:
    assert type(kpi.n) is int, (name, kpi)
    assert kpi.n >= 0, (name, kpi)
    assert (kpi.value is None) is (kpi.n == 0), (name, kpi)
    assert (kpi.p50 is None) is (kpi.p95 is None), (name, kpi)  # not every mean has percentiles
    assert kpi.p50 is None or kpi.n > 0, (name, kpi)
    assert (kpi.low is None) is (kpi.high is None) is (kpi.sd is None) is (kpi.n < 2), (name, kpi)
    assert kpi.of, name
    if kpi.value is not None and kpi.low is not None and kpi.high is not None:
        assert kpi.low <= kpi.value <= kpi.high, (name, kpi)
    if kpi.p50 is not None and kpi.p95 is not None:
        assert kpi.p50 <= kpi.p95, (name, kpi)
