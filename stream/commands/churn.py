"""`latido customer` and `latido churn`: who may leave; `latido backtest`: rules tried on recorded events."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from stream.commands import options
from stream.commands.failures import Failed
from stream.commands.replay import Files, Goals
from stream.core.policy import DAY_MS

if TYPE_CHECKING:
    from stream.churn.history import History
    from stream.core.churn_settings import ChurnSettings

app = typer.Typer(no_args_is_help=True)

Rules = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="TOML file with the table [churn]: docs/churn.md."),
]


class Printed(enum.StrEnum):
    REPORT = "report"
    SIGNALS = "signals"


@app.callback()
def churn() -> None:
    """List customers by how they stand; estimate what churn rules need.

    \b
    Example:
      latido churn list --state at_risk
      latido churn fit events.jsonl.gz
    """


class State(enum.StrEnum):
    HEALTHY = "healthy"
    WATCH = "watch"
    AT_RISK = "at_risk"
    LOST = "lost"


Site = Annotated[str | None, typer.Option("--site", metavar="NAME", help="Of this site only.")]


def customer(
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="The customer_id that events name.")],
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    site: Site = None,
    as_json: options.AsJson = False,
) -> None:
    """Explain how a customer stands: state, health, and each rule's part in it.

    Workers keep customers where [churn] has live = true.

    \b
    Example:
      latido customer c-1001
      latido customer c-1001 --json | jq .next_crossing
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.customers import print_customer

    raise typer.Exit(asyncio.run(print_customer(chosen, customer_id, site, as_json=as_json)))


@app.command("list")
def list_customers(
    state: Annotated[
        list[State] | None,
        typer.Option(
            metavar="STATE",
            help="healthy, watch, at_risk or lost; may be given again. All but healthy, if left out.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Print so many at most.")] = 50,
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    site: Site = None,
    as_json: options.AsJson = False,
) -> None:
    """List customers who may leave.

    Those of high value come first, then the least healthy.

    \b
    Example:
      latido churn list --state at_risk
      latido churn list --state at_risk --state lost --json | jq -r .customer_id
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.customers import print_list

    states = [one.value for one in state or ()]
    raise typer.Exit(asyncio.run(print_list(chosen, states, site, limit, as_json=as_json)))


def _read(files: list[str], rules: Path | None, goals: Path | None) -> tuple[History, ChurnSettings]:
    """The history and the rules in force. Raises SettingsProblem, Failed and OSError."""
    from stream.settings import churn_of, policy, with_goals

    chosen = options.settings()
    settings = chosen.churn if rules is None else churn_of(rules)
    kept = policy(chosen)
    if goals is not None:
        kept = with_goals(kept, goals)
    options.quiet_logs()
    from stream.churn.history import read_history

    history = read_history(files, policy=kept, anonymous=settings.anonymous)
    if not history.recorded:
        raise Failed(_nobody(history))
    return history, settings


def _nobody(history: History) -> str:
    """Why there is nobody to judge."""
    if history.accounting.read == 0:
        return "there are no events in it: give recorded events as JSON lines"
    if history.anonymous:
        return (
            f"none of its {history.anonymous} sessions names a customer_id; "
            "set anonymous = true in [churn] to take visitors for customers"
        )
    return (
        f"none of its {history.accounting.read} records counts as a visit or an answer; "
        "'latido replay FILE --print accounting' says what became of them"
    )


def backtest(
    files: Files,
    rules: Rules = None,
    horizon: Annotated[
        str, typer.Option(metavar="TIME", help="Who stays away for this long has really left.")
    ] = "30d",
    printed: Annotated[
        Printed,
        typer.Option("--print", help="What to print: scores of each rule, or the signals as JSON lines."),
    ] = Printed.REPORT,
    goals: Goals = None,
    as_json: options.AsJson = False,
) -> None:
    """Try churn rules on recorded events, and say how good they would have been.

    The events run through the pipeline, and every signal is compared with what the customer did next. Per
    rule and limit: how many signals, how many of them were right (precision), how many of those who stayed
    away were told in time (recall), how long before the horizon was over (lead), and how often a signal came
    again within it. Customers are told apart by customer_id. Without --rules the table [churn] of the
    settings counts.

    --print signals prints the records of engagement.churn-signals.v1.

    \b
    Example:
      latido backtest events.jsonl.gz --rules rules.toml --horizon 45d
      latido backtest events.jsonl.gz --json | jq '.scores[] | {rule, level, precision, recall}'
      latido backtest events.jsonl.gz --print signals | jq -c '[.changed_at, .customer_id, .state]'
    """
    horizon_ms = _horizon_ms(horizon)
    history, settings = _read(files, rules, goals)
    from stream.churn.backtest import backtest as judged
    from stream.churn.backtest import play

    if printed is Printed.SIGNALS:
        from stream.pipeline.churn_record import encode_signal

        for signal in play(history, settings).signals:
            typer.echo(encode_signal(signal).decode())
        return
    found = judged(history, settings, horizon_ms)
    if found.begin_ms is not None and history.end_ms - found.begin_ms < horizon_ms:
        days = (history.end_ms - found.begin_ms) / DAY_MS
        raise Failed(f"the history covers {days:.0f} days, less than the horizon: take a longer history")
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    from rich.console import Console

    from stream.commands.backtest_view import view

    Console().print(view(found, history, has_model=settings.limits.bgnbd is not None))


def _horizon_ms(text: str) -> int:
    from stream.settings import parse_duration

    try:
        horizon_ms = parse_duration(text)
        if horizon_ms < 1:
            raise ValueError("must be longer than nothing; write 30d")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--horizon") from None
    return horizon_ms


@app.command("fit")
def fit_model(files: Files, rules: Rules = None, as_json: options.AsJson = False) -> None:
    """Estimate the parameters of alive_probability from history.

    Prints the table [churn.bgnbd] for the settings or for a file of rules: r, alpha_days, a and b of the
    BG/NBD model (Fader, Hardie and Lee 2005) by maximum likelihood. --rules is read for what counts as a
    customer and as a visit. Needs scipy: pip install 'latido[churn]'.

    \b
    Example:
      latido churn fit events.jsonl.gz >> rules.toml
    """
    history, settings = _read(files, rules, None)
    from stream.churn.fit import NotFitted, fit

    try:
        found = fit(history.customers(settings.limits.occasion_ms).values(), history.end_ms)
    except NotFitted as problem:
        raise Failed(str(problem)) from None
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    typer.echo(
        f"# by {found.customers} customers, of whom {found.returning} returned, {found.returns} times; "
        f"log-likelihood {found.log_likelihood:.1f}\n[churn.bgnbd]"
    )
    for name, value in msgspec.structs.asdict(found.parameters).items():
        typer.echo(f"{name} = {value!r}")
