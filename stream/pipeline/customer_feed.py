"""What the customer stage is told of one partition's visits: each thing once, numbered, by the outbox.

Visits are told of when no earlier event is expected any more: the begin once it is settled, the end a gap
after the last event. Whose a visit is says the first event that names somebody; what happened in it before
goes along. A visit without a name is nobody's, or, if the settings say so, its visitor's once it is over.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from schemas.keys import churn_key
from schemas.topics import CUSTOMER_ACTIVITY
from stream.core.arrivals import Told
from stream.core.churn import Key
from stream.core.customers import Activity, Answered, Converted, VisitEnded, VisitStarted
from stream.core.deadlines import Deadlines
from stream.core.event_time import FOREVER_MS, NEVER_MS, Progress, has_passed
from stream.core.events import Event, SurveyAnswer
from stream.core.sessions import GONE, Customer, Session, Telling, Visitor
from stream.pipeline.batch import Output

# How far everything is told goes to each partition of the next stage: with 64 of them 800 records a second.
_CLOCK_EVERY_MS = 5_000


class Message(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One record of the topic; namespaces share it."""

    namespace: str
    source: int  # partition
    told: Told


class FeedMark(msgspec.Struct, array_like=True, frozen=True):
    """Where a feed stands."""

    number: int = 0
    clock_ms: int = NEVER_MS  # everything up to here was told


class FeedSettings(msgspec.Struct, frozen=True):
    """partitions: of the topic, as many as the events' have."""

    namespace: str
    partitions: int
    gap_ms: int
    order_within_ms: int
    anonymous: bool


_encode = msgspec.msgpack.Encoder().encode
decode_message = msgspec.msgpack.Decoder(Message).decode

Visit = tuple[Visitor, Session]


class CustomerFeed:
    """The feed of one partition. `mark` and the sessions' own notes are its state."""

    def __init__(self, settings: FeedSettings, source: int, mark: FeedMark | None) -> None:
        self._settings = settings
        self._source = source
        self.mark = mark or FeedMark()
        self._number = self.mark.number
        self._clock_announced_at_ms = 0
        self._looks: Deadlines[Visit] = Deadlines()  # against the clock
        self._claims: Deadlines[tuple[Visitor, Answered]] = Deadlines()  # the same
        self._outputs: list[Output] = []

    def restore(self, visitors: Iterable[Visitor]) -> None:
        """Go on with visits that began before."""
        for visitor in visitors:
            for session in visitor.sessions:
                if session.telling is None:
                    session.telling = Telling(session.customer)
                self._looks.file(session.first_ms, (visitor, session))
            for answer in visitor.unclaimed:
                self._claims.file(answer.at_ms, (visitor, answer))

    def saw(self, visitor: Visitor, session: Session, event: Event, t: int) -> None:
        """A visit began, or changed in another way than by going on."""
        if session.telling is None:
            session.telling = Telling()
        self.named(visitor, session, event, t)
        self._looks.file(session.first_ms, (visitor, session))

    def named(self, visitor: Visitor, session: Session, event: Event, t: int) -> None:
        """The event may name somebody."""
        telling = session.telling
        assert telling is not None, "every visit was seen"
        if event.customer_id is None:
            return
        named = Customer(t, event.event_id, event.customer_id)
        if telling.named is None or named < telling.named:
            telling.named = named
            self._looks.file(t, (visitor, session))

    def reached(self, visitor: Visitor, session: Session, goal: str, t: int) -> None:
        """A goal was reached in the visit."""
        self._did(visitor.site_id, session, Converted(t, goal))

    def answered(self, visitor: Visitor, event: SurveyAnswer, t: int) -> None:
        """A survey was answered. One that is anonymous on purpose, or was skipped, tells nothing.

        It may be read before the visit around it; then it waits, as long as the visitor is remembered for it.
        """
        if event.score is None or event.respondent_id == "":
            return
        answer = Answered(
            t, event.survey_id, event.survey_kind, event.score, event.scale_min, event.scale_max
        )
        if event.customer_id is not None:
            self._tell((event.site_id, event.customer_id), t, answer)
            return
        visitor.unclaimed = (*visitor.unclaimed, answer)
        if (
            self._around(visitor, answer) is not None
            or t <= self.mark.clock_ms
            or t not in (visitor.marks or ())
        ):
            self._claim(visitor, answer)
        else:
            self._claims.file(t, (visitor, answer))

    def finish(self, visitor: Visitor, session: Session) -> None:
        """The visit is final and will be forgotten."""
        for answer in visitor.unclaimed:
            if self._around(visitor, answer) is session:
                self._claim(visitor, answer)
        self._look(visitor, session, FOREVER_MS)

    def part(self, visitor: Visitor) -> None:
        """The visitor will be forgotten."""
        for answer in visitor.unclaimed:
            self._claim(visitor, answer)

    def sweep(self, progress: Progress, wall_ms: int | None) -> list[Visitor]:
        """Tell what is due. Returns the visitors of whom something was told."""
        clock_ms = max(self.mark.clock_ms, progress.complete_ms() - self._settings.order_within_ms)
        touched = [
            visitor
            for visitor, session in self._looks.due(clock_ms)
            if session.phase != GONE and self._look(visitor, session, clock_ms)
        ]
        for visitor, answer in self._claims.due(clock_ms):
            if answer.at_ms > clock_ms:
                self._claims.file(answer.at_ms, (visitor, answer))
            elif answer in visitor.unclaimed:
                self._claim(visitor, answer)
                touched.append(visitor)
        now_ms = wall_ms or 0
        if clock_ms > self.mark.clock_ms and has_passed(now_ms, self._clock_announced_at_ms, _CLOCK_EVERY_MS):
            self._clock_announced_at_ms = now_ms
            self._announce(clock_ms)
        self.mark = FeedMark(self._number, self.mark.clock_ms)
        return touched

    def take(self) -> list[Output]:
        """What is to be produced."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def _look(self, visitor: Visitor, session: Session, clock_ms: int) -> bool:
        """Tell what of the visit is settled by now, and look again when more may be."""
        telling, end_ms = session.telling, session.last_ms + self._settings.gap_ms
        assert telling is not None, "every visit was seen"
        over = end_ms <= clock_ms
        told = self._number
        if telling.owner is None and telling.named is not None:
            known_ms = max(session.first_ms, telling.named.at_ms)
            if known_ms > clock_ms:
                self._looks.file(known_ms, (visitor, session))
                return False
            self._begin(visitor, session, telling, telling.named.customer_id, known_ms)
        elif telling.owner is None and over and self._settings.anonymous:
            self._begin(visitor, session, telling, visitor.visitor_id, end_ms)
        if not over:
            self._looks.file(end_ms, (visitor, session))
        elif telling.owner is not None and (telling.ended_ms, telling.engaged_ms) != (
            session.last_ms, session.engaged_ms,
        ):  # fmt: skip
            more_ms = session.engaged_ms - telling.engaged_ms
            telling.ended_ms, telling.engaged_ms = session.last_ms, session.engaged_ms
            self._tell((visitor.site_id, telling.owner), end_ms, VisitEnded(session.last_ms, more_ms))
        return self._number > told

    def _around(self, visitor: Visitor, answer: Answered) -> Session | None:
        """The visit that the answer was given in, or soon after; there is one at most."""
        t, gap_ms = answer.at_ms, self._settings.gap_ms
        return next((one for one in visitor.sessions if one.first_ms <= t <= one.last_ms + gap_ms), None)

    def _claim(self, visitor: Visitor, answer: Answered) -> None:
        """The answer is of the visit around it; without one it is nobody's, or the visitor's."""
        visitor.unclaimed = tuple(one for one in visitor.unclaimed if one is not answer)
        if (session := self._around(visitor, answer)) is not None:
            self._did(visitor.site_id, session, answer)
        elif self._settings.anonymous:
            self._tell((visitor.site_id, visitor.visitor_id), answer.at_ms, answer)

    def _begin(self, visitor: Visitor, session: Session, telling: Telling, owner: str, known_ms: int) -> None:
        key, telling.owner = (visitor.site_id, owner), owner
        self._tell(key, known_ms, VisitStarted(session.first_ms, session.origin.plan))
        waiting, telling.waiting = telling.waiting, ()
        for activity in waiting:
            self._tell(key, max(known_ms, activity.at_ms), activity)

    def _did(self, site_id: str, session: Session, activity: Activity) -> None:
        telling = session.telling
        assert telling is not None, "every visit was seen"
        if telling.owner is None:
            telling.waiting = (*telling.waiting, activity)
        else:
            self._tell((site_id, telling.owner), activity.at_ms, activity)

    def _tell(self, key: Key, known_ms: int, activity: Activity) -> None:
        """What comes after its time was told to be over is known from then on."""
        self._number += 1
        told = Told(self._number, max(known_ms, self.mark.clock_ms + 1), key, activity)
        self._outputs.append(self._output(None, churn_key(*key).encode(), told))

    def _announce(self, clock_ms: int) -> None:
        self._number += 1
        told = Told(self._number, clock_ms)
        self.mark = FeedMark(self._number, clock_ms)
        self._outputs += [self._output(number, None, told) for number in range(self._settings.partitions)]

    def _output(self, partition: int | None, key: bytes | None, told: Told) -> Output:
        value = _encode(Message(self._settings.namespace, self._source, told))
        record_id = f"{self._source}/{told.number}"
        return Output(CUSTOMER_ACTIVITY, partition, key, value, record_id, "", told.known_ms)
