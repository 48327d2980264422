"""Customer satisfaction: the share of satisfied answers, 4 and 5 on a scale of 1 to 5, and the mean score."""

from __future__ import annotations

import msgspec

from stream.core.kpi import ANSWER_DIMENSIONS, WHOLE, Definition, Mean, Rate
from stream.core.statistics import mean, rate
from stream.core.windows import OF_ANSWERS, Counts

SATISFIED = "csat_satisfied"
ANSWERS = "csat_answers"
SKIPPED = "csat_skipped"
POINTS = "csat_points"  # in hundredths, on a scale from 1 to 5
POINTS_SQUARED = "csat_points_sq"
OF_AN_ANSWER = frozenset({ANSWERS, SATISFIED, POINTS, POINTS_SQUARED})  # all that `counts` may name

# Lowest satisfied score of the usual scales (top two boxes; a two-point scale has only one).
_SATISFIED_FROM = {
    (1, 5): 4,
    (0, 5): 4,
    (1, 7): 6,
    (1, 10): 9,
    (0, 10): 9,
    (1, 4): 3,
    (1, 3): 3,
    (1, 2): 2,
    (0, 1): 1,
}


def satisfied_from(scale_min: int, scale_max: int) -> int:
    """The lowest satisfied score: by table, else the upper quarter of the scale."""
    known = _SATISFIED_FROM.get((scale_min, scale_max))
    return known if known is not None else -((-(3 * scale_max + scale_min)) // 4)


def counts(score: int, scale_min: int, scale_max: int) -> Counts:
    """One answer on its own scale."""
    found = {ANSWERS: 1, POINTS: (mine := points(score, scale_min, scale_max)), POINTS_SQUARED: mine * mine}
    if score >= satisfied_from(scale_min, scale_max):
        found[SATISFIED] = 1
    return found


def points(score: int, scale_min: int, scale_max: int) -> int:
    """Hundredths of a point on a scale from 1 to 5: what surveys with different scales have in common."""
    width = scale_max - scale_min
    return 100 + (400 * (score - scale_min) + width // 2) // width


def share(tally: Counts, _: Counts) -> Rate:
    return rate(tally.get(SATISFIED, 0), tally.get(ANSWERS, 0), of="counted answers")


def mean_score(tally: Counts, _: Counts) -> Mean:
    """Points, from 1 to 5, the interval too. Without percentiles: an answer has few values to choose from."""
    answers = tally.get(ANSWERS, 0)
    found = mean(tally.get(POINTS, 0), tally.get(POINTS_SQUARED, 0), answers, None, of="counted answers")
    value, low, high, sd = (
        None if one is None else one / 100 for one in (found.value, found.low, found.high, found.sd)
    )
    low, high = low if low is None else max(1.0, low), high if high is None else min(5.0, high)
    return msgspec.structs.replace(found, value=value, low=low, high=high, sd=sd)


_PLACES = frozenset({WHOLE, "survey", *ANSWER_DIMENSIONS})

KPIS = (
    Definition(
        id="csat", label="CSAT", unit="share from 0 to 1", better="up",
        meaning="The share of those who answered that is satisfied.",
        source="Sogolytics help, Introduction to Customer Satisfaction (CSAT): 4 and 5 of 5",
        formula="satisfied answers (4 and 5 of 5; other scales by table) / counted answers: each "
                "respondent's latest, or with the setting answers = every all of them",
        dimensions=_PLACES, windows=OF_ANSWERS,
        metrics=frozenset({ANSWERS, SATISFIED, SKIPPED}), compute=share,
    ),
    Definition(
        id="csat_score", label="Mean score", unit="points from 1 to 5", better="up",
        meaning="The average score of those who answered, on a scale from 1 to 5.",
        source="QuestionPro help, Customer Satisfaction (CSAT): mean CSAT",
        formula="sum of the scores of counted answers, each moved from its own scale to that from 1 to 5, to "
                "a hundredth of a point / counted answers",
        dimensions=_PLACES, windows=OF_ANSWERS,
        metrics=frozenset({ANSWERS, POINTS, POINTS_SQUARED}), compute=mean_score,
    ),
)  # fmt: skip
