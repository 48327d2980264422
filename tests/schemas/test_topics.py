"""Topic names and settings."""

from schemas.topics import (
    ALERTS,
    CHURN_SIGNALS,
    CUSTOMER_ACTIVITY,
    DEAD_LETTER_TOPICS,
    INPUT_TOPICS,
    KPI_RESULTS,
    KPI_SNAPSHOTS,
    OUTPUT_MARKS,
    OUTPUT_TOPICS,
    SESSIONS,
    TOPIC_OF_TYPE,
    dead_letter_topic,
    topic_specs,
)

DAY_MS = 86_400_000


def test_every_type_has_an_input_topic_and_every_input_topic_a_type() -> None:
    assert set(TOPIC_OF_TYPE.values()) == set(INPUT_TOPICS)


def test_names() -> None:
    assert INPUT_TOPICS == (
        "engagement.page-views.v1",
        "engagement.clicks.v1",
        "engagement.form-submissions.v1",
        "engagement.survey-answers.v1",
    )
    assert dead_letter_topic("engagement.clicks.v1") == "engagement.clicks.v1.dlq"


def test_settings_of_each_topic() -> None:
    specs = {spec.name: spec for spec in topic_specs(partitions=8)}
    own = {CUSTOMER_ACTIVITY, OUTPUT_MARKS}
    assert set(specs) == {*INPUT_TOPICS, *DEAD_LETTER_TOPICS, *OUTPUT_TOPICS, *own}
    for name in INPUT_TOPICS:
        assert specs[name].partitions == 8
        assert specs[name].config() == {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(7 * DAY_MS),
        }
    for name in DEAD_LETTER_TOPICS:
        assert specs[name].config()["retention.ms"] == str(7 * DAY_MS)
        assert int(specs[name].config()["max.message.bytes"]) > 1024 * 1024, "the original just fitted"
    assert specs[SESSIONS].partitions == 8
    assert specs[SESSIONS].config()["cleanup.policy"] == "compact,delete"
    assert specs[SESSIONS].config()["retention.ms"] == str(30 * DAY_MS)
    assert specs[KPI_SNAPSHOTS].config()["cleanup.policy"] == "compact"
    assert "retention.ms" not in specs[KPI_SNAPSHOTS].config()
    assert specs[KPI_RESULTS].config()["cleanup.policy"] == "compact,delete"
    assert specs[KPI_RESULTS].config()["retention.ms"] == str(30 * DAY_MS)
    assert specs[ALERTS].partitions == 1
    assert specs[ALERTS].config()["cleanup.policy"] == "compact"
    assert "retention.ms" not in specs[ALERTS].config()
    assert specs[CHURN_SIGNALS].config()["cleanup.policy"] == "compact"
    assert specs[CUSTOMER_ACTIVITY].partitions == specs[CHURN_SIGNALS].partitions == 8
    assert specs[CUSTOMER_ACTIVITY].config()["retention.ms"] == str(7 * DAY_MS)
    assert specs[OUTPUT_MARKS].partitions == 8
    assert specs[OUTPUT_MARKS].config()["cleanup.policy"] == "compact"
    assert "retention.ms" not in specs[OUTPUT_MARKS].config()
