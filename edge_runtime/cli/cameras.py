"""`edge-inspect cameras`: which cameras are there, each as the text that chooses it."""

import argparse
import sys

from edge_runtime.cameras.discovery import discover

NAME = "cameras"
HELP = "list the cameras that are there (V4L2 devices, GigE Vision)"

_EPILOG = """\
examples:
  edge-inspect cameras
  edge-inspect snapshot opencv:0 --out first.png

Network cameras (rtsp://, http://) do not announce themselves: their address is in their manual.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - the signature of every command
    """Print one line per camera; returns 0 whether or not there is one."""
    discovery = discover()
    for camera in discovery.cameras:
        print(f"{camera.source:<24} {camera.description}")
    if not discovery.cameras:
        print("no camera is connected")
    for remark in discovery.remarks:
        print(remark, file=sys.stderr)
    return 0
