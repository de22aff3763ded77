"""What keeping samples costs, in Markdown from the result of `benchmarks.sample_keeping`.

Writes nothing: `sample_figures.figures` is among the `PAGES` of `benchmarks.figures`.
"""

from collections.abc import Mapping
from typing import Final

from benchmarks.setting import read_result

NAME: Final = "sample-keeping"


def figures() -> str:
    """Figures of `docs/samples.md`."""
    found = read_result(NAME)
    run = found["long_run"]
    return (
        f"On the station's thread a plain good part takes the rules {found['rules_us_per_part']:.1f} us "
        f"of CPU time. {run['parts']:,} parts, {run['wanted_by_a_rule']:,} of them wanted by a rule, "
        f"against a quota of {run['quota_bytes'] / 1e6:.0f} MB: resident memory "
        f"{run['resident_mb_at_the_half']:.1f} MB at the half and {run['resident_mb_at_the_end']:.1f} "
        f"at the end, never more than {run['highest_bytes_on_disk'] / 1e6:.2f} MB of files. The daemon "
        "from its first part on, when every kind of sample is still wanted: with samples over without, "
        f"in turns, {_interval(found['cpu_on_over_off'])} times the CPU time and "
        f"{_interval(found['throughput_on_over_off'])} of the throughput, at a load of "
        f"{found['load_before']:.1f} on {found['cores']} cores ([{NAME}.json](results/{NAME}.json), "
        f"`{found['command']}`)."
    )


def _interval(row: Mapping[str, float]) -> str:
    return f"{row['median']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
