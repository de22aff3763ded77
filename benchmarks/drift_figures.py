"""What drift monitoring was measured to do, in Markdown from results alone.

Writes nothing: `drift_figures.figures` and `drift_figures.loop` are among the `PAGES` of
`benchmarks.figures`. What was not noticed, or misses its aim, is said so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.setting import read_result

MOST_FALSE_ALARMS: Final = 1.0
"""Per station and 30 days."""
MOST_COST: Final = 1.02
"""CPU or time of a part with drift watched, over that without."""


_NO_COVARIATE_SHIFT: Final = ("new defect", "twice the defects")
"""Scenes of `estimate_coverage` in which estimates from answers cannot be right."""
_PERIODS: Final[Mapping[str, str]] = {
    "as taught": "as taught",
    "before the refresh": "from the request to the new bundle",
    "after it": "after it",
    "after it, old model": "after it, had the old model stayed",
}


def figures() -> str:
    """Figures of `docs/drift.md`."""
    parts = (
        _false_alarms(read_result("drift-false-alarms")),
        _statistics(read_result("drift-power"), read_result("drift-false-alarms")["station"]),
        _features(read_result("embedding-power")),
        _real(read_result("embedding-real")),
        _estimates(read_result("estimate-coverage")),
        _cost(read_result("drift-cost")),
    )
    return "\n\n".join("\n".join(part) for part in parts)


def loop() -> str:
    """Figures of the loop on the simulated line, for `docs/production-plan.md`."""
    return "\n".join(_loop(read_result("drift-demo")))


def _false_alarms(found: dict[str, Any]) -> Iterator[str]:
    station, runs = found["station"], found["options"]["runs"]
    rate = station["alarms_per_station_and_30_days"]
    yield "### False alarms"
    yield ""
    yield (
        f"{runs} stations of 30 days, {found['parts'] / 1e6:.0f} million parts, both monitors on the "
        "same draws. Not pixels are simulated but what the monitors are given: measures, answers and "
        "features of recorded parts of the simulated line, drawn by whole modules with the line's slow "
        "course in them. All stations share that one course, so an interval covers chance within it and "
        "no other."
    )
    yield ""
    yield "| per station and 30 days (95 % interval) | alarms | warnings |"
    yield "|---|---|---|"
    for name, key in (
        ("station", "station"),
        ("image statistics and answers", "monitor_of_statistics"),
        ("features", "monitor_of_features"),
    ):
        row = found[key]
        cells = " | ".join(
            f"{row[f'{level}_per_station_and_30_days']:.2f} ({_span(row[f'{level}_interval_95'])})"
            for level in ("alarms", "warnings")
        )
        yield f"| {name} | {cells} |"
    yield ""
    yield (
        f"At most {MOST_FALSE_ALARMS:g} alarm was the aim: "
        f"{_met(station['alarms_interval_95'][1] <= MOST_FALSE_ALARMS)} with {rate:.2f}. What had moved "
        f"when a station alarmed: "
        f"{', '.join(f'`{each}`' for each in found['moved_at_alarms']) or 'nothing'}. Controls that "
        f"alarmed: {_listed(found['controls_alarmed'])}. Single tests at the very edge of what they "
        f"tolerate fire {_seldom(found['single_tests_at_the_edge'])} times more seldom than they may: "
        f"the bound is safe, not sharp ({_source('drift-false-alarms')})."
    )


def _statistics(found: dict[str, Any], ours: Mapping[str, float]) -> Iterator[str]:
    contenders = found["contenders"]
    yield "### Delay: image statistics and answers"
    yield ""
    yield (
        f"Parts until noticed, median of {found['options']['repeats']} streams of the simulated line, "
        f"on which each change stays. Given up after {found['given_up_after_parts']:,} parts, of what "
        "moves in a week after the week. In brackets: noticed in so few of the streams."
    )
    yield ""
    yield "| change | warning | alarm | KS | ADWIN |"
    yield "|---|---|---|---|---|"
    for change, rows in found["changes"].items():
        yield f"| {change} | {_delays(rows, ('warning', 'alarm', 'ks', 'adwin'))} |"
    yield ""
    ks, adwin = contenders["ks"], contenders["adwin"]
    rows = found["changes"].values()
    yield (
        "Where both notice, "
        + " and ".join(
            f"{_sooner(rows, level, 'ks')} rows our {level} "
            f"({ours[f'{level}s_per_station_and_30_days']:.2g} false ones in 30 days)"
            for level in ("warning", "alarm")
        )
        + f" came no later than KS ({ks['false_alarms_per_30_days']:g})."
    )
    yield ""
    yield (
        "KS (scipy): 1,024 parts against the reference's own, every 64, for each measure and the score, "
        f"at the most sensitive threshold of a grid with {ks['false_alarms_per_30_days']:g} false alarm "
        "in 30 days on drift-free streams. It knows no shares of classes. ADWIN (river) compares a line "
        f"with its own past: at {adwin['threshold']:g}, the least sensitive of its grid, it alarmed "
        f"{adwin['false_alarms_per_30_days']:g} times in 30 days on a line that only wanders "
        f"({_source('drift-power')})."
    )


def _features(found: dict[str, Any]) -> Iterator[str]:
    keys = ("statistics_warning", "embedding_warning", "embedding_alarm", "ks_on_pca")
    yield "### Delay: what the image statistics miss"
    yield ""
    yield (
        "No change moves a mean of an image statistic by more than 0.25 deviations unless the row says "
        f"so. Median of {found['options']['repeats']} streams, as above; image statistics without "
        "shares of classes and scores."
    )
    yield ""
    yield "| change | image statistics: warning | features: warning | alarm | KS on the PCA |"
    yield "|---|---|---|---|---|"
    for change, rows in found["changes"].items():
        moved = rows["image_statistics_moved_by"]
        most = max(moved, key=lambda name: abs(moved[name]))
        aside = f" ({most} {moved[most]:+.1f})" if abs(moved[most]) > 0.25 else ""
        yield f"| {change}{aside} | {_delays(rows, keys)} |"
    contender = found["contender"]
    yield ""
    yield (
        "KS (scipy; Rabanser et al. 2019) on 1,024 parts along the same axes, every 256 parts, at the "
        f"most sensitive threshold of a grid with at most 1 false alarm in 30 days "
        f"({contender['false_alarms_per_30_days']:g} at {contender['threshold']:g}; "
        f"{_source('embedding-power')})."
    )


def _real(found: dict[str, Any]) -> Iterator[str]:
    yield "### Real images"
    yield ""
    yield (
        f"The shipped network, which never saw such images; median of {found['options']['repeats']} "
        "streams. Which moved first: in most of them."
    )
    yield ""
    yield (
        "| change | image statistics: warning | alarm | first | features: warning | alarm | first | "
        "controls that warned |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for change, rows in found["changes"].items():
        cells = []
        for monitor in ("image statistics", "embedding"):
            row = rows["changed"][monitor]
            first = max(row["named_first"], key=row["named_first"].get, default="")
            cells += [_delay(row["warning"]), _delay(row["alarm"]), f"`{first}`"]
        quiet = ", ".join(
            f"{name} {_delay(row['warning'])} (`{next(iter(row['named_first']))}`)"
            for name, row in rows["control"].items()
            if row["warning"]["noticed"]
        )
        yield f"| {change} | {' | '.join(cells)} | {quiet or 'none'} |"
    yield ""
    yield (
        "A control goes on with other images of the first set. The light changes in both, so the image "
        f"statistics are quicker: the features are there for what does not "
        f"({_source('embedding-real')})."
    )


def _estimates(found: dict[str, Any]) -> Iterator[str]:
    shipped, worse = found["models"].values()

    def doubted(scene: str) -> bool:
        return bool(shipped[scene]["unreliable"] > 0.5)

    yield "### Estimates without labels"
    yield ""
    yield (
        f"{found['options']['repeats']} times {found['options']['images']:,} validation images and a "
        f"window of {found['parts_per_window']:,} parts of the simulated line drawn anew; the share of "
        f"windows whose true figure lies within the interval, {found['nominal']:g} being nominal. In "
        "brackets for a model made worse by noise on its logits. `unreliable`: what the estimate says "
        "of itself."
    )
    yield ""
    yield "| scene | `unreliable` | macro F1 | recall | false positives |"
    yield "|---|---|---|---|---|"
    for scene in sorted(shipped, key=lambda name: (name in _NO_COVARIATE_SHIFT, doubted(name))):
        row = shipped[scene]
        cells = [
            f"{row[figure]['covered']:.2f} ({worse[scene][figure]['covered']:.2f})"
            for figure in ("macro_f1", "defect_recall", "false_positive_rate")
        ]
        yield f"| {scene} | {'yes' if doubted(scene) else 'no'} | {' | '.join(cells)} |"
    yield ""
    fibre, more = (shipped[scene] for scene in _NO_COVARIATE_SHIFT)
    rate, recall = more["false_positive_rate"], fibre["defect_recall"]
    yield (
        f"The last two are no covariate shift. With twice the defects the rate of false positives is "
        f"taken to be {rate['estimated']:.3f} where it is {rate['true']:.3f}. With a new defect recall "
        f"is taken to be {recall['estimated']:.3f} where it is {recall['true']:.3f} "
        f"({_source('estimate-coverage')})."
    )


def _cost(found: dict[str, Any]) -> Iterator[str]:
    us, held = found["microseconds_per_part"], found["bytes_of_state"]
    yield "### Cost"
    yield ""
    yield (
        f"Of CPU a part: {us['measure']:.0f} microseconds to measure a frame of 256x256, which the "
        f"quality gate does anyhow, {us['observe_statistics']:.0f} to watch statistics and answers, "
        f"{us['observe_features']:.0f} to watch the features. State: {held['statistics'] / 1e3:.0f} KB "
        f"and {held['features'] / 1e3:.0f} KB, {held['of_which_the_features_reference'] / 1e3:.0f} of "
        f"them the reference; neither grows. What a station says and saves every five seconds takes "
        f"{found['state_ms']:.1f} ms."
    )
    yield ""
    yield "| CPU of a part's whole way, drift watched over not watched, in turns in one process | |"
    yield "|---|---|"
    for side, row in found["cpu_on_over_off_in_turns"].items():
        yield f"| {side} | {_interval(row)} |"
    default = found["cpu_on_over_off_in_turns"]["with the quality gate"]
    yield ""
    yield (
        f"The aim, less than {MOST_COST - 1:.0%}, is {_met(default['high'] < MOST_COST)} for a station "
        "as it is by default, with its gate. Throughput of the daemon with drift on over off, as a "
        f"subscriber sees it, in turns: {_interval(found['throughput_on_over_off'])}, at a load of "
        f"{found['load_before']:.1f} ({_source('drift-cost')})."
    )


def _interval(row: Mapping[str, float]) -> str:
    return f"{row['median']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _loop(found: dict[str, Any]) -> Iterator[str]:
    yield "| | defect recall | false positives | macro F1 | parts |"
    yield "|---|---|---|---|---|"
    for period, row in found["periods"].items():
        yield (
            f"| {_PERIODS[period]} | {row['defect_recall']:.3f} | {row['false_positives']:.1%} | "
            f"{row['macro_f1']:.3f} | {row['parts']:,} |"
        )
    yield ""
    yield (
        f"Seed {found['seed']}, {found['scale']['size']}-pixel pictures, a quarter of the parts "
        "defective, more than on a real line, so that a few hundred parts say something."
    )
    yield ""
    if not found["asked"]:
        yield f"No retraining was asked for ({_source('drift-demo')})."
        return
    alarm = next((level["day"] for level in found["levels"] if level["level"] == "alarm"), None)
    told = "" if alarm is None else f"The first alarm came on day {alarm:.2f}. "
    yield (
        f"{told}A retraining was asked for on day {found['asked_day']:.2f} by the rule "
        f"`{found['request']['rule']}`; {found['labels']:,} parts were labelled until day "
        f"{found['labelled_until_day']:.2f}, and the candidate was "
        f"{_accepted(found)} ({_source('drift-demo')})."
    )
    yield ""
    yield "| the comparison | before | after | gain, at least | asked |"
    yield "|---|---|---|---|---|"
    for finding in found["findings"]:
        if finding["question"] == "not worse":
            yield (
                f"| {finding['figure']}, {finding['domain']} domain | {finding['before']:.3f} | "
                f"{finding['after']:.3f} | {finding['bound']:+.3f} | {finding['limit']:+.2f} |"
            )


def _accepted(found: dict[str, Any]) -> str:
    if not found["accepted"]:
        return "refused"
    return f"accepted, and ran from day {found['deployed_day']:.2f}"


def _sooner(rows: Iterable[Mapping[str, Any]], ours: str, theirs: str) -> str:
    both = [
        (row[ours]["median_parts"], row[theirs]["median_parts"])
        for row in rows
        if row[ours]["median_parts"] is not None and row[theirs]["median_parts"] is not None
    ]
    return f"in {sum(our <= their for our, their in both)} of {len(both)}"


def _delays(rows: Mapping[str, Any], keys: Sequence[str]) -> str:
    return " | ".join(_delay(rows[key]) for key in keys)


def _delay(row: Mapping[str, Any]) -> str:
    if row["median_parts"] is not None:
        return f"{row['median_parts']:,.0f}"
    return f"({row['noticed']} of {row['of']})" if row["noticed"] else "-"


def _seldom(tests: Mapping[str, Any]) -> str:
    times = [test["at_most_by_theory"] / test["per_block"] for test in tests.values()]
    return f"{min(times):.0f} to {max(times):.0f}"


def _listed(found: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {share}" for name, share in found.items())


def _span(interval: Sequence[float]) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"


def _met(met: bool) -> str:
    return "met" if met else "missed"


def _source(name: str) -> str:
    return f"[{name}.json](results/{name}.json)"
