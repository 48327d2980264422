"""What is said of a server that does not answer: one wording for worker, collector and commands."""

from __future__ import annotations

from typing import Final

START_STORE: Final = "start it, or name another with --redis (LATIDO_REDIS)"
START_BROKER: Final = "start it, or name another with --broker (LATIDO_BROKER)"


def no_store(error: BaseException) -> str:
    """One line about a store that does not answer. error: a StoreUnreachable."""
    return f"{str(error).rstrip('.')}; {START_STORE}"


def no_broker(servers: object, error: BaseException, limit_s: float, refusal: str | None = None) -> str:
    """One line about a broker that does not answer within `limit_s` seconds. servers: HOST:PORT,...

    refusal: what it answered instead of letting us in, and what to do about it.
    """
    if refusal is not None:
        return f"the Kafka broker at {servers} does not let us in: {refusal}"
    return f"no Kafka broker answers at {servers} ({reason(error, limit_s)}); {START_BROKER}"


def reason(error: BaseException, limit_s: float) -> str:
    """Why, in a few words, of any client's error."""
    if isinstance(error, TimeoutError):
        return f"no answer in {limit_s:g} s"
    # By name, no vendor is known here. Its text lists Python objects, and the servers once more.
    if type(error).__name__ == "KafkaConnectionError" and "bootstrap" in str(error):
        return "no connection"
    return str(error) or type(error).__name__
