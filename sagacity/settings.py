"""All settings in one place: defaults < file < environment < flags, each validated, all errors at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AnyUrl, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from sagacity.passwords import without_passwords

Role = Literal["api", "projector", "saga", "worker"]
PREFIX = "SAGACITY_"

_NO_SETTINGS: Final = frozenset(("config", "url", "crash_seed", "es_namespace", "es_replicas", "es_timeout"))
"""Variables with our prefix that other parts read: which file, where the command line finds the platform, the tests'
seed, and the store of the `eventsourcing` library. Any other variable that is no setting is a mistake."""


class Fault(NamedTuple):
    """One wrong setting: where it was given (flag, variable or file) and what is wrong with it."""

    where: str
    what: str


class SettingsError(Exception):
    """Every wrong setting at once, in one line."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{where}: {what}" for where, what in faults))
        self.faults = faults


def _words(value: Any) -> Any:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _url(*schemes: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        for url in str(value).split(",") if value is not None else ():
            if not is_one(url.strip()):
                raise ValueError(f"must be {' or '.join(f'{scheme}://host…' for scheme in schemes)}")
        return value

    def is_one(url: str) -> bool:
        try:
            parsed = AnyUrl(url)
        except ValidationError:
            return False
        return parsed.scheme in schemes and bool(parsed.host)

    return BeforeValidator(check)


class Settings(BaseSettings):
    """What can be set. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_parse_none_str="none")

    data: Path = Path(".sagacity")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    role: Annotated[frozenset[Role], BeforeValidator(_words), Field(min_length=1)] = frozenset(
        ("api", "projector", "saga", "worker")
    )
    nats_url: Annotated[str | None, _url("nats", "tls")] = None
    database_url: Annotated[str | None, _url("postgresql", "postgres")] = None
    nats_server: Path | None = None
    nats_replicas: Annotated[Literal[1, 3, 5], BeforeValidator(_number)] = 1
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    retry_attempts: Annotated[int, Field(ge=1, le=100)] = 6
    retry_first: Annotated[float, Field(gt=0, le=60)] = 0.2
    retry_longest: Annotated[float, Field(gt=0, le=3600)] = 10.0
    splitter: Literal["builtin", "haproxy"] = "builtin"
    haproxy: Path | None = None
    prediction_days: Annotated[float, Field(ge=0.01, le=3660)] = 30.0
    prediction_bytes: Annotated[int, Field(ge=1_000_000, le=2**50)] = 1024**3
    observed_days: Annotated[float, Field(ge=0.01, le=3660)] = 90.0
    skill_paths: Annotated[tuple[Path, ...], BeforeValidator(_words)] = ()

    provider_url: Annotated[str | None, _url("http", "https")] = None
    provider_model: str | None = None
    provider_key_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")] = "PROVIDER_KEY"
    provider_input_price: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    provider_output_price: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    provider_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    provider_per_day: Annotated[float, Field(ge=0, le=1e6)] = 5.0
    provider_per_record: Annotated[float, Field(ge=0, le=1e6)] = 0.05

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        if (self.provider_url is None) != (self.provider_model is None):
            raise ValueError("provider_url and provider_model belong together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `load_settings` merges the sources itself: it must say which one a wrong value came from.
        return (init_settings,)


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """Merge all sources. `flags` that are None were not given. Raises SettingsError."""
    given = {name: value for name, value in flags.items() if value is not None and name != "config"}
    variables = {name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)}
    variables = {name: value for name, value in variables.items() if name not in _NO_SETTINGS}
    file, faults = _read(_file(given, variables, flags.get("config") or environ.get(f"{PREFIX}CONFIG")))
    merged: dict[str, tuple[str, object]] = {}
    for name, value in file.items():
        merged[name] = (f"{name} in the settings file", value)
    for name, value in variables.items():
        merged[name] = (f"{PREFIX}{name.upper()}", value)
    for name, value in given.items():
        merged[name] = (f"--{name.replace('_', '-')}", value)
    try:
        settings = Settings(**{name: value for name, (_, value) in merged.items()})  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        raise SettingsError([*faults, *_faults(error, merged)]) from error
    if faults:
        raise SettingsError(faults)
    return settings


def _file(given: Mapping[str, object], variables: Mapping[str, str], named: object) -> tuple[Path, bool]:
    if named is not None:
        return Path(str(named)), True
    data = given.get("data") or variables.get("data") or Settings.model_fields["data"].default
    return Path(str(data)) / "sagacity.toml", False


def _read(file: tuple[Path, bool]) -> tuple[dict[str, Any], list[Fault]]:
    path, must_exist = file
    try:
        return tomllib.loads(path.read_text()), []
    except FileNotFoundError:
        return {}, [Fault(str(path), "there is no such file")] if must_exist else []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [Fault(str(path), f"is no valid TOML: {error}")]
    except OSError as error:
        return {}, [Fault(str(path), f"cannot be read: {error.strerror}")]


def _faults(error: ValidationError, merged: Mapping[str, tuple[str, object]]) -> list[Fault]:
    faults: list[Fault] = []
    for each in error.errors():
        name = str(each["loc"][0]) if each["loc"] else "provider_url"
        where = merged[name][0] if name in merged else name
        unknown = each["type"] == "extra_forbidden"
        what = _unknown(name, where) if unknown else f"{_words_of(each['msg'])} (given: {_shown(merged[name][1])})"
        faults.append(Fault(where, what))
    return faults


def _words_of(message: str) -> str:
    """Pydantic puts the kind of the exception before what the setting's own check says."""
    return message.removeprefix("Value error, ")


def _shown(value: object) -> str:
    """What is no URL may have been meant as one: before an @ there may be a password all the same."""
    if isinstance(value, str) and "://" not in value:
        return repr(value.rpartition("@")[2])
    return without_passwords(repr(value))


def _unknown(name: str, where: str) -> str:
    near = get_close_matches(name, Settings.model_fields, 1)
    if not near:
        return "there is no such setting"
    meant = f"{PREFIX}{near[0].upper()}" if where.startswith(PREFIX) else near[0]
    return f"there is no such setting; did you mean {meant}?"
