"""What the verdict contract costs and what it withstood, in Markdown, from the results alone.

Writes nothing: `benchmarks.figures` puts it between the markers of `docs/verdict-contract.md`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks.setting import read_result

SYNCS_AIM, PUBACK_AIM_MS, AUDIT_AIM = 1.2, 15, 100_000
"""Aims: a commit over one bare sync, p99 from decision to PUBACK, verdicts audited per second."""


def figures() -> str:
    """The contract's section on figures."""
    return "\n".join([*_costs(read_result("durability")), "", *_faults()])


def _costs(found: dict[str, Any]) -> Iterator[str]:
    commits = found["commit"]
    paced = found["decision_to_puback_at_10_per_s"]
    drain, disk, audit = found["drain_as_fast_as_it_goes"], found["disk"], found["audit"]
    yield "| what it costs | measured | aim |"
    yield "|---|---|---|"
    for name, commit in commits.items():
        yield (
            f"| {name}: commit, over a bare append and sync of the same bytes | "
            f"{commit['journal_ms']:.2f} over {commit['fdatasync_ms']:.2f} ms: "
            f"{commit['journal_over_fdatasync']:.2f} | {SYNCS_AIM} |"
        )
    rates = ", ".join(f"{commit['durable_verdicts_per_s']:,}" for commit in commits.values())
    bare = ", ".join(f"{commit['paho_messages_per_s']:,}" for commit in commits.values())
    yield f"| durable verdicts per second, in the same batches | {rates} | |"
    yield f"| messages per second through paho alone, kept nowhere | {bare} | |"
    for side, latency in paced.items():
        words = "10 parts/s" if side == "alone" else f"10 parts/s {side} of 500/s"
        yield (
            f"| decision to PUBACK at {words}, p50 and p99 | "
            f"{latency['p50_ms']:.1f} and {latency['p99_ms']:.1f} ms | p99 {PUBACK_AIM_MS} ms |"
        )
    yield (
        f"| backlog of {drain['verdicts']:,}, drained without a limit | {drain['per_s']:,} per second; "
        f"live p99 {drain['live_p99_ms']:.0f} ms meanwhile | |"
    )
    yield (
        f"| journal per verdict of {disk['message_bytes']} bytes; 72 h at 2 parts/s | "
        f"{disk['bytes_per_verdict']:,} bytes; {disk['mb_for_72_h_at_2_per_s']} MB | |"
    )
    yield f"| audit, verdicts per second | {audit['rows_per_s']:,} | {AUDIT_AIM:,} |"
    yield ""
    yield (
        f"On {found['cores']} cores of {found['cpu']} with the broker beside it, sides taking turns "
        "([durability.json](results/durability.json)). The quicker the disk, the more a commit's own "
        "work shows in the ratio. A fault is a verdict lost, doubled or changed, or a parser that did "
        "neither answer nor refuse."
    )


def _faults() -> Iterator[str]:
    kills, damage, network = (read_result(name) for name in ("kills", "damage", "network"))
    fuzz, soak = read_result("fuzz"), read_result("soak")
    yield "| what it withstood | cases | faults |"
    yield "|---|---|---|"
    controls = kills["controls"].values()
    yield _row(
        "kills",
        "SIGKILL of station, broker or both while parts flow",
        f"{sum(kills['kills'].values()):,} kills, {kills['verdicts']:,} verdicts "
        f"(stations built wrong on purpose: {sum(control['caught'] for control in controls)} of "
        f"{sum(control['runs'] for control in controls)} caught by 8 kills each)",
        len(kills["faults"]),
    )
    ends = Counter[str]()
    for counts in damage["ends"].values():
        ends.update(counts)
    yield _row(
        "damage",
        "a byte flipped, a file cut, a block lost in the journal's files",
        f"{damage['places']:,} places: {ends['delivered']:,} delivered all they owed, "
        f"{ends['refused']:,} refused with the remedy",
        len(damage["faults"]),
    )
    faults = network["faults"]
    slowest = max(fault["recovery_s"] for fault in faults)
    yield _row(
        "network",
        f"{len(faults)} kinds of network fault: {', '.join(fault['fault'] for fault in faults)}",
        f"{sum(fault['verdicts'] for fault in faults):,} verdicts; flowing again after "
        f"{slowest:.1f} s at most",
        sum(len(fault["faults"]) for fault in faults),
    )
    parsers = fuzz["parsers"].values()
    yield _row(
        "fuzz",
        f"mutated payloads against {len(parsers)} parsers",
        f"{fuzz['payloads_each']:,} each",
        sum(parser["defects"] for parser in parsers),
    )
    station, control = soak["station"], soak["leaking control"]
    yield _row(
        "soak",
        f"{station['seconds'] / 60:.0f} minutes without a pause",
        f"{station['verdicts']:,} verdicts; memory {station['trend_mb']:+.1f} MB "
        f"(a leaking control: {control['trend_mb']:+.1f} MB)",
        len(station["faults"]),
    )


def _row(name: str, what: str, cases: str, faults: int) -> str:
    return f"| [{what}](results/{name}.json) | {cases} | {faults} |"
