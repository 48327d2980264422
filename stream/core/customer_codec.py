"""A customer in few bytes, for tables of millions of them: all of it, to the last bit.

`FORMAT`, then numbers as varints (7 bits a byte, lowest first; what may be negative as 2n or -2n - 1), floats
as they are, texts as UTF-8 with their length. Times are differences from times near them. When a customer is
due comes first: of the many for whom nothing is due nothing else is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from stream.core.customers import Answered, Customer, Kind, Rhythm, Standing

FORMAT: Final = 1
_FADING: Final = Struct("<2d")
_RHYTHM: Final = Struct("<3d")
_LEVELS: Final = 5  # -1 to 3


def encode(customer: Customer) -> bytes:
    """Pack; `decode` gives an equal customer."""
    rhythm, standing, to = customer.rhythm, customer.standing, _Writer()
    to.signed(customer.due_ms)
    to.signed(customer.due_ms - customer.last_ms)
    to.signed(customer.last_ms - customer.started_ms)
    to.signed(customer.started_ms - customer.first_ms)
    to.signed(customer.engaged_ms)
    for count in (customer.visits, customer.conversions, standing.state, standing.transition):
        to.unsigned(count)
    to.unsigned(_joined(standing.levels))
    to.text(customer.plan or "")
    to.data += _FADING.pack(customer.short, customer.long)
    to.unsigned(rhythm.gaps)
    if rhythm.gaps:
        to.data += _RHYTHM.pack(rhythm.mean, rhythm.squares, rhythm.recent)
    _write_answers(to, customer)
    return bytes(to.data)


def decode(data: bytes) -> Customer:
    """Raises ValueError when it was packed by another version."""
    of = _Reader(data)
    due_ms = of.signed()
    last_ms = due_ms - of.signed()
    started_ms = last_ms - of.signed()
    first_ms = started_ms - of.signed()
    engaged_ms = of.signed()
    visits, conversions, state, transition = (of.unsigned() for _ in range(4))
    standing = Standing(state, transition, _split(of.unsigned()))
    plan = of.text() or None
    short, long = of.floats(_FADING)
    gaps = of.unsigned()
    rhythm = Rhythm(gaps, *of.floats(_RHYTHM)) if gaps else Rhythm()
    nps, csat = _read_answers(of, last_ms)
    return Customer(
        visits, first_ms, started_ms, last_ms, rhythm, short, long, engaged_ms, conversions, plan, nps, csat,
        standing, due_ms,
    )  # fmt: skip


def decode_due_ms(data: bytes) -> int:
    """When the packed customer is due. Raises like `decode`."""
    return _Reader(data).signed()


def _write_answers(to: _Writer, customer: Customer) -> None:
    """Each survey once, then of each answer the time since the one before, which survey, score and scale."""
    answers = (*customer.nps, *customer.csat)
    surveys = list(dict.fromkeys(one.survey_id for one in answers))
    for count in (len(surveys), len(customer.nps), len(customer.csat)):
        to.unsigned(count)
    for survey_id in surveys:
        to.text(survey_id)
    before_ms = customer.last_ms
    for one in answers:
        to.signed(one.at_ms - before_ms)
        before_ms = one.at_ms
        to.unsigned(surveys.index(one.survey_id))
        to.signed(one.score)
        if one.kind == "csat":
            to.signed(one.scale_min)
            to.signed(one.scale_max)


def _read_answers(of: _Reader, before_ms: int) -> tuple[tuple[Answered, ...], tuple[Answered, ...]]:
    count, nps, csat = (of.unsigned() for _ in range(3))
    surveys = [of.text() for _ in range(count)]
    kinds: tuple[tuple[Kind, int], ...] = (("nps", nps), ("csat", csat))
    found = []
    for kind in (kind for kind, given in kinds for _ in range(given)):
        before_ms += of.signed()
        survey_id, score = surveys[of.unsigned()], of.signed()
        scale = (of.signed(), of.signed()) if kind == "csat" else ()
        found.append(Answered(before_ms, survey_id, kind, score, *scale))
    return tuple(found[:nps]), tuple(found[nps:])


def _joined(levels: Iterable[int]) -> int:
    """Levels as the digits of one number, behind a 1, so that none of them is lost."""
    number = 1
    for level in levels:
        number = _LEVELS * number + level + 1
    return number


def _split(number: int) -> tuple[int, ...]:
    found = list[int]()
    while number > 1:
        number, digit = divmod(number, _LEVELS)
        found.append(digit - 1)
    return tuple(reversed(found))


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray((FORMAT,))

    def unsigned(self, number: int) -> None:
        while number > 0x7F:
            self.data.append(number & 0x7F | 0x80)
            number >>= 7
        self.data.append(number)

    def signed(self, number: int) -> None:
        self.unsigned(2 * number if number >= 0 else -2 * number - 1)

    def text(self, text: str) -> None:
        data = text.encode()
        self.unsigned(len(data))
        self.data += data


class _Reader:
    def __init__(self, data: bytes) -> None:
        if data[:1] != bytes((FORMAT,)):
            raise ValueError("customers in the tables were kept by another version: use another namespace")
        self._data = data
        self._at = 1

    def unsigned(self) -> int:
        data, at, shift = self._data, self._at, 7
        byte = number = data[at]
        while byte > 0x7F:
            at += 1
            byte = data[at]
            number += (byte - 1) << shift  # with what the byte before said of its being followed taken off
            shift += 7
        self._at = at + 1
        return number

    def signed(self) -> int:
        number = self.unsigned()
        return number >> 1 if number & 1 == 0 else -(number >> 1) - 1

    def text(self) -> str:
        size = self.unsigned()
        self._at += size
        return self._data[self._at - size : self._at].decode()

    def floats(self, which: Struct) -> tuple[float, ...]:
        self._at += which.size
        return which.unpack_from(self._data, self._at - which.size)
