"""What keeping customers costs: `python -m tests.benchmarks.customers` prints the table of docs/churn.md.

CPU seconds of this process, by how many customers there are: a claim, a look when nothing is due, and a
customer who is due. Bytes in a redis-server, by how many answers are kept.
"""

from __future__ import annotations

import random
import resource
import sys
import time

import msgspec
import redis

from stream.core.churn import Book, due_ms
from stream.core.churn_settings import ChurnSettings
from stream.core.customers import Activity, Answered, Customer, VisitEnded, VisitStarted, decode, encode
from stream.core.policy import DAY_MS, MINUTE_MS
from stream.pipeline.customer_partition import parse_customer_field
from stream.pipeline.partition_state import visitor_field
from tests.servers import RealRedis

START_MS = 1_700_000_000_000
SETTINGS = ChurnSettings()
STORED = 200_000
SITE = "shop"


class Cost(msgspec.Struct):
    """One row. Of the claim seconds, of a look and of who is due microseconds."""

    customers: int
    claim_s: float
    idle_us: float
    due: int
    due_us: float
    bytes_each: float


def weekly(answers: int = 0) -> Customer:
    """Nine visits, and so many answers of each kind."""
    doing: list[Activity] = []
    for day in range(0, 57, 7):
        begin_ms = START_MS + day * DAY_MS + 17
        doing += [VisitStarted(begin_ms, "premium"), VisitEnded(begin_ms + 10 * MINUTE_MS, MINUTE_MS)]
    for day in range(answers):
        at_ms = START_MS + (57 + day) * DAY_MS
        doing += [Answered(at_ms, "post-buy", "nps", 7), Answered(at_ms, "care-now", "csat", 4)]
    book, key = Book(SETTINGS), (SITE, "c")
    for activity in doing:
        book.apply(key, activity, activity.at_ms)
    return book.customers[key]


def cost(customers: int, due: int = 2_000) -> Cost:
    """As a claim reads them, and as pages of who is due are judged; deadlines over ten weeks."""
    packed, chance, before = encode(weekly()), random.Random(1), _memory()
    began = time.process_time()
    deadlines = {}
    for number in range(customers):
        key = parse_customer_field(visitor_field(SITE, f"customer-{number:08d}"))
        due_ms(decode(packed), SETTINGS)
        deadlines[key] = START_MS + chance.randrange(70 * DAY_MS, 140 * DAY_MS)
    book = Book(SETTINGS, {}, START_MS + 60 * DAY_MS, deadlines)
    claimed, after = time.process_time(), _memory()
    for _ in range(1000):
        assert book.upcoming(book.clock_ms, due) == []
        book.advance(book.clock_ms)
    idle = time.process_time()
    last_ms = book.upcoming(START_MS + 200 * DAY_MS, due)[-1][0]
    begun = time.process_time()
    page = book.upcoming(last_ms, due)
    book.customers = {key: decode(packed) for _, key in page}
    book.advance(last_ms)
    assert all(encode(one) for one in book.customers.values())
    took = time.process_time() - begun
    return Cost(
        customers, claimed - began, (idle - claimed) * 1000, len(page), took / len(page) * 1e6,
        (after - before) / customers,
    )  # fmt: skip


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def stored() -> list[tuple[int, int, float]]:
    """(answers, bytes packed, bytes in the store) of one customer."""
    found = []
    with RealRedis() as server, redis.Redis.from_url(server.url) as client:
        for answers in (0, 1, 4):
            client.flushall()
            packed, before = encode(weekly(answers)), client.info("memory")["used_memory"]
            pipe = client.pipeline(transaction=False)
            for number in range(STORED):
                pipe.hset("customers", visitor_field(SITE, f"c-{number:07d}"), packed)
            pipe.execute()
            more = client.info("memory")["used_memory"] - before
            found.append((2 * answers, len(packed), more / STORED))
    return found


def main() -> None:
    print("| customers of a partition | claim | nothing due | each who is due | memory of each |")
    print("|---|---|---|---|---|")
    for customers in (10_000, 100_000, 1_000_000):
        one = cost(customers)
        print(
            f"| {one.customers:,} | {one.claim_s:.2f} s | {one.idle_us:.1f} us | {one.due_us:.0f} us "
            f"| {one.bytes_each:.0f} B |"
        )
        sys.stdout.flush()
    print("\n| answers kept | packed | in redis-server, with its field |\n|---|---|---|")
    for answers, packed, in_store in stored():
        print(f"| {answers} | {packed} B | {in_store:.0f} B |")


if __name__ == "__main__":
    main()
