-- The read model: everything here is derived from the log and can be rebuilt from it. Written by results, read by the gateway.
-- Times are UTC; `sequence` columns are stream sequences of EVT.

CREATE TABLE checkpoint (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequence bigint NOT NULL,
    folder text NOT NULL DEFAULT ''          -- below the results folder, where the growing JSONL of these rows stand
);
INSERT INTO checkpoint (sequence) VALUES (0);

CREATE TABLE file (
    id         text PRIMARY KEY,
    sequence   bigint NOT NULL,              -- of file.stored: the order files were made in
    owner      text NOT NULL,
    purpose    text NOT NULL,
    filename   text NOT NULL,
    bytes      bigint NOT NULL,
    sha256     text NOT NULL,
    blob       text NOT NULL,                -- name in the blob store
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    batch_id   text,                         -- the batch whose output or error file it is
    deleted_at timestamptz
);
CREATE INDEX file_by_owner ON file (owner, sequence) WHERE deleted_at IS NULL;

CREATE TABLE batch (
    id                text PRIMARY KEY,
    sequence          bigint NOT NULL UNIQUE, -- of batch.created: the order of creation, and the key of its outcomes
    owner             text NOT NULL,
    endpoint          text NOT NULL,
    completion_window text NOT NULL,
    input_file_id     text NOT NULL,
    metadata          json,                   -- as the client wrote it: json keeps the order of keys and NUL escapes
    output_expires_after_seconds integer,
    status            text NOT NULL,          -- contracts.lifecycle.BatchStatus
    ending            text,                   -- contracts.events.Ending, set when counting is over
    model             text,                   -- set when validated, if the file names just one
    errors            json,                   -- array of {code, message, line, param}
    output_file_id    text,
    error_file_id     text,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    in_progress_at    timestamptz,
    finalizing_at     timestamptz,
    completed_at      timestamptz,
    failed_at         timestamptz,
    expired_at        timestamptz,
    cancelling_at     timestamptz,
    cancelled_at      timestamptz,
    priority          smallint NOT NULL DEFAULT 0,
    asked_priority    smallint NOT NULL DEFAULT 0, -- at its creation: an Idempotency-Key is for one ask
    retry_of          text,                   -- the batch of which this one runs requests again
    fanout_id         text,                   -- shared by the batches of one fan-out
    asked_model       text,                   -- replaces the model that the lines name
    pause_on          json,                   -- {flaw: share}: what pauses the batch
    paused_at         timestamptz,            -- null while it may run
    total             integer NOT NULL DEFAULT 0,
    completed         integer NOT NULL DEFAULT 0,
    failed            integer NOT NULL DEFAULT 0,
    last_line         integer NOT NULL DEFAULT 0,
    input_tokens      bigint NOT NULL DEFAULT 0,
    output_tokens     bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    reasoning_tokens  bigint NOT NULL DEFAULT 0,
    flaws             json,                   -- {flaw: answers that have it}
    engines           json,                   -- array of contracts.manifest.EngineUse: what gave the answers
    partial_bytes     bigint NOT NULL DEFAULT 0, -- how much of the growing JSONL counts; bytes beyond it are not yet true
    counting_ended_at timestamptz,            -- of batch.finalizing, also where the status stays cancelling
    first_outcome_at  timestamptz,
    last_outcome_at   timestamptz,
    version           bigint NOT NULL         -- sequence of the last event that changed this row
);
CREATE INDEX batch_by_owner ON batch (owner, sequence);
CREATE INDEX batch_by_retry ON batch (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX batch_by_fanout ON batch (fanout_id) WHERE fanout_id IS NOT NULL;
CREATE INDEX batch_unfinished ON batch (sequence) WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');

CREATE TABLE outcome (
    batch_sequence bigint NOT NULL,
    line           integer NOT NULL,          -- 1-based physical line of the input file
    start          bigint NOT NULL,           -- where its output line begins in the batch's growing JSONL
    length         integer NOT NULL,          -- of that line with its newline, in bytes
    custom_id      text NOT NULL,
    status_code    smallint,                  -- null: no HTTP answer
    error_code     text,
    input_tokens   integer NOT NULL,
    output_tokens  integer NOT NULL,
    seconds        real NOT NULL,             -- inside the engine
    sequence       bigint NOT NULL,           -- of the chunk that holds the answer
    model          text,                      -- as the answer names it; this and what follows: null without a 2xx answer
    finish_reason  text,                      -- of the first choice
    text_chars     integer,                   -- of the answer's text; null where it is no text
    is_json        boolean,                   -- whether that text is an object or an array
    text_hash      bigint,                    -- equal for equal texts
    PRIMARY KEY (batch_sequence, line)
);

CREATE TABLE model (
    id            text PRIMARY KEY,
    definition    json NOT NULL,              -- contracts.models.ModelDefinition
    registered_at timestamptz NOT NULL,
    removed_at    timestamptz
);

CREATE TABLE runner (
    id           text PRIMARY KEY,
    epoch        bigint NOT NULL,
    state        text NOT NULL,               -- idle, loading, ready, failed, crashed, stopped
    device       text NOT NULL,
    memory_bytes bigint NOT NULL,
    model        text,                        -- loaded or loading
    request_window integer NOT NULL DEFAULT 0, -- requests inside the engine at once
    detail       text NOT NULL DEFAULT '',
    since        timestamptz NOT NULL,
    profile      json,                        -- array of contracts.events.ProfileSetting: what the engine was told
    origin       json                         -- contracts.events.EngineOrigin: where engine and model come from
);

CREATE TABLE judgement (
    id             text PRIMARY KEY,
    sequence       bigint NOT NULL,           -- of judgement.recorded or judgement.compared
    owner          text NOT NULL,
    batch_id       text NOT NULL,
    line           integer NOT NULL,
    other_batch_id text,                      -- of a comparison: the answer B
    other_line     integer,
    vote           text,                      -- contracts.curation.Vote, of a comparison
    judge          text NOT NULL,
    source         text NOT NULL,             -- contracts.curation.JudgementSource
    verdict        text,                      -- contracts.curation.Verdict
    score          double precision,          -- 1 to 5
    tags           json NOT NULL,             -- array of strings
    note           text NOT NULL,
    edited         text,                      -- a better answer
    seconds        double precision,
    reference      text NOT NULL,             -- in the words of its source
    created_at     timestamptz NOT NULL,
    withdrawn_sequence bigint                 -- of judgement.withdrawn: it counts up to there
);
CREATE INDEX judgement_by_batch ON judgement (batch_id, line, sequence);
CREATE INDEX judgement_by_owner ON judgement (owner, sequence);

CREATE TABLE dataset_version (
    id           text PRIMARY KEY,            -- the data set's id, a colon, the version
    sequence     bigint NOT NULL,
    dataset_id   text NOT NULL,
    owner        text NOT NULL,
    name         text NOT NULL,
    version      integer NOT NULL,
    made_by      text NOT NULL,
    log_sequence bigint NOT NULL,             -- judgements up to here are in it
    selection    json NOT NULL,               -- contracts.curation.Selection
    statistics   json NOT NULL,               -- contracts.curation.DatasetStatistics
    blob         text NOT NULL,
    bytes        bigint NOT NULL,
    sha256       text NOT NULL,
    created_at   timestamptz NOT NULL,
    deleted_sequence bigint
);
CREATE INDEX dataset_version_by_owner ON dataset_version (owner, name, version);

CREATE TABLE labeling (
    id           text PRIMARY KEY,
    sequence     bigint NOT NULL,
    owner        text NOT NULL,
    title        text NOT NULL,
    template     text NOT NULL,               -- contracts.labeling.LabelingTemplate
    batch_ids    json NOT NULL,
    item_count   integer NOT NULL,
    requested_by text NOT NULL,
    project_id   bigint,                      -- of Label Studio, once it is known
    created_at   timestamptz NOT NULL,
    pushed_count integer NOT NULL DEFAULT 0,  -- items that Label Studio has as tasks
    failure      text                         -- why it refuses them
);
CREATE INDEX labeling_by_owner ON labeling (owner, sequence);

CREATE TABLE evaluation (
    id                 text PRIMARY KEY,
    sequence           bigint NOT NULL,
    owner              text NOT NULL,
    kind               text NOT NULL,         -- contracts.evaluations.EvaluationKind
    batch_ids          json NOT NULL,         -- whose answers are judged
    judge_batch_id     text NOT NULL,         -- the batch of judge requests
    judge              text NOT NULL,         -- under which the verdicts are recorded
    model              text NOT NULL,
    rubric             text NOT NULL,
    rubric_sha256      text NOT NULL,
    item_count         integer NOT NULL,
    requested_by       text NOT NULL,
    created_at         timestamptz NOT NULL,
    done_count         integer NOT NULL DEFAULT 0, -- items whose verdicts are recorded
    judged_count       integer NOT NULL DEFAULT 0,
    inconsistent_count integer NOT NULL DEFAULT 0, -- pairs whose verdict changed with the order
    unanswered_count   integer NOT NULL DEFAULT 0,
    cut_count          integer NOT NULL DEFAULT 0,
    malformed_count    integer NOT NULL DEFAULT 0
);
CREATE INDEX evaluation_by_owner ON evaluation (owner, sequence);
CREATE INDEX evaluation_not_done ON evaluation (judge_batch_id) WHERE done_count < item_count;
