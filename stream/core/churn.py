"""A customer's churn state: health from the rules, four states with hysteresis, one signal per change.

`judge` is the whole of it for one customer at one instant; `Book` keeps customers and deadlines together, so
that time is never asked of a customer for whom it changes nothing. The same activities in the same order give
the same signals, however they are cut into batches, and also when some come twice or the process restarts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from stream.core.churn_rules import AT_RISK, LOST, NOTHING, POSITION, RULES, WATCH, crossings, levels
from stream.core.churn_settings import ChurnSettings, Limits
from stream.core.customers import Activity, Answered, Customer, Standing, VisitStarted, fold
from stream.core.event_time import NEVER_MS

STATES: Final = ("healthy", "watch", "at_risk", "lost")
POSITIVE: Final = tuple(rule.name for rule in RULES if not rule.is_risk)

Cause = Literal["time", "returned", "answer", "activity", "promoter", "high_value"]
Key = tuple[str, str]
"""(site, customer)"""


class Verdict(msgspec.Struct, frozen=True):
    """What the rules say of a customer at one instant."""

    levels: tuple[int, ...]  # by position in RULES
    health: int  # 0 to 100
    is_absent: bool


class Signal(msgspec.Struct, frozen=True):
    """The customer's state changed, or they became a promoter or of high value."""

    key: Key
    transition: int  # counts the customer's signals, from 1
    state: int
    previous_state: int
    changed_ms: int
    cause: Cause
    health: int
    customer: Customer  # as it was then
    limits: Limits
    next_state: tuple[int, int] | None  # (state, at ms) that silence leads to


class Trip(msgspec.Struct, frozen=True):
    """A rule began (level 1 to 3) or ceased (0 or less) to apply to a customer, or changed its level."""

    key: Key
    rule: str
    at_ms: int
    level: int
    before: int


def health_of(customer: Customer, limits: Limits, found: tuple[int, ...]) -> int:
    """The mean of the points of the rules that apply, by weight; 100 where none does."""
    weighed = [
        (float(getattr(limits.weights, rule.name)), rule.points(customer, level))
        for rule, level in zip(RULES, found, strict=True)
        if rule.is_risk and level >= NOTHING
    ]
    total = sum(weight for weight, _ in weighed)
    if total == 0:
        return 100
    return int(sum(weight * points for weight, points in weighed) / total + 0.5)


def verdict(customer: Customer, limits: Limits, now_ms: int) -> Verdict:
    """Evaluate all rules directly."""
    found = levels(customer, limits, now_ms)
    is_absent = any(level == LOST and rule.says_absent for rule, level in zip(RULES, found, strict=True))
    return Verdict(found, health_of(customer, limits, found), is_absent)


def state_of(health: int, is_absent: bool, limits: Limits) -> int:
    """The state by the limits alone. Lost is who is absent: an unhappy customer who comes is not lost."""
    if is_absent:
        return LOST
    if health < limits.at_risk_below:
        return AT_RISK
    return WATCH if health < limits.watch_below else NOTHING


def next_state(state: int, health: int, is_absent: bool, limits: Limits) -> int:
    """The state after `state`. Worse at once; better only with a health of `band` above the limit."""
    worse = state_of(health, is_absent, limits)
    if worse >= state:
        return worse
    return min(state, state_of(health - limits.band, is_absent, limits))


def judge(customer: Customer, limits: Limits, now_ms: int, cause: Cause) -> tuple[Verdict, Cause | None]:
    """Judge the customer and move their standing and deadline. The cause of a signal, None without one."""
    found, before = verdict(customer, limits, now_ms), customer.standing
    state = next_state(before.state, found.health, found.is_absent, limits)
    told = _cause(before, state, found, cause)
    transition = before.transition + (told is not None)
    customer.standing = Standing(state, transition, found.levels)
    ahead = crossings(customer, limits, now_ms)
    customer.deadline_ms = ahead[0] if ahead else None
    return found, told


def _cause(before: Standing, state: int, found: Verdict, cause: Cause) -> Cause | None:
    if state != before.state:
        return cause if cause != "returned" or state < before.state else "activity"
    for name in POSITIVE:
        position = POSITION[name]
        was = before.levels[position] if before.levels else NOTHING
        if found.levels[position] >= WATCH > was:
            return "promoter" if name == "promoter" else "high_value"
    return None


def silence_leads_to(customer: Customer, limits: Limits, now_ms: int) -> tuple[int, int] | None:
    """The next state if nothing but time happens, and when (ms); None if there is none."""
    state = customer.standing.state
    for at_ms in crossings(customer, limits, now_ms):
        found = verdict(customer, limits, at_ms)
        if (then := next_state(state, found.health, found.is_absent, limits)) != state:
            return then, at_ms
    return None


class Outcome(msgspec.Struct):
    """What some step changed, in order of time."""

    signals: list[Signal] = []
    trips: list[Trip] = []


class Book:
    """The customers of one partition, and when to look at which of them again.

    Activities come from several sources, each numbered: what is not above the highest number of its source
    was taken before, and is dropped. The clock is the highest time told; it decides when deadlines fire.
    Customers, marks and clock are the state: a Book of the same three goes on where another one stopped.
    """

    def __init__(
        self,
        settings: ChurnSettings,
        customers: dict[Key, Customer] | None = None,
        marks: dict[int, int] | None = None,
        clock_ms: int = NEVER_MS,
    ) -> None:
        self.settings = settings
        self.customers: dict[Key, Customer] = customers or {}
        self.marks: dict[int, int] = marks or {}
        self.clock_ms = clock_ms
        self._filed: dict[Key, int] = {}
        self._order: list[tuple[int, Key]] = []
        for key, customer in self.customers.items():
            self._file(key, customer)

    def apply(self, key: Key, activity: Activity, source: int, number: int) -> Outcome:
        """Take one activity: first what fell due before it, then the customer's own change."""
        outcome = Outcome()
        if number <= self.marks.get(source, -1):
            return outcome
        self.marks[source] = number
        self._advance(activity.at_ms, outcome)
        customer = self.customers.get(key)
        if customer is None:
            customer = self.customers[key] = Customer()
        limits = self.settings.of(key[0], customer.plan)
        fold(customer, activity, limits.occasion_ms)
        self._judge(key, customer, max(self.clock_ms, activity.at_ms), _cause_of(activity), outcome)
        return outcome

    def advance(self, now_ms: int) -> Outcome:
        """Let time pass: every deadline up to `now_ms`, each judged at its own instant."""
        outcome = Outcome()
        self._advance(now_ms, outcome)
        return outcome

    def _advance(self, now_ms: int, outcome: Outcome) -> None:
        for at_ms, key in self._due(now_ms):
            self._judge(key, self.customers[key], at_ms, "time", outcome)
        self.clock_ms = max(self.clock_ms, now_ms)

    def _due(self, now_ms: int) -> Iterator[tuple[int, Key]]:
        while self._order and self._order[0][0] <= now_ms:
            filed_ms, key = heapq.heappop(self._order)
            if self._filed.get(key) != filed_ms:
                continue  # filed anew, for earlier
            del self._filed[key]
            customer = self.customers[key]
            if customer.deadline_ms == filed_ms:
                yield filed_ms, key
            else:
                self._file(key, customer)  # something happened meanwhile: the deadline is later

    def _file(self, key: Key, customer: Customer) -> None:
        deadline_ms = customer.deadline_ms
        if deadline_ms is not None and deadline_ms < self._filed.get(key, deadline_ms + 1):
            self._filed[key] = deadline_ms
            heapq.heappush(self._order, (deadline_ms, key))

    def _judge(self, key: Key, customer: Customer, now_ms: int, cause: Cause, outcome: Outcome) -> None:
        limits = self.settings.of(key[0], customer.plan)
        before = customer.standing
        found, told = judge(customer, limits, now_ms, cause)
        self._file(key, customer)
        was = before.levels or (NOTHING,) * len(RULES)
        outcome.trips += [
            Trip(key, rule.name, now_ms, level, earlier)
            for rule, level, earlier in zip(RULES, found.levels, was, strict=True)
            if max(level, NOTHING) != max(earlier, NOTHING)
        ]
        if told is not None:
            ahead = silence_leads_to(customer, limits, now_ms)
            outcome.signals.append(_signal(key, customer, limits, before, now_ms, told, found.health, ahead))


def _signal(
    key: Key, customer: Customer, limits: Limits, before: Standing, now_ms: int, cause: Cause, health: int,
    ahead: tuple[int, int] | None,
) -> Signal:  # fmt: skip
    standing = customer.standing
    return Signal(
        key=key,
        transition=standing.transition,
        state=standing.state,
        previous_state=before.state,
        changed_ms=now_ms,
        cause=cause,
        health=health,
        customer=msgspec.structs.replace(customer),
        limits=limits,
        next_state=ahead,
    )


def _cause_of(activity: Activity) -> Cause:
    if isinstance(activity, VisitStarted):
        return "returned"
    return "answer" if isinstance(activity, Answered) else "activity"
