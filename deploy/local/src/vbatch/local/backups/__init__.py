"""Backups of the stack on this machine: taken while it runs, and restored on an empty one."""

from vbatch.local.backups.checking import check
from vbatch.local.backups.manifest import BackupTrouble, Manifest, Progress
from vbatch.local.backups.restoring import restore
from vbatch.local.backups.taking import back_up

__all__ = ["BackupTrouble", "Manifest", "Progress", "back_up", "check", "restore"]
