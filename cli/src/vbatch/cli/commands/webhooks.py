"""webhooks: URLs that are sent events about your batches, and what was sent to them."""

from __future__ import annotations

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
from vbatch.cli.exits import Exit
from vbatch.cli.option_groups import command
from vbatch.cli.options import err, out, print_table, table_of
from vbatch.cli.server_options import ServerOptions

ENDPOINTS = "/v1/webhook_endpoints"
PAGE_ENDPOINTS = 100
"""An owner has no more endpoints than this."""
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
ENDS = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]

app = typer.Typer(
    help="Webhooks: create, list, test, deliveries, resend, rotate, enable, disable, delete, types.",
    no_args_is_help=True,
)


@app.command()
@command
def create(target: TargetArgument, event: Events = None, name: Name = "unnamed", *, server: ServerOptions) -> None:
    """Create an endpoint that is sent events about your batches, and print its signing secret, once."""
    body = {"name": name, "url": target, "event_types": event or ENDS}
    server.show(server.ask(lambda gateway: gateway.ask("POST", ENDPOINTS, body)), WebhookEndpoint, _show_secret)


@app.command("list")
@command
def list_endpoints(*, server: ServerOptions) -> None:
    """List your endpoints, the newest first."""
    answer = server.ask(lambda gateway: gateway.ask("GET", f"{ENDPOINTS}?limit={PAGE_ENDPOINTS}"))
    server.show(answer, WebhookEndpointList, lambda found: _show(found.data))


@app.command()
@command
def delete(endpoint: EndpointArgument, *, server: ServerOptions) -> None:
    """Delete an endpoint. Nothing more is sent to it."""
    _do(server, "DELETE", _path(endpoint), f"{endpoint} is deleted.")


@app.command()
@command
def test(endpoint: EndpointArgument, event: EventType = "batch.completed", *, server: ServerOptions) -> None:
    """Send one event now and show how the endpoint answered. The exit code is 1 unless it accepted the event."""
    path = _path(endpoint, "test")
    answer = server.ask(lambda gateway: gateway.ask("POST", path, {"event_type": event}))
    code = read(answer, WebhookTest).status_code
    is_taken = 200 <= code < 300
    _say(server, answer, f"It answered {code}: {'taken' if is_taken else 'not taken'}.")
    if not is_taken:
        raise SystemExit(int(Exit.FAILED))


@app.command()
@command
def rotate(endpoint: EndpointArgument, keep_old: KeepOld = False, *, server: ServerOptions) -> None:
    """Sign with another secret and print it, once."""
    body, path = {"keep_old_secret_active_for_24_hours": keep_old}, _path(endpoint, "rotate_secret")
    server.show(server.ask(lambda gateway: gateway.ask("POST", path, body)), WebhookEndpoint, _show_secret)


@app.command()
@command
def enable(endpoint: EndpointArgument, *, server: ServerOptions) -> None:
    """Enable an endpoint again. Waiting deliveries are sent now."""
    _do(server, "POST", _path(endpoint, "enable"), f"{endpoint} is told again.")


@app.command()
@command
def disable(endpoint: EndpointArgument, *, server: ServerOptions) -> None:
    """Send nothing to an endpoint until it is enabled. Waiting deliveries stay."""
    _do(server, "POST", _path(endpoint, "disable"), f"{endpoint} is disabled.")


@app.command()
@command
def deliveries(endpoint: EndpointArgument, *, server: ServerOptions) -> None:
    """List what was sent to an endpoint, the newest first, and how it answered."""
    answer = server.ask(lambda gateway: gateway.ask("GET", _path(endpoint, "deliveries")))
    server.show(answer, WebhookDeliveryList, lambda found: _show_deliveries(found.data))


@app.command()
@command
def resend(endpoint: EndpointArgument, delivery: DeliveryArgument, *, server: ServerOptions) -> None:
    """Send a delivery again, with the same id and bytes."""
    path = _path(endpoint, f"deliveries/{quote(delivery, safe='')}/resend")
    _do(server, "POST", path, f"{delivery} is sent again.")


@app.command()
@command
def types(*, server: ServerOptions) -> None:
    """List the event types that an endpoint can be sent."""
    answer = server.ask(lambda gateway: gateway.ask("GET", "/v1/webhook_event_types"))
    server.show(answer, WebhookEventTypes, _show_types)


def _do(server: ServerOptions, method: str, path: str, words: str) -> None:
    _say(server, server.ask(lambda gateway: gateway.ask(method, path)), words)


def _say(server: ServerOptions, answer: bytes, words: str) -> None:
    server.show(answer, object, lambda _answer: err.print(words, markup=False))


def _path(endpoint: str, rest: str = "") -> str:
    return f"{ENDPOINTS}/{quote(endpoint, safe='')}" + (f"/{rest}" if rest else "")


def _show_secret(made: WebhookEndpoint) -> None:
    out.print(made.signing_secret, markup=False)
    err.print(f"{made.id} is told of {', '.join(made.event_types)}. {KEEP_MESSAGE}", markup=False)


def _show_types(found: WebhookEventTypes) -> None:
    for name in found.data:
        out.print(name, markup=False)


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
        table.add_row(*_cells(each))
    print_table(table)


def _cells(delivery: WebhookDelivery) -> tuple[str, ...]:
    code = "" if delivery.status_code is None else str(delivery.status_code)
    return (
        delivery.id,
        delivery.event_type,
        _moment(delivery.created_at),
        delivery.status,
        str(delivery.attempts),
        delivery.error or code,
        "" if delivery.milliseconds is None else str(delivery.milliseconds),
        _moment(delivery.next_attempt_at),
    )


def _moment(seconds: int | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
