"""Entry of `edge-inspect`: without a subcommand it runs the daemon.

The only place where an error becomes an exit code: a user's mistake is one line on stderr, a fault of
ours is a traceback.
"""

import argparse
import sys
from collections.abc import Sequence

from edge_runtime import __version__
from edge_runtime.cli import check, demo, run
from edge_runtime.errors import EdgeInspectError

_COMMANDS = (run, check, demo)

_EPILOG = """\
examples:
  edge-inspect --station L07-S3 --bundle demo --source 'simulated:gen3?rate=20' \\
               --broker mqtt://localhost:1883        run a station until SIGTERM
  edge-inspect --config /etc/edge-inspect/L07-S3.toml
  edge-inspect check --config /etc/edge-inspect/L07-S3.toml
  edge-inspect demo                                  see it work, broker included

exit codes: 0 done, 2 usage, 3 bundle, 4 camera, 5 engine, 6 broker, 7 state folder, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in _TOP_LEVEL):
        arguments.insert(0, run.NAME)
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except EdgeInspectError as exc:
        print(f"edge-inspect: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print("edge-inspect: interrupted", file=sys.stderr)
        return 130


_TOP_LEVEL = {"-h", "--help", "--version"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-inspect",
        description="Inspect parts at a station of the line: frames in, verdicts at the MES.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edge-inspect {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        sub = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.configure(sub)
        sub.set_defaults(run=command.run)
    return parser
