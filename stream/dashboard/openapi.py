"""/openapi.json: what the interface takes and answers, written from the types it answers with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from stream import __version__
from stream.core.churn import STATES
from stream.core.registry import KPIS
from stream.core.windows import ALL_TIME, SETTLED, WINDOWS
from stream.dashboard.health import Health
from stream.dashboard.history import SECONDS, SERIES
from stream.dashboard.selection import DIMENSIONS, MOST_RECORDS
from stream.dashboard.state import State
from stream.pipeline.catalogue import Entry
from stream.pipeline.explain import Explanation
from stream.pipeline.latest_signals import LatestSignal
from stream.pipeline.read_alerts import StandingAlert
from stream.pipeline.scores import LatestScore
from stream.pipeline.take_results import ResultRecord
from stream.pipeline.take_snapshot import Header, SnapshotRecord

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_TYPES: Final = (
    State,
    Header,
    SnapshotRecord,
    ResultRecord,
    Entry,
    Explanation,
    Health,
    LatestScore,
    LatestSignal,
    StandingAlert,
)
_TEXT: Final[Schema] = {"type": "string"}
_COUNTS: Final[Schema] = {
    "type": "object", "properties": {name: {"type": "integer"} for name in STATES}, "required": list(STATES),
}  # fmt: skip


class Parameter(NamedTuple):
    name: str
    text: str
    schema: Schema
    repeated: bool = False


class Path(NamedTuple):
    path: str
    summary: str
    text: str
    parameters: Sequence[Parameter]
    answers: Schema
    example: str  # what to put behind the path
    media_type: str = "application/json"
    errors: Sequence[int] = ()


_KPI: Final = Parameter(
    "kpi", "Only these KPIs, such as `nps`: /api/v1/registry lists all.", {"enum": list(KPIS)}, repeated=True
)
_SITE: Final = Parameter("site", "Only these sites.", _TEXT, repeated=True)
_ALERT_SITE: Final = Parameter("site", "Only this site.", _TEXT)
_ONE_SITE: Final = Parameter("site", "Else the first one.", _TEXT)
_WINDOW: Final[Schema] = {"enum": [*WINDOWS, ALL_TIME]}
_SEGMENT: Final = Parameter("segment", "`all`, or a value such as `channel=Email`.", _TEXT)
_FILTERS: Final = (
    _SITE,
    _KPI,
    Parameter("window", "Only these windows.", _WINDOW, repeated=True),
    Parameter(
        "dimension",
        "Every value of these, the largest first: " + ", ".join(sorted(DIMENSIONS)) + ", or a pair that the "
        "settings name, such as `channel+device`.",
        _TEXT,
        repeated=True,
    ),
    Parameter(
        "segment", "These by name, such as `channel=Email`. Without dimension and segment: `all`.", _TEXT,
        repeated=True,
    ),
    Parameter(
        "limit", "So many values of a dimension, in each window.",
        {"type": "integer", "minimum": 1, "maximum": MOST_RECORDS},
    ),
)  # fmt: skip


def _ref(name: str) -> Schema:
    return {"$ref": _REF.format(name=name)}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_BOARD: Final = _object(
    state=_ref("State"),
    header=_or_null(_ref("Header")),
    sites=_list(_TEXT),
    windows=_list(_TEXT),
    dimensions=_list(_TEXT),
    records=_list(_ref("SnapshotRecord")),
)
_HISTORY: Final = _object(
    site=_TEXT,
    segment=_TEXT,
    step_ms={"type": "integer"},
    end=_TEXT,
    windows={"type": "object", "additionalProperties": _TEXT},
    series={"type": "object", "additionalProperties": _list({"type": ["number", "null"]})},
)
_OF_RESULTS: Final = (
    Parameter("kind", "hour by default.", {"enum": ["hour", "day"]}),
    Parameter("since", "Such as 24h, 30d or 2026-11-22T10:00:00Z.", _TEXT),
    _KPI, _ONE_SITE._replace(text="Only this site."),
    _SEGMENT._replace(text="`all`, a value such as `channel=Email`, or `*` for every one."),
)  # fmt: skip
PATHS: Final = (
    Path(
        "/api/v1/kpis", "The current figures",
        "The records that the publisher wrote, and how far to trust them (`state`). A known ETag gets 304.",
        _FILTERS, _BOARD, "?window=5m&kpi=bounce_rate", errors=(400, 503),
    ),
    Path(
        "/api/v1/kpis.csv", "The current figures as a table",
        "A row for each KPI of each record. Texts that a spreadsheet would compute begin with an apostrophe.",
        _FILTERS, _TEXT, "?dimension=channel&window=24h", "text/csv", (400, 503),
    ),
    Path(
        "/api/v1/kpis/stream", "The figures as they move",
        "Server-sent events: `snapshot` is the body of /api/v1/kpis; `change` has `state`, `header`, "
        "`records` (those that changed) and `gone` (keys `site|window|segment`, percent-encoded); `state` "
        "has only that. One of them every second at least. Send the last `id` as Last-Event-ID to go on "
        "after a broken connection. Who does not read on for ten seconds is cut off.",
        _FILTERS, _TEXT, "?window=5m", "text/event-stream", (400, 503),
    ),
    Path(
        "/api/v1/history", "The last minutes, second by second",
        f"The last {SECONDS} seconds up to `end`, null where nothing was known: "
        + ", ".join(one.name for one in SERIES) + ". A segment is followed from the first question on.",
        (_ONE_SITE, _SEGMENT), _HISTORY, "", errors=(400,),
    ),
    Path(
        "/api/v1/results", "Settled hours and days",
        "What does not move any more: running, then final, then corrected with a reason.",
        _OF_RESULTS,
        _object(kind=_TEXT, since=_TEXT, records=_list(_ref("ResultRecord"))), "?kind=day", errors=(400, 503),
    ),
    Path(
        "/api/v1/results.csv", "Settled hours and days as a table", "A row for each KPI of each record.",
        _OF_RESULTS, _TEXT, "?kind=day", "text/csv", (400, 503),
    ),
    Path(
        "/api/v1/scores", "The latest scores of surveys",
        "What was answered last, the newest first, without comments and without who answered. An answer that "
        "another of the same respondent replaced is among them, a skipped question is not.",
        (_ONE_SITE,), _object(site=_TEXT, scores=_list(_ref("LatestScore"))), "", errors=(400, 503),
    ),
    Path(
        "/api/v1/scores.csv", "The latest scores as a table", "A row for each.", (_ONE_SITE,), _TEXT, "",
        "text/csv", (400, 503),
    ),
    Path(
        "/api/v1/churn/signals", "Customers by state, and the latest churn signals",
        "How many customers are healthy, watch, at_risk and lost (null where none is known), and whose state "
        "changed last, the newest first, with the main reason. The topic has all of each.",
        (_ONE_SITE,),
        _object(site=_TEXT, customers=_or_null(_COUNTS), signals=_list(_ref("LatestSignal"))), "",
        errors=(400, 503),
    ),
    Path(
        "/api/v1/churn/signals.csv", "The latest churn signals as a table", "A row for each.", (_ONE_SITE,),
        _TEXT, "", "text/csv", (400, 503),
    ),
    Path(
        "/api/v1/alerts", "What fires",
        "Series of alert rules that fire, then those that will if it lasts, then those resolved in the last "
        "30 days. `alert` is the newest record of `engagement.alerts.v1` about a series.",
        (_ALERT_SITE,), _object(alerts=_list(_ref("StandingAlert"))), "", errors=(400, 503),
    ),
    Path(
        "/api/v1/alerts.csv", "What fires, as a table", "A row for each series.", (_ALERT_SITE,), _TEXT, "",
        "text/csv", (400, 503),
    ),
    Path(
        "/api/v1/explain", "One figure in plain words",
        "Its formula with the counts put in, its interval, and what is missing: of a rolling window as it "
        "stands now, of an hour or a day as it is published, and whether it may still move.",
        (
            Parameter("kpi", "Which; /api/v1/registry lists all.", {"enum": list(KPIS)}),
            Parameter("window", "5m by default.", {"enum": [*WINDOWS, ALL_TIME, *SETTLED]}),
            Parameter(
                "at", "With `hour` or `day`: the one that holds this time, such as 2026-11-22 or "
                "2026-11-22T10:00:00Z, without an offset by the site's clocks. Else the newest.", _TEXT,
            ),
            _SEGMENT, _ONE_SITE,
        ),
        _ref("Explanation"), "?kpi=bounce_rate", errors=(400, 404, 503),
    ),
    Path(
        "/api/v1/registry", "What the KPIs mean", "Every KPI, in the order people read them.", (),
        _list(_ref("Entry")), "",
    ),
    Path(
        "/api/v1/health", "How the counting goes",
        "Partitions, workers, where every record went, and dead letters by reason.", (),
        {"allOf": [_object(state=_ref("State"), header=_or_null(_ref("Header"))), _ref("Health")]}, "",
        errors=(503,),
    ),
    Path(
        "/api/v1/health.csv", "How the partitions stand, as a table", "A row for each.", (), _TEXT, "",
        "text/csv", (503,),
    ),
)  # fmt: skip
ERRORS: Final = {
    400: "A filter that cannot be; the text says what there is.",
    401: "The token is missing or wrong.",
    403: "A page of another origin asks.",
    404: "There is no such figure now.",
    503: "The store cannot be read, or no place for a viewer is left.",
}


@cache
def document() -> Schema:
    """OpenAPI 3.1."""
    _, components = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    components["Error"] = _object(error=_TEXT)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "latido dashboard",
            "version": __version__,
            "description": "The published KPIs. With a token: `Authorization: Bearer TOKEN`.",
        },
        "paths": {one.path: {"get": _operation(one)} for one in PATHS},
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(one: Path) -> Schema:
    answers: Schema = {
        "200": {"description": one.summary, "content": {one.media_type: {"schema": one.answers}}}
    }
    for status in (*one.errors, 401, 403):
        content = {"application/json": {"schema": _ref("Error")}}
        answers[str(status)] = {"description": ERRORS[status], "content": content}
    return {
        "summary": one.summary,
        "description": one.text,
        "operationId": one.path.removeprefix("/api/v1/").translate(str.maketrans("/.", "__")),
        "parameters": [_described(parameter) for parameter in one.parameters],
        "responses": answers,
    }


def _described(one: Parameter) -> Schema:
    schema = _list(one.schema) if one.repeated else one.schema
    return {"name": one.name, "in": "query", "description": one.text, "schema": schema}
