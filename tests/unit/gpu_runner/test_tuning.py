"""Which profiles are tried, which go on, and what is printed for models.toml."""

from __future__ import annotations

import tomllib

import msgspec

from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import DeviceOverrides, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments
from vbatch.gpu_runner.core.tuning import (
    Candidate,
    Trial,
    candidates,
    combined,
    first_round_requests,
    next_round,
    profile_of,
)

CPU = Device(DeviceKind.CPU, "cpu", 1 << 34)
GPU = Device(DeviceKind.NVIDIA, "RTX 4080", 1 << 34)
SMALL = ModelDefinition(
    id=ModelId("small"),
    max_num_seqs=64,
    arguments={"max-model-len": 2048},
    cpu=DeviceOverrides(arguments={"enforce-eager": True, "block-size": 32}),
)


def trial(rate: float, **changes: int) -> Trial:
    return Trial(Candidate(changes), 32, rate)


def test_the_profile_as_it_stands_is_tried_and_each_argument_by_itself():
    tried = candidates(SMALL, CPU)
    assert tried[0].changes == {}
    assert all(len(candidate.changes) == 1 for candidate in tried[1:])
    assert {name for candidate in tried for name in candidate.changes} == {
        "max-num-seqs",
        "max-num-batched-tokens",
        "enforce-eager",
        "block-size",
        "dtype",
    }


def test_a_candidate_changes_what_the_engine_is_told_on_this_device():
    for device in (CPU, GPU):
        described = effective_arguments(Candidate({"max-num-seqs": 7}).applied(SMALL, device), device)
        assert described["max-num-seqs"] == 7 and described["max-model-len"] == 2048


def test_a_simulated_engine_has_only_its_size_to_tune():
    simulated = ModelDefinition(id=ModelId("small"), engine=EngineKind.SIMULATED, max_num_seqs=8)
    assert [dict(candidate.changes) for candidate in candidates(simulated, CPU)] == [
        {},
        {"max-num-seqs": 4},
        {"max-num-seqs": 16},
    ]


def test_the_better_half_goes_on():
    trials = [trial(1, a=1), trial(4, b=1), trial(3, c=1), trial(2, d=1)]
    assert [dict(candidate.changes) for candidate in next_round(trials)] == [{"b": 1}, {"c": 1}]


def test_what_failed_does_not_go_on():
    failed = Trial(Candidate({"a": 1}), 32, fault="out of memory")
    assert [dict(candidate.changes) for candidate in next_round([failed, trial(1, b=1)])] == [{"b": 1}]
    assert next_round([failed]) == []


def test_the_engine_is_given_more_than_it_runs_at_once():
    assert first_round_requests(SMALL, CPU) == 128
    assert first_round_requests(msgspec.structs.replace(SMALL, max_num_seqs=4), CPU) == 32


def test_what_helped_by_itself_is_tried_together():
    trials = [trial(2), trial(3, a=1), trial(4, a=2), trial(3, b=1), trial(1, c=1)]
    assert [dict(candidate.changes) for candidate in combined(trials)] == [{"a": 2, "b": 1}]


def test_one_change_that_helped_is_no_new_profile():
    assert combined([trial(2), trial(3, a=1), trial(1, b=1)]) == []


def test_the_profile_is_printed_as_the_file_should_read():
    best = Candidate({"max-num-seqs": 128, "enforce-eager": False})
    on_cpu = tomllib.loads(f"[model]\n{profile_of(SMALL, CPU, best)}")["model"]["cpu"]["arguments"]
    assert on_cpu == {"enforce-eager": False, "block-size": 32, "max-num-seqs": 128}
    on_gpu = tomllib.loads(str(profile_of(SMALL, GPU, best)))
    assert on_gpu == {"max_num_seqs": 128, "arguments": {"max-model-len": 2048, "enforce-eager": False}}
