"""What the bundle gains by a validation: plan files, and one record per device.

Owns where they lie and that an earlier record of the same device makes room. All of it comes in at once
(`package.amending`), or nothing.
"""

import re
from collections.abc import Mapping

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.contracts.device import DeviceRecord, EngineRecord, LatencyRecord
from edge_runtime.contracts.manifest import BundleManifest
from edge_runtime.engines.plans import Plan
from optimize import package
from optimize.errors import PackageError
from optimize.tensorrt.acceptance import Judgement


def engine_record(
    precision: str,
    kept: Plan | None,
    images: int,
    flips: int,
    timed: tuple[LatencyRecord, ...],
    found: Judgement,
) -> EngineRecord:
    """What the bundle remembers of an engine; `kept` is its plan where it may run."""
    return EngineRecord(
        precision=precision,
        plan=_place(kept) if kept else None,
        sha256=kept.sha256 if kept else None,
        images=images,
        flips=flips,
        latency=timed,
        passed=found.passed,
        reason=found.reason,
    )


def append(bundle: Bundle, record: DeviceRecord, plans: Mapping[str, Plan]) -> None:
    """Put plans and record into the bundle, in the place of an earlier record of the same device."""
    manifest = bundle.manifest
    earlier = [device for device in manifest.devices if device.key == record.key]
    gone = {engine.plan for device in earlier for engine in device.engines if engine.plan}
    kept = {engine.plan: plans[engine.precision] for engine in record.engines if engine.plan}
    files = {name: digest for name, digest in manifest.files.items() if name not in gone}
    files |= {place: plan.sha256 for place, plan in kept.items()}
    amended = BundleManifest.model_validate(
        {
            **{name: getattr(manifest, name) for name in BundleManifest.model_fields},
            "devices": (*(d for d in manifest.devices if d.key != record.key), record),
            "files": dict(sorted(files.items())),
        }
    )
    with package.amending(bundle.path) as folder:
        if open_bundle(bundle.path).manifest != manifest:
            raise PackageError(f"{bundle.path} was changed during the validation: try again")
        for name in gone:
            (folder / name).unlink(missing_ok=True)
        for place, plan in kept.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(plan.file.read_bytes())
        package.seal(folder, amended)


def _place(plan: Plan) -> str:
    """Where a plan lies within the bundle: one folder per device and version."""
    built_for = f"{plan.device}-sm{plan.compute_capability}-trt{plan.tensorrt}"
    return f"plans/{re.sub(r'[^A-Za-z0-9.-]+', '-', built_for)}/{plan.file.name}"
