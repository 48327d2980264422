"""The commands in the order somebody meets them, not in the order of registration."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

FIRST_MET = (
    *("demo", "doctor", "topics", "worker", "collector", "dashboard", "alerts", "send", "ingest"),
    *(
        "watch",
        "kpi",
        "top",
        "explain",
        "kpis",
        "replay",
        "compare",
        "customer",
        "backtest",
        "churn",
        "dead-letters",
        "rebuild",
        "config",
        "version",
    ),
)


class InOrder(TyperGroup):
    """`latido --help` lists what is named above first."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: FIRST_MET.index(name) if name in FIRST_MET else len(FIRST_MET))
