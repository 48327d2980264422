"""What a record's bytes must be before anybody looks for fields: small, UTF-8, plain JSON, not too deep."""

import re
from typing import Final

from pydantic_core import from_json

from schemas.dead_letters import ErrorCode, InvalidRecord

MAX_RECORD_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 128
"""Levels of arrays and objects. A parser's own limit depends on how deep its caller stands in the stack;
with this one every reader refuses the same records."""
SMALL_RECORD_BYTES: Final = 2 * MAX_DEPTH
"""Up to this size no text can exceed a limit: each level needs two bytes."""
MAX_DIGITS: Final = 1000
"""Digits in a row in a number. Beyond 4300 Python refuses to read an integer, other readers round it."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_MANY_DIGITS = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))


def exceeds_limits(text: bytes) -> bool:
    """Tell whether a JSON text is too large, too deep or has too long a number.

    The answer for a text that is not JSON may be either. Cheap for the usual record: one comparison up
    to SMALL_RECORD_BYTES, a count of the brackets above.
    """
    size = len(text)
    if size <= SMALL_RECORD_BYTES:
        return False
    return (
        size > MAX_RECORD_BYTES
        or (text.count(b"[") + text.count(b"{") > MAX_DEPTH and _is_too_deep(text))
        or (size > MAX_DIGITS and _has_long_number(text))
    )


def _is_too_deep(text: bytes) -> bool:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _has_long_number(text: bytes) -> bool:
    # The search in the whole text is the fast way out; only a hit is worth cutting the strings away.
    return _MANY_DIGITS.search(text) is not None and _MANY_DIGITS.search(_STRING.sub(b"", text)) is not None


def parse_json(text: bytes) -> object:
    """Return the JSON value in `text`; of a repeated name in an object the last one counts.

    Raises InvalidRecord `too_large` or `invalid_json`: not UTF-8, not JSON, NaN or Infinity, half of a
    surrogate pair, deeper than MAX_DEPTH, a number of more than MAX_DIGITS digits.
    """
    if len(text) > MAX_RECORD_BYTES:
        raise InvalidRecord(ErrorCode.TOO_LARGE, f"{len(text)} bytes; the limit is {MAX_RECORD_BYTES}")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise InvalidRecord(ErrorCode.INVALID_JSON, f"not UTF-8 at byte {error.start}") from None
    if exceeds_limits(text):
        message = f"nested deeper than {MAX_DEPTH} levels, or a number of more than {MAX_DIGITS} digits"
        raise InvalidRecord(ErrorCode.INVALID_JSON, message)
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRecord(ErrorCode.INVALID_JSON, f"not JSON: {error}") from None
