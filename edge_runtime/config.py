"""The daemon's configuration: one TOML file, overridden by `EDGE_INSPECT_*`, overridden by flags.

A key has one name in three spellings: `mqtt_ca`, `EDGE_INSPECT_MQTT_CA`, `--mqtt-ca`; in the file a
table may stand for the words before an underscore, `[mqtt] ca`. Components take plain arguments; this
object stops at the wiring. The broker's password is no part of it: it comes from
`EDGE_INSPECT_MQTT_PASSWORD` or a systemd credential, see `edge_runtime.mes.credentials`.
"""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from edge_runtime.bundle import DEMO
from edge_runtime.contracts.base import Name
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import UsageError
from edge_runtime.mes.credentials import PASSWORD_CREDENTIAL, PASSWORD_VARIABLE

ENVIRONMENT_PREFIX = "EDGE_INSPECT_"
RELOADABLE = frozenset({"log_level"})
"""Keys that count from a SIGHUP on. All others decide which verdict a part gets, where it goes or what
it says of its origin, and count from the next start."""
_NOT_KEYS = {PASSWORD_VARIABLE}
"""Variables with the prefix that are secrets or switches of other programs, not configuration keys."""


def _station(text: str) -> str:
    StationId.parse(text)
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"expected printable characters, got {text!r}")
    return text


def _one_or_several(value: object) -> object:
    """A list of one is one; in a variable several stand on lines of their own."""
    if isinstance(value, str):
        value = value.splitlines() if "\n" in value else value
    if isinstance(value, list | tuple) and len(value) == 1:
        return value[0]
    if isinstance(value, list | tuple) and len(value) == 0:
        raise ValueError("expected one source at least, got none")
    return value


def _part_name(rule: str) -> str:
    try:
        groups = re.compile(rule).groupindex
    except re.error as exc:
        raise ValueError(f"expected a regular expression, got {rule!r}: {exc}") from exc
    if "part" not in groups:
        raise ValueError(f"expected a group (?P<part>...) in {rule!r}")
    return rule


def _path_of_pem(path: Path) -> Path:
    if "-----BEGIN" in str(path):
        raise ValueError("expected the path of a PEM file, got what such a file contains")
    return path


_PemFile = Annotated[Path, AfterValidator(_path_of_pem)]

_Label = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
"""A name that other systems gave: opaque here, one printable line."""


class StationConfig(BaseModel):
    """Everything a station can be told. Durations and sizes carry their unit in the name."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    station: Annotated[str, AfterValidator(_station)]
    """Line and station, `L07-S3`."""
    site: Name = "site"
    """The factory, first level of the MQTT topics after `inspection/`."""
    bundle: str = DEMO
    """Folder of the bundle, or `demo`."""
    source: Annotated[str | tuple[str, ...], BeforeValidator(_one_or_several)]
    """Where frames come from: `simulated:gen3`, `dir:PATH`, `opencv:0`, `gige:SERIAL`, `rtsp://...`, or
    a video file. Given several times, or as an array, several cameras share the engine."""
    broker: str = "mqtt://localhost:1883"
    """`mqtt://[user@]HOST:PORT`, `mqtts://` for TLS, or `memory://NAME` within one process."""
    mqtt_ca: _PemFile | None = None
    """PEM file of the CA that vouches for an `mqtts://` broker; by default those the system trusts."""
    mqtt_certificate: _PemFile | None = None
    """PEM file of this station's certificate, for brokers that ask for one."""
    mqtt_key: _PemFile | None = None
    """PEM file of that certificate's private key; by default the systemd credential `mqtt-key`."""
    mqtt_replay: bool = False
    """Whether verdicts are sent again to whoever asks on `.../replay/set`."""
    mqtt_backlog_rate: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Verdicts per second at most that an outage has left over, beside the live ones."""
    mqtt_sparkplug_group: Name | None = None
    """Group id under which the verdicts are mirrored as Sparkplug B; by default they are not."""
    state_dir: Path
    """Folder of the journal, of this station alone; kept across restarts."""
    journal_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    """How long acknowledged verdicts are kept in the journal, days."""
    journal_mb: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    """Size beyond which the oldest acknowledged ones go earlier, megabytes (10^6 bytes)."""
    journal_when_full: Literal["prune", "stop"] = "prune"
    """On a full disk `prune` the oldest acknowledged verdicts, or `stop` taking in parts."""
    engine: Literal["onnxruntime", "openvino", "tensorrt", "null"] = "onnxruntime"
    """Inference library."""
    variant: str | None = None
    """Precision to run, `int8` or `float32`; by default what the bundle recommends."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads of the inference engine."""
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 8
    """Frames per inference at most."""
    max_wait_ms: Annotated[float, Field(ge=0, le=60_000)] = 5.0
    """How long the first frame of a batch waits for company, milliseconds."""
    product_id: _Label | None = None
    """What kind of part is inspected here, as the MES calls it (OPC 40100-1 productId)."""
    external_recipe_id: _Label | None = None
    """What the MES calls this inspection (OPC 40100-1 externalRecipeId)."""
    http_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """TCP port of `/healthz`, `/readyz` and `/metrics`; by default there is none."""
    http_host: str = "127.0.0.1"
    """Address that this port is opened on; `0.0.0.0` shows it to the network, unencrypted."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is written to the log; SIGHUP reads it anew."""
    drift_watch: bool = True
    """Whether frames and verdicts are watched for drift, where the bundle says what to expect."""
    drift_parts_per_day: Annotated[int, Field(ge=1, le=100_000_000)] = 86_400
    """Parts a day at most: sets how much evidence a change needs, so that false alarms stay rare."""
    labels_accept: bool = False
    """Whether labels that come back on `.../label` are kept, and figures measured from them."""
    labels_days: Annotated[int, Field(ge=1, le=365)] = 30
    """Over how many days of parts these figures are measured."""
    retrain_watch: bool = True
    """Whether the rules below are kept and requests published; a station never retrains by itself."""
    retrain_warning_hours: Annotated[float, Field(ge=0, le=8_760)] = 24.0
    """Ask when the pictures drift at the level warning or above for so long, hours; 0 never."""
    retrain_alarm_hours: Annotated[float, Field(ge=0, le=8_760)] = 1.0
    """Ask when the pictures drift at the level alarm for so long, hours; 0 never."""
    retrain_min_recall: Annotated[float, Field(ge=0, lt=1)] = 0.85
    """Ask when the lower bound of the defect recall stays under this share; 0 never."""
    retrain_max_false_positives: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Ask when the lower bound of the false positives stays over this share; 0 never."""
    retrain_figure_hours: Annotated[float, Field(gt=0, le=8_760)] = 4.0
    """How long recall or false positives must be beyond their limit, hours."""
    retrain_labels: Annotated[int, Field(ge=0, le=100_000_000)] = 1000
    """Ask when so many labels came back since this bundle runs; 0 never."""
    retrain_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Ask when the bundle is so many days old; 0 never."""
    retrain_cool_down_hours: Annotated[float, Field(ge=0, le=87_600)] = 72.0
    """Time between two requests of one rule at least, hours."""
    frames: Annotated[int, Field(ge=1)] | None = None
    """Stop by itself after so many parts, which without a trigger are frames; by default never."""
    deadline_ms: Annotated[float, Field(ge=0, le=3_600_000)] | None = None
    """How soon a part has to be answered, milliseconds; 0 for whenever. By default 1000 where frames
    come at a pace of their own, as from a camera, and whenever for folders and files."""
    samples_mb: Annotated[int, Field(ge=0, le=10_000_000)] = 1_000
    """Disk space for samples that people look at later, megabytes (10^6 bytes); 0 keeps none."""
    samples_generation: Annotated[str, Field(max_length=64), AfterValidator(_printable)] = ""
    """Generation of the sensor that is written into samples, such as `gen3`."""
    quality_gate: bool = True
    """Whether frames that are too dark, blurred or covered are turned away, by the bundle's limits."""
    trigger: Literal["free", "mqtt", "camera", "folder"] = "free"
    """What a part is: each frame by itself (`free`), what is announced on `.../trigger` (`mqtt`), each
    number that the camera counts (`camera`), or files whose names belong together (`folder`)."""
    trigger_lag_ms: Annotated[float, Field(ge=0, le=60_000)] = 0.0
    """How long after its exposure a frame arrives at the most, where its source cannot say when it was
    exposed, milliseconds; with `mqtt`, earlier ones are not taken for a part."""
    part_frames: Annotated[int, Field(ge=1, le=64)] = 1
    """Frames of a part: from each camera with `mqtt`, files in all with `folder`."""
    part_name: Annotated[str, AfterValidator(_part_name)] = "(?P<part>.+)[_-][^_-]+"
    """With `folder`, a regular expression over a file's name without its suffix; its group `part` names
    the part."""
    part_unseen: Literal["not_inspected", "review"] = "not_inspected"
    """What a part is of which not every frame could be inspected, and none showed a defect."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources, one at least, in the order of their cameras' numbers."""
        return (self.source,) if isinstance(self.source, str) else self.source

    @model_validator(mode="after")
    def _trigger_fits(self) -> Self:
        if self.trigger in ("camera", "folder") and len(self.sources) > 1:
            raise ValueError(
                f"trigger = {self.trigger} goes by one source, {len(self.sources)} are given: give one, "
                "or trigger = mqtt, by which several cameras see the same part"
            )
        if self.part_frames > 1 and self.trigger in ("free", "camera"):
            raise ValueError(
                f"part_frames = {self.part_frames} with trigger = {self.trigger}, where each frame is a "
                "part: take mqtt or folder"
            )
        return self

    def sha256(self) -> str:
        """Hash of the effective configuration, for the verdicts; without what a reload may change."""
        return hashlib.sha256(self.model_dump_json(exclude=set(RELOADABLE)).encode()).hexdigest()

    def changed_keys(self, other: "StationConfig") -> tuple[str, ...]:
        """The keys in which another configuration differs from this one."""
        return tuple(
            key for key in type(self).model_fields if getattr(self, key) != getattr(other, key)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDraft:
    """What was asked for, merged but not yet accepted; `problems` says what stands against it."""

    values: Mapping[str, Any]
    problems: tuple[str, ...]
    config: StationConfig | None
    """The accepted configuration; None exactly when there are problems."""

    def value(self, key: str) -> Any:
        """The value asked for, or the key's default; None where there is neither."""
        field = StationConfig.model_fields[key]
        return self.values.get(key, None if field.is_required() else field.default)

    def path(self, key: str) -> Path | None:
        """The same for a key that names a file or folder."""
        value = self.value(key)
        return None if value is None else Path(str(value))


def load_config(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None
) -> StationConfig:
    """Merge flags over `EDGE_INSPECT_*` variables over the TOML file over defaults.

    Flags that were not given are absent or None. Raises UsageError that lists every problem at once.
    """
    draft = draft_config(flags, environment, file)
    if draft.config is None:
        raise UsageError("; ".join(draft.problems))
    return draft.config


def draft_config(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None
) -> ConfigDraft:
    """Like `load_config`, but reports problems instead of raising them."""
    problems: list[str] = []
    from_file: dict[str, Any] = {}
    spellings: dict[str, str] = {}
    if file is not None:
        try:
            for spelling, key, value in _flattened(_read_toml(file)):
                if key in spellings:
                    problems.append(
                        f"{file}: {key} is given twice, as {spellings[key]} and as {spelling}: "
                        "leave one of them out"
                    )
                from_file[key], spellings[key] = value, spelling
        except UsageError as exc:
            problems.append(str(exc))
    known = StationConfig.model_fields
    from_environment: dict[str, str] = {}
    for variable, value in environment.items():
        key = variable.removeprefix(ENVIRONMENT_PREFIX)
        if key == variable or variable in _NOT_KEYS:
            continue
        if key.lower() in known:
            from_environment[key.lower()] = value
        else:
            problems.append(f"{variable}: no such key; {_nearest(key.lower(), known)}")
    from_flags = {key: value for key, value in flags.items() if value is not None}
    given = {**from_file, **from_environment, **from_flags}
    merged = {"state_dir": _default_state_dir(environment, str(given.get("station"))), **given}
    origins = {
        **{key: f"{file}: {spelling}" for key, spelling in spellings.items()},
        **{key: f"{ENVIRONMENT_PREFIX}{key.upper()}" for key in from_environment},
        **{key: _flag(key) for key in from_flags},
    }
    config = None
    try:
        config = StationConfig.model_validate(merged)
    except ValidationError as exc:
        for error in exc.errors():
            key = ".".join(map(str, error["loc"]))
            problems.append(f"{origins.get(key, _flag(key))}: {_explain(error, key, known)}")
    return ConfigDraft(values=merged, problems=tuple(problems), config=None if problems else config)


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise UsageError(f"no configuration file at {file}") from exc
    except OSError as exc:
        raise UsageError(f"{file} cannot be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{file} is not valid TOML: {exc}") from exc


def _flattened(
    table: Mapping[str, Any], spelt: str = "", prefix: str = ""
) -> Iterator[tuple[str, str, Any]]:
    """Every value below a table: its key as spelt in the file, the flat key, the value."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{spelt}{name}.", f"{prefix}{name}_")
        else:
            yield f"{spelt}{name}", f"{prefix}{name}", value


def _explain(error: Any, key: str, known: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        if "password" in key:
            return (
                f"a password does not belong here: put it into {PASSWORD_VARIABLE} or the "
                f"systemd credential {PASSWORD_CREDENTIAL}"
            )
        return f"no such key; {_nearest(key, known)}"
    if error["type"] == "missing":
        return "is required"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if error["type"] == "value_error" else f"{message}, got {error['input']!r}"


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _default_state_dir(environment: Mapping[str, str], station: str) -> Path:
    """systemd's folder for the unit where there is one, else the station's within the user's state."""
    if folder := environment.get("STATE_DIRECTORY"):
        return Path(folder.partition(":")[0])
    home = environment.get("XDG_STATE_HOME")
    state = Path(home) if home else Path(environment.get("HOME", "/")) / ".local" / "state"
    return state / "edge-inspect" / station
