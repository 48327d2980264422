"""A machine that does to one partition what several processes and a bad night do, beside a plain model."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stream.pipeline.ports import HOT_TABLES, Claim, Commit, CommitAnswer, StateTorn, Table
from tests.contracts.backends import Backend, Writer

T = TypeVar("T")

FIELDS = ["a", "b", "\0", "{c}"]
PROCESSES = ["one", "two", "three"]
some_fields = st.lists(st.sampled_from(FIELDS), max_size=3, unique=True)
some_values = st.dictionaries(st.sampled_from(FIELDS), st.binary(max_size=3), max_size=3)
tables = st.sampled_from([Table.VISITORS, Table.TOTALS, Table.SEEN])


class Model:
    """The store as a dict, and the commits that made it: state = those commits applied to nothing."""

    def __init__(self) -> None:
        self.owner = ""
        self.epoch = 0
        self.lineage: list[Commit] = []

    @property
    def last_id(self) -> str:
        return self.lineage[-1].id if self.lineage else ""

    def answer(self, commit: Commit) -> CommitAnswer:
        """What the store must answer; appends to the lineage when it is written."""
        if self.owner != str(commit.owner):
            return CommitAnswer.NEWER_OWNER if self.epoch > commit.owner.epoch else CommitAnswer.WENT_BACK
        if self.last_id == commit.id:
            return CommitAnswer.STORED
        if self.last_id != commit.previous_id:
            return CommitAnswer.WENT_BACK
        self.lineage.append(commit)
        return CommitAnswer.STORED

    def table(self, table: Table) -> dict[str, bytes]:
        values: dict[str, bytes] = {}
        for commit in self.lineage:
            for field in commit.drops.get(table, ()):
                values.pop(field, None)
            values |= commit.puts.get(table, {})
        return values

    def outbox(self) -> list[tuple[int, bytes]]:
        kept: dict[int, bytes] = {}
        for commit in self.lineage:
            kept |= commit.outbox
            kept = {number: value for number, value in kept.items() if number > commit.produced_through}
        return sorted(kept.items())


class TablesMachine(RuleBasedStateMachine):
    """Claims, commits, repeats, zombies, rollbacks and floods of them, on one partition."""

    @staticmethod
    def make_backend() -> Backend:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self.model = Model()
        self.sent: list[Commit] = []
        self.seen_ids: dict[str, str] = {}  # process -> the last commit id that it believes in
        self.saved: list[tuple[Model, Any]] = []
        self.next_output = 1

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @initialize()
    def start(self) -> None:
        self.backend = self.run(self._open())
        self.writers = {name: Writer(self.backend.tables(), name) for name in PROCESSES}

    async def _open(self) -> Backend:
        backend = self.make_backend()
        await backend.flush()
        return backend

    @rule(name=st.sampled_from(PROCESSES))
    def claim(self, name: str) -> None:
        last_epoch = self.writers[name].claimed.owner.epoch
        claim = self.run(self.writers[name].claim())
        assert claim.owner.epoch == max(self.model.epoch, last_epoch) + 1
        assert claim.commit_id == self.model.last_id
        self.model.owner, self.model.epoch = str(claim.owner), claim.owner.epoch
        self.seen_ids[name] = claim.commit_id

    @precondition(lambda self: self.seen_ids)
    @rule(data=st.data(), table=tables, puts=some_values, drops=some_fields, entries=st.integers(0, 3))
    def commit(
        self, data: st.DataObject, table: Table, puts: dict[str, bytes], drops: list[str], entries: int
    ) -> None:
        name = data.draw(st.sampled_from(sorted(self.seen_ids)))
        outbox = {self.next_output + step: name.encode() for step in range(entries)}
        self.next_output += entries
        through = data.draw(st.integers(0, self.next_output))
        commit = self.writers[name].following(
            self.seen_ids[name],
            puts={table: puts},
            drops={table: drops},
            outbox=outbox,
            produced_through=through,
        )
        self.sent.append(commit)
        if self._send(name, commit) is CommitAnswer.STORED:
            self.seen_ids[name] = commit.id

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), name=st.sampled_from(PROCESSES))
    def repeat(self, data: st.DataObject, name: str) -> None:
        """Any commit ever sent arrives again, over any connection."""
        self._send(name, data.draw(st.sampled_from(self.sent)))

    @precondition(lambda self: self.seen_ids)
    @rule(data=st.data())
    def load(self, data: st.DataObject) -> None:
        """The state of a claim is the model's, or torn when something came after claim or last commit."""
        name = data.draw(st.sampled_from(sorted(self.seen_ids)))
        claim = Claim(0, self.writers[name].claimed.owner, self.seen_ids[name])
        if (str(claim.owner), claim.commit_id) != (self.model.owner, self.model.last_id):
            try:
                self.run(self.writers[name].tables.load(claim))
            except StateTorn:
                return
            raise AssertionError("a foreign state was loaded")
        stored = self.run(self.writers[name].tables.load(claim))
        assert stored.head == (self.model.lineage[-1].head if self.model.lineage else None)
        assert stored.tables == {table: self.model.table(table) for table in HOT_TABLES}
        assert list(stored.outbox) == self.model.outbox()

    @rule()
    def save(self) -> None:
        self.saved.append((copy.deepcopy(self.model), self.run(self.backend.snapshot())))

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        model, snapshot = data.draw(st.sampled_from(self.saved))
        self.model = copy.deepcopy(model)
        self.run(self.backend.restore(snapshot))

    @rule()
    def flush(self) -> None:
        self.model = Model()
        self.run(self.backend.flush())

    @invariant()
    def the_store_is_the_model(self) -> None:
        reader = self.writers["one"].tables
        assert self.run(reader.holder(0)) == (self.model.owner, self.model.last_id)
        for table in (Table.VISITORS, Table.TOTALS, Table.SEEN):
            values = self.model.table(table)
            expected = [values.get(field) for field in FIELDS]
            assert self.run(reader.read(0, table, FIELDS)) == expected

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self.run(self.backend.close())
        self._runner.close()

    def _send(self, name: str, commit: Commit) -> CommitAnswer:
        answer = self.run(self.writers[name].tables.commit(commit))
        assert answer is self.model.answer(commit)
        return answer
