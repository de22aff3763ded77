"""A station reduced to journal and delivery, to be killed: run as a program by `test_crashes.py`.

    station_process.py FOLDER BROKER COUNT [clear-on-send]

Commits verdicts until COUNT are committed in all, writing out the last number after each batch; then
drains, says `stopped` and ends. With `clear-on-send` a verdict leaves the journal as soon as it has been
handed over: the mistake that the crash test must be able to see.
"""

import sys
import time
from pathlib import Path

from edge_runtime.contracts.station_id import StationId
from edge_runtime.delivery.delivery import Delivery
from edge_runtime.journal.journal import LARGEST_SEQ, Entry, Journal
from edge_runtime.mes.links import open_publisher
from edge_runtime.mes.topics import Topics
from tests.sample_verdicts import entries


class ClearingOnSend(Journal):
    """The broken journal: what it has given out is gone, whatever becomes of it."""

    def unanswered(self, after: int, limit: int, *, up_to: int = LARGEST_SEQ) -> tuple[Entry, ...]:
        given = super().unanswered(after, limit, up_to=up_to)
        for entry in given:
            super().acknowledge(entry.seq)
        self.flush()
        return given

    def acknowledge(self, seq: int) -> None:
        pass


def main(folder: str, broker: str, count: str, *mistake: str) -> None:
    journal = ClearingOnSend(Path(folder)) if mistake else Journal(Path(folder))
    topics = Topics(site="plant-1", station=StationId.parse("L07-S3"))
    publisher = open_publisher(
        broker, client_id="edge-inspect-plant-1-L07-S3", availability_topic=topics.availability
    )
    delivery = Delivery(journal, publisher, topics)
    delivery.start()
    while journal.next_seq <= int(count):
        journal.append(entries(journal.next_seq, 4))
        delivery.notify()
        sys.stdout.write(f"{journal.next_seq - 1}\n")
        sys.stdout.flush()
        time.sleep(0.002)
    delivery.drain(20.0)
    publisher.stop(5.0)
    delivery.stop()
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
