"""Dead letters that are larger than a broker takes as they are.

The broker limits the *packed* size of a record set. So a record may unpack to more than it would take from
us, and its dead letter is packed again. Where even that is refused, the value is cut, and the message says
so: a partition's outputs must never wait for one record that cannot leave.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from schemas.dead_letters import HEADER_MESSAGE
from stream.pipeline.batch import Output

BATCH_BYTES: Final = 512 * 1024
"""A broker takes 1 MiB per record set by default, keys and framing included."""
KEPT_BYTES: Final = 64 * 1024
"""Of a value that must be cut: as much as the largest valid event has."""


def is_large(output: Output) -> bool:
    """Whether it fills a record set of its own."""
    return output.value is not None and len(output.value) > BATCH_BYTES


def packed_batch(*, transactional: bool) -> BatchBuilder:
    """An empty batch that is sent gzip-packed; every client can read that."""
    return BatchBuilder(BATCH_BYTES, DefaultRecordBatch.CODEC_GZIP, is_transactional=transactional)


def shortened(output: Output) -> Output:
    """A dead letter with the beginning of its value; anything that is not large as it is."""
    if not is_large(output) or output.schema or output.value is None:
        return output
    note = (
        f"; the dead-letter topic takes no more than the first {KEPT_BYTES} of its {len(output.value)} bytes"
    )
    last = max(index for index, (name, _) in enumerate(output.headers) if name == HEADER_MESSAGE)
    headers = [
        (name, text + note.encode()) if index == last else (name, text)
        for index, (name, text) in enumerate(output.headers)
    ]
    return msgspec.structs.replace(output, value=output.value[:KEPT_BYTES], headers=headers)
