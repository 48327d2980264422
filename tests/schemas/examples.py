"""The examples of schemas/examples: the contract's documentation, executed by the tests."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schemas
from schemas.topics import INPUT_TOPICS

FOLDER = Path(schemas.__file__).parent / "examples"


@dataclass(frozen=True)
class Example:
    """One example file. `code` is None for a valid one, else the first part of the file's name."""

    topic: str
    name: str
    code: str | None
    value: bytes

    def json(self) -> Any:
        return json.loads(self.value)

    def __str__(self) -> str:
        return f"{self.topic}/{self.name}"


def examples(*topics: str, valid: bool) -> list[Example]:
    """Return the examples of some topics, sorted by topic and name."""
    return [
        Example(topic, path.stem, None if valid else path.stem.split("--")[0], path.read_bytes())
        for topic in topics
        for path in sorted((FOLDER / topic / ("valid" if valid else "invalid")).glob("*.json"))
    ]


def valid_events() -> list[Example]:
    return examples(*INPUT_TOPICS, valid=True)


def invalid_events() -> list[Example]:
    return examples(*INPUT_TOPICS, valid=False)
