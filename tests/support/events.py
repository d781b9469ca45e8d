"""One sample of every event, as a short story: a file is uploaded, a batch runs and is sealed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.access import Quota, RateLimits, Scope
from vbatch.contracts.curation import Count, DatasetStatistics, JudgementSource, Selection, Verdict, Vote
from vbatch.contracts.evaluations import EvaluationKind
from vbatch.contracts.failures import FileFault, RequestFault, ReturnReason
from vbatch.contracts.ids import (
    BatchId,
    DeliveryId,
    EndpointId,
    FanoutId,
    FileId,
    JudgementId,
    KeyId,
    ModelId,
    OwnerId,
    PartId,
    RunnerId,
    SliceId,
    UploadId,
    dataset_id_of,
    evaluation_id_of,
    labeling_id_of,
    output_file_id,
)
from vbatch.contracts.labeling import LabelingTemplate
from vbatch.contracts.models import ModelDefinition

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
BATCH = BatchId("batch_0123456789abcdef0123456789abcdef")
FILE = FileId("file-0123456789ABCDEFGHIJKL")
OWNER = OwnerId("local")
UPLOAD = UploadId("upload_0123456789abcdef0123456789abcdef")
PART = PartId("part_0123456789abcdef0123456789abcdef")
MODEL = ModelId("org/small-model")
KEY = KeyId("key_0aB1cD2e")
NEXT_KEY = KeyId("key_0aB1cD2f")
ENDPOINT = EndpointId("we_0123456789abcdef0123456789abcdef")
DELIVERY = DeliveryId("evt_0123456789abcdef0123456789abcdef")
RUNNER = RunnerId("gpu0")
SLICE = SliceId("s-7-1")
EPOCH = 7
ANSWER = msgspec.Raw('{"id":"chatcmpl-1","choices":[{"message":{"content":"Größe\u2028"}}]}'.encode())

FLOAT32 = e.ProfileSetting(name="dtype", value="float32", reason="this processor emulates bfloat16")

FILE_STORED = e.FileStored(
    file_id=FILE,
    owner=OWNER,
    purpose="batch",
    filename="in.jsonl",
    bytes=120,
    sha256="ab" * 32,
    blob="files/in",
    at=NOON,
)
BATCH_CREATED = e.BatchCreated(
    batch_id=BATCH,
    owner=OWNER,
    input_file_id=FILE,
    endpoint="/v1/chat/completions",
    completion_window="24h",
    at=NOON,
    expires_at=NOON + timedelta(days=1),
    metadata={"project": "demo"},
)
BATCH_VALIDATED = e.BatchValidated(
    batch_id=BATCH,
    total=3,
    last_line=3,
    models=(e.ModelTotal(model=MODEL, requests=3, input_bytes=117),),
    at=NOON,
)
BATCH_DISPATCHED = e.BatchDispatched(
    batch_id=BATCH,
    slice_id=SLICE,
    runner_id=RUNNER,
    epoch=EPOCH,
    model=MODEL,
    lines=(1, 2, 3),
    attempt=1,
    reason="oldest job",
    at=NOON,
)
OUTCOMES = (
    e.Outcome(line=1, custom_id="a", status_code=200, body=ANSWER, usage=e.Usage(input_tokens=5, output_tokens=7)),
    e.Outcome(line=2, custom_id="b", status_code=400, body=msgspec.Raw(b'{"error":{"message":"no"}}')),
    e.Outcome(
        line=3, custom_id="c", error=e.RequestError(code=RequestFault.REQUEST_TIMEOUT, message="This took too long.")
    ),
)
CHUNK_COMPLETED = e.ChunkCompleted(
    batch_id=BATCH,
    slice_id=SLICE,
    runner_id=RUNNER,
    epoch=EPOCH,
    chunk=1,
    model=MODEL,
    outcomes=OUTCOMES,
    at=NOON,
)
FINALIZING = e.BatchFinalizing(batch_id=BATCH, ending=e.Ending.COMPLETED, never_ran_count=0, at=NOON)


def _sealed(kind: type[e.SealedEvent]) -> e.SealedEvent:
    return kind(
        batch_id=BATCH,
        counts=e.RequestCounts(total=3, completed=1, failed=2),
        usage=e.Usage(input_tokens=5, output_tokens=7),
        output_file_id=output_file_id(BATCH, "output"),
        error_file_id=output_file_id(BATCH, "error"),
        at=NOON,
    )


WEBHOOK_CREATED = e.WebhookCreated(
    endpoint_id=ENDPOINT,
    owner=OWNER,
    name="pager",
    url="https://example.com/hook",
    event_types=("batch.completed", "batch.failed"),
    secret_ref="2e" * 16,
    secret_hint="9wA=",
    by=KEY,
    at=NOON,
)
MODEL_LOADED = e.ModelLoaded(runner_id=RUNNER, epoch=EPOCH, model=MODEL, seconds=21.5, window=160, at=NOON)
ORIGIN = e.EngineOrigin(
    engine="vllm 0.19.1",
    source="org/small-model",
    revision="5f3c" * 10,
    weights_sha256="ef" * 32,
    template_sha256="12" * 32,
    sampling_defaults='{"temperature":0.6}',
)
JUDGEMENT = JudgementId("judgement_0123456789abcdef0123456789abcdef")
JUDGEMENT_RECORDED = e.JudgementRecorded(
    owner=OWNER,
    judgement_id=JUDGEMENT,
    batch_id=BATCH,
    line=1,
    judge="anna",
    source=JudgementSource.API,
    verdict=Verdict.GOOD,
    score=4.5,
    tags=("polite", "too long"),
    note="almost",
    edited="Größe",
    seconds=12.5,
    reference="row 7",
    at=NOON,
)
DATASET = dataset_id_of(OWNER, "support")
DATASET_CREATED = e.DatasetVersionCreated(
    owner=OWNER,
    dataset_id=DATASET,
    name="support",
    version=2,
    by=KEY,
    sequence=41,
    selection=Selection(batch_ids=(BATCH,), judges=("anna",), seed=7),
    statistics=DatasetStatistics(
        answers=2,
        pairs=1,
        good=1,
        bad=1,
        edited=1,
        prompt_groups=2,
        largest_group=2,
        characters=31,
        splits=(Count(name="train", count=3),),
        models=(Count(name=MODEL, count=3),),
        judges=(Count(name="anna", count=3),),
        agreement=0.75,
    ),
    blob=f"datasets/{DATASET}/ab",
    bytes=901,
    sha256="ef" * 32,
    at=NOON,
)
LABELING = labeling_id_of(OWNER, "first")
LABELING_REQUESTED = e.LabelingRequested(
    owner=OWNER,
    labeling_id=LABELING,
    title="Support answers",
    template=LabelingTemplate.CLASSIFICATION,
    batch_ids=(BATCH,),
    item_count=2,
    blob=f"labelings/{LABELING}",
    sha256="ef" * 32,
    by=KEY,
    labels=("good", "bad"),
    project_id=3,
    at=NOON,
)
EVALUATION = evaluation_id_of(OWNER, "first")
EVALUATION_REQUESTED = e.EvaluationRequested(
    owner=OWNER,
    evaluation_id=EVALUATION,
    kind=EvaluationKind.PAIRS,
    batch_ids=(BATCH,),
    judge_batch_id=BatchId("batch_" + "9" * 32),
    judge=f"{MODEL}@0123abcd#ef012345",
    model=MODEL,
    rubric="Which answer is kinder?",
    rubric_sha256="ef" * 32,
    item_count=9,
    by=KEY,
    at=NOON,
)
SAMPLES: tuple[e.AnyEvent, ...] = (
    FILE_STORED,
    e.FileDeleted(file_id=FILE, owner=OWNER, at=NOON),
    e.UploadCreated(
        upload_id=UPLOAD,
        owner=OWNER,
        bytes=120,
        filename="in.jsonl",
        mime_type="text/jsonl",
        purpose="batch",
        expires_at=NOON + timedelta(hours=1),
        file_expires_after_seconds=3_600,
        at=NOON,
    ),
    e.UploadPartAdded(upload_id=UPLOAD, part_id=PART, bytes=120, blob=f"parts/{PART}", at=NOON),
    e.UploadCompleted(upload_id=UPLOAD, part_ids=(PART,), file_id=FILE, at=NOON),
    e.UploadCancelled(upload_id=UPLOAD, at=NOON),
    e.UploadPartsRemoved(upload_id=UPLOAD, at=NOON),
    msgspec.structs.replace(
        BATCH_CREATED,
        priority=10,
        retry_of=BatchId("batch_fedcba9876543210fedcba9876543210"),
        fanout_id=FanoutId("fanout_0123456789abcdef0123456789abcdef"),
        model=MODEL,
        pause_on={e.Flaw.NOT_JSON: 0.1},
    ),
    e.BatchCancelRequested(batch_id=BATCH, at=NOON),
    e.BatchFirstAnswered(batch_id=BATCH, at=NOON),
    e.BatchQualityDropped(batch_id=BATCH, flaw=e.Flaw.NOT_JSON, count=12, answers=40, share_max=0.25, at=NOON),
    e.BatchErrorShareExceeded(batch_id=BATCH, failed=9, answered=120, share_max=0.05, at=NOON),
    e.BatchPaused(batch_id=BATCH, at=NOON),
    e.BatchResumed(batch_id=BATCH, at=NOON),
    e.BatchPriorityChanged(batch_id=BATCH, priority=-20, at=NOON),
    BATCH_VALIDATED,
    e.BatchRejected(
        batch_id=BATCH,
        faults=(e.BatchFault(code=FileFault.INVALID_JSON_LINE, message="Not JSON.", line=2),),
        at=NOON,
    ),
    BATCH_DISPATCHED,
    msgspec.structs.replace(
        CHUNK_COMPLETED,
        outcomes=(msgspec.structs.replace(OUTCOMES[0], flaws=(e.Flaw.CUT, e.Flaw.REPEATING)), *OUTCOMES[1:]),
    ),
    e.SliceReturned(
        batch_id=BATCH,
        slice_id=SLICE,
        runner_id=RUNNER,
        epoch=EPOCH,
        lines=(2, 3),
        reason=ReturnReason.ENGINE_DIED,
        detail="exit code -9",
        suspects=(2,),
        at=NOON,
    ),
    FINALIZING,
    _sealed(e.BatchCompleted),
    _sealed(e.BatchCancelled),
    _sealed(e.BatchExpired),
    e.BatchArchived(
        batch_id=BATCH,
        blob=f"archives/{BATCH}_output.jsonl.zst",
        bytes=2_048,
        sha256="5f" * 32,
        first_sequence=3,
        last_sequence=41,
        event_count=9,
        outcome_count=3,
        erased=("output",),
        at=NOON,
    ),
    e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=24 << 30, pid=41, at=NOON),
    e.ModelLoading(runner_id=RUNNER, epoch=EPOCH, model=MODEL, profile=(FLOAT32,), at=NOON),
    msgspec.structs.replace(MODEL_LOADED, origin=ORIGIN),
    e.ModelFailed(runner_id=RUNNER, epoch=EPOCH, model=MODEL, detail="out of memory", at=NOON),
    e.ProfileLowered(
        runner_id=RUNNER,
        epoch=EPOCH,
        model=MODEL,
        rung=1,
        shortage="device",
        argument="max-num-batched-tokens",
        before="2048",
        after="1024",
        detail="CUDA out of memory",
        at=NOON,
    ),
    e.ProfileTuned(
        runner_id=RUNNER,
        epoch=EPOCH,
        model=MODEL,
        device="a processor of tomorrow",
        engine="vllm 0.32.0",
        changes=(FLOAT32,),
        rate_before=1.5,
        rate=6.5,
        trial_count=7,
        seconds=312.5,
        at=NOON,
    ),
    e.EngineCrashed(runner_id=RUNNER, epoch=EPOCH, model=MODEL, detail="exit code -9", suspect_count=2, at=NOON),
    e.ModelDemanded(
        runner_id=RUNNER, epoch=EPOCH, model=MODEL, reason="a client waits for it", stay_seconds=30.0, at=NOON
    ),
    e.RunnerStopped(runner_id=RUNNER, epoch=EPOCH, reason="asked to", at=NOON),
    e.RunnerLost(runner_id=RUNNER, epoch=EPOCH, silent_seconds=60.5, at=NOON),
    e.RunnerDrainRequested(runner_id=RUNNER, goal=e.DrainGoal.UNLOAD, by=KEY, reason="a game", at=NOON),
    e.RunnerDrained(runner_id=RUNNER, epoch=EPOCH, goal=e.DrainGoal.UNLOAD, request=91, at=NOON),
    e.RunnerResumed(runner_id=RUNNER, by=KEY, at=NOON),
    e.SchedulerLeased(scheduler_id="main", pid=42, at=NOON),
    e.ResultsLeased(results_id="main", pid=43, at=NOON),
    e.ModelRegistered(model=ModelDefinition(id=MODEL, hub="org/small-model"), at=NOON),
    e.ModelRemoved(model_id=MODEL, at=NOON),
    e.KeyCreated(
        key_id=KEY,
        owner=OWNER,
        name="laptop",
        scopes=(Scope.READ, Scope.USER),
        sha256="cd" * 32,
        hint="w9Xz",
        by="operator",
        expires_at=NOON + timedelta(days=90),
        at=NOON,
    ),
    e.KeyRevoked(key_id=KEY, by=NEXT_KEY, reason="lost", at=NOON),
    e.KeyExpirySet(key_id=KEY, expires_at=NOON + timedelta(hours=24), by=NEXT_KEY, replaced_by=NEXT_KEY, at=NOON),
    e.OwnerQuotaChanged(
        owner=OWNER, quota=Quota(unfinished_batches_max=10, stored_bytes_max=1 << 30, priority_max=0), by=KEY, at=NOON
    ),
    e.LimitsChanged(before=RateLimits(), after=RateLimits(creates_per_minute_max=60), by=KEY, at=NOON),
    e.NotifierLeased(notifier_id="main", pid=44, at=NOON),
    WEBHOOK_CREATED,
    e.WebhookUpdated(
        endpoint_id=ENDPOINT,
        name="pager",
        url="https://example.com/other",
        event_types=("batch.failed",),
        by=KEY,
        at=NOON,
    ),
    e.WebhookDeleted(endpoint_id=ENDPOINT, by=KEY, at=NOON),
    e.WebhookDisabled(endpoint_id=ENDPOINT, by="notifier", reason="20 attempts in a row failed", at=NOON),
    e.WebhookEnabled(endpoint_id=ENDPOINT, by=KEY, at=NOON),
    e.WebhookSecretRotated(
        endpoint_id=ENDPOINT,
        secret_ref="1f" * 16,
        secret_hint="3dX=",
        by=KEY,
        old_valid_until=NOON + timedelta(hours=24),
        at=NOON,
    ),
    e.WebhookTestAsked(endpoint_id=ENDPOINT, delivery_id=DELIVERY, event_type="batch.failed", by=KEY, at=NOON),
    e.WebhookResendAsked(endpoint_id=ENDPOINT, delivery_id=DELIVERY, by=KEY, at=NOON),
    e.WebhookQueued(
        endpoint_id=ENDPOINT,
        delivery_id=DELIVERY,
        event_type="batch.failed",
        body='{"id":"evt_"}',
        is_test=True,
        at=NOON,
    ),
    e.WebhookDelivered(
        endpoint_id=ENDPOINT, delivery_id=DELIVERY, attempt=2, status_code=204, milliseconds=31, answer="ok", at=NOON
    ),
    e.WebhookFailed(
        endpoint_id=ENDPOINT,
        delivery_id=DELIVERY,
        attempt=1,
        milliseconds=15_000,
        status_code=503,
        error="no_answer",
        answer="busy",
        next_at=NOON + timedelta(seconds=5),
        at=NOON,
    ),
    e.WebhookExhausted(endpoint_id=ENDPOINT, delivery_id=DELIVERY, attempts=10, at=NOON),
    e.QueuePaused(by=KEY, reason="the device is needed", at=NOON),
    e.QueueResumed(by=KEY, at=NOON),
    e.DeadLetterRetried(letter=17, subject="evt.batch.batch_1.created", by=KEY, at=NOON),
    e.DeadLetterDropped(letter=18, subject="work.gpu0.7", by=KEY, at=NOON),
    JUDGEMENT_RECORDED,
    e.AnswersCompared(
        owner=OWNER,
        judgement_id=JudgementId("judgement_0123456789abcdef0123456789abcdf0"),
        batch_id=BATCH,
        line=1,
        other_batch_id=BATCH,
        other_line=2,
        vote=Vote.A,
        judge="anna",
        source=JudgementSource.CONSOLE,
        note="B repeats itself",
        seconds=3.5,
        at=NOON,
    ),
    e.JudgementWithdrawn(owner=OWNER, judgement_id=JUDGEMENT, batch_id=BATCH, by=KEY, at=NOON),
    DATASET_CREATED,
    e.DatasetVersionDeleted(owner=OWNER, dataset_id=DATASET, version=2, by=KEY, at=NOON),
    e.LabelerLeased(labeler_id="main", pid=45, at=NOON),
    LABELING_REQUESTED,
    e.ProjectLinked(owner=OWNER, labeling_id=LABELING, project_id=3, at=NOON),
    e.TasksPushed(owner=OWNER, labeling_id=LABELING, pushed_count=2, at=NOON),
    e.LabelingFailed(owner=OWNER, labeling_id=LABELING, reason="the config has no control", at=NOON),
    EVALUATION_REQUESTED,
    e.EvaluationRecorded(
        owner=OWNER,
        evaluation_id=EVALUATION,
        done_count=9,
        judged_count=5,
        inconsistent_count=2,
        unanswered_count=2,
        cut_count=1,
        malformed_count=1,
        at=NOON,
    ),
)
