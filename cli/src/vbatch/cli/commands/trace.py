"""trace: shows how a batch spent its time, drawn from the log alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from vbatch.cli.exits import CommandError
from vbatch.cli.open_log import NatsUrl, opened_log
from vbatch.cli.options import AsJson, BatchArgument, err, out, print_json, print_table, run, table_of
from vbatch.cli.waterfall import ROWS_MAX, left_out, rows
from vbatch.contracts.ids import BatchId
from vbatch.results.core.spans import Span
from vbatch.results.flows.tracing import request_traces_of, trace_of

All = Annotated[bool, typer.Option("--all", help=f"Every span; by default the {ROWS_MAX} longest.")]
Send = Annotated[
    str | None, typer.Option("--send", metavar="URL", help="Also send it to a trace server, as OTLP over HTTP.")
]

Requests = Annotated[
    float,
    typer.Option(
        "--requests",
        metavar="SHARE",
        min=0.0,
        max=1.0,
        help="With --send: also single requests, each as a trace of its own: this share of them, those that failed and "
        "the slowest.",
    ),
]


def trace(
    batch: BatchArgument,
    all_spans: All = False,
    send: Send = None,
    requests: Requests = 0.0,
    nats_url: NatsUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show how a batch spent its time: what it waited for, which slices ran where, how it ended; from the log alone."""

    if requests and send is None:
        raise typer.BadParameter("single requests are only sent, not drawn: name a trace server with --send")

    async def ask() -> None:
        async with opened_log(nats_url) as journal:
            told = await trace_of(journal.log, BatchId(batch))
            spans = told.spans()
            more = [] if not requests else (await request_traces_of(journal.log, told, requests)).spans()
        if not spans:
            raise CommandError(f"The log knows no batch {batch}. `vbatch batches` lists them.")
        if as_json:
            print_json(msgspec.json.encode([_document(span) for span in spans]))
        else:
            _draw(spans, None if all_spans else ROWS_MAX)
        if send is not None:
            await asyncio.to_thread(_send, [*spans, *more], send)

    run(ask())


def _draw(spans: Sequence[Span], rows_max: int | None) -> None:
    table = table_of("span", "starts", "takes", "", "", numbers={"starts", "takes"})
    shown = rows(spans, datetime.now(UTC), rows_max)
    for row in shown:
        color = "red" if row.is_error else "cyan"
        table.add_row(row.name, row.starts, row.takes, f"[{color}]{row.bar}[/{color}]", row.forecast)
    print_table(table)
    out.print(f"Trace {spans[0].trace_id:032x}, from the log.", markup=False)
    if missing := left_out(spans, shown):
        err.print(f"{missing} shorter spans are left out: --all shows them.", markup=False)


def _send(spans: Sequence[Span], url: str) -> None:
    """Send the spans. Raises CommandError if no server accepts them."""
    from vbatch.results.adapters.otlp import OtlpTraces  # the command starts faster without it

    traces = OtlpTraces(url)
    try:
        if not traces.send(spans):
            raise CommandError(f"The trace server at {url} did not take the trace. Is that where it takes OTLP/HTTP?")
    finally:
        traces.close()
    err.print(f"Sent to {url}.", markup=False)


def _document(span: Span) -> dict[str, object]:
    return {
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
        "parent_id": None if span.parent_id is None else f"{span.parent_id:016x}",
        "name": span.name,
        "start": span.start,
        "end": span.end,
        "attributes": span.attributes,
        "is_error": span.is_error,
    }
