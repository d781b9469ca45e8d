"""The table of programs in the local stack: what runs, on which port, and how its readiness is checked."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vbatch.chassis.files import write_atomically
from vbatch.chassis.settings import CONFIG_VARIABLE, LANE_TOKEN_FILE, POSTGRES_URL_FILE, STACK_VARIABLE
from vbatch.chassis.shared_token import provided_token
from vbatch.local import labeling, log_access, monitoring, nats, nats_users, postgres, probes
from vbatch.local.commands import Command
from vbatch.local.postgres_roles import MADE, Role, RoleFiles, statements, url_of
from vbatch.local.settings import LocalSettings


@dataclass(frozen=True)
class Service:
    """One of our own services, `python ARGUMENTS`. `port` is a field of LocalSettings."""

    name: str
    arguments: tuple[str, ...]
    port: str
    stop_seconds_max: int = 15
    is_waited_for: bool = False
    """Whether clients wait for the service: it then takes precedence over work when all processors are busy."""

    reads_log: bool = True
    """Whether the service has a key of its own for the event log. A service that is only a client of the API has
    none."""

    @property
    def port_variable(self) -> str:
        return f"VBATCH_{self.port.upper()}"


SERVICES = (
    Service("gateway", ("-m", "vbatch.gateway"), "gateway_port", is_waited_for=True),
    Service("scheduler", ("-m", "vbatch.scheduler"), "scheduler_port"),
    Service("gpu-runner", ("-m", "vbatch.gpu_runner"), "gpu_runner_port", stop_seconds_max=60),
    Service("results", ("-m", "vbatch.results"), "results_port"),
    Service("notifier", ("-m", "vbatch.notifier"), "notifier_port"),
    Service("console", ("-m", "vbatch.console"), "console_port", is_waited_for=True, reads_log=False),
)
LABELER = Service("labeler", ("-m", "vbatch.labeler"), "labeler_port")
"""The labeler runs only in a stack with Label Studio."""


@dataclass(frozen=True)
class Program:
    """One entry of the supervisor's configuration. A `stage` starts when the previous one is ready."""

    name: str
    command: Command
    ports: dict[str, int]
    probe: Callable[[], str]
    stage: int
    stop_signal: str = "TERM"
    stop_seconds_max: int = 15
    stop_as_group: bool = True
    environment: dict[str, str] = field(default_factory=dict)


def programs(settings: LocalSettings, services: Sequence[Service] = SERVICES) -> list[Program]:
    """Return all programs of this stack in start order, without the servers that the user provides."""
    own = [] if settings.has_own_nats else [_nats(settings)]
    own += [] if settings.has_own_postgres else [_postgres(settings)]
    return own + [_service(service, settings) for service in services] + _labeling(settings) + _monitoring(settings)


def prepare(settings: LocalSettings) -> None:
    """Create the folders, the NATS configuration and the database, where they do not exist yet."""
    for folder in ("run", "logs", "secrets", "nats"):
        (settings.home / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    provided_token(settings.home / LANE_TOKEN_FILE)
    if settings.monitoring:
        monitoring.prepare(settings)
    if settings.labeling:
        labeling.prepare(settings)
    if not settings.has_own_nats:
        store = settings.home / "nats"
        keys = log_access.keys_folder(settings.home)
        nats_users.provide_keys(keys)
        rendered = nats.render(store, settings.nats_port, settings.nats_monitor_port) + nats_users.render(keys)
        write_atomically(settings.home / "run" / "nats.conf", rendered.encode())
    if not settings.has_own_postgres:
        password_file = _password_file(settings.home)
        postgres.initialise(settings.home / "postgres", password_file)
        url = postgres.url(password_file, settings.postgres_port)
        write_atomically(settings.home / POSTGRES_URL_FILE, url.encode())
        _provide_roles(settings)


def _provide_roles(settings: LocalSettings) -> None:
    """Create the roles once in each cluster, which keeps them."""
    files, cluster = RoleFiles(settings.home / "secrets"), settings.home / "postgres"
    if not (cluster / MADE).exists():
        passwords = {role: postgres.provide_password(files.password(role)) for role in Role}
        postgres.execute(cluster, statements(passwords))
        (cluster / MADE).touch()
    for role in Role:
        url = url_of(role, files.password(role).read_text().strip(), settings.postgres_port)
        write_atomically(files.url(role), url.encode())


def environment(settings: LocalSettings, services: Sequence[Service] = SERVICES) -> dict[str, str]:
    """Return what every service of this stack gets in its environment, in addition to the caller's."""
    shared = {
        "VBATCH_HOME": str(settings.home),
        "VBATCH_NATS_URL": settings.log_url,
        "VBATCH_LOG_LEVEL": settings.log_level,
        "VBATCH_GATEWAY_SCHEDULER_URL": f"http://{settings.host}:{settings.scheduler_port}",
        "VBATCH_GATEWAY_NOTIFIER_URL": f"http://{settings.host}:{settings.notifier_port}",
        "VBATCH_GATEWAY_RESULTS_URL": f"http://{settings.host}:{settings.results_port}",
        "VBATCH_GATEWAY_GPU_RUNNER_URLS": f"http://{settings.host}:{settings.gpu_runner_port}",
        "VBATCH_CONSOLE_GATEWAY_URL": settings.gateway_url,
        "VBATCH_PARENT_DEATH": "1",
        STACK_VARIABLE: str(settings.home),
    }
    if not settings.has_own_nats:
        store = settings.home / "nats"
        shared["VBATCH_LOG_FOLDER"] = str(store)
        shared["VBATCH_LOG_BYTES_MAX"] = str(settings.log_limit)
        shared["VBATCH_NATS_MONITOR_URL"] = f"http://{nats.HOST}:{settings.nats_monitor_port}"
    if settings.labeling:
        shared["VBATCH_GATEWAY_LABELER_URL"] = f"http://{settings.host}:{settings.labeler_port}"
    return shared | {service.port_variable: str(_port(settings, service.port)) for service in services}


def _nats(settings: LocalSettings) -> Program:
    home = settings.home
    return Program(
        name="nats",
        command=nats.command(home / "run" / "nats.conf", home / "nats", settings.nats_monitor_port),
        ports={"VBATCH_NATS_PORT": settings.nats_port, "VBATCH_NATS_MONITOR_PORT": settings.nats_monitor_port},
        probe=probes.answers_ok(nats.health_url(settings.nats_monitor_port)),
        stage=0,
        stop_seconds_max=30,
        environment={STACK_VARIABLE: str(home)},
    )


def _postgres(settings: LocalSettings) -> Program:
    home, port = settings.home, settings.postgres_port
    socket_dir = postgres.usable_socket_dir(home / "run" / "postgres")
    return Program(
        name="postgres",
        command=postgres.command(home / "postgres", port, socket_dir, dies_with_parent=True),
        ports={"VBATCH_POSTGRES_PORT": port},
        probe=probes.exits_well(postgres.ready_command(port)),
        stage=0,
        stop_signal="INT",
        stop_as_group=False,  # the server ends its own processes, in its own order
        stop_seconds_max=30,
        environment={STACK_VARIABLE: str(home)},
    )


def _monitoring(settings: LocalSettings) -> list[Program]:
    """Return the programs of monitoring. They start last: nothing in the stack needs them."""
    if not settings.monitoring:
        return []
    commands = (
        ("node-exporter", monitoring.node_exporter_command, "node_exporter_port", "/"),
        ("alertmanager", monitoring.alertmanager_command, "alertmanager_port", "/-/ready"),
        ("prometheus", monitoring.prometheus_command, "prometheus_port", "/-/ready"),
    )
    return [
        Program(
            name=name,
            command=command(settings),
            ports={f"VBATCH_LOCAL_{port.upper()}": _port(settings, port)},
            probe=monitoring.answers(f"http://{monitoring.HOST}:{_port(settings, port)}{path}"),
            stage=2,
            environment={STACK_VARIABLE: str(settings.home)},
        )
        for name, command, port, path in commands
    ]


def _labeling(settings: LocalSettings) -> list[Program]:
    """Return Label Studio and the service that connects to it. Its first start takes a minute."""
    if not settings.labeling:
        return []
    label_studio = Program(
        name="label-studio",
        command=labeling.command(settings),
        ports={"VBATCH_LOCAL_LABEL_STUDIO_PORT": settings.label_studio_port},
        probe=probes.answers_ok(labeling.health_url(settings)),
        stage=2,
        environment={STACK_VARIABLE: str(settings.home), **labeling.ENVIRONMENT},
    )
    labeler = _service(LABELER, settings)
    return [replace(labeler, environment=labeler.environment | labeling.labeler_environment(settings)), label_studio]


def _service(service: Service, settings: LocalSettings) -> Program:
    port = _port(settings, service.port)
    return Program(
        name=service.name,
        command=_command(service, settings),
        ports={service.port_variable: port},
        probe=probes.answers_ok(f"{_base_url(service, settings)}/ready"),
        stage=1,
        stop_seconds_max=service.stop_seconds_max,
        environment=environment(settings, (service,)) | _key(service, settings) | _absolute_config(),
    )


def _base_url(service: Service, settings: LocalSettings) -> str:
    """Return the URL of the service. Those that clients and browsers reach may use HTTPS."""
    public = {"gateway": settings.gateway_url, "console": settings.console_url}
    return public.get(service.name, f"http://{settings.host}:{_port(settings, service.port)}")


def _command(service: Service, settings: LocalSettings) -> Command:
    """Return the command of the service. Everything that the service starts, engines included, inherits its
    niceness."""
    gives_way = () if service.is_waited_for else ("nice", "-n", str(settings.work_niceness))
    return Command((*gives_way, sys.executable, *service.arguments), {}, None)


def _key(service: Service, settings: LocalSettings) -> dict[str, str]:
    path = log_access.nkey_file(settings, service.name) if service.reads_log else None
    return {"VBATCH_NATS_NKEY_FILE": str(path)} if path is not None else {}


def _absolute_config() -> dict[str, str]:
    name = os.environ.get(CONFIG_VARIABLE)
    return {CONFIG_VARIABLE: str(Path(name).absolute())} if name else {}


def _password_file(home: Path) -> Path:
    return home / "secrets" / "postgres-password"


def _port(settings: LocalSettings, field_name: str) -> int:
    port: int = getattr(settings, field_name)
    return port
