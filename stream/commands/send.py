"""`latido send`: one event from flags, or many as JSON lines on standard input."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import typer

from stream.commands import options

app = typer.Typer(
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    help="""Send one event, or JSON lines.

One event is given by flags; without a type, JSON lines are read from standard input. Fills in event_id (a
new one) and occurred_at (now) where they are missing, and prints what was sent.
A line that is not valid is reported with its number, the others are sent; then the exit code is 1.

\b
Example:
  latido send page_view --visitor v1 --url /prices
  latido send survey_answer --visitor v1 --survey post-buy --kind nps --score 9
  latido send < events.jsonl
""",
)

Text: TypeAlias = str | None
Visitor = Annotated[
    str, typer.Option("--visitor", metavar="ID", help="Whose event it is.", show_default=False)
]
Url = Annotated[
    str, typer.Option("--url", metavar="URL", help="The page, such as /prices.", show_default=False)
]
MaybeUrl = Annotated[Text, typer.Option("--url", metavar="URL", help="The page it was on.")]
Element = Annotated[
    str, typer.Option("--element", metavar="ID", help="What was shown or clicked.", show_default=False)
]
Surface = Annotated[
    Text, typer.Option("--surface", metavar="page|mail|ad|push", help="Where; page by default.")
]
Site = Annotated[Text, typer.Option("--site", metavar="ID", help="Site; default by default.")]
Customer = Annotated[Text, typer.Option("--customer", metavar="ID", help="The person, if known.")]
Channel = Annotated[Text, typer.Option("--channel", metavar="NAME", help="How they came, such as email.")]
Campaign = Annotated[Text, typer.Option("--campaign", metavar="NAME", help="The campaign that brought them.")]
At = Annotated[
    Text,
    typer.Option(
        "--at", metavar="TIME", help="When it happened, such as 2026-11-22T10:19:58Z; now by default."
    ),
]
EventId = Annotated[
    Text, typer.Option("--id", metavar="ID", help="event_id; repeat it to send the same event again.")
]


@app.callback()
def from_input(context: typer.Context, broker: options.Broker = None) -> None:
    """Send JSON lines from standard input when no type is named."""
    context.obj = broker
    if context.invoked_subcommand is None:
        from stream.commands.sending import send_lines

        raise typer.Exit(send_lines(options.settings(broker=broker)))


@app.command("page_view")
def page_view(
    context: typer.Context,
    visitor: Visitor,
    url: Url,
    title: Annotated[Text, typer.Option(metavar="TEXT", help="The page's title.")] = None,
    referrer: Annotated[Text, typer.Option(metavar="URL", help="Where they came from.")] = None,
    site: Site = None,
    customer: Customer = None,
    channel: Channel = None,
    campaign: Campaign = None,
    at: At = None,
    event_id: EventId = None,
    broker: options.Broker = None,
) -> None:
    """A page was opened.

    \b
    Example:
      latido send page_view --visitor v1 --url /prices --channel email
    """
    common = _common("page_view", visitor, event_id, at, site, customer, channel, campaign)
    _send(context, broker, common, url=url, title=title, referrer=referrer)


@app.command("impression")
def impression(
    context: typer.Context,
    visitor: Visitor,
    element: Element,
    url: MaybeUrl = None,
    surface: Surface = None,
    position: Annotated[int | None, typer.Option(metavar="N", help="Place in a list, from 0.")] = None,
    variant: Annotated[Text, typer.Option(metavar="NAME", help="Variant of a test.")] = None,
    opened: Annotated[
        bool, typer.Option("--opened", help="Mail: it was opened, not only delivered.")
    ] = False,
    site: Site = None,
    customer: Customer = None,
    channel: Channel = None,
    campaign: Campaign = None,
    at: At = None,
    event_id: EventId = None,
    broker: options.Broker = None,
) -> None:
    """Something that can be clicked was shown.

    \b
    Example:
      latido send impression --visitor v1 --element cta-top --url /prices
    """
    common = _common("impression", visitor, event_id, at, site, customer, channel, campaign)
    own = {"element_id": element, "url": url, "surface": surface, "position": position, "variant": variant}
    _send(context, broker, common, **own, opened=opened or None)


@app.command("page_ping")
def page_ping(
    context: typer.Context,
    visitor: Visitor,
    url: Url,
    engaged: Annotated[
        str, typer.Option(metavar="TIME", help="Time in front, such as 15s.", show_default=False)
    ],
    site: Site = None,
    customer: Customer = None,
    at: At = None,
    event_id: EventId = None,
    broker: options.Broker = None,
) -> None:
    """The page is still in front.

    \b
    Example:
      latido send page_ping --visitor v1 --url /prices --engaged 15s
    """
    common = _common("page_ping", visitor, event_id, at, site, customer)
    _send(context, broker, common, url=url, engaged_ms=_duration("--engaged", engaged))


@app.command("click")
def click(
    context: typer.Context,
    visitor: Visitor,
    element: Element,
    url: MaybeUrl = None,
    target: Annotated[Text, typer.Option(metavar="URL", help="Where it leads.")] = None,
    surface: Surface = None,
    position: Annotated[int | None, typer.Option(metavar="N", help="Place in a list, from 0.")] = None,
    variant: Annotated[Text, typer.Option(metavar="NAME", help="Variant of a test.")] = None,
    site: Site = None,
    customer: Customer = None,
    channel: Channel = None,
    campaign: Campaign = None,
    at: At = None,
    event_id: EventId = None,
    broker: options.Broker = None,
) -> None:
    """An element was clicked.

    \b
    Example:
      latido send click --visitor v1 --element cta-top --url /prices
    """
    common = _common("click", visitor, event_id, at, site, customer, channel, campaign)
    own = {"element_id": element, "url": url, "target_url": target, "surface": surface}
    _send(context, broker, common, **own, position=position, variant=variant)


@app.command("form_submission")
def form_submission(
    context: typer.Context,
    visitor: Visitor,
    form: Annotated[str, typer.Option(metavar="ID", help="Which form.", show_default=False)],
    url: Url,
    field: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A field filled in, its name only; repeat it.")
    ] = None,
    site: Site = None,
    customer: Customer = None,
    at: At = None,
    event_id: EventId = None,
    broker: options.Broker = None,
) -> None:
    """A form was sent.

    \b
    Example:
      latido send form_submission --visitor v1 --form signup --url /join --field email
    """
    common = _common("form_submission", visitor, event_id, at, site, customer)
    _send(context, broker, common, form_id=form, url=url, fields=field or None)


@app.command("survey_answer")
def survey_answer(
    context: typer.Context,
    visitor: Visitor,
    survey: Annotated[str, typer.Option(metavar="ID", help="Which survey.", show_default=False)],
    kind: Annotated[str, typer.Option(metavar="nps|csat", help="What is asked.")] = "nps",
    score: Annotated[int | None, typer.Option(metavar="N", help="nps: 0 to 10; csat: 1 to 5.")] = None,
    scale_min: Annotated[
        int | None, typer.Option(metavar="N", help="csat: lowest score; 1 by default.")
    ] = None,
    scale_max: Annotated[
        int | None, typer.Option(metavar="N", help="csat: highest score; 5 by default.")
    ] = None,
    respondent: Annotated[
        Text, typer.Option(metavar="ID", help="Who answers; customer or visitor by default.")
    ] = None,
    skipped: Annotated[bool, typer.Option("--skipped", help="Shown, not answered.")] = False,
    comment: Annotated[Text, typer.Option(metavar="TEXT", help="What they wrote.")] = None,
    site: Site = None,
    customer: Customer = None,
    channel: Channel = None,
    at: At = None,
    event_id: EventId = None,
    broker: options.Broker = None,
) -> None:
    """A survey was answered or skipped.

    \b
    Example:
      latido send survey_answer --visitor v1 --survey post-buy --kind nps --score 9
    """
    common = _common("survey_answer", visitor, event_id, at, site, customer, channel)
    own: dict[str, Any] = {
        "survey_id": survey,
        "survey_kind": kind,
        "score": score,
        "respondent_id": respondent,
    }
    scale = {"scale_min": scale_min, "scale_max": scale_max}
    _send(context, broker, common, **own, **scale, skipped=skipped or None, comment=comment)


def _common(
    kind: str,
    visitor: str,
    event_id: Text,
    at: Text,
    site: Text,
    customer: Text,
    channel: Text = None,
    campaign: Text = None,
) -> dict[str, Any]:
    """The fields of every event; None is left out later."""
    return {
        "type": kind,
        "event_id": event_id,
        "visitor_id": visitor,
        "occurred_at": at,
        "site_id": site,
        "customer_id": customer,
        "channel": channel,
        "campaign": campaign,
    }


def _duration(option: str, text: str) -> int:
    from stream.settings import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {error}") from None


def _send(context: typer.Context, broker: Text, common: dict[str, Any], **own: Any) -> None:
    from stream.commands.sending import send_one

    fields = {name: value for name, value in {**common, **own}.items() if value is not None}
    raise typer.Exit(send_one(options.settings(broker=broker or context.obj), fields))
