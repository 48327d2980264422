"""Why a worker does not start or go on. The message is one line that says what to do."""

from __future__ import annotations


class WorkerRefused(Exception):
    """The worker must not run like this: going on would lose or invent numbers. Exit code 1."""


class BrokerUnreachable(WorkerRefused):
    """No Kafka broker answers, or it refuses our credentials."""


class BrokerLostTopic(WorkerRefused):
    """A topic is not the log that was read before: deleted and created again, or cut off by retention."""
