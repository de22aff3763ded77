"""What watching features costs a part: `python -m benchmarks.embedding_cost`.

CPU microseconds of `EmbeddingMonitor.observe` on one core, whole blocks included, medians over rounds,
and the bytes that it holds. What fetching the features costs the engine is `features_cost`'s; what the
other monitor and the daemon cost is `drift_cost`'s.
"""

import argparse
import os
import statistics
import time

import numpy as np

from benchmarks.drift_line import PARTS_PER_DAY, record
from benchmarks.embedding_line import embedding_of
from benchmarks.setting import setting, write_result
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    about = setting("numpy", "onnxruntime")
    pools = record(505, np.arange(0, 37, 2.0), 10)
    reference = embedding_of(pools)
    monitor = EmbeddingMonitor(reference, parts_per_day=PARTS_PER_DAY)
    parts = [part for pool in pools for part in pool.parts]
    taken = []
    for _ in range(arguments.rounds):
        began = time.process_time()
        for part in parts:
            monitor.observe(part)
        taken.append((time.process_time() - began) / len(parts) * 1e6)
    rows, columns = reference.axes.shape
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "observe_us": round(statistics.median(taken), 1),
        "axes": rows,
        "features": columns,
        "state_bytes": monitor.state_bytes(),
        "of_which_reference": monitor.embedding.state_bytes(),
        "reference_file_bytes": len(reference.to_json()),
        "reference_images": reference.images,
    }
    print(result)
    print(f"written to {os.path.relpath(write_result('embedding-cost', result))}")


if __name__ == "__main__":
    main()
