"""With which profile a model is loaded, and what is told of it."""

from __future__ import annotations

import msgspec

from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import DeviceOverrides, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.command import Device, DeviceKind, Places, engine_command
from vbatch.gpu_runner.core.fit import GIB, ModelShape, fit
from vbatch.gpu_runner.core.gpu import Gpu
from vbatch.gpu_runner.core.processor import Feature, LogicalCore, Processor
from vbatch.gpu_runner.core.profile import Profile, described, in_words, profile_on

PLACES = Places("vllm-python", "own-python", "/run/engine.sock", "/models/small")
SMALL = ModelDefinition(
    id=ModelId("org/small"),
    package="small",
    arguments={"max-model-len": 2048},
    environment={"HF_TOKEN": "secret"},
    cpu=DeviceOverrides(environment={"VLLM_CPU_KVCACHE_SPACE": "1"}),
)
SEVEN_BILLION = ModelShape(14 * GIB, 32, 8, 128, 8192)


def desktop(memory_bytes: int = 64 * GIB, quota: float | None = None) -> Device:
    cores = tuple(LogicalCore(number, number) for number in range(4))
    processor = Processor("a desktop", frozenset({Feature.AVX2}), cores, quota)
    return Device(DeviceKind.CPU, "cpu", memory_bytes, cores=(0, 1, 2, 3), processor=processor)


def values(profile: Profile) -> dict[str, object]:
    return {setting.name: setting.value for setting in profile.settings}


def reason(profile: Profile, name: str) -> str:
    return next(setting.reason for setting in profile.settings if setting.name == name)


def test_the_engine_is_told_what_the_device_chose():
    command = engine_command(profile_on(SMALL, desktop()).definition, desktop(), PLACES)
    assert "--dtype float32" in " ".join(command.arguments)
    assert (command.environment["VLLM_CPU_OMP_THREADS_BIND"], command.environment["OMP_NUM_THREADS"]) == ("nobind", "4")


def test_in_a_container_the_engine_is_told_how_many_threads():
    boxed = desktop(quota=2.0)
    command = engine_command(profile_on(SMALL, boxed).definition, boxed, PLACES)
    assert (command.environment["VLLM_CPU_OMP_THREADS_BIND"], command.environment["OMP_NUM_THREADS"]) == ("nobind", "2")


def test_what_the_definition_says_wins_and_is_told_as_its_word():
    said = msgspec.structs.replace(SMALL, cpu=DeviceOverrides(arguments={"dtype": "bfloat16"}))
    profile = profile_on(said, desktop())
    assert values(profile)["dtype"] == "bfloat16"
    assert reason(profile, "dtype") == "the model's definition says so"


def test_an_environment_is_told_only_where_it_is_the_engines():
    assert "HF_TOKEN" not in values(profile_on(SMALL, desktop()))
    assert "VLLM_CPU_KVCACHE_SPACE" in values(profile_on(SMALL, desktop()))


def test_where_float32_would_not_fit_bfloat16_is_taken():
    assert values(profile_on(SMALL, desktop(64 * GIB), SEVEN_BILLION))["dtype"] == "float32"
    tight = profile_on(SMALL, desktop(32 * GIB), SEVEN_BILLION)
    assert values(tight)["dtype"] == "bfloat16"
    assert "float32 would be faster here but takes 31." in reason(tight, "dtype")


def test_a_model_that_comes_quantised_keeps_its_dtype():
    quantised = msgspec.structs.replace(SMALL)
    shape = ModelShape(4 * GIB, 32, 8, 128, 8192, is_quantized=True)
    assert "dtype" not in values(profile_on(quantised, desktop(), shape))


def test_only_vllm_is_told_anything():
    simulated = ModelDefinition(id=ModelId("m"), engine=EngineKind.SIMULATED)
    assert profile_on(simulated, desktop()).definition == simulated


def test_a_device_of_which_nothing_was_read_chooses_nothing():
    assert profile_on(SMALL, Device(DeviceKind.CPU, "cpu", GIB)).definition == SMALL


def test_on_a_gpu_answers_are_made_no_coarser_unasked():
    card = Device(DeviceKind.NVIDIA, "RTX 4080", 16 * GIB, gpu=Gpu(0, "RTX 4080", 16 * GIB, (8, 9)))
    found = values(profile_on(SMALL, card, SEVEN_BILLION))
    assert (found["dtype"], found["kv-cache-dtype"]) == ("auto", "auto")
    assert "quantization" not in found


def test_the_fit_is_reckoned_with_the_dtype_that_is_loaded():
    published = fit(SEVEN_BILLION, {"dtype": "auto"}, desktop(), GIB)
    widened = fit(SEVEN_BILLION, {"dtype": "float32"}, desktop(), GIB)
    assert widened.weights_bytes == 2 * published.weights_bytes
    assert widened.kv_bytes_wanted == 2 * published.kv_bytes_wanted


def test_a_model_published_wide_is_loaded_narrow():
    wide = ModelShape(4 * GIB, 16, 8, 64, 2048, value_bytes=4.0)
    assert fit(wide, {"dtype": "bfloat16"}, desktop(), GIB).weights_bytes == 2 * GIB


def test_a_refusal_on_a_processor_offers_the_narrower_dtype_and_no_fp8():
    refused = fit(SEVEN_BILLION, {"dtype": "float32", "max-model-len": 8192}, desktop(32 * GIB), GIB)
    assert 'dtype = "bfloat16" would halve its weights' in refused.refusal()
    beyond = fit(SEVEN_BILLION, {"dtype": "bfloat16"}, desktop(16 * GIB), GIB)
    assert "fp8" not in beyond.refusal()


def test_what_memory_ran_out_with_is_the_reason_of_what_was_lowered():
    lowered = described(profile_on(SMALL, desktop()), {"max-num-seqs": 256})
    assert next(step.reason for step in lowered if step.name == "max-num-seqs") == "memory ran out with 256"


def test_a_long_argument_is_told_by_how_it_begins():
    template = msgspec.structs.replace(SMALL, arguments={"chat-template": "x" * 100_000})
    assert max(len(setting.value) for setting in described(profile_on(template, desktop()), {})) == 200


def test_settings_read_as_words():
    assert [in_words(setting) for setting in described(profile_on(SMALL, desktop(quota=2.0)), {})][:5] == [
        "float32",
        "threads on any core",
        "2 threads",
        "threads asleep while they wait",
        "enforce-eager",
    ]
