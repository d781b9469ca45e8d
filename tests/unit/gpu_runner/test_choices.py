"""What each of some thirty real processors, and a few GPUs, would choose for a model that leaves it open."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processors import Recorded, lay_out, recorded, write
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ArgumentValue, DeviceOverrides, ModelDefinition
from vbatch.gpu_runner.adapters.machine import memory_left_bytes, memory_limit_bytes, processor_quota, read_processor
from vbatch.gpu_runner.core.choices import Choice, gpu_choices, left_open, processor_choices
from vbatch.gpu_runner.core.gpu import Gpu
from vbatch.gpu_runner.core.processor import Feature, Processor, UnknownFeature, named_features

GIB = 1 << 30
PROCESSORS = recorded()
BINDING = "VLLM_CPU_OMP_THREADS_BIND"


def values(choices: tuple[Choice, ...]) -> dict[str, ArgumentValue]:
    return {choice.name: choice.value for choice in choices}


def read(found: Recorded, root: Path) -> Processor:
    lay_out(found, root)
    return read_processor(root=root, usable=range(found.logical_count))


def usual(root: Path, name: str = "ryzen_9_5950x") -> Processor:
    return read(PROCESSORS[name], root)


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_chooses_the_dtype_it_computes_itself(name: str, tmp_path: Path):
    found = PROCESSORS[name]
    assert values(processor_choices(read(found, tmp_path))).get("dtype", "") == found.chosen.dtype


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_gives_the_engine_the_cores_that_compute_at_one_speed(name: str, tmp_path: Path):
    processor = read(PROCESSORS[name], tmp_path)
    chosen = values(processor_choices(processor))
    if chosen[BINDING] == "nobind":
        assert chosen["OMP_NUM_THREADS"] == str(PROCESSORS[name].chosen.engine_threads)
        return
    bound = [int(number) for number in str(chosen[BINDING]).split(",")]
    cores = {core.number: core for core in processor.logical_cores}
    assert len(bound) == PROCESSORS[name].chosen.engine_threads
    assert len({cores[number].core for number in bound}) == len(bound), "two threads share a core"
    assert len({cores[number].node for number in bound}) == 1, "memory of another node is slow"


def test_each_record_says_where_it_is_from():
    assert len(PROCESSORS) >= 20
    assert all(len(found.source) > 20 for found in PROCESSORS.values())


def test_every_choice_has_a_reason(tmp_path: Path):
    assert all(choice.reason for choice in processor_choices(usual(tmp_path)))


def test_on_two_cores_both_compute():
    pair = read_processor("avx2", usable=(0, 1))
    assert values(processor_choices(pair))["OMP_NUM_THREADS"] == "2"


def test_a_thread_that_waits_leaves_its_core_to_whoever_has_work(tmp_path: Path):
    choices = values(processor_choices(usual(tmp_path)))
    assert (choices[BINDING], choices["OMP_WAIT_POLICY"]) == ("nobind", "passive")


@pytest.mark.parametrize("name", PROCESSORS)
def test_threads_are_bound_only_where_other_cores_are_slower(name: str, tmp_path: Path):
    processor = read(PROCESSORS[name], tmp_path)
    kinds = {(core.node, core.is_slow) for core in processor.logical_cores}
    threads = PROCESSORS[name].chosen.engine_threads
    has_choice = len(kinds) > 1 and threads < processor.core_count
    assert (values(processor_choices(processor))[BINDING] != "nobind") == has_choice


def test_in_a_container_threads_are_counted_by_its_share_and_tied_to_no_core(tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "0::/docker/abc\n")
    write(tmp_path / "sys/fs/cgroup/docker/abc/cpu.max", "250000 100000\n")
    choices = values(processor_choices(usual(tmp_path)))
    assert (choices[BINDING], choices["OMP_NUM_THREADS"]) == ("nobind", "2")


def test_half_a_core_is_one_thread(tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", "50000 100000\n")
    choices = processor_choices(usual(tmp_path))
    assert values(choices)["OMP_NUM_THREADS"] == "1"
    assert any("0.5 of 32 processors" in choice.reason for choice in choices)


def test_a_limit_further_up_counts_too(tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "0::/pod/container\n")
    write(tmp_path / "sys/fs/cgroup/pod/container/cpu.max", "max 100000\n")
    write(tmp_path / "sys/fs/cgroup/pod/cpu.max", "150000 100000\n")
    write(tmp_path / "sys/fs/cgroup/pod/memory.max", f"{2 * GIB}\n")
    write(tmp_path / "sys/fs/cgroup/pod/container/memory.max", "max\n")
    assert (processor_quota(tmp_path), memory_limit_bytes(tmp_path)) == (1.5, 2 * GIB)


def test_the_first_version_of_cgroups_is_read_as_well(tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "4:memory:/box\n3:cpu,cpuacct:/box\n")
    write(tmp_path / "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "300000\n")
    write(tmp_path / "sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "sys/fs/cgroup/memory/box/memory.limit_in_bytes", f"{4 * GIB}\n")
    write(tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert (processor_quota(tmp_path), memory_limit_bytes(tmp_path)) == (3.0, 4 * GIB)


def test_what_a_container_has_left_is_its_limit_less_what_it_uses_but_for_idle_files(tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "0::/box\n")
    box = tmp_path / "sys/fs/cgroup/box"
    write(box / "memory.max", f"{4 * GIB}\n")
    write(box / "memory.current", f"{3 * GIB}\n")
    write(box / "memory.stat", f"anon 1\nfile {2 * GIB}\ninactive_file {GIB}\n")
    assert memory_left_bytes(tmp_path) == 2 * GIB


def test_the_first_version_of_cgroups_tells_what_is_left_in_its_own_words(tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "4:memory:/box\n")
    box = tmp_path / "sys/fs/cgroup/memory/box"
    write(box / "memory.limit_in_bytes", f"{4 * GIB}\n")
    write(box / "memory.usage_in_bytes", f"{3 * GIB}\n")
    write(box / "memory.stat", f"total_inactive_file {GIB}\n")
    assert memory_left_bytes(tmp_path) == 2 * GIB


def test_no_limit_is_no_quota(tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", "max 100000\n")
    assert (processor_quota(tmp_path), memory_limit_bytes(tmp_path), memory_left_bytes(tmp_path)) == (None, None, None)


def test_named_features_stand_in_for_those_the_kernel_tells(tmp_path: Path):
    lay_out(PROCESSORS["xeon_platinum_8488c"], tmp_path)
    pretended = read_processor("avx2, avx_vnni", tmp_path, usable=range(4))
    assert pretended.features == {Feature.AVX2, Feature.AVX_VNNI}
    assert values(processor_choices(pretended))["dtype"] == "float32"


def test_an_unknown_feature_is_named_beside_those_there_are():
    with pytest.raises(UnknownFeature, match=r"avx3; there are .*avx512f"):
        named_features("avx2,avx3")


def test_what_a_definition_says_is_not_chosen(tmp_path: Path):
    said = ModelDefinition(
        id=ModelId("m"), arguments={"dtype": "half"}, cpu=DeviceOverrides(arguments={"block_size": 64})
    )
    names = {choice.name for choice in left_open(said, processor_choices(usual(tmp_path)), is_cpu=True)}
    assert names == {BINDING, "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "enforce-eager", "max-num-batched-tokens"}


def test_a_definition_that_binds_its_threads_also_counts_them(tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", "200000 100000\n")
    said = ModelDefinition(id=ModelId("m"), cpu=DeviceOverrides(environment={BINDING: "0-3"}))
    names = {choice.name for choice in left_open(said, processor_choices(usual(tmp_path)), is_cpu=True)}
    assert names.isdisjoint({BINDING, "OMP_NUM_THREADS", "OMP_WAIT_POLICY"})


def test_a_quantised_model_keeps_the_dtype_it_was_made_for(tmp_path: Path):
    said = ModelDefinition(id=ModelId("m"), arguments={"quantization": "awq"})
    assert "dtype" not in values(left_open(said, processor_choices(usual(tmp_path)), is_cpu=True))


@pytest.mark.parametrize(("capability", "said"), [((7, 5), "no bfloat16"), ((8, 6), "bfloat16 and float16 itself")])
def test_a_gpu_leaves_the_dtype_to_the_model_and_says_what_it_has(capability: tuple[int, int], said: str):
    dtype, cache = gpu_choices(Gpu(0, "some GPU", 16 * GIB, capability))
    assert (dtype.value, cache.value) == ("auto", "auto")
    assert said in dtype.reason


def test_fp8_begins_with_ada():
    assert Gpu(0, "RTX 4080", 16 * GIB, (8, 9)).has_fp8 and not Gpu(0, "RTX 3090", 24 * GIB, (8, 6)).has_fp8
