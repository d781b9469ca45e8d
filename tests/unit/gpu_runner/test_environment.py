"""An engine gets the variables it is known to need, and nothing else of what the runner was started with."""

from __future__ import annotations

import pytest

from vbatch.gpu_runner.core.environment import inherited

NEEDED = {
    "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "LD_PRELOAD": "tcmalloc", "OMP_NUM_THREADS": "2", "CUDA_HOME": "/c",
    "VLLM_CPU_KVCACHE_SPACE": "1", "TORCHINDUCTOR_CACHE_DIR": "/t", "HF_HOME": "/hf", "XDG_CACHE_HOME": "/x",
}  # fmt: skip
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s", "GOOGLE_APPLICATION_CREDENTIALS": "s", "OPENAI_API_KEY": "s", "GITHUB_TOKEN": "s",
    "VBATCH_POSTGRES_URL": "s", "PGPASSWORD": "s", "MY_OWN": "s", "SSH_AUTH_SOCK": "s", "VLLM_API_KEY": "s",
}  # fmt: skip
HUB = {"HF_TOKEN": "t", "https_proxy": "http://user:password@proxy", "NO_PROXY": "x"}


def test_what_an_engine_needs_is_handed_on_and_secrets_are_not():
    assert inherited(NEEDED | SECRETS, {"HF_HUB_OFFLINE": "1"}) == NEEDED


def test_the_hubs_token_and_proxies_go_only_to_an_engine_that_may_fetch():
    assert inherited(HUB, {}) == HUB
    assert inherited(HUB, {"HF_HUB_OFFLINE": "1"}) == {}


@pytest.mark.parametrize("name", ["VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"])
def test_nobody_opens_the_routes_of_developers_by_the_runners_environment(name: str):
    assert inherited({name: "1"}, {}) == {}


def test_what_is_asked_for_besides_is_handed_on():
    assert inherited(SECRETS, {}, {"MY_OWN", "ABSENT"}) == {"MY_OWN": "s"}
