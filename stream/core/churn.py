"""A customer's churn state: health from the rules, four states with hysteresis, one signal per change.

`judge` is the whole of it for one customer at one instant; `Book` keeps customers and deadlines together, so
that time is never asked of a customer for whom it changes nothing. The same activities in the same order give
the same signals, however they are cut into batches, also over restarts; `arrivals.py` puts them in order.
"""

from __future__ import annotations

import heapq
from typing import Final, Literal

import msgspec

from stream.core.churn_rules import (
    AT_RISK,
    LOST,
    NOTHING,
    POSITION,
    RULES,
    WATCH,
    crossings,
    levels,
    next_crossing,
)
from stream.core.churn_settings import ChurnSettings, Limits
from stream.core.customers import (
    Activity,
    Answered,
    Customer,
    Standing,
    VisitStarted,
    fold,
    last_sign_ms,
)
from stream.core.deadlines import Deadlines
from stream.core.event_time import NEVER_MS
from stream.core.policy import HOUR_MS

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


def judge(
    customer: Customer, limits: Limits, now_ms: int, cause: Cause, forgotten_ms: int
) -> tuple[Verdict, Cause | None]:
    """Judge the customer, and move their standing and when they are due: at `forgotten_ms` at the latest.

    The second is the cause of a signal, None without one.
    """
    found, before = verdict(customer, limits, now_ms), customer.standing
    state = next_state(before.state, found.health, found.is_absent, limits)
    told = _cause(before, state, found, cause)
    transition = before.transition + (told is not None)
    customer.standing = Standing(state, transition, found.levels)
    ahead_ms = next_crossing(customer, limits, now_ms, found.levels)
    customer.due_ms = forgotten_ms if ahead_ms is None else min(ahead_ms, forgotten_ms)
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


def forgotten_from_ms(customer: Customer, settings: ChurnSettings) -> int:
    """When the customer was silent for so long that nothing is kept of them."""
    return last_sign_ms(customer) + settings.remember_ms


class Forgotten(msgspec.Struct, frozen=True):
    """Nothing is kept of the customer any more."""

    key: Key
    transition: int  # signals told of them


class Outcome(msgspec.Struct):
    """What some step changed, in order of time. Who is forgotten may come back, as somebody new."""

    told: list[Signal | Forgotten] = []
    trips: list[Trip] = []

    @property
    def signals(self) -> list[Signal]:
        return [one for one in self.told if isinstance(one, Signal)]

    @property
    def forgotten(self) -> list[Forgotten]:
        return [one for one in self.told if isinstance(one, Forgotten)]


class Book:
    """Customers, and when to look at which of them again.

    The clock is the highest time told; it decides when deadlines fire. `customers` may be the few that the
    next step needs (`upcoming` says which are due); `deadlines`, which are changed from now on, are those of
    everybody. Customers and clock are the state: a Book of the same goes on where another one stopped.
    """

    def __init__(
        self,
        settings: ChurnSettings,
        customers: dict[Key, Customer] | None = None,
        clock_ms: int = NEVER_MS,
        deadlines: dict[Key, int] | None = None,
    ) -> None:
        self.settings = settings
        self.customers: dict[Key, Customer] = {} if customers is None else customers
        self.clock_ms = clock_ms
        self.deadlines: dict[Key, int] = {} if deadlines is None else deadlines
        for key, customer in self.customers.items():
            self.deadlines.setdefault(key, customer.due_ms)
        self._sort()

    def apply(self, key: Key, activity: Activity, known_ms: int) -> Outcome:
        """Take an activity known since `known_ms`: first what fell due before, then what it changes."""
        outcome = Outcome()
        self._advance(known_ms, outcome)
        customer = self.customers.get(key)
        if customer is None:
            customer = self.customers[key] = Customer()
        limits = self.settings.of(key[0], customer.plan)
        fold(customer, activity, limits.occasion_ms)
        self._judge(key, customer, max(self.clock_ms, activity.at_ms), _cause_of(activity), outcome)
        return outcome

    def advance(self, now_ms: int, through: Key | None = None) -> Outcome:
        """Let time pass: every deadline up to `now_ms`, each judged at its own instant.

        through: of the deadlines at `now_ms` itself only those up to this customer, in order of their keys.
        """
        outcome = Outcome()
        self._advance(now_ms, outcome, through)
        return outcome

    def upcoming(self, until_ms: int, count: int) -> list[tuple[int, Key]]:
        """The next deadlines up to `until_ms`, so many at most: (ms, whose), in this order."""
        found: list[tuple[int, Key]] = []
        while len(found) < count and (one := self._take(until_ms)) is not None:
            if one not in found[-1:]:
                found.append(one)
        for one in found:
            heapq.heappush(self._soon, one)
        return found

    def _advance(self, now_ms: int, outcome: Outcome, through: Key | None = None) -> None:
        while (one := self._take(now_ms)) is not None:
            at_ms, key = one
            if through is not None and one > (now_ms, through):
                heapq.heappush(self._soon, one)
                now_ms -= 1  # it is not over for everybody
                break
            customer = self.customers[key]
            if at_ms >= forgotten_from_ms(customer, self.settings):
                del self.customers[key], self.deadlines[key]
                outcome.told.append(Forgotten(key, customer.standing.transition))
            else:
                self._judge(key, customer, at_ms, "time", outcome)
        self.clock_ms = max(self.clock_ms, now_ms)

    def _file(self, key: Key, deadline_ms: int) -> None:
        if self.deadlines.get(key) != deadline_ms:
            self.deadlines[key] = deadline_ms
            self._later.file(deadline_ms, key)
            self._filed += 1
            if self._filed > len(self.deadlines) + 1000:
                self._sort()

    def _sort(self) -> None:
        """Anew, without the deadlines that have moved."""
        self._filed = 0
        self._soon: list[tuple[int, Key]] = []  # those of the hour at hand, a heap
        self._later = Deadlines[Key](HOUR_MS)  # a tuple for each would take more than all else of it
        for key, deadline_ms in self.deadlines.items():
            self._later.file(deadline_ms, key)

    def _take(self, until_ms: int) -> tuple[int, Key] | None:
        """The next deadline up to `until_ms`, None if there is none. It is not filed any more."""
        for key in self._later.due(until_ms):
            at_ms = self.deadlines.get(key)
            if at_ms is not None and at_ms // HOUR_MS <= until_ms // HOUR_MS:  # else filed again, for later
                heapq.heappush(self._soon, (at_ms, key))
        while self._soon and self._soon[0][0] <= until_ms:
            one = heapq.heappop(self._soon)
            if self.deadlines.get(one[1]) == one[0]:
                return one
        return None

    def _judge(self, key: Key, customer: Customer, now_ms: int, cause: Cause, outcome: Outcome) -> None:
        limits = self.settings.of(key[0], customer.plan)
        before = customer.standing
        forgotten_ms = forgotten_from_ms(customer, self.settings)
        found, told = judge(customer, limits, now_ms, cause, forgotten_ms)
        self._file(key, customer.due_ms)
        was = before.levels or (NOTHING,) * len(RULES)
        outcome.trips += [
            Trip(key, rule.name, now_ms, level, earlier)
            for rule, level, earlier in zip(RULES, found.levels, was, strict=True)
            if max(level, NOTHING) != max(earlier, NOTHING)
        ]
        if told is not None:
            ahead = silence_leads_to(customer, limits, now_ms)
            outcome.told.append(_signal(key, customer, limits, before, now_ms, told, found.health, ahead))


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
