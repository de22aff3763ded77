"""Writes minutes into a folder, so many at a time, and tells of each at once; to be killed."""

import sys
import time
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

from edge_runtime.drift_history.period import Tally
from edge_runtime.drift_history.store import HistoryStore
from tests.edge_runtime.drift.line import START, parts
from tests.edge_runtime.drift_history.course import BUNDLE, MODEL, answered, drift_log, reference


def main(folder: str, gathered: str) -> None:
    store = HistoryStore(Path(folder))
    store.begin(BUNDLE, reference(), [])
    part, report = next(parts(1)), drift_log().snapshot()
    waiting = []
    for minute in count(1):
        tally = Tally(MODEL, reference())
        moment = replace(part, at=START + timedelta(minutes=minute))
        tally.add(answered(moment, minute).verdict, [moment.statistics])
        waiting.append(tally.period(report))
        if len(waiting) == int(gathered):
            for period in waiting:
                store.append(period, report, None)
            waiting.clear()
        sys.stdout.write(f"{minute}\n")
        sys.stdout.flush()
        if waiting and minute == 240:
            time.sleep(60)  # to be killed with what was gathered


if __name__ == "__main__":
    main(*sys.argv[1:])
