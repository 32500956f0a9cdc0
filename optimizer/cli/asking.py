"""Opens what `optimizer ask` asks through: the user's own gateways, or a fake one that is there for one call only."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from pydantic import SecretStr

from optimizer.cli.app import App
from optimizer.engine import Optimizer
from optimizer.errors import NoGateway
from optimizer.ledger.schema import open_database
from optimizer.settings import Origin, Settings
from optimizer.settings.sections import DirectConfig, OpenRouterConfig, PortkeyConfig
from optimizer.settings.use_cases import CandidateSettings
from optimizer.simulation.fake_gateway import FakeServer, ModelScript, Script, running_gateway

_KEY = "fake"
_SCRIPT = Script(
    default=ModelScript(ttft_s=0.1, ttft_sigma=0.5, tokens_per_s=200.0, output_tokens=48, output_sigma=0.3)
)


@contextmanager
def open_to_ask(app: App, *, fake: bool, use_case: str | None, models: tuple[str, ...]) -> Iterator[Optimizer]:
    """Lend an optimizer whose calls can be made; its use case may be served by these models too.

    Raises
    ------
    click.ClickException
        If no gateway can be asked; says how to get a key.
    """
    with ExitStack() as stack:
        if fake:
            app, settings = _faked(app, stack)
        elif not _can_ask(app.settings):
            raise click.ClickException(f"{NoGateway()}; `optimizer ask --fake` shows it without a key")
        else:
            settings = app.settings
        settings = _offering(settings, app, use_case, models)
        yield stack.enter_context(_optimizer(app, settings))


def _can_ask(settings: Settings) -> bool:
    return settings.portkey_config.usable or settings.openrouter_config.usable or bool(settings.direct_config)


def _faked(app: App, stack: ExitStack) -> tuple[App, Settings]:
    """Return the same options and settings with every gateway played by a fake one, and nobody's keys."""
    server = stack.enter_context(running_gateway(_SCRIPT, catalog=app.catalog))
    database = app.database
    if database is None:
        folder = stack.enter_context(TemporaryDirectory(prefix="optimizer-"))
        database = f"sqlite:///{Path(folder) / 'ledger.db'}"
    click.echo("A fake gateway on this machine answers: no model is asked, and nothing is paid.", err=True)
    faked = replace(app, environ={**app.environ, **_addresses(server)}, database=database)
    gateways = {
        "portkey_config": PortkeyConfig(api_key=(SecretStr(_KEY),), base_url=server.portkey_url),
        "openrouter_config": OpenRouterConfig(api_key=(SecretStr(_KEY),), base_url=server.openrouter_url),
        "direct_config": {name: DirectConfig(base_url=server.portkey_url) for name in app.settings.direct_config},
    }
    return faked, app.settings.model_copy(update=gateways)


def _addresses(server: FakeServer) -> Mapping[str, str]:
    """Return what keeps to the fake gateway where the configuration file is read again."""
    return {
        "PORTKEY_API_KEY": _KEY,
        "PORTKEY_BASE_URL": server.portkey_url,
        "OPENROUTER_API_KEY": _KEY,
        "OPENROUTER_BASE_URL": server.openrouter_url,
    }


def _offering(settings: Settings, app: App, use_case: str | None, models: tuple[str, ...]) -> Settings:
    """Return the settings with the models that can be had as candidates of the use case, after its own."""
    name = settings.names.get(use_case or "", settings.names.get(settings.default_use_case or ""))
    if name is None:
        return settings
    asked = settings.use_cases[name]
    there = {candidate.model_id for candidate in asked.candidates}
    more = (model for model in models if model not in there and _is_offered(settings, app, model))
    candidates = (*asked.candidates, *(CandidateSettings(model_id=model) for model in more))
    changed = asked.model_copy(update={"candidates": candidates})
    return settings.model_copy(update={"use_cases": {**settings.use_cases, name: changed}})


def _is_offered(settings: Settings, app: App, model: str) -> bool:
    known = app.catalog.models.get(model)
    return known is not None and known.servable(app.now()) and any(map(known.offered_by, settings.gateways))


def _optimizer(app: App, settings: Settings) -> Optimizer:
    database = open_database(app.database_url)
    try:
        origin = Origin(app.config, app.environ)
        return Optimizer(settings, app.catalog, database, clock=app.now, background=False, origin=origin)
    except BaseException:
        database.close()
        raise
