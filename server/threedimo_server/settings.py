"""What an operator sets: `server.toml` in the home folder, then the environment, then the command line.

The later place counts. What shots are made with is one choice, taken whole from the last place that names any
of it: either a model with its adapter or `untrained`, or a list of several such `models`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from threedimo.errors import ServerError
from threedimo.wire.messages import Limits
from threedimo_server.config import ServerConfig
from threedimo_server.served_models import ModelChoice

SETTINGS_FILE = "server.toml"
ENVIRONMENT_PREFIX = "THREEDIMO_"
_ONE_MODEL = ("model", "adapter", "untrained", "lora", "lora_steps")
_MODELS = (*_ONE_MODEL, "models")
_GIGABYTE = 10**9
_TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whatever was set in one place; None is not set. What each means stands in `server/README.md`."""

    model: str | None = None
    adapter: str | None = None
    untrained: bool | None = None
    lora: str | None = None
    lora_steps: int | None = None
    models: list[ModelChoice] | None = None
    devices: list[str] | None = None
    memory: str | None = None
    attention: str | None = None
    compile: bool | None = None
    host: str | None = None
    port: int | None = None
    data_port: int | None = None
    metrics_port: int | None = None
    keep_days: float | None = None
    keep_gb: float | None = None
    reserve_gb: float | None = None
    max_asset_gb: float | None = None
    max_queued_jobs: int | None = None
    worker_silence_s: float | None = None
    cancel_grace_s: float | None = None

    def __post_init__(self) -> None:
        if self.models is not None and any(getattr(self, name) is not None for name in _ONE_MODEL):
            raise ValueError(
                "model, adapter, untrained and lora belong inside a table of models, not beside them"
            )

    def over(self, earlier: Settings) -> Settings:
        """These settings, and from an earlier place what they leave open."""
        mine, theirs = _set_in(self), _set_in(earlier)
        if any(name in mine for name in _MODELS):
            theirs = {name: value for name, value in theirs.items() if name not in _MODELS}
        return Settings(**(theirs | mine))


def read_settings(home: Path, environment: Mapping[str, str]) -> Settings:
    """What the file and the environment say.

    Raises:
        ServerError: The file is no TOML, or a name or value is not possible; the message says where.
    """
    return _from_environment(environment).over(_from_file(home / SETTINGS_FILE))


def make_config(settings: Settings, home: Path) -> ServerConfig:
    """A server's configuration, with the usual value for whatever is not set.

    Raises:
        ServerError: A value is not possible.
    """
    given = _set_in(settings)
    control_port: int | None = given.pop("port", None)
    data_port: int | None = given.pop("data_port", None)
    if data_port is None and control_port is not None:
        data_port = control_port + 1
    limits = {
        name: value
        for name, value in (
            ("max_asset_bytes", _bytes(given.pop("max_asset_gb", None))),
            ("max_queued_jobs", given.pop("max_queued_jobs", None)),
        )
        if value is not None
    }
    if "compile" in given:
        given["compiled"] = given.pop("compile")
    for name, field in (("keep_gb", "keep_bytes"), ("reserve_gb", "reserve_bytes")):
        if name in given:
            given[field] = _bytes(given.pop(name))
    one_model = {name: given.pop(name) for name in _ONE_MODEL if name in given}
    if one_model:
        given["models"] = (ModelChoice(**one_model),)
    for name in ("models", "devices"):
        if name in given:
            given[name] = tuple(given[name])
    return ServerConfig(
        home=home, control_port=control_port, data_port=data_port, limits=Limits(**limits), **given
    )


def _bytes(gigabytes: float | None) -> int | None:
    return None if gigabytes is None else round(gigabytes * _GIGABYTE)


def _set_in(settings: Settings) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}


def _from_file(file: Path) -> Settings:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise ServerError(
            f"the settings cannot be read: {error}", given=file, remedy="mend the file"
        ) from error
    try:
        return msgspec.convert(found, Settings)
    except msgspec.ValidationError as error:
        raise ServerError(
            f"a setting is not possible: {error}",
            given=file,
            allowed=", ".join(Settings.__struct_fields__),
            remedy="the table of settings in server/README.md says what each takes",
        ) from error


def _from_environment(environment: Mapping[str, str]) -> Settings:
    found: dict[str, Any] = {}
    for name in Settings.__struct_fields__:
        text = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if not text:
            continue
        found[name] = text
        if name == "devices":
            found[name] = [device.strip() for device in text.split(",")]
        elif name == "untrained":
            found[name] = _TRUTHS.get(text.lower(), text)
    try:
        return msgspec.convert(found, Settings, strict=False)
    except msgspec.ValidationError as error:
        variables = [
            f"{ENVIRONMENT_PREFIX}{name.upper()}={environment[ENVIRONMENT_PREFIX + name.upper()]}"
            for name in found
        ]
        raise ServerError(
            f"a setting of the environment is not possible: {error}",
            given=", ".join(variables),
            remedy="the table of settings in server/README.md says what each takes",
        ) from error
