"""`latido alerts`: deliver alerts, and look at them."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.commands import options

app = typer.Typer(
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    help="""Deliver alerts and churn signals, until stopped.

Workers judge the rules of the settings and write what changed to Kafka; without a further command this
process reads it and tells the receivers of the settings: webhooks signed by the Standard Webhooks
specification, Alertmanager, or whatever Apprise reaches. Each receiver is told in order, at least once and
under the same id, and is waited for on its own. docs/alerts.md has the rules and the settings.

\b
Example:
  latido alerts
  latido alerts list
  latido alerts test ctr-low --send
""",
)
Rule = Annotated[str, typer.Argument(metavar="RULE", help="The name of a rule in the settings.")]
Receiver = Annotated[str, typer.Argument(metavar="RECEIVER", help="The name of a receiver in the settings.")]


@app.callback()
def deliver(
    context: typer.Context,
    broker: options.Broker = None,
    redis: options.Redis = None,
    namespace: options.Namespace = None,
) -> None:
    """Deliver when no further command is named."""
    if context.invoked_subcommand is not None:
        return
    chosen = options.settings(broker=broker, redis=redis, namespace=namespace)
    options.service_logs(chosen)
    import asyncio

    from stream.commands.alerts_delivery import deliver_until_stopped

    raise typer.Exit(asyncio.run(deliver_until_stopped(chosen)))


@app.command("list")
def list_alerts(
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    every: Annotated[bool, typer.Option("--all", help="Resolved ones of the last 30 days too.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Print what fires, and what will if it lasts.

    \b
    Example:
      latido alerts list --all
      latido alerts list --json | jq -r .alert.summary
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.alerts_view import print_alerts

    raise typer.Exit(asyncio.run(print_alerts(chosen, every=every, as_json=as_json)))


@app.command("test")
def try_rule(
    rule: Rule,
    redis: options.Redis = None,
    namespace: options.Namespace = None,
    send: Annotated[
        bool,
        typer.Option("--send", help="Also send a message of type alert.test to the receivers of the rule."),
    ] = False,
) -> None:
    """Judge the figures of this moment by a rule, and tell nobody.

    Prints every series of the rule, what is compared with what, and whether it is beyond the limit. `for`,
    cooldown and silences are left out. With --send every receiver that hears of the rule gets one message
    about the first series, marked as a test, in one attempt.

    \b
    Example:
      latido alerts test ctr-low
      latido alerts test ctr-low --send
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.alerts_try import judge_now

    raise typer.Exit(asyncio.run(judge_now(chosen, rule, send=send)))


@app.command("enable")
def enable(receiver: Receiver, redis: options.Redis = None, namespace: options.Namespace = None) -> None:
    """Tell a receiver again that was switched off because it answered 410 Gone.

    A running `latido alerts` begins with it within a minute, where it ended.

    \b
    Example:
      latido alerts enable ops
    """
    chosen = options.settings(redis=redis, namespace=namespace)
    options.quiet_logs()
    import asyncio

    from stream.commands.receivers import enable_receiver

    raise typer.Exit(asyncio.run(enable_receiver(chosen, receiver)))
