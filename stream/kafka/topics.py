"""Create the topics latido needs, and say what is wrong with those that exist. Alters nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from schemas.topics import CUSTOMER_ACTIVITY, INPUT_TOPICS, TopicSpec, topic_specs
from stream.broker_refusal import why_refused
from stream.kafka.errors import BrokerUnreachable, WorkerRefused
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.ports import SnapshotBoard
from stream.pipeline.take_snapshot import decode_header
from stream.pipeline.unreachable import no_broker

log = structlog.get_logger("latido.kafka")

_LIMIT_S = 20.0
_ALREADY_EXISTS = 36


class TopicProblem(msgspec.Struct, frozen=True):
    """One thing that differs from what a topic must look like. `fatal`: a worker refuses to start."""

    topic: str
    what: str
    do: str
    fatal: bool

    def __str__(self) -> str:
        return f"{'error' if self.fatal else 'warning'}: {self.topic} {self.what}; {self.do}"


class Found(msgspec.Struct, frozen=True):
    """A topic as the broker describes it. `settings` is empty where we may not read them."""

    partitions: int
    settings: Mapping[str, str]


async def create_topics(
    client_options: Mapping[str, Any], partitions: int, replication: int | None = None
) -> tuple[list[str], list[str]]:
    """Create what is missing; returns (created, existing). Existing topics are left as they are.

    replication None: three copies, fewer where there are fewer brokers.
    Raises BrokerUnreachable, WorkerRefused.
    """
    async with _admin(client_options) as admin:
        existing = set(await admin.list_topics())
        missing = [spec for spec in topic_specs(partitions) if spec.name not in existing]
        if missing:
            replication = replication or min(3, len((await admin.describe_cluster())["brokers"]))
            answer = await admin.create_topics([_new_topic(spec, replication) for spec in missing])
            _check_created(answer.topic_errors)
    return [spec.name for spec in missing], sorted(existing & {spec.name for spec in topic_specs(partitions)})


def _new_topic(spec: TopicSpec, replication: int) -> NewTopic:
    return NewTopic(spec.name, spec.partitions, replication, topic_configs=spec.config())


def _check_created(errors: Iterable[Sequence[Any]]) -> None:
    for topic, code, *text in errors:
        if code not in (0, _ALREADY_EXISTS):
            reason = (text[0] if text else None) or for_code(code).__name__
            raise WorkerRefused(f"the broker did not create {topic}: {reason}")


async def check_topics(client_options: Mapping[str, Any]) -> list[TopicProblem]:
    """Everything that is wrong with the topics, fatal first. Raises BrokerUnreachable."""
    problems = judge_topics(await describe_topics(client_options))
    return sorted(problems, key=lambda problem: not problem.fatal)


async def describe_topics(client_options: Mapping[str, Any]) -> dict[str, Found]:
    """Our topics that exist. Raises BrokerUnreachable."""
    async with _admin(client_options) as admin:
        # Asked first: some brokers create a topic by describing it.
        wanted = {spec.name for spec in topic_specs()}
        names = sorted(wanted & set(await admin.list_topics()))
        if not names:
            return {}
        described = await admin.describe_topics(names)
        settings = await _settings(admin, names)
    return {
        entry["topic"]: Found(len(entry["partitions"]), settings.get(entry["topic"], {}))
        for entry in described
        if entry["error_code"] == 0
    }


async def _settings(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Empty where the broker refuses to tell."""
    try:
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        )
    except KafkaError:
        return {}
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for code, _message, _kind, name, entries in answer.resources
        if code == 0
    }


def judge_topics(found: Mapping[str, Found]) -> list[TopicProblem]:
    """Compare with schemas/topics.py; the partition count is free, but must be the same everywhere."""
    problems = []
    counts = {name: found[name].partitions for name in INPUT_TOPICS if name in found}
    partitions = max(counts.values(), default=0)
    activity = found.get(CUSTOMER_ACTIVITY)
    if activity is not None and counts and activity.partitions > partitions:
        problems.append(TopicProblem(
            CUSTOMER_ACTIVITY, f"has {activity.partitions} partitions, the input topics have {partitions}",
            "delete it while no worker runs, and run: latido topics create", fatal=True,
        ))  # fmt: skip
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in sorted(counts.items()))
        problems.append(TopicProblem("input topics", f"differ in their number of partitions ({listed})",
                                     "give all four the same number", fatal=True))  # fmt: skip
    for spec in topic_specs(partitions or 1):
        topic = found.get(spec.name)
        if topic is None:
            problems.append(TopicProblem(spec.name, "is missing", "run: latido topics create", fatal=True))
        else:
            problems.extend(_judge(spec, topic))
    return problems


def _judge(spec: TopicSpec, found: Found) -> list[TopicProblem]:
    problems = []
    if spec.name not in INPUT_TOPICS and found.partitions < spec.partitions:
        problems.append(TopicProblem(
            spec.name, f"has {found.partitions} partitions, the input topics have {spec.partitions}",
            f"raise it to {spec.partitions}", fatal=True,
        ))  # fmt: skip
    wanted = spec.config()
    stamp = "message.timestamp.type"
    for setting, why in ((stamp, "one producer's wrong clock could move time"),
                         ("cleanup.policy", "readers rely on it")):  # fmt: skip
        is_checked = setting != stamp or spec.name in INPUT_TOPICS
        value = found.settings.get(setting)
        if is_checked and value is not None and set(value.split(",")) != set(wanted[setting].split(",")):
            problems.append(TopicProblem(
                spec.name, f"has {setting}={value}", f"set {wanted[setting]}: {why}", fatal=False
            ))  # fmt: skip
    return problems


async def check_for_worker(settings: WorkerSettings, board: SnapshotBoard) -> int:
    """The number of partitions. Raises WorkerRefused when a worker must not start on these topics."""
    found = await describe_topics(settings.client_options)
    counts = {found[topic].partitions for topic in settings.topics if topic in found}
    header = await board.read_header()
    if header is not None and len(counts) == 1:
        # Asked first: raising the other topics to the new count would not help.
        _same_count(settings.namespace, decode_header(header).completeness.partitions, *counts)
    for problem in judge_topics(found):
        if problem.fatal:
            raise WorkerRefused(f"{problem.topic} {problem.what}; {problem.do}")
        log.warning("topic", topic=problem.topic, what=problem.what, do=problem.do)
    return found[settings.topics[0]].partitions


def _same_count(namespace: str, before: int, now: int) -> None:
    if before != now:
        raise WorkerRefused(
            f"the namespace {namespace} was counted over {before} partitions, the topics have {now} now: "
            "visitors are in other partitions than their sessions; use another --namespace"
        )


@asynccontextmanager
async def _admin(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options)
    try:
        async with asyncio.timeout(_LIMIT_S):
            await admin.start()
        yield admin
    except (KafkaError, TimeoutError, OSError) as error:
        servers, refusal = client_options["bootstrap_servers"], await why_refused(client_options)
        raise BrokerUnreachable(no_broker(servers, error, _LIMIT_S, refusal)) from None
    finally:
        await admin.close()
