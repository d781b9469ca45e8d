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
        """Return the digests of the files that exist or once existed."""
        ...

    async def is_read_by_a_batch(self, file_id: FileId) -> bool:
        """Whether an unfinished batch still needs the bytes."""
        ...

    async def batch(self, owner: OwnerId, batch_id: BatchId) -> BatchRecord | None: ...

    async def batches(self, owner: OwnerId, params: ListBatchesParams) -> list[BatchRecord]:
        """Return the newest first; one more than `params.limit`, if there are more."""
        ...

    async def family(self, owner: OwnerId, batch_id: BatchId) -> list[BatchRecord]:
        """Return the first batch of the family and all its direct and indirect retries, oldest first, at most
        FAMILY_MAX."""
        ...

    async def fanout(self, owner: OwnerId, fanout_id: FanoutId) -> list[BatchRecord]:
        """Return the batches of a fan-out without their retries, in the order of its models; empty for an unknown
        fan-out."""
        ...

    async def merged(self, members: Sequence[Member]) -> MergedPlaces:
        """Return where the answers that count are stored; only those that each batch's `partial_bytes` covers."""
        ...

    async def outcomes(self, batch: BatchRecord, params: ListResultsParams) -> list[OutcomePlace]:
        """Return outcomes by input line; only those that `batch.partial_bytes` covers."""
        ...

    async def last_line(self, batch: BatchRecord) -> int:
        """Return the highest input line with an outcome; 0 if there is none."""
        ...

    async def usage(self, owner: OwnerId, now: datetime, day: datetime) -> Usage:
        """Return the owner's usage; the tokens are those of batches created from `day` on."""
        ...

    async def usage_by_day(self, owner: OwnerId | None, begins: datetime, ends: datetime, limit: int) -> list[UsageRow]:
        """Return sums over the batches created in that time, newest day first; `owner` is None for all owners."""
        ...

    async def lines(
        self, batch: BatchRecord, params: LinesParams, hits: Sequence[int] | None = None
    ) -> list[LineRecord]:
        """Return lines in the requested order, one more than `params.limit`, if there are more; only what
        `batch.partial_bytes` covers. `hits` are what the search of `params` found."""
        ...

    async def facets(self, batch: BatchRecord) -> list[FacetRecord]:
        """Return the number of answers with equal facets, most frequent first; at most FACETS_MAX kinds."""
        ...

    async def statistics(self, batches: Sequence[BatchRecord]) -> list[AnswerStatistics]:
        """Return the statistics of each batch that has an answer."""
        ...

    async def agreements(self, batches: Sequence[BatchRecord]) -> list[Agreement]:
        """Return the agreement of each batch but the first with the first."""
        ...

    async def shared_lines(self, batches: Sequence[BatchRecord], params: CompareParams) -> list[int]:
        """Return the wanted lines of the first batch, in input order; one more than `params.limit`, if there are
        more."""
        ...

    async def compared(self, batches: Sequence[BatchRecord], lines: Sequence[int]) -> list[ComparedRecord]:
        """Return these lines of all the batches."""
        ...

    async def faults(self, batch: BatchRecord) -> list[FaultRecord]:
        """Return failed answers by kind, most frequent first; at most FAULT_KINDS_MAX kinds."""
        ...

    async def chunks(self, batch: BatchRecord) -> list[ChunkRecord]:
        """Return what each chunk counted, in the order of the log."""
        ...

    async def runners(self) -> list[RunnerRecord]: ...

    async def defined_models(self) -> list[DefinedModel]: ...

    async def models(self) -> list[ModelRecord]: ...

    async def model(self, model_id: ModelId) -> ModelRecord | None: ...


class CurationReads(Protocol):
    """Judgements and data sets in the read model. Every method raises ReadModelUnavailable."""

    async def answered(self, batch: BatchRecord, lines: Sequence[int]) -> list[AnsweredLine]:
        """Return the given lines that have an answer of status 2xx, by line."""
        ...

    async def judgements(self, owner: OwnerId, params: JudgementsListParams) -> list[JudgementRecord]:
        """Return the judgements that count, in the requested order; one more than `params.limit`, if there are more."""
        ...

    async def judgements_named(self, owner: OwnerId, ids: Sequence[JudgementId]) -> list[JudgementRecord]:
        """Return the named judgements that count, oldest first."""
        ...

    async def judgements_until(
        self, owner: OwnerId, batch_ids: Sequence[BatchId], sequence: int
    ) -> list[JudgementRecord]:
        """Return all judgements of answers and pairs of these batches that counted at `sequence` of the log, oldest
        first."""
        ...

    async def datasets(self, owner: OwnerId, name: str | None) -> list[DatasetRecord]:
        """Return the versions that are not deleted, of one data set or of all: by name, newest version first."""
        ...

    async def answered_all(self, batch: BatchRecord) -> list[int]:
        """Return every line that has an answer of status 2xx, in order."""
        ...

    async def labelings(self, owner: OwnerId, labeling_id: LabelingId | None) -> list[LabelingRecord]:
        """Return one of the labelings, or all, newest first."""
        ...

    async def evaluations(self, owner: OwnerId, evaluation_id: EvaluationId | None) -> list[EvaluationRecord]:
        """Return one of the evaluations, or all, newest first."""
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
        """Check whether a file could become a batch. Raises SchedulerUnavailable."""
        ...


class DryRunFeed(Protocol):
    """What the scheduler knows about a file and the work in it. Every method raises SchedulerUnavailable."""

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
    """The answer of an engine while it arrives. It must be closed; closing it early withdraws the request."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def is_stream(self) -> bool: ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises LaneBroken."""
        ...

    def close(self) -> None: ...


class Lanes(Protocol):
    """The runners, through which the requests of the interactive lane reach the engines."""

    def states(self) -> Mapping[str, LaneState]:
        """Return what each runner last reported of itself, by its URL; runners that do not answer are missing."""
        ...

    def inside(self, url: str) -> int:
        """Return how many requests of this gateway are with the runner."""
        ...

    async def refresh(self) -> None:
        """Fetch the state of every runner now."""
        ...

    async def open(self, url: str, ask: InteractiveRequest, request_id: str) -> LaneAnswer:
        """Send one request. Raises LaneUnreachable, LaneRefused, LaneBroken."""
        ...

    def close(self) -> None:
        """Close the connections that no answer uses; open answers are not affected."""
        ...


class DemandFeed(Protocol):
    """Tells the scheduler which models clients wait for."""

    async def ask(self, model: ModelId) -> DemandAnswer:
        """Raises SchedulerUnavailable."""
        ...


class Services(Protocol):
    """The other services of this server."""

    async def reports(self) -> list[ServiceReport]:
        """Return what each service reported of itself a moment ago."""
        ...


class ReportsSettings(Protocol):
    """The settings with which the other services run."""

    async def reports(self) -> list[SettingsReport]:
        """Return what each service reports of its settings now, or why it does not answer."""
        ...


class InputLines(Protocol):
    """Single lines of input files."""

    async def read(self, blob: str, size: int, lines: Iterable[int], bytes_max: int) -> dict[int, bytes]:
        """Return these lines, 1-based and as written, each cut at `bytes_max`. Raises BlobMissing, BlobTrouble."""
        ...


class TextSearch(Protocol):
    """Full-text search in stored lines."""

    async def find(self, blobs: Blobs, name: str, size: int, params: SearchParams) -> Found:
        """Return what a scan from `params.place` finds in the first `size` bytes. Raises BlobMissing, BlobTrouble."""
        ...


class NotifierUnavailable(Exception):
    """Raised when the notifier cannot report what it has sent; a retry can help."""


class Deliveries(Protocol):
    """What the notifier has sent and will send."""

    async def page(self, endpoint_id: EndpointId) -> DeliveryPage | None:
        """Return the page; None for an endpoint that the notifier does not know. Raises NotifierUnavailable."""


class Logs(Protocol):
    """What the services of this server logged."""

    async def about(self, batch_id: BatchId, limit: int) -> ServiceLines:
        """Return the newest lines that name the batch, at most `limit`."""
        ...

    async def newest(self, params: ServiceLogsParams) -> ServiceLines:
        """Return the newest lines that match."""
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
