"""How old frames of a stream are, in Markdown from the result of `benchmarks.stream_age`.

Writes nothing: `stream_figures.figures` is among the `PAGES` of `benchmarks.figures`.
"""

from typing import Final

from benchmarks.setting import read_result

NAME: Final = "stream-age"
CODECS: Final = {"jpeg": "MJPEG", "h264": "H.264"}


def figures() -> str:
    """Figures of `docs/cameras.md`."""
    found = read_result(NAME)
    rows = [
        "| | read by | frames from before it was open | first one's age | median age | 99 % | highest |",
        "|---|---|---|---|---|---|---|",
    ]
    for codec, sides in found["results"].items():
        rows += [
            f"| {CODECS[codec]} | {side} | {row['frames_from_before_it_was_open']} | "
            f"{row['first_frame_age_ms']:.0f} ms | {row['age_p50_ms']:.0f} ms | "
            f"{row['age_p99_ms']:.0f} ms | {row['age_max_ms']:.0f} ms |"
            for side, row in sides.items()
        ]
    options = found["options"]
    words = (
        f"`{found['command']}`, {options['rounds']} turns each of {options['frames']} frames at 25 a "
        f"second, from the third second on; {found['cores']} cores at a load of "
        f"{found['load_before']:.1f} ([{NAME}.json](results/{NAME}.json)). The server writes into each "
        "picture when it was taken, so an age counts encoding, loopback, FFmpeg and decoding. 16 "
        "threads are what OpenCV takes by itself where there are 16 cores."
    )
    return "\n".join([*rows, "", words])
