"""Label Studio beside the stack, in an environment of its own, and what the labeler needs to know about it."""

from __future__ import annotations

import secrets
from pathlib import Path

from vbatch.chassis.files import write_atomically
from vbatch.local.commands import Command, LocalTrouble
from vbatch.local.settings import LocalSettings

HOST = "127.0.0.1"
USER = "admin@example.com"
INSTALL = "./taskw setup:labeling"
TOKEN_BYTES, PASSWORD_BYTES = 20, 12
ENVIRONMENT = {
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "SSRF_PROTECTION_ENABLED": "false",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
}
"""Label Studio sends no data to anyone, and webhooks may go to this machine."""


def prepare(settings: LocalSettings) -> None:
    """Create what Label Studio needs. LocalTrouble says that Label Studio is not installed."""
    if not settings.label_studio_program.exists():
        raise LocalTrouble(f"Label Studio is not installed: run {INSTALL}, or start without --labeling")
    (settings.home / "label-studio").mkdir(parents=True, exist_ok=True, mode=0o700)


def command(settings: LocalSettings) -> Command:
    """Return the command. Name, password and token of the first user are in its environment, where other users do not
    see them; both secrets are created once."""
    argv = (
        str(settings.label_studio_program.absolute()),
        "start",
        "--no-browser",
        *("--internal-host", HOST),
        *("--port", str(settings.label_studio_port)),
        *("--data-dir", str((settings.home / "label-studio").absolute())),
    )
    user = {
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": _secret(password_file(settings.home), PASSWORD_BYTES),
        "LABEL_STUDIO_USER_TOKEN": _secret(token_file(settings.home), TOKEN_BYTES),
    }
    return Command(argv, ENVIRONMENT | user, None)


def health_url(settings: LocalSettings) -> str:
    return f"http://{HOST}:{settings.label_studio_port}/health"


def labeler_environment(settings: LocalSettings) -> dict[str, str]:
    return {
        "VBATCH_LABELER_LABEL_STUDIO_URL": f"http://{HOST}:{settings.label_studio_port}",
        "VBATCH_LABELER_LABEL_STUDIO_TOKEN_FILE": str(token_file(settings.home).absolute()),
        "VBATCH_LABELER_BELL_URL": f"http://{settings.host}:{settings.labeler_port}/label-studio",
    }


def token_file(home: Path) -> Path:
    return home / "secrets" / "label-studio-token"


def password_file(home: Path) -> Path:
    return home / "secrets" / "label-studio-password"


def _secret(path: Path, size: int) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, secrets.token_hex(size).encode(), mode=0o600)
    return path.read_text()
