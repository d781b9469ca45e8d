"""`python -m benchmarks.curation`: how fast answers become tasks of a real Label Studio, judgements come back, and a
data set is exported; and whether anything is lost or duplicated on the way."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
import psutil

from benchmarks import report
from tests.labeling.label_studio import LEGACY_TOKEN, LabelStudioServer, People, free_port, people_of, provide_data
from tests.support.events import BATCH, NOON, OWNER
from vbatch.chassis.clock import utc_now
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import labeling_id_of
from vbatch.contracts.labeling import LabelingAnswer, LabelingItem, LabelingTemplate
from vbatch.gateway.core.curation.examples import AnswerExample, Lineage
from vbatch.gateway.core.curation.export_formats import ExportFormat, export_lines
from vbatch.gateway.core.curation.texts import ChatMessage
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings
from vbatch.labeler.adapters.label_studio import label_studio
from vbatch.labeler.flows.serving import Progress, serve
from vbatch.labeler.ports import Dependencies

TASKS, JUDGED, EXAMPLES = 2_000, 200, 100_000
WORDS = "An answer of some length, as a support team would write it to a customer who waits for a parcel. " * 3
WAIT_SECONDS_MAX = 300.0
EXPORTED = (
    ExportFormat.OPENAI_CHAT,
    ExportFormat.TRL_SFT,
    ExportFormat.TRL_KTO,
    ExportFormat.SHAREGPT,
    ExportFormat.ALPACA,
)
PAGE_LINES = 1_000


class Items:
    """The items of a labeling; the blob's name gives their number."""

    async def read(self, blob: str) -> list[LabelingItem]:
        return [_item(line) for line in range(1, int(blob) + 1)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curation", description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks to push")
    parser.add_argument("--judged", type=int, default=JUDGED, help="judgements to pull")
    asked = parser.parse_args()
    figures: dict[str, report.Figure] = {"tasks": asked.tasks, "judgements": asked.judged, "examples": EXAMPLES}
    figures["load_average"] = round(psutil.getloadavg()[0], 1)
    figures |= _export_figures()
    with tempfile.TemporaryDirectory() as folder:
        server = LabelStudioServer(Path(folder) / "data", free_port())
        provide_data(server.folder)
        server.start()
        try:
            figures |= asyncio.run(_label_studio_figures(server, asked.tasks, asked.judged))
        finally:
            server.stop()
    command = ["python", "-m", "benchmarks.curation", f"--tasks {asked.tasks}", f"--judged {asked.judged}"]
    target = report.write("curation", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<50} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def _export_figures() -> dict[str, report.Figure]:
    """Lines per second of one core's time for each format, from the bytes of a data set to those of the export.

    Only CPU time counts, so that other programs on the machine change nothing.
    """
    lines = [msgspec.json.encode(_example(number)) for number in range(EXAMPLES)]
    figures: dict[str, report.Figure] = {}
    for export_format in EXPORTED:
        began = time.process_time()
        written = sum(
            len(export_lines(lines[first : first + PAGE_LINES], export_format))
            for first in range(0, len(lines), PAGE_LINES)
        )
        assert written == EXAMPLES, "every example can be said in these formats"
        name = export_format.replace("-", "_")
        figures[f"export_{name}_lines_per_second"] = round(written / (time.process_time() - began))
    slowest = min(int(str(figure)) for figure in figures.values())
    return {"export_lines_per_second": slowest, **figures}


async def _label_studio_figures(server: LabelStudioServer, tasks: int, judged: int) -> dict[str, report.Figure]:
    await server.is_ready()
    journal = MemoryJournal(JournalSettings("nats://none", "benchmark"), utc_now)
    async with label_studio(server.url, LEGACY_TOKEN) as studio, people_of(server.url) as people:
        progress = Progress()
        dependencies = Dependencies(
            journal=journal,
            label_studio=studio,
            items=Items(),
            pid=1,
            now=lambda: NOON,
            pull_seconds=3_600.0,
            full_scan_seconds=36_000.0,
        )
        serving = asyncio.ensure_future(serve(dependencies, progress))
        try:
            return await _measured(journal, people, progress, tasks, judged)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def _measured(
    journal: MemoryJournal, people: People, progress: Progress, tasks: int, judged: int
) -> dict[str, report.Figure]:
    await progress.position.caught_up()
    labeling_id = labeling_id_of(OWNER, "benchmark")
    # The first labeling of a process waits for imports of a dead process; this one absorbs that wait.
    await _pushed(journal, progress, _requested("warm-up", 1))
    began = time.perf_counter()
    await _pushed(journal, progress, _requested("benchmark", tasks))
    push_seconds = time.perf_counter() - began
    project_id = progress.state.labelings[labeling_id].project_id
    assert project_id is not None
    there = await people.tasks(project_id)
    keys = Counter(str(task["data"]["vb_key"]) for task in there)
    for task in there[:judged]:
        await people.annotate(int(task["id"]), verdict="good")
    began = time.perf_counter()
    progress.bell.set()
    await _until(progress, lambda: len(progress.state.references) >= judged)
    pull_seconds = time.perf_counter() - began
    recorded = Counter(_recorded(journal))
    return {
        "tasks_pushed_per_second": round(tasks / push_seconds, 1),
        "judgements_pulled_per_second": round(judged / pull_seconds, 1),
        "lost": tasks - len(keys) + judged - len(recorded),
        "duplicated": sum(keys.values()) - len(keys) + sum(recorded.values()) - len(recorded),
    }


async def _pushed(journal: MemoryJournal, progress: Progress, requested: e.LabelingRequested) -> None:
    await journal.log.append(codec.encode(requested, source="gateway"))
    labelings = progress.state.labelings
    await _until(
        progress,
        lambda: requested.labeling_id in labelings and labelings[requested.labeling_id].is_pushed,
    )


async def _until(progress: Progress, is_so: object) -> None:
    assert callable(is_so)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            if is_so():
                return
            await progress.position.wait_for(progress.position.sequence + 1)


def _recorded(journal: MemoryJournal) -> list[str]:
    decoded = [codec.decode(record) for record in journal._log_stream.records]
    return [event.judgement_id for event in decoded if isinstance(event, e.JudgementRecorded)]


def _requested(name: str, count: int) -> e.LabelingRequested:
    return e.LabelingRequested(
        at=NOON,
        owner=OWNER,
        labeling_id=labeling_id_of(OWNER, name),
        title=name,
        template=LabelingTemplate.CHAT,
        batch_ids=(BATCH,),
        item_count=count,
        blob=str(count),
        sha256="",
        by="benchmark",
    )


def _item(line: int) -> LabelingItem:
    answer = LabelingAnswer(batch_id=BATCH, line=line, custom_id=f"row-{line}", model_version="m@1", text=WORDS)
    return LabelingItem(messages=[{"role": "user", "content": f"Question {line}: {WORDS}"}], answer=answer)


def _example(number: int) -> AnswerExample:
    message = {"role": "user", "content": f"Question {number}: {WORDS}"}
    lineage = Lineage(
        batch=BATCH, line=number + 1, custom_id=f"row-{number}", model="m", judge=("ada",), event=(number,)
    )
    return AnswerExample(
        split="train",
        prompt=[msgspec.Raw(msgspec.json.encode(message))],
        answer=ChatMessage(role="assistant", content=WORDS),
        is_good=True,
        lineage=lineage,
    )


if __name__ == "__main__":
    raise SystemExit(main())
