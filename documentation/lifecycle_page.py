"""docs/batch-lifecycle.md: the states of a batch and its way through the services."""

from __future__ import annotations

from collections.abc import Mapping

from documentation.markdown import GENERATED, table
from documentation.sequence_diagram import sequence_mermaid
from documentation.state_diagram import arcs, state_mermaid
from vbatch.contracts.lifecycle import BatchStatus

MEANINGS: Mapping[BatchStatus, str] = {
    BatchStatus.VALIDATING: "The scheduler checks every line of the input file. No request runs yet.",
    BatchStatus.FAILED: "The file has faults, which `errors` lists. No request ran.",
    BatchStatus.IN_PROGRESS: "The file is valid. Its requests wait, run, or have an outcome.",
    BatchStatus.FINALIZING: "Counting has stopped. The output and error files are being written.",
    BatchStatus.COMPLETED: "Every request has an outcome, and both files are complete.",
    BatchStatus.EXPIRED: "The completion window is over. Answered requests are in the output file, the others in the "
    "error file.",
    BatchStatus.CANCELLING: "A cancel was requested. Requests inside the engine are being ended.",
    BatchStatus.CANCELLED: "The cancel is complete. Answered requests are in the output file, the others in the error "
    "file.",
}
PAGE = """# The life of a batch

{source}
## States

![The states of a batch and the events that change them](img/batch-states.svg)

The statuses are OpenAI's. Only the moves in the second table exist; any other event leaves the status as it is.
A cancel request counts when it precedes `batch.finalizing` in the log; a later one changes nothing.

{states}
{moves}
<details markdown="1"><summary>The diagram as Mermaid text</summary>

```mermaid
{state_mermaid}```

</details>

## From upload to answers

![One batch from upload to answers](img/batch-sequence.svg)

The scheduler dispatches one slice after another until every request has an outcome, so the steps from
`batch.dispatched` to `batch.chunk_completed` repeat. [Architecture](architecture.md) explains each step, and
[Events](events.md) lists the fields of each event.

<details markdown="1"><summary>The diagram as Mermaid text</summary>

```mermaid
{sequence_mermaid}```

</details>
"""


def lifecycle_page() -> str:
    states = table(("state", "meaning"), [(f"`{status}`", MEANINGS[status]) for status in BatchStatus])
    moves = table(("from", "event", "to"), [(f"`{arc.source}`", f"`{arc.event}`", f"`{arc.target}`") for arc in arcs()])
    return PAGE.format(
        source=GENERATED.format(source="the transition table in `libs/contracts`"),
        states=states,
        moves=moves,
        state_mermaid=state_mermaid(),
        sequence_mermaid=sequence_mermaid(),
    )
