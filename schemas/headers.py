"""Kafka headers of every record latido writes: what it is, who wrote it, its identity."""

from typing import Final

from schemas.times import rfc3339

SESSION_SCHEMA: Final = "session/1"
SNAPSHOT_SCHEMA: Final = "kpi-snapshot/1"
RESULT_SCHEMA: Final = "kpi-result/1"
CHURN_SCHEMA: Final = "churn-signal/1"
ALERT_SCHEMA: Final = "alert/1"

SCHEMA: Final = "schema"
PRODUCER: Final = "producer"
ID: Final = "id"
CONTENT_TYPE: Final = "content-type"
JSON: Final = "application/json"
CE_ID: Final = "ce_id"
CE_TYPE: Final = "ce_type"
CE_SOURCE: Final = "ce_source"
CE_SPECVERSION: Final = "ce_specversion"
CE_TIME: Final = "ce_time"
"""The CloudEvents 1.0 attributes in the Kafka protocol binding's binary mode."""
CLOUDEVENTS_VERSION: Final = "1.0"

OUTPUT_HEADERS: Final = (
    SCHEMA,
    PRODUCER,
    ID,
    CONTENT_TYPE,
    CE_ID,
    CE_TYPE,
    CE_SOURCE,
    CE_SPECVERSION,
    CE_TIME,
)


def session_identity(session_id: str, revision: int) -> str:
    """Return the content id of a session record: a repeat or an older copy is recognised by it."""
    return f"{session_id}/{revision}"


def snapshot_identity(key: str, sequence: int) -> str:
    """Return the content id of a KPI snapshot."""
    return f"{key}/{sequence}"


def result_identity(key: str, revision: int) -> str:
    """Return the content id of a settled result."""
    return f"{key}/{revision}"


def churn_identity(key: str, transition: int) -> str:
    """Return the content id of a churn signal."""
    return f"{key}/{transition}"


def alert_identity(key: str, sequence: int) -> str:
    """Return the content id of an alert: of one change, and the `webhook-id` it is delivered under."""
    return f"{key}/{sequence}"


def output_headers(
    *, schema: str, record_id: str, version: str, namespace: str, time_ms: int
) -> list[tuple[str, bytes]]:
    """Return the headers of one output record, in a fixed order.

    schema: such as `session/1`. record_id: the content id. version: latido's own.
    time_ms: ms since the epoch; when what the record says became true.
    """
    name, _, major = schema.partition("/")
    values = (
        (SCHEMA, schema),
        (PRODUCER, f"latido/{version}"),
        (ID, record_id),
        (CONTENT_TYPE, JSON),
        (CE_ID, record_id),
        (CE_TYPE, f"latido.{name}.v{major}"),
        (CE_SOURCE, f"/latido/{namespace}"),
        (CE_SPECVERSION, CLOUDEVENTS_VERSION),
        (CE_TIME, rfc3339(time_ms)),
    )
    return [(header, value.encode()) for header, value in values]
