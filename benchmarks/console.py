"""What the console costs and how fast it shows changes: pages in a real Chromium, open tabs beside a running batch, and
the answers of a large batch.

python -m benchmarks.console [--lines 1000000] [--requests 25000] [--tabs 20] [--only pages|tabs|large]

The lines of the large batch are generated (benchmarks.generated_lines). The batch beside the tabs takes as many
requests a second as a fast GPU would answer (PACE), and batches with and without tabs run in turn. One of the tabs is
painted by a real Chromium; the others read the same stream as a tab does but paint nothing, because twenty tabs that
people look at run on twenty machines, and not on the server's. The processors that each program keeps busy are told
apart: what the console and the gateway take is what open tabs cost the server. A part that is measured alone keeps the
other figures of the results file.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlencode

import msgspec
import psutil
from openai import OpenAI
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import batches, report
from benchmarks.generated_lines import RARE_WORD, make_large
from benchmarks.processes import Sampler
from tests.support.stack import CHAT, RunningStack, running_stack

NAME = "console"
ANSWER_SECONDS_MAX = 60.0
OK = 200
READY_SECONDS_MAX = 120.0
LINE_BYTES = 400
SMALL = 200
PAIRS = 5
DELAYS_MIN = 100
ROUNDS = 3
PAGE_MILLISECONDS_MAX = 120_000.0
"""The time limit for a page in milliseconds."""
PACED = "paced-chat"
PACED_PLACES, PACED_LATENCY_SECONDS = 256, 0.05
PACE = PACED_PLACES / PACED_LATENCY_SECONDS
"""Requests a second of the batch that tabs show."""
MODELS = f"""\
[[model]]
id = "{CHAT}"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 64

[[model]]
id = "{PACED}"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = {PACED_PLACES}
arguments = {{ latency-seconds = {PACED_LATENCY_SECONDS} }}
"""
SERVICES = ("gateway", "scheduler", "gpu-runner", "results", "console")
BROWSER = "chromium"
SCREENS_SCROLLED = 150
SCROLL_MILLISECONDS = 60
SETTLE_SECONDS = 2.0
EVENTS_A_PAGE = 200
LOOKS_MAX, LOOK_MILLISECONDS = 100, 50
MEGABYTE = 1_000_000
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]

PAGES = {
    "overview": "/",
    "queue": "/queue",
    "batches": "/batches",
    "batch": "/batches/{batch}",
    "answers": "/batches/{batch}/answers",
    "line": "/batches/{batch}/answers/2",
    "timeline": "/batches/{batch}/timeline",
    "compare": "/compare?batches={batch},{other}",
    "new": "/batches/new",
    "models": "/models",
    "playground": "/playground",
    "files": "/files",
    "datasets": "/datasets",
    "usage": "/usage",
    "events": "/events",
    "server": "/admin",
    "logs": "/admin/logs",
    "dead_letters": "/admin/dead-letters",
    "keys": "/admin/keys",
    "webhooks": "/admin/webhooks",
    "audit": "/admin/audit",
    "config": "/config",
    "help": "/help",
}
OPENED = {
    "first_rows": "/batches/{batch}/answers",
    "filter_failed": "/batches/{batch}/answers?outcome=failed",
    "filter_length": "/batches/{batch}/answers?finish_reason=length",
    "sort_slowest": "/batches/{batch}/answers?order=-seconds",
    "search_rare": f"/batches/{{batch}}/answers?contains={RARE_WORD}",
}
"""Views of the large batch as a visitor opens them."""
READS: dict[str, dict[str, str]] = {
    "first_rows": {},
    "jump": {"after_line": "{nine_tenths}"},
    "filter_failed": {"outcome": "failed"},
    "filter_finish_reason": {"finish_reason": "length"},
    "filter_json": {"is_json": "true", "chars_min": "300"},
    "filter_custom_id": {"custom_id": "line-9999"},
    "sort_seconds": {"order": "-seconds"},
    "sort_length": {"order": "-text_chars"},
    "search_rare": {"contains": RARE_WORD},
    "search_frequent": {"contains": "volcanoes"},
    "search_requests": {"contains": "gravity in 77", "search_in": "requests"},
}
WATCH = """() => {
  window.painted = [];
  const look = () => {
    const found = /^([\\d,]+) of/.exec((document.querySelector('.figures dd') || {}).textContent || '');
    const count = found ? Number(found[1].replaceAll(',', '')) : 0;
    const last = window.painted.length ? window.painted[window.painted.length - 1][1] : -1;
    if (count > last) requestAnimationFrame(() => window.painted.push([Date.now() / 1000, count]));
  };
  const head = document.querySelector('[data-fragment=head]');
  new MutationObserver(look).observe(head, {subtree: true, childList: true, characterData: true});
}"""
"""Notes when each count of answers is in the frame that is about to be painted."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """When the log stored a chunk, and how many answers there were then."""

    at: float
    answered: int


class _Summary(msgspec.Struct):
    succeeded: int
    failed: int


class _Event(msgspec.Struct):
    type: str
    at: float
    data: msgspec.Raw


class _EventPage(msgspec.Struct):
    data: list[_Event]
    has_more: bool
    next_before: int | None


def measure(chromium: str, stack: RunningStack, arguments: argparse.Namespace) -> dict[str, report.Figure]:
    figures: dict[str, report.Figure] = {}
    is_large = arguments.only in ("", "large")
    with stack.client() as client:
        large = _run(client, 1) if is_large else ""
    if is_large:
        size = make_large(stack, large, arguments.lines)
        figures |= {"lines": arguments.lines, "answers_mb": round(size / MEGABYTE, 1)}
        figures |= _large(stack, large, arguments.lines)
    with stack.client() as client, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        if arguments.only in ("", "pages"):
            figures |= _pages(browser, stack, [_run(client, SMALL) for _ in range(2)])
        if arguments.only in ("", "tabs"):
            figures |= _beside(browser, stack, client, arguments.requests, arguments.tabs)
        if is_large:
            figures |= _opened_large(browser, stack, large)
        browser.close()
    return figures


def _chromium_processes() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if "chrom" in each.name()]


def _pages(browser: Browser, stack: RunningStack, ended: Sequence[str]) -> dict[str, report.Figure]:
    figures: dict[str, report.Figure] = {}
    for name, place in PAGES.items():
        figures |= _page(browser, stack, name, place.format(batch=ended[0], other=ended[1]))
    figures["page_kb_max"] = max(float(figures[f"page_{name}_kb"] or 0) for name in PAGES)
    figures["page_paint_ms_max"] = max(float(figures[f"page_{name}_paint_ms"] or 0) for name in PAGES)
    return figures


def _page(browser: Browser, stack: RunningStack, name: str, place: str) -> dict[str, report.Figure]:
    """Measure a page with an empty cache. Bytes are those of decoded files, without compression; the paint is the best
    of several."""
    paints, size = [], 0
    for _ in range(ROUNDS):
        with _opened(browser, stack) as page:
            page.goto(place)
            page.wait_for_load_state("load")
            paints.append(_first_paint(page))
            size = page.evaluate(
                "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
                ".reduce((sum, each) => sum + each.decodedBodySize, 0)"
            )
    return {f"page_{name}_kb": round(size / 1_000, 1), f"page_{name}_paint_ms": round(min(paints), 1)}


def _first_paint(page: Page) -> float:
    """The first paint, in milliseconds from the beginning of the navigation."""
    for _ in range(LOOKS_MAX):
        found = page.evaluate("(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime")
        if found is not None:
            return float(found)
        page.wait_for_timeout(LOOK_MILLISECONDS)
    sys.exit(f"{page.url} was not painted: nothing was measured")


@dataclass(frozen=True, slots=True)
class Beside:
    """One batch: its rate, the CPU seconds of each program while it ran, and what tabs painted."""

    rate: float
    seconds: float
    cpu_seconds: Mapping[str, float]
    delays: Sequence[float]


def _beside(
    browser: Browser, stack: RunningStack, client: OpenAI, requests: int, tabs: int
) -> dict[str, report.Figure]:
    """Compare batches that nobody watches with batches that tabs show, in turn."""
    _watched(browser, stack, client, requests, 1)
    alone, shown = list[Beside](), list[Beside]()
    for number in range(1, PAIRS + 1):
        alone.append(_watched(browser, stack, client, requests, 0))
        shown.append(_watched(browser, stack, client, requests, tabs))
        sys.stderr.write(f"pair {number}: {alone[-1].rate:.0f} and {shown[-1].rate:.0f} requests a second\n")
    kept = [second.rate / first.rate for first, second in zip(alone, shown, strict=True)]
    return {
        "tabs": tabs,
        "pace_requests_per_second": round(PACE),
        "requests_per_second_alone": round(median(each.rate for each in alone)),
        "requests_per_second_with_tabs": round(median(each.rate for each in shown)),
        "rate_kept_with_tabs": round(median(kept), 3),
        "rate_kept_with_tabs_pairs": ", ".join(f"{share:.3f}" for share in kept),
        **_cores(alone, "alone"),
        **_cores(shown, "with_tabs"),
        **_delay_figures([delay for each in shown for delay in each.delays]),
    }


def _cores(measured: Sequence[Beside], name: str) -> dict[str, report.Figure]:
    """The processors that each program keeps busy while a batch runs."""
    return {
        f"{program.replace('-', '_')}_cores_{name}": round(
            median(each.cpu_seconds.get(program, 0.0) / each.seconds for each in measured), 3
        )
        for program in (*SERVICES, BROWSER)
    }


def _delay_figures(delays: Sequence[float]) -> dict[str, report.Figure]:
    """The time from the event in the log to the frame that shows it."""
    if len(delays) < DELAYS_MIN:
        sys.exit(f"{len(delays)} delays: nothing was measured")
    cuts = quantiles(delays, n=100)
    return {
        "event_to_pixel_p50_ms": round(cuts[49] * 1_000),
        "event_to_pixel_p99_ms": round(cuts[98] * 1_000),
        "event_to_pixel_count": len(delays),
    }


def _watched(browser: Browser, stack: RunningStack, client: OpenAI, requests: int, tabs: int) -> Beside:
    """Run a batch while so many tabs show it; the first of them is painted."""
    batch_id = _created(client, requests, model=PACED)
    _steer(stack, batch_id, "pause")
    pages = [_painted_tab(browser, stack, batch_id)] if tabs else []
    pids = {name: stack.pid(name) for name in SERVICES} | {BROWSER: _browser_pid()}
    with _streams(stack, batch_id, tabs - len(pages)), Sampler(pids, {}) as sampler:
        began = time.monotonic()
        _steer(stack, batch_id, "resume")
        batches.wait(client, client.batches.retrieve(batch_id))
        seconds = time.monotonic() - began
    for page in pages:
        page.wait_for_timeout(SETTLE_SECONDS * 1_000)
    painted = [page.evaluate("window.painted") for page in pages]
    for page in pages:
        page.context.close()
    recorded = _recorded(stack, batch_id)
    return Beside(_rate(recorded), seconds, sampler.cpu_seconds, list(_delays(recorded, painted)))


def _painted_tab(browser: Browser, stack: RunningStack, batch_id: str) -> Page:
    page = browser.new_context(base_url=_console(stack)).new_page()
    page.set_default_timeout(PAGE_MILLISECONDS_MAX)
    page.goto(f"/batches/{batch_id}")
    page.evaluate(WATCH)
    return page


@contextmanager
def _streams(stack: RunningStack, batch_id: str, count: int) -> Iterator[None]:
    """Read the page's stream so many times while the block runs, each as a tab does that is open elsewhere."""
    path = f"/live/overview?batch_id={batch_id}"
    port = stack.settings.console_port
    connections = [HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX) for _ in range(count)]
    answers = []
    for connection in connections:
        connection.request("GET", path)
        answers.append(connection.getresponse())
        if answers[-1].status != OK:
            sys.exit(f"the stream was refused with {answers[-1].status}: nothing was measured")
    threads = [threading.Thread(target=_read_to_end, args=(answer,), daemon=True) for answer in answers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for connection in connections:
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()


def _read_to_end(answer: HTTPResponse) -> None:
    """Read a stream until its connection is shut down."""
    with suppress(HTTPException, OSError):
        while answer.readline():
            pass


def _browser_pid() -> int:
    """The process from which all processes of the browser descend."""
    ours = {each.pid: each for each in _chromium_processes()}
    return next(pid for pid, each in ours.items() if each.ppid() not in ours)


def _delays(recorded: Sequence[Recorded], painted: Sequence[Sequence[Sequence[float]]]) -> Iterator[float]:
    """For each chunk and tab: the seconds until a frame had its answers. Chunks before a tab looked are left out."""
    for tab in painted:
        first = tab[0][1] if tab else 0
        for chunk in recorded:
            at = next((seen for seen, count in tab if count >= chunk.answered), None)
            if chunk.answered > first and at is not None:
                yield at - chunk.at


def _recorded(stack: RunningStack, batch_id: str) -> list[Recorded]:
    chunks: list[tuple[float, int]] = []
    before = ""
    while True:
        page = _events(stack, f"/v1/events?batch_id={batch_id}&detail=all&limit={EVENTS_A_PAGE}{before}")
        for event in page.data:
            if event.type == "batch.chunk_completed":
                summary = msgspec.json.decode(event.data, type=_Summary)
                chunks.append((event.at, summary.succeeded + summary.failed))
        if not page.has_more:
            break
        before = f"&before={page.next_before}"
    answered, recorded = 0, []
    for at, count in reversed(chunks):
        answered += count
        recorded.append(Recorded(at, answered))
    return recorded


def _opened_large(browser: Browser, stack: RunningStack, batch_id: str) -> dict[str, report.Figure]:
    """Open views of the large batch, and scroll through the first of them. A time is that of the first paint, which has
    the first rows; the slowest of several."""
    figures: dict[str, report.Figure] = {}
    for name, place in OPENED.items():
        paints = []
        for _ in range(ROUNDS):
            with _opened(browser, stack) as page:
                page.goto(place.format(batch=batch_id))
                page.locator("[data-results] tbody tr").first.wait_for()
                paints.append(_first_paint(page))
        figures[f"large_{name}_paint_ms"] = round(max(paints), 1)
    with _opened(browser, stack) as page:
        page.goto(OPENED["first_rows"].format(batch=batch_id))
        for _ in range(SCREENS_SCROLLED):
            page.mouse.wheel(0, 4_000)
            page.wait_for_timeout(SCROLL_MILLISECONDS)
        figures["large_rows_in_page"] = page.locator("[data-results] tbody tr").count()
        last = page.locator("[data-results] a[data-row]").last.inner_text()
        figures["large_lines_scrolled"] = int(last.replace(",", ""))
        figures["large_heap_mb"] = round(page.evaluate("performance.memory.usedJSHeapSize") / MEGABYTE, 1)
        figures["large_tab_mb"] = round(max(_private_bytes()) / MEGABYTE, 1)
    return figures


def _private_bytes() -> list[int]:
    """The bytes that no other process shares, of each process that renders a tab."""
    renderers = [each for each in _chromium_processes() if "--type=renderer" in each.cmdline()]
    return [each.memory_full_info().uss for each in renderers]


def _large(stack: RunningStack, batch_id: str, lines: int) -> dict[str, report.Figure]:
    """The slowest of several requests, the first of which finds nothing cached."""
    pids = {name: stack.pid(name) for name in ("gateway", "console")}
    figures: dict[str, report.Figure] = {}
    with Sampler(pids, {}) as sampler:
        for name, query in READS.items():
            asked = {key: value.format(nine_tenths=lines * 9 // 10) for key, value in query.items()} | {"limit": "100"}
            path = f"/v1/batches/{batch_id}/lines?{urlencode(asked)}"
            figures[f"{name}_ms"] = round(max(_seconds(stack, path) for _ in range(ROUNDS)) * 1_000, 1)
        figures["facets_ms"] = round(_seconds(stack, f"/v1/batches/{batch_id}/facets") * 1_000, 1)
        figures["page_of_answers_ms"] = round(
            max(_fetched(f"{_console(stack)}/batches/{batch_id}/answers") for _ in range(ROUNDS)) * 1_000, 1
        )
    peaks = {f"{name}_peak_rss_mb": round(peak / MEGABYTE, 1) for name, peak in sampler.peak_bytes.items()}
    return figures | {name: peak for name, peak in peaks.items()}


def _rate(recorded: Sequence[Recorded]) -> float:
    """Answers per second between the first and the last chunk."""
    first, last = recorded[0], recorded[-1]
    return (last.answered - first.answered) / max(0.001, last.at - first.at)


def _steer(stack: RunningStack, batch_id: str, action: str) -> None:
    request = urllib.request.Request(f"{stack.url}/v1/batches/{batch_id}/{action}", method="POST")
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX):
        pass


def _run(client: OpenAI, requests: int) -> str:
    return batches.wait(client, client.batches.retrieve(_created(client, requests))).id


def _created(client: OpenAI, requests: int, *, model: str = CHAT) -> str:
    content = b"".join(batches.lines(requests, LINE_BYTES)).replace(CHAT.encode(), model.encode())
    stored = client.files.create(file=("in.jsonl", content), purpose="batch")
    return batches.create(client, stored.id).id


@contextmanager
def _opened(browser: Browser, stack: RunningStack) -> Iterator[Page]:
    context = browser.new_context(base_url=_console(stack), viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def _console(stack: RunningStack) -> str:
    return f"http://127.0.0.1:{stack.settings.console_port}"


def _seconds(stack: RunningStack, path: str) -> float:
    return _fetched(stack.url + path)


def _fetched(url: str) -> float:
    began = time.monotonic()
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS_MAX) as answer:
        answer.read()
    return time.monotonic() - began


def _events(stack: RunningStack, path: str) -> _EventPage:
    with urllib.request.urlopen(stack.url + path, timeout=ANSWER_SECONDS_MAX) as answer:
        return msgspec.json.decode(answer.read(), type=_EventPage)


def main(arguments: argparse.Namespace) -> int:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is needed: apt-get install --no-install-recommends chromium fonts-liberation")
    patience = {"VBATCH_LOCAL_READY_SECONDS_MAX": str(READY_SECONDS_MAX)}
    limits = batches.limits(max(arguments.lines, arguments.requests))
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models.toml"
        models.write_text(MODELS)
        with running_stack(models, limits | patience) as stack:
            figures = measure(chromium, stack, arguments)
    command = ["python", "-m", "benchmarks.console", f"--lines {arguments.lines}", f"--requests {arguments.requests}"]
    kept = report.figures(NAME) if arguments.only else {}
    target = report.write(NAME, [*command, f"--tabs {arguments.tabs}"], kept | figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=25_000)
    parser.add_argument("--tabs", type=int, default=20)
    parser.add_argument("--only", choices=["pages", "tabs", "large"], default="", help="Measure only this part.")
    sys.exit(main(parser.parse_args()))
