"""What the gateway needs: the read model, the log, the growing answers, the blob store, the time and random numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vbatch.chassis.blobs import Blobs
from vbatch.contracts.dry_run import FileSample, RunEstimate
from vbatch.contracts.file_check import FileChecked
from vbatch.contracts.forecast import Explanation, Forecast, ForecastEntry
from vbatch.contracts.ids import (
    BatchId,
    EndpointId,
    EvaluationId,
    FanoutId,
    FileId,
    JudgementId,
    LabelingId,
    ModelId,
    OwnerId,
)
from vbatch.contracts.lane import DemandAnswer, LaneResult, LaneState
from vbatch.contracts.webhooks import DeliveryPage
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.answer_lines import ChunkRecord, FaultRecord, LineRecord, LinesParams
from vbatch.gateway.core.batches.manifest import FileDigest
from vbatch.gateway.core.comparing import Agreement, AnswerStatistics, ComparedRecord, CompareParams
from vbatch.gateway.core.curation.datasets import DatasetRecord
from vbatch.gateway.core.curation.evaluations import EvaluationRecord
from vbatch.gateway.core.curation.judgements import AnsweredLine, JudgementRecord, JudgementsListParams
from vbatch.gateway.core.curation.labelings import LabelingRecord
from vbatch.gateway.core.dry_run import EstimateParams
from vbatch.gateway.core.facets import FacetRecord
from vbatch.gateway.core.files.uploads import BATCH_FILE_BYTES_MAX
from vbatch.gateway.core.interactive import InteractiveRequest
from vbatch.gateway.core.log_lines import ServiceLines
from vbatch.gateway.core.merged_answers import Member, MergedPlaces
from vbatch.gateway.core.pages import ListBatchesParams, ListFilesParams, ListResultsParams
from vbatch.gateway.core.quotas import Usage
from vbatch.gateway.core.records import BatchRecord, FileRecord, ModelRecord, OutcomePlace
from vbatch.gateway.core.server_views import DefinedModel, RunnerRecord, ServiceReport
from vbatch.gateway.core.service_logs import ServiceLogsParams
from vbatch.gateway.core.settings_views import SettingsReport
from vbatch.gateway.core.text_search import Found, SearchParams
from vbatch.gateway.core.usage import UsageRow
from vbatch.journal.port import Log


class ReadModelUnavailable(Exception):
    """Raised when PostgreSQL is unreachable or results has not created the schema yet; a retry can help."""


class Reads(Protocol):
    """The read model that results writes. Every method raises ReadModelUnavailable.

    It shows no file that was deleted or has expired by `now`, and nothing of another owner.
    """

    async def file(self, owner: OwnerId, file_id: FileId, now: datetime) -> FileRecord | None: ...

    async def files(self, owner: OwnerId, params: ListFilesParams, now: datetime) -> list[FileRecord]:
        """Return one more than `params.limit`, if there are more."""
        ...

    async def digests(self, owner: OwnerId, file_ids: Sequence[FileId]) -> list[FileDigest]:
        """Those of these files that there ever were."""
        ...

    async def is_read_by_a_batch(self, file_id: FileId) -> bool:
        """Whether an unfinished batch still needs the bytes."""
        ...

    async def batch(self, owner: OwnerId, batch_id: BatchId) -> BatchRecord | None: ...

    async def batches(self, owner: OwnerId, params: ListBatchesParams) -> list[BatchRecord]:
        """Return the newest first; one more than `params.limit`, if there are more."""
        ...

    async def family(self, owner: OwnerId, batch_id: BatchId) -> list[BatchRecord]:
        """The batch that was first, its retries, and theirs: oldest first, at most FAMILY_MAX."""
        ...

    async def fanout(self, owner: OwnerId, fanout_id: FanoutId) -> list[BatchRecord]:
        """The batches of a fan-out without their retries, in the order of its models; empty for one that is unknown."""
        ...

    async def merged(self, members: Sequence[Member]) -> MergedPlaces:
        """Where the answers that count stand; only those that each batch's `partial_bytes` covers."""
        ...

    async def outcomes(self, batch: BatchRecord, params: ListResultsParams) -> list[OutcomePlace]:
        """Return outcomes by input line; only those that `batch.partial_bytes` covers."""
        ...

    async def last_line(self, batch: BatchRecord) -> int:
        """Return the highest input line with an outcome; 0 if there is none."""
        ...

    async def usage(self, owner: OwnerId, now: datetime, day: datetime) -> Usage:
        """What the owner has; tokens are those of batches created from `day` on."""
        ...

    async def usage_by_day(self, owner: OwnerId | None, begins: datetime, ends: datetime, limit: int) -> list[UsageRow]:
        """Sums over the batches created in that time, the newest day first; None for the batches of all owners."""
        ...

    async def lines(
        self, batch: BatchRecord, params: LinesParams, hits: Sequence[int] | None = None
    ) -> list[LineRecord]:
        """In the order asked for, one more than `params.limit`, if there are more; only what `batch.partial_bytes`
        covers. `hits` are what the search of `params` found."""
        ...

    async def facets(self, batch: BatchRecord) -> list[FacetRecord]:
        """Answers that are alike in what can be asked for, the most frequent first; at most FACETS_MAX kinds."""
        ...

    async def statistics(self, batches: Sequence[BatchRecord]) -> list[AnswerStatistics]:
        """Of each batch that has an answer."""
        ...

    async def agreements(self, batches: Sequence[BatchRecord]) -> list[Agreement]:
        """Of each but the first, with the first."""
        ...

    async def shared_lines(self, batches: Sequence[BatchRecord], params: CompareParams) -> list[int]:
        """Lines of the first that are wanted, in input order; one more than `ask.limit`, if there are more."""
        ...

    async def compared(self, batches: Sequence[BatchRecord], lines: Sequence[int]) -> list[ComparedRecord]:
        """These lines of all of them."""
        ...

    async def faults(self, batch: BatchRecord) -> list[FaultRecord]:
        """Failed answers by kind, the most frequent first; at most FAULT_KINDS_MAX kinds."""
        ...

    async def chunks(self, batch: BatchRecord) -> list[ChunkRecord]:
        """What each chunk counted, in the order of the log."""
        ...

    async def runners(self) -> list[RunnerRecord]: ...

    async def defined_models(self) -> list[DefinedModel]: ...

    async def models(self) -> list[ModelRecord]: ...

    async def model(self, model_id: ModelId) -> ModelRecord | None: ...


class CurationReads(Protocol):
    """Judgements and data sets in the read model. Every method raises ReadModelUnavailable."""

    async def answered(self, batch: BatchRecord, lines: Sequence[int]) -> list[AnsweredLine]:
        """Of these lines those that have an answer of status 2xx, by line."""
        ...

    async def judgements(self, owner: OwnerId, params: JudgementsListParams) -> list[JudgementRecord]:
        """Those that count, in the order asked for; one more than `params.limit`, if there are more."""
        ...

    async def judgements_named(self, owner: OwnerId, ids: Sequence[JudgementId]) -> list[JudgementRecord]:
        """Of these judgements those that count, oldest first."""
        ...

    async def judgements_until(
        self, owner: OwnerId, batch_ids: Sequence[BatchId], sequence: int
    ) -> list[JudgementRecord]:
        """All that counted at `sequence` of the log, of answers and pairs of these batches, oldest first."""
        ...

    async def datasets(self, owner: OwnerId, name: str | None) -> list[DatasetRecord]:
        """Versions that are not deleted, of one data set or of all: by name, the newest version first."""
        ...

    async def answered_all(self, batch: BatchRecord) -> list[int]:
        """Every line that has an answer of status 2xx, in order."""
        ...

    async def labelings(self, owner: OwnerId, labeling_id: LabelingId | None) -> list[LabelingRecord]:
        """One of them, or all: the newest first."""
        ...

    async def evaluations(self, owner: OwnerId, evaluation_id: EvaluationId | None) -> list[EvaluationRecord]:
        """One of them, or all: the newest first."""
        ...


class Projection(Protocol):
    """How far results has projected the log."""

    async def reaches(self, sequence: int, seconds_max: float) -> bool:
        """Wait until everything up to `sequence` can be read; False if that takes too long."""
        ...


class SchedulerUnavailable(Exception):
    """Raised when the scheduler's forecast cannot be read; a retry can help."""


class ForecastFeed(Protocol):
    """The scheduler's forecast of unfinished batches, of all owners."""

    def of(self, batch_id: BatchId) -> ForecastEntry | None:
        """Return the latest forecast at once; None if the batch is over or new, or the scheduler unreachable."""
        ...

    def forecast(self) -> Forecast:
        """Return the latest forecast at once. Raises SchedulerUnavailable."""
        ...

    async def why(self, batch_id: BatchId) -> Explanation | None:
        """Return the current explanation; None for a batch that the scheduler does not know. Raises
        SchedulerUnavailable."""
        ...

    async def if_priority(self, batch_id: BatchId, priority: int) -> Forecast | None:
        """Return the forecast if the batch had this priority; None for a batch that the scheduler does not know.
        Raises SchedulerUnavailable."""
        ...

    async def check(self, blob: str, file_bytes: int, endpoint: str) -> FileChecked:
        """Whether a file could become a batch. Raises SchedulerUnavailable."""
        ...


class DryRunFeed(Protocol):
    """What the scheduler knows of a file and of its work. Every method raises SchedulerUnavailable."""

    async def sample(self, blob: str, file_bytes: int, endpoint: str, lines: int) -> FileSample: ...

    async def estimate(self, work: EstimateParams) -> RunEstimate: ...


class LaneUnreachable(Exception):
    """Raised when a runner cannot be asked: the request was not sent."""


class LaneBroken(Exception):
    """Raised when a request was sent and its answer will never be complete."""


class LaneRefused(Exception):
    """Raised when a runner does not pass a request to an engine, or got no answer from it; `result` says why."""

    def __init__(self, result: LaneResult, detail: str) -> None:
        super().__init__(detail)
        self.result = result


class LaneAnswer(Protocol):
    """The answer of an engine while it arrives. It must be closed; closing it early takes the request back."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def is_stream(self) -> bool: ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises LaneBroken."""
        ...

    def close(self) -> None: ...


class Lanes(Protocol):
    """The runners, as ways to the engines for requests that clients wait for."""

    def states(self) -> Mapping[str, LaneState]:
        """What each runner last said of itself, by its URL; runners that do not answer are missing."""
        ...

    def inside(self, url: str) -> int:
        """How many requests of this gateway are with the runner."""
        ...

    async def refresh(self) -> None:
        """Ask every runner now."""
        ...

    async def open(self, url: str, ask: InteractiveRequest, request_id: str) -> LaneAnswer:
        """Send one request. Raises LaneUnreachable, LaneRefused, LaneBroken."""
        ...

    def close(self) -> None:
        """Close what no answer uses; answers that are open stay so."""
        ...


class DemandFeed(Protocol):
    """Tells the scheduler what clients wait for."""

    async def ask(self, model: ModelId) -> DemandAnswer:
        """Raises SchedulerUnavailable."""
        ...


class Services(Protocol):
    """The other services of this server."""

    async def reports(self) -> list[ServiceReport]:
        """What each says of itself, as of a moment ago."""
        ...


class ReportsSettings(Protocol):
    """What the other services run with."""

    async def reports(self) -> list[SettingsReport]:
        """What each says of its settings now, or why it does not answer."""
        ...


class InputLines(Protocol):
    """Single lines of input files."""

    async def read(self, blob: str, size: int, lines: Iterable[int], bytes_max: int) -> dict[int, bytes]:
        """These lines, 1-based and as written, each cut at `bytes_max`. Raises BlobMissing, BlobTrouble."""
        ...


class TextSearch(Protocol):
    """Full-text search in stored lines."""

    async def find(self, blobs: Blobs, name: str, size: int, params: SearchParams) -> Found:
        """What a scan from `ask.place` finds in the first `size` bytes. Raises BlobMissing, BlobTrouble."""
        ...


class NotifierUnavailable(Exception):
    """The notifier does not tell what it has sent; a retry can help."""


class Deliveries(Protocol):
    """What the notifier has sent, and will."""

    async def page(self, endpoint_id: EndpointId) -> DeliveryPage | None:
        """None for an endpoint that it does not know. Raises NotifierUnavailable."""


class Logs(Protocol):
    """What the services of this server logged."""

    async def about(self, batch_id: BatchId, limit: int) -> ServiceLines:
        """The newest lines that name the batch, at most `limit`."""
        ...

    async def newest(self, params: ServiceLogsParams) -> ServiceLines:
        """The newest lines that are asked for."""
        ...


class DiskGuard(Protocol):
    """The places that new work fills."""

    async def check(self, upload_bytes: int = 0) -> None:
        """Raises Refusal if there is no space for new work, or for an upload of this many bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The ports, the time, random numbers and the limits of what is written.

    `partial` holds the growing JSONL of each batch, under the names of `contracts.read_model`.
    """

    log: Log
    reads: Reads
    projection: Projection
    partial: Blobs
    blobs: Blobs
    disk_guard: DiskGuard
    forecasts: ForecastFeed
    access: Access
    services: Services
    input_lines: InputLines
    text_search: TextSearch
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    own_write_seconds_max: float
    batch_file_bytes_max: int = BATCH_FILE_BYTES_MAX
    logs: Logs | None = None
    """None where the services keep no log files that can be read here."""
