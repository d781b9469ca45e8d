"""The list of all dashboards."""

from __future__ import annotations

from deploy.monitoring.dashboards.api import API
from deploy.monitoring.dashboards.batch import BATCH
from deploy.monitoring.dashboards.engine import ENGINE
from deploy.monitoring.dashboards.model import Dashboard
from deploy.monitoring.dashboards.overview import OVERVIEW
from deploy.monitoring.dashboards.slo import SLO
from deploy.monitoring.dashboards.storage import STORAGE

DASHBOARDS: tuple[Dashboard, ...] = (OVERVIEW, BATCH, ENGINE, STORAGE, API, SLO)
