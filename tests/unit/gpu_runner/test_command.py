from __future__ import annotations

import msgspec
import pytest

from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ArgumentValue, DeviceOverrides, EngineKind, ModelDefinition
from vbatch.gpu_runner.core.command import (
    Device,
    DeviceKind,
    Places,
    effective_concurrency,
    engine_command,
    schedules_by_priority,
)

CPU = Device(DeviceKind.CPU, "cpu", 1 << 34)
GPU = Device(DeviceKind.NVIDIA, "RTX 4080", 1 << 34, index=1)
PLACES = Places("vllm-python", "own-python", "/run/engine.sock", "/models/small")
SMALL = ModelDefinition(
    id=ModelId("org/small"),
    package="small",
    max_num_seqs=64,
    arguments={"max-model-len": 2048, "enforce_eager": True, "kv-cache-dtype": "fp8"},
    environment={"A": "model"},
    cpu=DeviceOverrides(
        arguments={"max_num_seqs": 16, "kv-cache-dtype": "auto", "enforce-eager": False}, environment={"A": "cpu"}
    ),
)


def test_a_vllm_model_on_a_gpu():
    command = engine_command(SMALL, GPU, PLACES)
    assert command.arguments == (
        *("vllm-python", "-m", "vllm.entrypoints.openai.api_server", "--uds", "/run/engine.sock"),
        "--disable-uvicorn-access-log",
        *("--model", "/models/small", "--served-model-name", "org/small", "--max-num-seqs", "64"),
        *("--max-model-len", "2048", "--enforce-eager", "--kv-cache-dtype", "fp8"),
        *("--allowed-media-domains", "none.invalid", "--scheduling-policy", "priority"),
    )
    assert command.environment == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_RPC_BASE_PATH": "/run",
        "DO_NOT_TRACK": "1",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "1",
        "A": "model",
    }


def test_on_a_cpu_the_overrides_win_and_take_flags_back():
    command = engine_command(SMALL, CPU, PLACES)
    assert command.arguments[10:-4] == ("--max-num-seqs", "16", "--max-model-len", "2048", "--kv-cache-dtype", "auto")
    assert command.environment["A"] == "cpu" and "CUDA_VISIBLE_DEVICES" not in command.environment


def words(arguments: dict[str, ArgumentValue]) -> tuple[str, ...]:
    """Of vLLM's command line, what follows from the arguments."""
    return engine_command(ModelDefinition(id=ModelId("m"), package="p", arguments=arguments), GPU, PLACES).arguments[
        12:
    ]


@pytest.mark.parametrize("none", [{}, {"allowed-media-domains": ""}, {"allowed_media_domains": False}])
def test_vllm_may_fetch_media_from_no_host_unless_some_are_named(none: dict[str, ArgumentValue]):
    assert words(none)[:2] == ("--allowed-media-domains", "none.invalid")
    assert words({"allowed_media_domains": "a.org  B.org"})[:3] == ("--allowed-media-domains", "a.org", "b.org")


def test_vllm_runs_requests_of_clients_first_unless_the_definition_says_otherwise():
    assert words({})[-2:] == ("--scheduling-policy", "priority")
    assert words({"scheduling-policy": "fcfs"})[:2] == ("--scheduling-policy", "fcfs")
    model = ModelDefinition(id=ModelId("m"), package="p")
    assert schedules_by_priority(model, GPU)
    in_order = msgspec.structs.replace(model, arguments={"scheduling-policy": "fcfs"})
    elsewhere = msgspec.structs.replace(model, engine=EngineKind.HTTP)
    embedding = msgspec.structs.replace(model, endpoints=("/v1/embeddings",))
    assert not any(schedules_by_priority(each, GPU) for each in (in_order, elsewhere, embedding))


def test_vllm_may_never_read_media_from_files_of_this_machine():
    assert "--allowed-local-media-path" not in words({"allowed-local-media-path": "/"})


def test_code_of_a_model_and_templates_of_requests_are_trusted_only_where_the_model_file_says_so():
    assert {"--trust-remote-code", "--trust-request-chat-template"}.isdisjoint(words({}))
    assert "--trust-remote-code" in words({"trust_remote_code": True})


def test_vllm_listens_on_a_socket_alone_and_its_developer_routes_are_closed():
    for device in (CPU, GPU):
        command = engine_command(SMALL, device, PLACES)
        assert {"--host", "--port", "--enable-lora"}.isdisjoint(command.arguments)
        assert {"VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"}.isdisjoint(command.environment)


def test_the_window_follows_what_the_engine_is_told():
    assert (effective_concurrency(SMALL, GPU), effective_concurrency(SMALL, CPU)) == (96, 48)


def test_a_model_from_the_hub_may_be_fetched():
    command = engine_command(ModelDefinition(id=ModelId("m"), hub="org/m"), CPU, PLACES)
    assert "HF_HUB_OFFLINE" not in command.environment


def test_the_simulator_runs_on_our_own_python():
    command = engine_command(ModelDefinition(id=ModelId("m"), engine=EngineKind.SIMULATED), CPU, PLACES)
    assert command.arguments == (
        *("own-python", "-m", "vbatch.gpu_runner.simulated", "--uds", "/run/engine.sock"),
        *("--model", "m", "--max-num-seqs", "128"),
    )


def test_a_remote_engine_is_not_started():
    remote = ModelDefinition(id=ModelId("m"), engine=EngineKind.HTTP, base_url="http://127.0.0.1:1")
    with pytest.raises(ValueError, match="nothing to start"):
        engine_command(remote, CPU, PLACES)


def test_on_a_cpu_vllm_is_given_every_core_the_runner_may_use():
    two_cores = Device(DeviceKind.CPU, "cpu", 1 << 34, cores=(0, 3))
    definition = ModelDefinition(id=ModelId("m"), folder="m")
    assert engine_command(definition, two_cores, PLACES).environment["VLLM_CPU_OMP_THREADS_BIND"] == "0,3"
    assert "VLLM_CPU_OMP_THREADS_BIND" not in engine_command(definition, GPU, PLACES).environment
