"""Verdicts in Python: each once, gaps asked for, going on after a restart where it was.

    python consume.py mqtt://mes.local plant-1 state.json
"""

import signal
import sys
from pathlib import Path

from edge_runtime.consumer.consumer import Consumer

address, site, state = sys.argv[1:]
with Consumer(
    address,
    site=site,
    client_id="mes-python-1",
    state_file=Path(state),
    on_remark=lambda text: print(text, file=sys.stderr),
) as consumer:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: consumer.stop())
    for verdict in consumer:
        print(verdict.seq, verdict.part_id, verdict.verdict, verdict.delivery.lane, flush=True)
