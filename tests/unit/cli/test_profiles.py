"""How the profile of a model reads, by what the log holds of it."""

from __future__ import annotations

from tests.support.events import NOON, RUNNER
from vbatch.cli.profiles import Profiles, read_profiles
from vbatch.contracts import codec, events as e
from vbatch.contracts.event_text import event_text
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.profile import SAID
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings

SMALL = ModelId("org/small")
REASON = "this processor emulates bfloat16: it has AVX2 and no more"
SETTINGS = (
    e.ProfileSetting(name="dtype", value="float32", reason=REASON),
    e.ProfileSetting(name="VLLM_CPU_OMP_THREADS_BIND", value="nobind", reason="a share"),
    e.ProfileSetting(name="OMP_NUM_THREADS", value="2", reason="a share"),
    e.ProfileSetting(name="max-num-seqs", value="64", reason=SAID),
    e.ProfileSetting(name="max-model-len", value="2048", reason=SAID),
)
REGISTERED = e.ModelRegistered(model=ModelDefinition(id=SMALL, folder="small"), at=NOON)
LOADING = e.ModelLoading(runner_id=RUNNER, epoch=1, model=SMALL, profile=SETTINGS, at=NOON)


def nothing(definition: ModelDefinition) -> tuple[e.ProfileSetting, ...]:
    return ()


def lines(profiles: Profiles) -> list[str]:
    return list(profiles.lines(SMALL))


def test_what_the_device_chose_stands_with_its_reason_and_what_was_said_on_one_line():
    profiles = Profiles(nothing)
    profiles.fold(LOADING)
    assert lines(profiles)[0].startswith("loaded on gpu0, 20")
    assert lines(profiles)[1:] == [
        f"  float32: {REASON}",
        "  threads on any core, 2 threads: a share",
        "  max-num-seqs 64, max-model-len 2048: as its definition says",
    ]


def test_a_model_that_was_never_loaded_is_foretold():
    profiles = Profiles(lambda definition: SETTINGS if definition.id == SMALL else ())
    profiles.fold(REGISTERED)
    assert lines(profiles)[:2] == ["never loaded yet; this machine would take:", f"  float32: {REASON}"]


def test_of_a_model_that_is_told_nothing_nothing_is_said():
    profiles = Profiles(nothing)
    profiles.fold(REGISTERED)
    assert lines(profiles) == []


def test_of_a_model_that_was_never_loaded_only_what_the_device_would_choose_is_worth_saying():
    profiles = Profiles(lambda definition: SETTINGS[3:])
    profiles.fold(REGISTERED)
    assert lines(profiles) == []


async def test_the_log_is_read_to_its_end_and_no_further():
    journal = MemoryJournal(JournalSettings(url="memory://", name="test"), lambda: NOON)
    assert lines(await read_profiles(journal.log, nothing)) == []
    for event in (REGISTERED, LOADING):
        await journal.log.append(codec.encode(event, source="test"))
    assert len(lines(await read_profiles(journal.log, nothing))) == 4


def test_the_log_tells_the_type_of_numbers_and_why():
    assert event_text(LOADING) == f"gpu0 loads org/small in float32: {REASON}"
