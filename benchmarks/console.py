"""What the console costs and how fast it shows changes: pages in a real Chromium, open tabs beside a running batch, and
the answers of a large batch.

python -m benchmarks.console [--lines 1000000] [--requests 20000] [--tabs 20] [--only tabs]

The lines of the large batch are generated (benchmarks.generated_lines). Chromium runs on the same processors as the
server. To separate the server's work for open tabs from the browser's work, batches with and without tabs run in pairs
twice: once with a browser that yields the processors, as if it ran on another machine, and once with one that takes
what it wants. The time from the log to the screen is measured with a batch that leaves the processors some room, as a
batch on a GPU does.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from urllib.parse import urlencode

import msgspec
import psutil
from openai import OpenAI
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import batches, report
from benchmarks.generated_lines import RARE_WORD, make_large
from benchmarks.processes import Sampler
from tests.support.stack import CHAT, SLOW_CHAT, RunningStack, running_stack

ANSWER_SECONDS_MAX = 60.0
READY_SECONDS_MAX = 120.0
LINE_BYTES = 400
SMALL = 200
FEW_TABS = 3
PAIRS = 3
NICENESS_MAX = 19
STEADY_REQUESTS = 10_000
"""The requests of the batch whose answers are seen arriving; the simulated engine takes 8 seconds for them."""
ROUNDS = 3
PAGE_MILLISECONDS_MAX = 120_000.0
"""The time limit for a page in milliseconds; a browser that yields the processors is slow."""
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
    "usage": "/usage",
    "events": "/events",
}
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
    with stack.client() as client, sync_playwright() as playwright:

        def launched(niceness: int) -> Browser:
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
            for process in _chromium_processes():
                process.nice(niceness)
            return browser

        figures: dict[str, report.Figure] = {}
        if arguments.only != "tabs":
            browser = launched(0)
            figures |= _pages(browser, stack, [_run(client, SMALL) for _ in range(2)])
            browser.close()
        _run(client, SMALL)
        for tabs in (FEW_TABS, arguments.tabs):
            figures |= _kept(launched, stack, client, arguments.requests, tabs)
        figures |= _seen(launched(0), stack, client, arguments.tabs)
    if arguments.only == "tabs":
        return figures
    with stack.client() as client:
        return figures | _large(stack, _run(client, 1), arguments.lines)


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


def _kept(
    launched: Callable[[int], Browser], stack: RunningStack, client: OpenAI, requests: int, tabs: int
) -> dict[str, report.Figure]:
    """The share of a batch's rate that remains while tabs show it: the median of the pairs, and every pair."""
    figures: dict[str, report.Figure] = {}
    for name, niceness in (("browser_elsewhere", NICENESS_MAX), ("browser_beside", 0)):
        shares, rates = [], []
        for _ in range(PAIRS):
            alone = _rate(_recorded(stack, _run(client, requests)))
            browser = launched(niceness)
            batch_id, _ = _watched(browser, stack, client, requests, tabs)
            browser.close()
            rates.append(_rate(_recorded(stack, batch_id)))
            shares.append(rates[-1] / alone)
        figures[f"rate_kept_{tabs}_tabs_{name}"] = round(median(shares), 3)
        figures[f"rate_kept_{tabs}_tabs_{name}_pairs"] = ", ".join(f"{share:.2f}" for share in shares)
        figures[f"requests_per_second_{tabs}_tabs_{name}"] = round(median(rates))
    return figures


def _seen(browser: Browser, stack: RunningStack, client: OpenAI, tabs: int) -> dict[str, report.Figure]:
    """The time from the event in the log to the frame that shows it."""
    batch_id, painted = _watched(browser, stack, client, STEADY_REQUESTS, tabs, model=SLOW_CHAT)
    browser.close()
    recorded = _recorded(stack, batch_id)
    delays = list(_delays(recorded, painted))
    if len(delays) < tabs:
        sys.exit(f"{len(delays)} delays in {tabs} tabs: nothing was measured")
    cuts = quantiles(delays, n=100)
    return {
        "tabs": tabs,
        "steady_requests_per_second": round(_rate(recorded)),
        "event_to_pixel_p50_ms": round(cuts[49] * 1_000),
        "event_to_pixel_p99_ms": round(cuts[98] * 1_000),
        "event_to_pixel_count": len(delays),
    }


def _watched(
    browser: Browser, stack: RunningStack, client: OpenAI, requests: int, tabs: int, *, model: str = CHAT
) -> tuple[str, list[list[list[float]]]]:
    """Run a batch while tabs show it; return what each of them painted."""
    batch_id = _created(client, requests, model=model)
    _steer(stack, batch_id, "pause")
    pages = [browser.new_context(base_url=_console(stack)).new_page() for _ in range(tabs)]
    for page in pages:
        page.set_default_timeout(PAGE_MILLISECONDS_MAX)
        page.goto(f"/batches/{batch_id}")
        page.evaluate(WATCH)
    _steer(stack, batch_id, "resume")
    batches.wait(client, client.batches.retrieve(batch_id))
    pages[0].wait_for_timeout(SETTLE_SECONDS * 1_000)
    return batch_id, [page.evaluate("window.painted") for page in pages]


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


def _large(stack: RunningStack, batch_id: str, lines: int) -> dict[str, report.Figure]:
    """The slowest of several requests, the first of which finds nothing cached."""
    size = make_large(stack, batch_id, lines)
    pids = {name: stack.pid(name) for name in ("gateway", "console")}
    figures: dict[str, report.Figure] = {"lines": lines, "answers_mb": round(size / MEGABYTE, 1)}
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
    with running_stack(environment=limits | patience) as stack:
        figures = measure(chromium, stack, arguments)
    command = ["python", "-m", "benchmarks.console", f"--lines {arguments.lines}", f"--requests {arguments.requests}"]
    only = [f"--only {arguments.only}"] if arguments.only else []
    name = "console_tabs" if arguments.only == "tabs" else "console"
    target = report.write(name, [*command, f"--tabs {arguments.tabs}", *only], figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--tabs", type=int, default=20)
    parser.add_argument("--only", choices=["tabs"], default="", help="Only what open tabs cost and how soon they show.")
    sys.exit(main(parser.parse_args()))
