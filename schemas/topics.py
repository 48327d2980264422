"""Names and settings of every Kafka topic latido reads or writes."""

from dataclasses import dataclass
from typing import Final, Literal

PAGE_VIEWS: Final = "engagement.page-views.v1"
CLICKS: Final = "engagement.clicks.v1"
FORM_SUBMISSIONS: Final = "engagement.form-submissions.v1"
SURVEY_ANSWERS: Final = "engagement.survey-answers.v1"
SESSIONS: Final = "engagement.sessions.v1"
KPI_SNAPSHOTS: Final = "engagement.kpi-snapshots.v1"
KPI_RESULTS: Final = "engagement.kpi-results.v1"
CHURN_SIGNALS: Final = "engagement.churn-signals.v1"
"""Written where `[churn]` is live."""

CUSTOMER_ACTIVITY: Final = "engagement.customer-activity.v1"
"""latido's own, from the stage that reads events to the one that keeps customers. No reader needs it."""

ALERTS: Final = "engagement.alerts.v1"

OUTPUT_MARKS: Final = "engagement.output-marks.v1"
"""latido's own: how far each namespace's outputs have left. No reader needs it."""

INPUT_TOPICS: Final = (PAGE_VIEWS, CLICKS, FORM_SUBMISSIONS, SURVEY_ANSWERS)
OUTPUT_TOPICS: Final = (SESSIONS, KPI_SNAPSHOTS, KPI_RESULTS, CHURN_SIGNALS, ALERTS)

TOPIC_OF_TYPE: Final[dict[str, str]] = {
    "page_view": PAGE_VIEWS,
    "impression": PAGE_VIEWS,
    "page_ping": PAGE_VIEWS,
    "click": CLICKS,
    "form_submission": FORM_SUBMISSIONS,
    "survey_answer": SURVEY_ANSWERS,
}
"""Event type -> the one input topic it belongs to."""

DEAD_LETTER_SUFFIX: Final = ".dlq"
DEFAULT_PARTITIONS: Final = 4
DEAD_LETTER_BYTES: Final = 2 * 1024 * 1024
"""A dead letter is the original record and its headers: it must fit where the original just did."""
DAY_MS: Final = 24 * 60 * 60 * 1000

# A compacted topic keeps every version inside its newest segment; without a time limit a quiet topic
# would keep a day of snapshots for each reader that starts from the beginning.
COMPACTED_SEGMENT_MS: Final = 10 * 60 * 1000

CleanupPolicy = Literal["delete", "compact", "compact,delete"]
TimestampType = Literal["LogAppendTime", "CreateTime"]


def dead_letter_topic(topic: str) -> str:
    """Return the topic that receives the refused records of `topic`."""
    return topic + DEAD_LETTER_SUFFIX


DEAD_LETTER_TOPICS: Final = tuple(dead_letter_topic(topic) for topic in INPUT_TOPICS)


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What one topic must look like on the broker."""

    name: str
    partitions: int
    cleanup_policy: CleanupPolicy
    retention_ms: int | None
    """None: kept for ever (a compacted topic holds one record per key)."""
    timestamp_type: TimestampType = "CreateTime"
    segment_ms: int | None = None
    """None: the broker's default."""
    max_message_bytes: int | None = None
    """Of a record set as it is sent, packed. None: the broker's default."""

    def config(self) -> dict[str, str]:
        """Return the topic's settings under Kafka's own names, values as Kafka prints them."""
        settings: dict[str, str] = {
            "cleanup.policy": self.cleanup_policy,
            "message.timestamp.type": self.timestamp_type,
        }
        if self.retention_ms is not None:
            settings["retention.ms"] = str(self.retention_ms)
        if self.segment_ms is not None:
            settings["segment.ms"] = str(self.segment_ms)
        if self.max_message_bytes is not None:
            settings["max.message.bytes"] = str(self.max_message_bytes)
        return settings


def input_specs(partitions: int = DEFAULT_PARTITIONS) -> tuple[TopicSpec, ...]:
    """Return the four input topics; equal partition counts keep one visitor in one partition number.

    LogAppendTime: arrival is the broker's clock, so one producer's wrong clock cannot move time.
    """
    return tuple(TopicSpec(name, partitions, "delete", 7 * DAY_MS, "LogAppendTime") for name in INPUT_TOPICS)


def dead_letter_specs(partitions: int = DEFAULT_PARTITIONS) -> tuple[TopicSpec, ...]:
    """Return the dead-letter topics; seven days only, because they hold personal data."""
    return tuple(
        TopicSpec(name, partitions, "delete", 7 * DAY_MS, max_message_bytes=DEAD_LETTER_BYTES)
        for name in DEAD_LETTER_TOPICS
    )


def output_specs(partitions: int = DEFAULT_PARTITIONS) -> tuple[TopicSpec, ...]:
    """Return the output topics.

    Sessions have the partition count of the inputs: a session goes to its source partition's number, so
    that a survivor and the tombstones of what it merged stay in order. Snapshots, results and alerts have one
    partition: they are few, have one writer, and a reader sees them in the order of `sequence` or `revision`.
    """
    return (
        TopicSpec(SESSIONS, partitions, "compact,delete", 30 * DAY_MS, segment_ms=DAY_MS),
        TopicSpec(KPI_SNAPSHOTS, 1, "compact", None, segment_ms=COMPACTED_SEGMENT_MS),
        TopicSpec(KPI_RESULTS, 1, "compact,delete", 30 * DAY_MS, segment_ms=DAY_MS),
        TopicSpec(CHURN_SIGNALS, partitions, "compact", None, segment_ms=DAY_MS),
        TopicSpec(ALERTS, 1, "compact", None, segment_ms=DAY_MS),
    )


def activity_spec(partitions: int = DEFAULT_PARTITIONS) -> TopicSpec:
    """Return the topic between the stages; kept as long as the events it comes from."""
    return TopicSpec(CUSTOMER_ACTIVITY, partitions, "delete", 7 * DAY_MS)


def mark_spec(partitions: int = DEFAULT_PARTITIONS) -> TopicSpec:
    """Return the topic of output marks: a few bytes per namespace and partition, written with the outputs."""
    return TopicSpec(OUTPUT_MARKS, partitions, "compact", None, segment_ms=COMPACTED_SEGMENT_MS)


def topic_specs(partitions: int = DEFAULT_PARTITIONS) -> tuple[TopicSpec, ...]:
    """Return every topic latido needs: inputs, dead letters, outputs, and its own."""
    return (
        input_specs(partitions)
        + dead_letter_specs(partitions)
        + output_specs(partitions)
        + (activity_spec(partitions), mark_spec(partitions))
    )
