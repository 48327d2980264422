"""Net promoter score: promoters answer 9 or 10, passives 7 or 8, detractors 0 to 6 (Reichheld 2003)."""

from __future__ import annotations

from stream.core.kpi import Kpi
from stream.core.statistics import net_promoter_score
from stream.core.windows import Counts

PROMOTERS = "promoters"
PASSIVES = "passives"
DETRACTORS = "detractors"
SKIPPED = "nps_skipped"


def counts(score: int) -> Counts:
    """One answer, 0 to 10."""
    if score >= 9:
        return {PROMOTERS: 1}
    return {PASSIVES: 1} if score >= 7 else {DETRACTORS: 1}


def results(tally: Counts) -> dict[str, Kpi]:
    return {
        "nps": net_promoter_score(
            tally.get(PROMOTERS, 0), tally.get(PASSIVES, 0), tally.get(DETRACTORS, 0), tally.get(SKIPPED, 0)
        )
    }
