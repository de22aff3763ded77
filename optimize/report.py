"""What people read of a build: the summary table, the model card, the description of a bundle.

Text from values; prints and writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence

from edge_runtime.contracts.manifest import (
    AccuracyRecord,
    BundleManifest,
    DecisionRule,
    LatencyRecord,
    Variant,
)


def summary(manifest: BundleManifest, nodes: Mapping[str, int], sizes: Mapping[str, int]) -> str:
    """One line per variant: size, speed and what it costs in verdicts."""
    reference = manifest.variants[0]
    rows = [
        [
            variant.precision + (" *" if variant.precision == manifest.default_variant else ""),
            str(nodes.get(variant.precision, "-")),
            f"{sizes[variant.file] / 1e6:.1f}",
            *(_ms(variant, batch) for batch in batches(manifest)),
            _speed_up(reference, variant),
            *figures(variant.accuracy),
        ]
        for variant in manifest.variants
    ]
    heads = ["variant", "nodes", "MB", *(f"ms/image @{b}" for b in batches(manifest)), "speed-up"]
    return columns([*heads, "flips", "macro F1", "recall", "FPR", "review"], rows)


def describe(manifest: BundleManifest, sizes: Mapping[str, int]) -> str:
    """A bundle's manifest for people."""
    model = manifest.model
    lines = [
        f"{manifest.name}/{manifest.version}, built {manifest.created_at:%Y-%m-%d %H:%M} UTC",
        f"labels      {', '.join(model.labels)}",
        f"input       {model.input.height}x{model.input.width} RGB uint8",
        f"decision    {rule(model.decision)}",
        f"default     {manifest.default_variant}",
        f"golden      {len(manifest.golden)} frames, tolerance {manifest.golden_tolerance:g}",
        f"files       {len(manifest.files)}, {sum(sizes.values()) / 1e6:.1f} MB",
        "",
        summary(manifest, {}, sizes),
        "",
        latency_table(row for variant in _keyed(manifest) for row in variant),
        "",
        *(_making(variant) for variant in manifest.variants),
    ]
    if model.provenance:
        lines += ["", *(f"{key:<24}{value}" for key, value in model.provenance.items())]
    return "\n".join(lines)


def _making(variant: Variant) -> str:
    how = f"ranges by {variant.calibration}" if variant.calibration else "nothing quantised"
    left = f", left float: {', '.join(variant.float_layers)}" if variant.float_layers else ""
    return f"{variant.precision:<24}for {variant.target}, {how}{left}"


def latency_table(rows: Iterable[tuple[str, LatencyRecord]]) -> str:
    """Every latency record, ms per image; the device and engine as a last line."""
    rows = list(rows)
    table = columns(
        ["variant", "batch", "threads", "samples", "p50 ms", "p95 ms", "p99 ms", "max ms"],
        [
            [
                precision,
                str(record.batch),
                str(record.threads),
                str(record.samples),
                f"{record.p50_ms:.2f}",
                f"{record.p95_ms:.2f}",
                f"{record.p99_ms:.2f}",
                f"{record.max_ms:.2f}" if record.max_ms else "-",
            ]
            for precision, record in rows
        ],
    )
    places = dict.fromkeys(_place(record) for _, record in rows)
    return "\n".join([table, *(f"ms per image, {place}" for place in places)])


def _place(record: LatencyRecord) -> str:
    state = [
        f"driver {record.driver}" if record.driver else "",
        f"{record.clock_mhz:.0f} MHz" if record.clock_mhz else "",
        f"governor {record.governor}" if record.governor else "",
        f"load {record.load:.2f}" if record.load is not None else "",
    ]
    facts = "".join(f", {fact}" for fact in state if fact)
    return f"{record.engine} {record.engine_version} on {record.device}{facts}"


def ratios(rows: Sequence[tuple[str, LatencyRecord]]) -> list[str]:
    """How many times as fast as the first variant the others are, at equal batch and threads."""
    first = rows[0][0]
    reference = {(r.batch, r.threads): r.p50_ms for name, r in rows if name == first}
    return [
        f"{name} is {reference[r.batch, r.threads] / r.p50_ms:.2f} times as fast as {first} "
        f"at batch {r.batch}, {r.threads} thread{'s' if r.threads > 1 else ''}"
        for name, r in rows
        if name != first
    ]


def model_card(manifest: BundleManifest, reason: str) -> str:
    """MODEL_CARD.md."""
    model = manifest.model
    accuracy = [
        f"| {v.precision} | {' | '.join(figures(v.accuracy))} |"
        for v in manifest.variants
        if v.accuracy
    ]
    data = dict.fromkeys(v.accuracy.dataset for v in manifest.variants if v.accuracy)
    latencies = [
        f"| {precision} | {r.batch} | {r.threads} | {r.p50_ms:.2f} | {r.p95_ms:.2f} | {r.p99_ms:.2f} "
        f"| {r.samples} | {r.engine} {r.engine_version} | {r.device} |"
        for variant in _keyed(manifest)
        for precision, r in variant
    ]
    return f"""\
# {manifest.name} {manifest.version}

Classifies one {model.input.width}x{model.input.height} RGB crop into {len(model.labels)} classes:
{", ".join(model.labels)}. Built {manifest.created_at:%Y-%m-%d} by `optimize build`.

## Decision

{rule(model.decision).capitalize()}.

The default variant is **{manifest.default_variant}**: {reason}.

## Accuracy

Measured at this decision rule on {", ".join(data) or "nothing: the images were not labelled"}.
A flip is a verdict that differs from float32's on the same image; recall counts a defective part
answered `defect` or `review`; FPR counts a good part answered `defect`.

| variant | flips of images | macro F1 | recall | FPR | review |
|---|---|---|---|---|---|
{chr(10).join(accuracy)}

## Latency

Milliseconds per image, variants taking turns in one run. These hold for the device that is named.

| variant | batch | threads | p50 | p95 | p99 | batches timed | engine | device |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(latencies)}

## Origin

{chr(10).join(f"- {key}: {value}" for key, value in model.provenance.items()) or "Not recorded."}

## Limits

- It knows the classes above and the light, camera and process it was trained on; nothing else.
- int8 spans the value ranges seen on the calibration images. After a change of light or camera, rebuild
  it with images from after the change.
- On x86 processors without VNNI instructions uint8 x int8 products can saturate. The golden frames are
  replayed at every start, and a deviation refuses the variant; float32 is in the same bundle.
"""


def rule(decision: DecisionRule) -> str:
    """The decision rule in words."""
    limits = decision.thresholds
    good = ", ".join(decision.ok_labels) or "no class"
    return (
        f"good is {good}; review from a defect score of {limits.review_from:.3f}, "
        f"defect from {limits.defect_from:.3f}; temperature {decision.temperature:.3f}"
    )


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain-text table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    )


def batches(manifest: BundleManifest) -> tuple[int, ...]:
    """Batch sizes with a latency record, ascending."""
    return tuple(sorted({r.batch for variant in manifest.variants for r in variant.latency}))


def _keyed(manifest: BundleManifest) -> list[list[tuple[str, LatencyRecord]]]:
    return [[(v.precision, record) for record in v.latency] for v in manifest.variants]


def _first(variant: Variant, batch: int) -> LatencyRecord | None:
    """The record at that batch and the first thread count that was measured."""
    return next((record for record in variant.latency if record.batch == batch), None)


def _ms(variant: Variant, batch: int) -> str:
    record = _first(variant, batch)
    return f"{record.p50_ms:.2f}" if record else "-"


def _speed_up(reference: Variant, variant: Variant) -> str:
    if not reference.latency or not variant.latency:
        return "-"
    return f"{reference.latency[0].p50_ms / variant.latency[0].p50_ms:.2f}x"


def figures(record: AccuracyRecord | None) -> list[str]:
    """Flips of images, macro F1, recall, false positives and reviews, as texts."""
    if record is None:
        return ["-"] * 5
    return [
        f"{record.flips}/{record.images}",
        f"{record.macro_f1:.4f}",
        *("-" if share is None else f"{share:.4f}" for share in _shares(record)),
    ]


def _shares(record: AccuracyRecord) -> tuple[float | None, float | None, float]:
    return record.defect_recall, record.false_positive_rate, record.review_rate
