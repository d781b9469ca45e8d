"""The events: what has happened, in the past tense. A shipped event never changes; a new version joins it.

`catalogue` holds their wire names, versions and message ids, and `codec` makes their bytes. Times are aware UTC.
"""

from vbatch.contracts.events.access import (
    AccessEvent as AccessEvent,
)
from vbatch.contracts.events.access import (
    AnyAccessEvent as AnyAccessEvent,
)
from vbatch.contracts.events.access import (
    KeyCreated as KeyCreated,
)
from vbatch.contracts.events.access import (
    KeyExpirySet as KeyExpirySet,
)
from vbatch.contracts.events.access import (
    KeyRevoked as KeyRevoked,
)
from vbatch.contracts.events.access import (
    LimitsChanged as LimitsChanged,
)
from vbatch.contracts.events.access import (
    OwnerQuotaChanged as OwnerQuotaChanged,
)
from vbatch.contracts.events.base import Event as Event
from vbatch.contracts.events.batches import (
    BatchCancelled as BatchCancelled,
)
from vbatch.contracts.events.batches import (
    BatchCancelRequested as BatchCancelRequested,
)
from vbatch.contracts.events.batches import (
    BatchCompleted as BatchCompleted,
)
from vbatch.contracts.events.batches import (
    BatchCreated as BatchCreated,
)
from vbatch.contracts.events.batches import (
    BatchDispatched as BatchDispatched,
)
from vbatch.contracts.events.batches import (
    BatchEvent as BatchEvent,
)
from vbatch.contracts.events.batches import (
    BatchExpired as BatchExpired,
)
from vbatch.contracts.events.batches import (
    BatchFinalizing as BatchFinalizing,
)
from vbatch.contracts.events.batches import (
    BatchPaused as BatchPaused,
)
from vbatch.contracts.events.batches import (
    BatchPriorityChanged as BatchPriorityChanged,
)
from vbatch.contracts.events.batches import (
    BatchRejected as BatchRejected,
)
from vbatch.contracts.events.batches import (
    BatchResumed as BatchResumed,
)
from vbatch.contracts.events.batches import (
    BatchSealed as BatchSealed,
)
from vbatch.contracts.events.batches import (
    BatchValidated as BatchValidated,
)
from vbatch.contracts.events.batches import (
    ChunkCompleted as ChunkCompleted,
)
from vbatch.contracts.events.batches import (
    ChunkOutline as ChunkOutline,
)
from vbatch.contracts.events.batches import (
    Ending as Ending,
)
from vbatch.contracts.events.batches import (
    SealedEvent as SealedEvent,
)
from vbatch.contracts.events.batches import (
    SliceEvent as SliceEvent,
)
from vbatch.contracts.events.batches import (
    SliceReturned as SliceReturned,
)
from vbatch.contracts.events.batches import (
    StatusEvent as StatusEvent,
)
from vbatch.contracts.events.batches import (
    SteeringEvent as SteeringEvent,
)
from vbatch.contracts.events.files import FileDeleted as FileDeleted
from vbatch.contracts.events.files import FileEvent as FileEvent
from vbatch.contracts.events.files import FileStored as FileStored
from vbatch.contracts.events.leases import (
    LeaseEvent as LeaseEvent,
)
from vbatch.contracts.events.leases import (
    LeaseTaken as LeaseTaken,
)
from vbatch.contracts.events.leases import (
    NotifierLeased as NotifierLeased,
)
from vbatch.contracts.events.leases import (
    ResultsLeased as ResultsLeased,
)
from vbatch.contracts.events.leases import (
    SchedulerLeased as SchedulerLeased,
)
from vbatch.contracts.events.models import (
    ModelEvent as ModelEvent,
)
from vbatch.contracts.events.models import (
    ModelRegistered as ModelRegistered,
)
from vbatch.contracts.events.models import (
    ModelRemoved as ModelRemoved,
)
from vbatch.contracts.events.outcomes import (
    NO_ANSWER as NO_ANSWER,
)
from vbatch.contracts.events.outcomes import (
    NO_USAGE as NO_USAGE,
)
from vbatch.contracts.events.outcomes import (
    BatchFault as BatchFault,
)
from vbatch.contracts.events.outcomes import (
    ModelTotal as ModelTotal,
)
from vbatch.contracts.events.outcomes import (
    Outcome as Outcome,
)
from vbatch.contracts.events.outcomes import (
    OutcomeOutline as OutcomeOutline,
)
from vbatch.contracts.events.outcomes import (
    RequestCounts as RequestCounts,
)
from vbatch.contracts.events.outcomes import (
    RequestError as RequestError,
)
from vbatch.contracts.events.outcomes import (
    Usage as Usage,
)
from vbatch.contracts.events.outcomes import (
    is_success as is_success,
)
from vbatch.contracts.events.runners import (
    EngineCrashed as EngineCrashed,
)
from vbatch.contracts.events.runners import (
    EngineEvent as EngineEvent,
)
from vbatch.contracts.events.runners import (
    ModelFailed as ModelFailed,
)
from vbatch.contracts.events.runners import (
    ModelLoaded as ModelLoaded,
)
from vbatch.contracts.events.runners import (
    ModelLoading as ModelLoading,
)
from vbatch.contracts.events.runners import (
    ProfileLowered as ProfileLowered,
)
from vbatch.contracts.events.runners import (
    ProfileSetting as ProfileSetting,
)
from vbatch.contracts.events.runners import (
    RunnerEvent as RunnerEvent,
)
from vbatch.contracts.events.runners import (
    RunnerLeased as RunnerLeased,
)
from vbatch.contracts.events.runners import (
    RunnerLost as RunnerLost,
)
from vbatch.contracts.events.runners import (
    RunnerStopped as RunnerStopped,
)
from vbatch.contracts.events.uploads import (
    AnyUploadEvent as AnyUploadEvent,
)
from vbatch.contracts.events.uploads import (
    UploadCancelled as UploadCancelled,
)
from vbatch.contracts.events.uploads import (
    UploadCompleted as UploadCompleted,
)
from vbatch.contracts.events.uploads import (
    UploadCreated as UploadCreated,
)
from vbatch.contracts.events.uploads import (
    UploadEvent as UploadEvent,
)
from vbatch.contracts.events.uploads import (
    UploadPartAdded as UploadPartAdded,
)
from vbatch.contracts.events.uploads import (
    UploadPartsRemoved as UploadPartsRemoved,
)
from vbatch.contracts.events.webhooks import (
    AnyWebhookEvent as AnyWebhookEvent,
)
from vbatch.contracts.events.webhooks import (
    WebhookCreated as WebhookCreated,
)
from vbatch.contracts.events.webhooks import (
    WebhookDeleted as WebhookDeleted,
)
from vbatch.contracts.events.webhooks import (
    WebhookDelivered as WebhookDelivered,
)
from vbatch.contracts.events.webhooks import (
    WebhookDisabled as WebhookDisabled,
)
from vbatch.contracts.events.webhooks import (
    WebhookEnabled as WebhookEnabled,
)
from vbatch.contracts.events.webhooks import (
    WebhookEvent as WebhookEvent,
)
from vbatch.contracts.events.webhooks import (
    WebhookExhausted as WebhookExhausted,
)
from vbatch.contracts.events.webhooks import (
    WebhookFailed as WebhookFailed,
)
from vbatch.contracts.events.webhooks import (
    WebhookQueued as WebhookQueued,
)
from vbatch.contracts.events.webhooks import (
    WebhookResendAsked as WebhookResendAsked,
)
from vbatch.contracts.events.webhooks import (
    WebhookSecretRotated as WebhookSecretRotated,
)
from vbatch.contracts.events.webhooks import (
    WebhookTestAsked as WebhookTestAsked,
)
from vbatch.contracts.events.webhooks import (
    WebhookUpdated as WebhookUpdated,
)

AnyEvent = (
    FileEvent | AnyUploadEvent | BatchEvent | RunnerEvent | LeaseEvent | ModelEvent | AnyAccessEvent | AnyWebhookEvent
)
"""Every event there is; a `match` over it that ends in `assert_never` names the events it ignores."""
