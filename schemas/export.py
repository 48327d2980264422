"""Write the contract as JSON Schema 2020-12: `python -m schemas.export [--check]`.

One file per topic and one for a listed dead letter, in schemas/json. `--check` writes nothing and exits
with 1 if a file is not what the models say.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter

from schemas.alerts import Alert
from schemas.churn import ChurnSignal
from schemas.dead_letters import DeadLetter
from schemas.events import MODEL_OF_TYPE
from schemas.results import KpiResult
from schemas.sessions import Session
from schemas.snapshots import KpiSnapshot
from schemas.topics import (
    ALERTS,
    CHURN_SIGNALS,
    INPUT_TOPICS,
    KPI_RESULTS,
    KPI_SNAPSHOTS,
    SESSIONS,
    TOPIC_OF_TYPE,
)

FOLDER: Final = Path(__file__).parent / "json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return file name -> JSON Schema."""
    schemas = {topic: _event_schema(topic) for topic in INPUT_TOPICS}
    schemas[SESSIONS] = Session.model_json_schema()
    schemas[KPI_RESULTS] = KpiResult.model_json_schema()
    schemas[KPI_SNAPSHOTS] = KpiSnapshot.model_json_schema()
    schemas[CHURN_SIGNALS] = ChurnSignal.model_json_schema()
    schemas[ALERTS] = Alert.model_json_schema()
    schemas["dead-letter"] = DeadLetter.model_json_schema()
    return {
        f"{name}.json": {"$schema": DIALECT, "$id": f"urn:latido:{name}", **schema}
        for name, schema in schemas.items()
    }


def _event_schema(topic: str) -> dict[str, Any]:
    models = [MODEL_OF_TYPE[kind] for kind, home in TOPIC_OF_TYPE.items() if home == topic]
    if len(models) == 1:
        schema = models[0].model_json_schema()
        parts = [schema]
    else:
        # The union is known only here, so no type checker can follow it.
        union: Any = models[0]
        for model in models[1:]:
            union = union | model
        schema = TypeAdapter(Annotated[union, Field(discriminator="type")]).json_schema()
        schema["title"] = topic
        parts = [schema["$defs"][model.__name__] for model in models]
    for part in parts:
        # In Python a model knows its own type; on the wire it must be said.
        part["properties"]["type"].pop("default")
        part["required"] = ["type", *part["required"]]
    return schema


def render(schema: dict[str, Any]) -> str:
    """Return the text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def differences(folder: Path = FOLDER) -> list[str]:
    """Return the names of files in `folder` that are missing, different or too many."""
    wanted = {name: render(schema) for name, schema in json_schemas().items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def export(folder: Path = FOLDER) -> None:
    """Write every schema into `folder` and remove files that no schema has any more."""
    folder.mkdir(parents=True, exist_ok=True)
    schemas = json_schemas()
    for path in folder.glob("*.json"):
        if path.name not in schemas:
            path.unlink()
    for name, schema in schemas.items():
        (folder / name).write_text(render(schema), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare only")
    if not parser.parse_args(arguments).check:
        export()
        return 0
    stale = differences()
    if stale:
        print(f"not up to date: {', '.join(stale)}; run: python -m schemas.export", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
