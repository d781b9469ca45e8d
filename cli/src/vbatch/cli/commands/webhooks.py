"""webhooks: URLs that are told of your batches, and what was sent to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.cli.api_types import (
    WebhookDelivery,
    WebhookDeliveryList,
    WebhookEndpoint,
    WebhookEndpointList,
    WebhookEventTypes,
    WebhookTest,
    read,
)
from vbatch.cli.client import Server, connect
from vbatch.cli.exits import Exit
from vbatch.cli.options import ApiKey, AsJson, Url, err, out, print_json, print_table, run, server_url, table_of

ENDPOINTS = "/v1/webhook_endpoints"
PAGE_ENDPOINTS = 100
"""An owner has no more."""
KEEP_MESSAGE = "The signing secret is shown this once: keep it now."

EndpointArgument = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id, as `list` shows it.")]
TargetArgument = Annotated[str, typer.Argument(metavar="URL", help="https://, where events are posted to.")]
DeliveryArgument = Annotated[str, typer.Argument(metavar="DELIVERY", help="The id, as `deliveries` shows it.")]
Name = Annotated[str, typer.Option("--name", help="What it is for, in your words.")]
Events = Annotated[
    list[str] | None, typer.Option("--event", help="A type of event; repeat it. By default all ends of batches.")
]
EventType = Annotated[str, typer.Option("--event", help="The type of event to send.")]
KeepOld = Annotated[bool, typer.Option("--keep-old", help="The old secret signs as well for 24 hours.")]
Answer = Callable[[Server], Awaitable[bytes]]
ENDS = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]

app = typer.Typer(
    help="Webhooks: create, list, test, deliveries, resend, rotate, enable, disable, delete, types.",
    no_args_is_help=True,
)


@app.command()
def create(
    target: TargetArgument,
    event: Events = None,
    name: Name = "unnamed",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Have a URL told of your batches; prints the signing secret, once."""
    body = {"name": name, "url": target, "event_types": event or ENDS}
    answer = _asked(lambda server: server.ask("POST", ENDPOINTS, body), url, api_key)
    _show_secret(answer, as_json=as_json)


@app.command("list")
def list_endpoints(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Your endpoints, the newest first."""
    answer = _asked(lambda server: server.ask("GET", f"{ENDPOINTS}?limit={PAGE_ENDPOINTS}"), url, api_key)
    if as_json:
        print_json(answer)
    else:
        _show(read(answer, WebhookEndpointList).data)


@app.command()
def delete(endpoint: EndpointArgument, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Delete an endpoint; nothing more is sent to it."""
    answer = _asked(lambda server: server.ask("DELETE", _path(endpoint)), url, api_key)
    _print(answer, f"{endpoint} is deleted.", as_json=as_json)


@app.command()
def test(
    endpoint: EndpointArgument,
    event: EventType = "batch.completed",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Send one event now, and say how the endpoint answered. Exit code 1 unless it took it."""
    path = _path(endpoint, "test")
    answer = _asked(lambda server: server.ask("POST", path, {"event_type": event}), url, api_key)
    code = read(answer, WebhookTest).status_code
    is_taken = 200 <= code < 300
    _print(answer, f"It answered {code}: {'taken' if is_taken else 'not taken'}.", as_json=as_json)
    if not is_taken:
        raise SystemExit(int(Exit.FAILED))


@app.command()
def rotate(
    endpoint: EndpointArgument,
    keep_old: KeepOld = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Sign with another secret; prints it, once."""
    body, path = {"keep_old_secret_active_for_24_hours": keep_old}, _path(endpoint, "rotate_secret")
    answer = _asked(lambda server: server.ask("POST", path, body), url, api_key)
    _show_secret(answer, as_json=as_json)


@app.command()
def enable(endpoint: EndpointArgument, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Tell an endpoint again that was given up; what waited is sent now."""
    answer = _asked(lambda server: server.ask("POST", _path(endpoint, "enable")), url, api_key)
    _print(answer, f"{endpoint} is told again.", as_json=as_json)


@app.command()
def disable(endpoint: EndpointArgument, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Send nothing to an endpoint until it is enabled; what waits, waits."""
    answer = _asked(lambda server: server.ask("POST", _path(endpoint, "disable")), url, api_key)
    _print(answer, f"{endpoint} is disabled.", as_json=as_json)


@app.command()
def deliveries(endpoint: EndpointArgument, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """What was sent to an endpoint, the newest first, and how it was answered."""
    answer = _asked(lambda server: server.ask("GET", _path(endpoint, "deliveries")), url, api_key)
    if as_json:
        print_json(answer)
    else:
        _show_deliveries(read(answer, WebhookDeliveryList).data)


@app.command()
def resend(
    endpoint: EndpointArgument,
    delivery: DeliveryArgument,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Send a delivery again, with the same id and bytes."""
    path = _path(endpoint, f"deliveries/{quote(delivery, safe='')}/resend")
    answer = _asked(lambda server: server.ask("POST", path), url, api_key)
    _print(answer, f"{delivery} is sent again.", as_json=as_json)


@app.command()
def types(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """The events an endpoint can be told of."""
    answer = _asked(lambda server: server.ask("GET", "/v1/webhook_event_types"), url, api_key)
    if as_json:
        print_json(answer)
        return
    for name in read(answer, WebhookEventTypes).data:
        out.print(name, markup=False)


def _asked(answer: Answer, url: str | None, api_key: str | None) -> bytes:
    async def ask() -> bytes:
        async with connect(server_url(url), api_key) as server:
            return await answer(server)

    return run(ask())


def _path(endpoint: str, rest: str = "") -> str:
    return f"{ENDPOINTS}/{quote(endpoint, safe='')}" + (f"/{rest}" if rest else "")


def _print(answer: bytes, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        err.print(words, markup=False)


def _show_secret(answer: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    made = read(answer, WebhookEndpoint)
    out.print(made.signing_secret, markup=False)
    err.print(f"{made.id} is told of {', '.join(made.event_types)}. {KEEP_MESSAGE}", markup=False)


def _show(endpoints: list[WebhookEndpoint]) -> None:
    if not endpoints:
        out.print("No webhooks yet. Make one with: vbatch webhooks create URL")
        return
    table = table_of("endpoint", "name", "url", "events", "state")
    for each in endpoints:
        state = "[green]enabled[/green]" if each.is_enabled else f"[red]disabled[/red]: {each.disabled_reason}"
        table.add_row(each.id, each.name, each.url, ", ".join(each.event_types), state)
    print_table(table)


def _show_deliveries(entries: list[WebhookDelivery]) -> None:
    if not entries:
        out.print("Nothing was sent yet. Try it with: vbatch webhooks test ENDPOINT")
        return
    table = table_of("delivery", "event", "made", "state", "tries", "answer", "ms", "next", numbers=("tries", "ms"))
    for each in entries:
        met = each.error or ("" if each.status_code is None else str(each.status_code))
        milliseconds = "" if each.milliseconds is None else str(each.milliseconds)
        moments = (_moment(each.created_at), _moment(each.next_attempt_at))
        table.add_row(
            each.id, each.event_type, moments[0], each.status, str(each.attempts), met, milliseconds, moments[1]
        )
    print_table(table)


def _moment(seconds: int | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
