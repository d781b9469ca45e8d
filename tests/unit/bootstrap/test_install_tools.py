"""How ./taskw gets its own tools: where pip is looked for, and that a wheel with another hash is refused."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.bootstrap.install_tools import (
    InstallError,
    bundled_wheel_folders,
    install,
    is_installed,
    newest_pip_wheel,
    pinned_names,
    pip_environment,
)

ROOT = Path(__file__).parents[3]
TOOLS_LOCK = ROOT / "deploy/bootstrap/tools.lock"


def tool_wheel(folder: Path) -> Path:
    """A wheel, as small as one can be, that carries one command."""
    folder.mkdir(exist_ok=True)
    wheel = folder / "sample_tool-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        command = zipfile.ZipInfo("sample_tool-1.0.data/scripts/sample")
        command.external_attr = 0o100755 << 16
        archive.writestr(command, "#!/bin/sh\necho ready\n")
        archive.writestr(
            "sample_tool-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sample-tool\nVersion: 1.0\n"
        )
        archive.writestr(
            "sample_tool-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("sample_tool-1.0.dist-info/RECORD", "")
    return wheel


def lock_of(wheel: Path, *, sha256: str | None = None) -> Path:
    digest = sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = wheel.parent / "sample.lock"
    lock.write_text(f"sample-tool==1.0 \\\n    --hash=sha256:{digest}\n")
    return lock


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in place of any package index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


def test_the_tools_land_in_bin_and_the_lock_file_beside_them(tmp_path: Path, wheels: Path) -> None:
    lock = lock_of(tool_wheel(wheels))
    install(lock, tmp_path / "tools")
    assert subprocess.check_output([tmp_path / "tools/bin/sample"], text=True) == "ready\n"
    assert is_installed(lock, tmp_path / "tools")


def test_a_wheel_with_another_hash_is_refused_and_leaves_no_tools(tmp_path: Path, wheels: Path) -> None:
    lock = lock_of(tool_wheel(wheels), sha256="0" * 64)
    with pytest.raises(InstallError, match="PIP_INDEX_URL"):
        install(lock, tmp_path / "tools")
    assert not (tmp_path / "tools/bin").exists()
    assert not is_installed(lock, tmp_path / "tools")


def test_a_new_lock_file_makes_the_tools_stale(tmp_path: Path) -> None:
    lock = lock_of(tool_wheel(tmp_path / "wheels"))
    (tmp_path / "tools.lock").write_text(lock.read_text())
    assert is_installed(lock, tmp_path)
    lock.write_text(lock.read_text() + "# newer\n")
    assert not is_installed(lock, tmp_path)


def test_finished_tools_are_not_fetched_again(tmp_path: Path, wheels: Path) -> None:
    wheel = tool_wheel(wheels)
    lock = lock_of(wheel)
    install(lock, tmp_path / "tools")
    wheel.unlink()
    install(lock, tmp_path / "tools")


def test_a_failed_step_ends_the_script_with_advice(tmp_path: Path, wheels: Path) -> None:
    lock = lock_of(tool_wheel(wheels), sha256="0" * 64)
    script = ROOT / "deploy/bootstrap/install_tools.py"
    ended = subprocess.run([sys.executable, script, lock, tmp_path / "tools"], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "PIP_INDEX_URL names a mirror" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_lock_file_pins_both_tools_and_names_no_address() -> None:
    assert {name.partition("==")[0] for name in pinned_names(TOOLS_LOCK)} == {"uv", "go-task-bin"}
    assert "://" not in TOOLS_LOCK.read_text()


def test_the_first_folder_with_a_pip_wheel_wins(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"pip-{name}.whl").touch()
    (tmp_path / "empty").mkdir()
    folders = [tmp_path / name for name in ("missing", "empty", "a", "b")]
    assert newest_pip_wheel(folders) == tmp_path / "a/pip-a.whl"


def test_no_pip_wheel_anywhere_is_said_so(tmp_path: Path) -> None:
    assert newest_pip_wheel([tmp_path]) is None


def test_debians_folder_is_looked_into_last() -> None:
    assert bundled_wheel_folders()[-1] == Path("/usr/share/python-wheels")


def test_uvs_index_serves_pip_too() -> None:
    environment = pip_environment({"UV_DEFAULT_INDEX": "file:///uv"}, None)
    assert environment["PIP_INDEX_URL"] == "file:///uv"


def test_pips_own_index_is_not_overruled() -> None:
    given = {"UV_DEFAULT_INDEX": "file:///uv", "PIP_INDEX_URL": "file:///pip"}
    assert pip_environment(given, None)["PIP_INDEX_URL"] == "file:///pip"


def test_settings_that_forbid_a_target_folder_are_switched_off() -> None:
    environment = pip_environment({"PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1"}, None)
    assert (environment["PIP_USER"], environment["PIP_REQUIRE_VIRTUALENV"]) == ("0", "0")


def test_pip_from_a_wheel_is_imported_from_there(tmp_path: Path) -> None:
    assert pip_environment({}, tmp_path / "pip.whl")["PYTHONPATH"] == str(tmp_path / "pip.whl")
