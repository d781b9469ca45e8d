from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from vbatch.chassis.settings import BadSettings, ServiceSettings, load, load_or_exit


class PumpSettings(ServiceSettings):
    section: ClassVar[str] = "pump"
    port: int = 4099
    strokes_max: int = Field(default=3, ge=1)


class ReaderSettings(PumpSettings):
    needs_postgres: ClassVar[bool] = True


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("VBATCH_HOME", str(tmp_path))
    for name in ("VBATCH_CONFIG", "VBATCH_NATS_URL", "VBATCH_POSTGRES_URL", "VBATCH_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = tmp_path / "vbatch.toml"
    monkeypatch.setenv("VBATCH_CONFIG", str(path))
    return path


def test_the_defaults_need_nothing(tmp_path: Path):
    settings = load(PumpSettings)
    assert settings.nats_url == "nats://127.0.0.1:4322"
    assert settings.blob_url == f"file://{tmp_path}/blobs"
    assert (settings.host, settings.port, settings.otlp_endpoint) == ("127.0.0.1", 4099, None)


def test_the_home_is_absolute_wherever_the_process_goes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VBATCH_HOME", "var")
    assert load(PumpSettings).home.is_absolute()


def test_a_variable_of_the_service_beats_the_common_one_beats_the_file(monkeypatch: pytest.MonkeyPatch, config: Path):
    config.write_text("log_level = 'error'\n[pump]\nport = 1\nstrokes_max = 9\n[other]\nport = 2\n")
    monkeypatch.setenv("VBATCH_PORT", "3")
    assert (load(PumpSettings).port, load(PumpSettings).log_level) == (3, "error")
    monkeypatch.setenv("VBATCH_PUMP_PORT", "4")
    assert (load(PumpSettings).port, load(PumpSettings).strokes_max) == (4, 9)


def test_every_bad_field_is_listed_with_its_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VBATCH_LOG_LEVEL", "loud")
    monkeypatch.setenv("VBATCH_PUMP_STROKES_MAX", "0")
    with pytest.raises(BadSettings) as refused:
        load(PumpSettings)
    assert "log_level (VBATCH_LOG_LEVEL): Input should be 'debug'" in str(refused.value)
    assert "strokes_max (VBATCH_PUMP_STROKES_MAX): Input should be greater than" in str(refused.value)


def test_a_misspelt_key_in_the_file_is_refused(config: Path):
    config.write_text("[pump]\nstroke_max = 1\n")
    with pytest.raises(BadSettings, match="stroke_max: is no setting of pump"):
        load(PumpSettings)


@pytest.mark.parametrize("content", ["port = ", "\xff", "pump = 1"])
def test_a_file_that_cannot_be_read_is_named(config: Path, content: str):
    config.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadSettings, match=r"vbatch\.toml"):
        load(PumpSettings)


def test_a_missing_file_is_not_passed_over(config: Path):
    with pytest.raises(BadSettings, match="VBATCH_CONFIG"):
        load(PumpSettings)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VBATCH_POSTGRES_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("VBATCH_LOG_LEVEL", "loud")
    with pytest.raises(BadSettings) as refused:
        load(PumpSettings)
    monkeypatch.delenv("VBATCH_LOG_LEVEL")
    assert "hunter2" not in str(refused.value) + repr(load(PumpSettings))


def test_the_embedded_database_is_found_through_the_home(tmp_path: Path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "postgres-url").write_text("postgresql://embedded\n")
    url = load(ReaderSettings).postgres_url
    assert url is not None and url.get_secret_value() == "postgresql://embedded"


def test_a_service_that_needs_the_database_does_not_start_without():
    assert load(PumpSettings).postgres_url is None
    with pytest.raises(BadSettings, match=r"postgres_url \(VBATCH_POSTGRES_URL\): is needed"):
        load(ReaderSettings)


def test_main_prints_what_is_bad_and_exits_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("VBATCH_PORT", "many")
    with pytest.raises(SystemExit) as left:
        load_or_exit(PumpSettings)
    assert left.value.code == 2
    assert "port (VBATCH_PUMP_PORT)" in capsys.readouterr().err
