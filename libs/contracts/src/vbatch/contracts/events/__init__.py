"""The events: what has happened, in the past tense. A released event never changes; a new version is added beside it.

`catalogue` holds their wire names, versions and message ids, and `codec` makes their bytes. Times are aware UTC.
"""

from vbatch.contracts.events.access import (
    AccessEvent as AccessEvent,
    AnyAccessEvent as AnyAccessEvent,
    KeyCreated as KeyCreated,
    KeyExpirySet as KeyExpirySet,
    KeyRevoked as KeyRevoked,
    LimitsChanged as LimitsChanged,
    OwnerQuotaChanged as OwnerQuotaChanged,
)
from vbatch.contracts.events.base import Event as Event
from vbatch.contracts.events.batches import (
    BatchArchived as BatchArchived,
    BatchCancelled as BatchCancelled,
    BatchCancelRequested as BatchCancelRequested,
    BatchCompleted as BatchCompleted,
    BatchCreated as BatchCreated,
    BatchDispatched as BatchDispatched,
    BatchErrorShareExceeded as BatchErrorShareExceeded,
    BatchEvent as BatchEvent,
    BatchExpired as BatchExpired,
    BatchFinalizing as BatchFinalizing,
    BatchFirstAnswered as BatchFirstAnswered,
    BatchPaused as BatchPaused,
    BatchPriorityChanged as BatchPriorityChanged,
    BatchQualityDropped as BatchQualityDropped,
    BatchRejected as BatchRejected,
    BatchResumed as BatchResumed,
    BatchSealed as BatchSealed,
    BatchValidated as BatchValidated,
    ChunkCompleted as ChunkCompleted,
    ChunkOutline as ChunkOutline,
    Ending as Ending,
    QualityEvent as QualityEvent,
    SealedEvent as SealedEvent,
    SliceEvent as SliceEvent,
    SliceReturned as SliceReturned,
    StatusEvent as StatusEvent,
    SteeringEvent as SteeringEvent,
)
from vbatch.contracts.events.curation import (
    AnswersCompared as AnswersCompared,
    AnyCurationEvent as AnyCurationEvent,
    CurationEvent as CurationEvent,
    DatasetVersionCreated as DatasetVersionCreated,
    DatasetVersionDeleted as DatasetVersionDeleted,
    JudgementRecorded as JudgementRecorded,
    JudgementWithdrawn as JudgementWithdrawn,
)
from vbatch.contracts.events.draining import (
    AnyDrainEvent as AnyDrainEvent,
    DrainEvent as DrainEvent,
    DrainGoal as DrainGoal,
    RunnerDrained as RunnerDrained,
    RunnerDrainRequested as RunnerDrainRequested,
    RunnerResumed as RunnerResumed,
)
from vbatch.contracts.events.evaluations import (
    AnyEvaluationEvent as AnyEvaluationEvent,
    EvaluationEvent as EvaluationEvent,
    EvaluationRecorded as EvaluationRecorded,
    EvaluationRequested as EvaluationRequested,
)
from vbatch.contracts.events.files import FileDeleted as FileDeleted, FileEvent as FileEvent, FileStored as FileStored
from vbatch.contracts.events.labeling import (
    AnyLabelingEvent as AnyLabelingEvent,
    LabelingEvent as LabelingEvent,
    LabelingFailed as LabelingFailed,
    LabelingRequested as LabelingRequested,
    ProjectLinked as ProjectLinked,
    TasksPushed as TasksPushed,
)
from vbatch.contracts.events.leases import (
    LabelerLeased as LabelerLeased,
    LeaseEvent as LeaseEvent,
    LeaseTaken as LeaseTaken,
    NotifierLeased as NotifierLeased,
    ResultsLeased as ResultsLeased,
    SchedulerLeased as SchedulerLeased,
)
from vbatch.contracts.events.models import (
    ModelEvent as ModelEvent,
    ModelRegistered as ModelRegistered,
    ModelRemoved as ModelRemoved,
)
from vbatch.contracts.events.operations import (
    AnyOperationEvent as AnyOperationEvent,
    DeadLetterDropped as DeadLetterDropped,
    DeadLetterRetried as DeadLetterRetried,
    OperationEvent as OperationEvent,
    QueuePaused as QueuePaused,
    QueueResumed as QueueResumed,
)
from vbatch.contracts.events.outcomes import (
    NO_ANSWER as NO_ANSWER,
    NO_USAGE as NO_USAGE,
    BatchFault as BatchFault,
    Flaw as Flaw,
    ModelTotal as ModelTotal,
    Outcome as Outcome,
    OutcomeOutline as OutcomeOutline,
    RequestCounts as RequestCounts,
    RequestError as RequestError,
    Usage as Usage,
    is_success as is_success,
)
from vbatch.contracts.events.runners import (
    EngineCrashed as EngineCrashed,
    EngineEvent as EngineEvent,
    EngineOrigin as EngineOrigin,
    ModelDemanded as ModelDemanded,
    ModelFailed as ModelFailed,
    ModelLoaded as ModelLoaded,
    ModelLoading as ModelLoading,
    ProfileLowered as ProfileLowered,
    ProfileSetting as ProfileSetting,
    ProfileTuned as ProfileTuned,
    RunnerEvent as RunnerEvent,
    RunnerLeased as RunnerLeased,
    RunnerLost as RunnerLost,
    RunnerStopped as RunnerStopped,
)
from vbatch.contracts.events.uploads import (
    AnyUploadEvent as AnyUploadEvent,
    UploadCancelled as UploadCancelled,
    UploadCompleted as UploadCompleted,
    UploadCreated as UploadCreated,
    UploadEvent as UploadEvent,
    UploadPartAdded as UploadPartAdded,
    UploadPartsRemoved as UploadPartsRemoved,
)
from vbatch.contracts.events.webhooks import (
    AnyWebhookEvent as AnyWebhookEvent,
    WebhookCreated as WebhookCreated,
    WebhookDeleted as WebhookDeleted,
    WebhookDelivered as WebhookDelivered,
    WebhookDisabled as WebhookDisabled,
    WebhookEnabled as WebhookEnabled,
    WebhookEvent as WebhookEvent,
    WebhookExhausted as WebhookExhausted,
    WebhookFailed as WebhookFailed,
    WebhookQueued as WebhookQueued,
    WebhookResendAsked as WebhookResendAsked,
    WebhookSecretRotated as WebhookSecretRotated,
    WebhookTestAsked as WebhookTestAsked,
    WebhookUpdated as WebhookUpdated,
)

AnyEvent = (
    FileEvent
    | AnyUploadEvent
    | BatchEvent
    | RunnerEvent
    | AnyDrainEvent
    | LeaseEvent
    | ModelEvent
    | AnyAccessEvent
    | AnyWebhookEvent
    | AnyOperationEvent
    | AnyCurationEvent
    | AnyLabelingEvent
    | AnyEvaluationEvent
)
"""Every event. A `match` over this type that ends in `assert_never` must name the events that it ignores."""
