"""What `topics check` and a starting worker say about the topics they find."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas.topics import CLICKS, CUSTOMER_ACTIVITY, PAGE_VIEWS, SESSIONS, topic_specs
from stream.kafka.topics import Found, judge_topics

Change = Callable[[dict[str, Found]], object]


def _as_created(partitions: int = 4) -> dict[str, Found]:
    return {spec.name: Found(spec.partitions, spec.config()) for spec in topic_specs(partitions)}


def _with(topic: str, partitions: int = 4, **settings: str) -> Change:
    settings = {name.replace("_", "."): value for name, value in settings.items()}
    return lambda found: found.update({topic: Found(partitions, {**found[topic].settings, **settings})})


def test_topics_as_created_are_fine_whatever_their_number_of_partitions() -> None:
    assert judge_topics(_as_created(4)) == []
    assert judge_topics(_as_created(12)) == []


def test_settings_that_may_not_be_read_are_not_judged() -> None:
    assert judge_topics({name: Found(found.partitions, {}) for name, found in _as_created().items()}) == []


@pytest.mark.parametrize(
    ("change", "fatal", "says"),
    [
        (lambda found: found.pop(CLICKS), True, "latido topics create"),
        (lambda found: found.clear(), True, "latido topics create"),
        (_with(CLICKS, 6), True, "differ in their number of partitions"),
        (_with(SESSIONS, 2), True, "has 2 partitions, the input topics have 4"),
        (_with(CUSTOMER_ACTIVITY, 2), True, "has 2 partitions, the input topics have 4"),
        (_with(CUSTOMER_ACTIVITY, 6), True, "has 6 partitions, the input topics have 4; delete it"),
        (_with(PAGE_VIEWS, message_timestamp_type="CreateTime"), False, "set LogAppendTime"),
        (_with(SESSIONS, cleanup_policy="delete"), False, "set compact,delete"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(change: Change, fatal: bool, says: str) -> None:
    found = _as_created()
    change(found)
    problems = judge_topics(found)
    assert any(problem.fatal is fatal and says in str(problem) for problem in problems), problems


def test_the_order_of_cleanup_policies_does_not_matter() -> None:
    found = _as_created()
    _with(SESSIONS, cleanup_policy="delete,compact")(found)
    assert judge_topics(found) == []
