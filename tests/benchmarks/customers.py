"""What keeping customers costs: `python -m tests.benchmarks.customers` prints the tables of docs/churn.md.

CPU seconds of this process, by how many customers there are: a claim, a look when nothing is due, and who is
due, in pages as the worker judges them. Bytes in a redis-server, by how many answers are kept.
"""

from __future__ import annotations

import gc
import random
import resource
import sys
import time
from statistics import median

import msgspec
import redis

from stream.core.churn import Book
from stream.core.churn_settings import ChurnSettings
from stream.core.customer_codec import decode, decode_due_ms, encode
from stream.core.customers import Activity, Answered, Customer, VisitEnded, VisitStarted
from stream.core.policy import DAY_MS, MINUTE_MS
from stream.pipeline.customer_partition import parse_customer_field
from stream.pipeline.partition_state import visitor_field
from tests.servers import RealRedis

START_MS = 1_700_000_000_000
SETTINGS = ChurnSettings()
STORED = 140_000
"""A little more than a power of two: the hash has just doubled its table, and is as loose as it gets."""
PAGE, PAGES = 100, 40
SITE = "shop"
SURVEYS = ("post-buy", "care-now", "delivery", "checkout", "returned", "new-page", "pricing1", "feedback")


class Cost(msgspec.Struct):
    """One row. Of the claim seconds, of a look and of who is due microseconds."""

    customers: int
    claim_s: float
    idle_us: float
    due_us: float
    bytes_each: float


def weekly(answers: int = 0, surveys: int = 2) -> Customer:
    """Nine visits, and so many answers of each kind, to so many surveys in turn."""
    doing: list[Activity] = []
    for day in range(0, 57, 7):
        begin_ms = START_MS + day * DAY_MS + 17
        doing += [VisitStarted(begin_ms, "premium"), VisitEnded(begin_ms + 10 * MINUTE_MS, MINUTE_MS)]
    for day in range(answers):
        at_ms = START_MS + (57 + day) * DAY_MS
        asked = [SURVEYS[number % surveys] for number in (2 * day, 2 * day + 1)]
        doing += [Answered(at_ms, asked[0], "nps", 7), Answered(at_ms, asked[1], "csat", 4)]
    book, key = Book(SETTINGS), (SITE, "c")
    for activity in doing:
        book.apply(key, activity, activity.at_ms)
    return book.customers[key]


def cost(customers: int) -> Cost:
    """As a claim reads them, and as pages of who is due are judged; deadlines over ten weeks."""
    packed, chance, before = encode(weekly()), random.Random(1), _memory()
    began = time.process_time()
    deadlines = {}
    for number in range(customers):
        key = parse_customer_field(visitor_field(SITE, f"customer-{number:08d}"))
        deadlines[key] = decode_due_ms(packed)
        deadlines[key] = START_MS + chance.randrange(70 * DAY_MS, 140 * DAY_MS)
    book = Book(SETTINGS, {}, START_MS + 70 * DAY_MS - 1, deadlines)
    claimed, after = time.process_time(), _memory()
    idle_us = median(_idle_us(book) for _ in range(PAGES))
    until_ms = START_MS + (72 + 70 * PAGE * PAGES // customers) * DAY_MS
    return Cost(
        customers, claimed - began, idle_us,
        median(_page_us(book, until_ms, packed) for _ in range(PAGES)), (after - before) / customers,
    )  # fmt: skip


def _idle_us(book: Book) -> float:
    """Of each look when nothing is due."""
    begun = time.process_time()
    for _ in range(100):
        assert book.upcoming(book.clock_ms, PAGE) == []
        book.advance(book.clock_ms)
    return (time.process_time() - begun) / 100 * 1e6


def _page_us(book: Book, until_ms: int, packed: bytes) -> float:
    """Of each customer of the next page."""
    begun = time.process_time()
    page = book.upcoming(until_ms, PAGE)
    book.customers = {key: decode(packed) for _, key in page}
    book.advance(*page[-1])
    assert all(encode(one) for one in book.customers.values())
    return (time.process_time() - begun) / len(page) * 1e6


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def stored() -> list[tuple[int, int, int, float]]:
    """(answers, surveys, bytes packed, bytes in the store) of one customer, with an id of 12 letters."""
    found = []
    with RealRedis() as server, redis.Redis.from_url(server.url) as client:
        for answers, surveys in ((0, 1), (1, 2), (4, 2), (4, 8)):
            client.flushall()
            packed = encode(weekly(answers, surveys))
            pipe = client.pipeline(transaction=False)
            for number in range(STORED):
                pipe.hset("customers", visitor_field(SITE, f"c-{number:010d}"), packed)
            pipe.execute()
            taken = client.memory_usage("customers", samples=0)
            found.append((2 * answers, surveys if answers else 0, len(packed), taken / STORED))
    return found


def main() -> None:
    gc.set_threshold(100_000, 20, 20)  # as the worker does
    print("| customers of a partition | claim | nothing due | each who is due | memory of each |")
    print("|---|---|---|---|---|")
    for customers in (10_000, 100_000, 1_000_000):
        one = cost(customers)
        print(
            f"| {one.customers:,} | {one.claim_s:.2f} s | {one.idle_us:.1f} us | {one.due_us:.0f} us "
            f"| {one.bytes_each:.0f} B |"
        )
        sys.stdout.flush()
    print("\n| answers kept | surveys | packed | in redis-server, with its field |\n|---|---|---|---|")
    for answers, surveys, packed, in_store in stored():
        print(f"| {answers} | {surveys} | {packed} B | {in_store:.0f} B |")


if __name__ == "__main__":
    main()
