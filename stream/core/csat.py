"""Customer satisfaction: the share of satisfied answers, 4 and 5 on a scale of 1 to 5."""

from __future__ import annotations

from stream.core.kpi import ANSWER_DIMENSIONS, WHOLE, Definition, Rate
from stream.core.statistics import rate
from stream.core.windows import OF_ANSWERS, Counts

SATISFIED = "csat_satisfied"
ANSWERS = "csat_answers"
SKIPPED = "csat_skipped"

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
    satisfied = score >= satisfied_from(scale_min, scale_max)
    return {ANSWERS: 1, SATISFIED: 1} if satisfied else {ANSWERS: 1}


def share(tally: Counts, _: Counts) -> Rate:
    return rate(tally.get(SATISFIED, 0), tally.get(ANSWERS, 0), of="counted answers")


KPIS = (
    Definition(
        id="csat", label="CSAT", unit="share from 0 to 1", better="up",
        meaning="The share of those who answered that is satisfied.",
        formula="satisfied answers (4 and 5 of 5; other scales by table) / counted answers: each "
                "respondent's latest, or with the setting answers = every all of them",
        source="the top-two-box score of customer satisfaction surveys",
        dimensions=frozenset({WHOLE, "survey", *ANSWER_DIMENSIONS}), windows=OF_ANSWERS,
        metrics=frozenset({ANSWERS, SATISFIED, SKIPPED}), compute=share,
    ),
)  # fmt: skip
