"""Entry of `optimize`; the only place where an error becomes an exit code."""

import argparse
import sys
from collections.abc import Sequence

from edge_runtime import __version__
from edge_runtime.errors import EdgeInspectError
from optimize.cli import bench, build, calibrate, inspect

_COMMANDS = (build, calibrate, inspect, bench)

_EPILOG = """\
examples:
  optimize build --int8 model.onnx --calibration calibration_data --out bundles
  optimize inspect bundles/weld-seam/1.0.0
  optimize bench bundles/weld-seam/1.0.0

exit codes: 0 done, 1 other, 2 usage, 3 bundle, 5 engine, 8 model, 9 calibration or validation images,
10 gate failed, 11 bundle cannot be written, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parsed = _parser().parse_args(argv)
    try:
        return int(parsed.run(parsed))
    except EdgeInspectError as exc:
        print(f"optimize: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print("optimize: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="optimize",
        description="Turn a float ONNX model into a bundle that may go on the line.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"optimize {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        sub = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.configure(sub)
        sub.set_defaults(run=command.run)
    return parser
