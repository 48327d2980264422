"""Net promoter score: promoters answer 9 or 10, passives 7 or 8, detractors 0 to 6 (Reichheld 2003)."""

from __future__ import annotations

from stream.core.kpi import ANSWER_DIMENSIONS, WHOLE, Definition, Score
from stream.core.statistics import net_promoter_score
from stream.core.windows import OF_ANSWERS, Counts

PROMOTERS = "promoters"
PASSIVES = "passives"
DETRACTORS = "detractors"
OF_AN_ANSWER = frozenset({PROMOTERS, PASSIVES, DETRACTORS})  # all that `counts` may name
SKIPPED = "nps_skipped"


def counts(score: int) -> Counts:
    """One answer, 0 to 10."""
    if score >= 9:
        return {PROMOTERS: 1}
    return {PASSIVES: 1} if score >= 7 else {DETRACTORS: 1}


def score(tally: Counts, _: Counts) -> Score:
    return net_promoter_score(
        tally.get(PROMOTERS, 0), tally.get(PASSIVES, 0), tally.get(DETRACTORS, 0), tally.get(SKIPPED, 0)
    )


KPIS = (
    Definition(
        id="nps", label="NPS", unit="points from -100 to 100", better="up",
        meaning="How many more of those who answered would recommend than would not.",
        formula="100 x (promoters - detractors) / counted answers: each respondent's latest, or with the "
                "setting answers = every all of them",
        source="Reichheld (2003), The one number you need to grow, Harvard Business Review 81(12)",
        dimensions=frozenset({WHOLE, "survey", *ANSWER_DIMENSIONS}), windows=OF_ANSWERS,
        metrics=frozenset({PROMOTERS, PASSIVES, DETRACTORS, SKIPPED}), compute=score,
    ),
)  # fmt: skip
