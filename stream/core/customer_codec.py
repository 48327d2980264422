"""A customer in few bytes, for tables of millions of them: all of it, to the last bit.

`FORMAT` and the count of numbers, a byte each; the numbers as varints (7 bits a byte, lowest first; what may
be negative as 2n or -2n - 1); floats as they are; texts as UTF-8. Times are differences from times near them.
When a customer is due comes first: of the many for whom nothing is due nothing else is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from stream.core.customers import Answered, Customer, Kind, Rhythm, Standing

FORMAT: Final = 1
_FADING: Final = Struct("<2d")
_RHYTHM: Final = Struct("<3d")
_LEVELS: Final = 5  # -1 to 3


def encode(customer: Customer) -> bytes:
    """Pack; `decode` gives an equal customer."""
    rhythm, standing, plan = customer.rhythm, customer.standing, (customer.plan or "").encode()
    numbers = [
        _signed(customer.due_ms),
        _signed(customer.due_ms - customer.last_ms),
        _signed(customer.last_ms - customer.started_ms),
        _signed(customer.started_ms - customer.first_ms),
        _signed(customer.engaged_ms),
        customer.visits, customer.conversions, rhythm.gaps,
        standing.state, standing.transition, _joined(standing.levels), len(plan),
    ]  # fmt: skip
    surveys = _put_answers(numbers, customer)
    floats = _FADING.pack(customer.short, customer.long)
    if rhythm.gaps:
        floats += _RHYTHM.pack(rhythm.mean, rhythm.squares, rhythm.recent)
    return b"".join((bytes((FORMAT, len(numbers))), _varints(numbers), floats, plan, *surveys))


def decode(data: bytes) -> Customer:
    """Raises ValueError when it was packed by another version."""
    numbers, at = _numbers(data)
    of = iter(numbers)
    due_ms = _unsigned(next(of))
    last_ms = due_ms - _unsigned(next(of))
    started_ms = last_ms - _unsigned(next(of))
    first_ms = started_ms - _unsigned(next(of))
    engaged_ms = _unsigned(next(of))
    visits, conversions, gaps, state, transition, levels, length = (next(of) for _ in range(7))
    short, long = _FADING.unpack_from(data, at)
    at += _FADING.size
    rhythm = Rhythm()
    if gaps:
        rhythm = Rhythm(gaps, *_RHYTHM.unpack_from(data, at))
        at += _RHYTHM.size
    plan = data[at : at + length].decode() or None
    nps, csat = _take_answers(of, data, at + length, last_ms)
    return Customer(
        visits, first_ms, started_ms, last_ms, rhythm, short, long, engaged_ms, conversions, plan, nps, csat,
        Standing(state, transition, _split(levels)), due_ms,
    )  # fmt: skip


def decode_due_ms(data: bytes) -> int:
    """When the packed customer is due. Raises like `decode`."""
    [due], _ = _numbers(data, 1)
    return _unsigned(due)


def _put_answers(numbers: list[int], customer: Customer) -> list[bytes]:
    """Each survey once, then of each answer the time since the one before, which survey, score and scale.

    Returns the surveys.
    """
    answers = (*customer.nps, *customer.csat)
    if not answers:
        return []
    names = list(dict.fromkeys(one.survey_id for one in answers))
    surveys = [name.encode() for name in names]
    numbers += [len(customer.nps), len(customer.csat), len(surveys), *map(len, surveys)]
    before_ms = customer.last_ms
    for one in answers:
        numbers += _signed(one.at_ms - before_ms), names.index(one.survey_id), _signed(one.score)
        before_ms = one.at_ms
        if one.kind == "csat":
            numbers += _signed(one.scale_min), _signed(one.scale_max)
    return surveys


def _take_answers(
    of: Iterator[int], data: bytes, at: int, before_ms: int
) -> tuple[tuple[Answered, ...], tuple[Answered, ...]]:
    nps, csat, surveys = (next(of, 0) for _ in range(3))
    names = []
    for length in [next(of) for _ in range(surveys)]:
        names.append(data[at : at + length].decode())
        at += length
    kinds: tuple[tuple[Kind, int], ...] = (("nps", nps), ("csat", csat))
    found = []
    for kind in (kind for kind, given in kinds for _ in range(given)):
        before_ms += _unsigned(next(of))
        survey_id, score = names[next(of)], _unsigned(next(of))
        scale = (_unsigned(next(of)), _unsigned(next(of))) if kind == "csat" else ()
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


def _signed(number: int) -> int:
    """As a number that is not negative: 0, -1, 1, -2 are 0, 1, 2, 3."""
    return 2 * number if number >= 0 else -2 * number - 1


def _unsigned(number: int) -> int:
    """Back from `_signed`."""
    return -(number >> 1) - 1 if number & 1 else number >> 1


def _varints(numbers: Iterable[int]) -> bytearray:
    data = bytearray()
    for number in numbers:
        while number > 0x7F:
            data.append(number & 0x7F | 0x80)
            number >>= 7
        data.append(number)
    return data


def _numbers(data: bytes, at_most: int | None = None) -> tuple[list[int], int]:
    """The numbers of a packed customer, and where they end."""
    if len(data) < 2 or data[0] != FORMAT:
        raise ValueError("customers in the tables were kept by another version: use another namespace")
    count = data[1] if at_most is None else at_most
    found, number, shift, at = list[int](), 0, 0, 2
    while len(found) < count:
        byte = data[at]
        at += 1
        if byte > 0x7F:
            number |= (byte & 0x7F) << shift
            shift += 7
        else:
            found.append(number | byte << shift)
            number = shift = 0
    return found, at
