"""Which profiles are tried, which go on, and what is printed for models.toml."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import msgspec

from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import DeviceOverrides, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, effective_arguments, effective_environment
from vbatch.gpu_runner.core.gpu import Gpu
from vbatch.gpu_runner.core.tuning import (
    Candidate,
    Trial,
    candidates,
    coarser_gain,
    combined,
    first_round_requests,
    is_coarser,
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


def test_on_a_gpu_the_other_dtypes_are_tried_and_fp8_only_where_it_is_computed():
    ada = replace(GPU, gpu=Gpu(0, GPU.name, GPU.memory_bytes, (8, 9)))
    ampere = replace(GPU, gpu=Gpu(0, GPU.name, GPU.memory_bytes, (8, 6)))
    tried_on = {device: [dict(found.changes) for found in candidates(SMALL, device)] for device in (ada, ampere)}
    for tried in tried_on.values():
        assert {"dtype": "float16"} in tried and {"dtype": "bfloat16"} in tried
    assert {"quantization": "fp8"} in tried_on[ada] and {"quantization": "fp8"} not in tried_on[ampere]


def test_a_quantised_model_is_not_quantised_a_second_time():
    ada = replace(GPU, gpu=Gpu(0, GPU.name, GPU.memory_bytes, (8, 9)))
    quantised = msgspec.structs.replace(SMALL, arguments={"quantization": "awq"})
    assert not any("quantization" in candidate.changes for candidate in candidates(quantised, ada))


def test_what_makes_answers_coarser_is_told_and_not_chosen():
    coarser = Candidate({"quantization": "fp8"})
    assert is_coarser(coarser) and not is_coarser(Candidate({"dtype": "float16"}))
    assert coarser_gain([trial(10.0), trial(12.0, a=1), Trial(coarser, 32, 16.0)]) == (coarser, 1.6)
    assert coarser_gain([trial(10.0), Trial(coarser, 32, 9.0)]) is None
    assert coarser_gain([trial(10.0), Trial(coarser, 32, fault="it needs an Ada GPU")]) is None


def test_a_candidate_in_capitals_is_a_variable_of_the_engine():
    changed = Candidate({"VLLM_CPU_OMP_THREADS_BIND": "1"}).applied(SMALL, CPU)
    assert effective_environment(changed, CPU) == {"VLLM_CPU_OMP_THREADS_BIND": "1"}
    assert "VLLM_CPU_OMP_THREADS_BIND" not in effective_arguments(changed, CPU)


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
