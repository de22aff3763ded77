"""What the three programs have in common: subcommands, help, and the way from an error to an exit code.

The only place where that way is written: a user's mistake is one line on stderr and the error's own exit
code, a fault of ours is a traceback.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_runtime import __version__
from edge_runtime.errors import EdgeInspectError


class Command(Protocol):
    """A subcommand: a module with these four names."""

    NAME: str
    HELP: str

    def configure(self, parser: argparse.ArgumentParser, /) -> None:
        """Declare the flags, with examples in the epilog."""
        ...

    def run(self, arguments: argparse.Namespace, /) -> int:
        """Do it; returns the exit code. `arguments.command_line` is what was typed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A console script with its subcommands."""

    name: str
    description: str
    epilog: str
    commands: tuple[Command, ...]
    on_interrupt: str = "interrupted"
    """What is said after Ctrl-C."""

    def parser(self) -> argparse.ArgumentParser:
        """The whole command line."""
        parser = argparse.ArgumentParser(
            prog=self.name,
            description=self.description,
            epilog=self.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--version", action="version", version=f"{self.name} {__version__}")
        commands = parser.add_subparsers(metavar="COMMAND", required=True)
        for command in self.commands:
            sub = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
            command.configure(sub)
            sub.set_defaults(run=command.run)
        return parser

    def main(self, words: Sequence[str]) -> int:
        """Run a command line without the program's name; returns the exit code."""
        arguments = self.parser().parse_args(words)
        arguments.command_line = shlex.join([self.name, *words])
        try:
            return int(arguments.run(arguments))
        except EdgeInspectError as exc:
            print(f"{self.name}: {exc}", file=sys.stderr)
            return exc.exit_code
        except KeyboardInterrupt:
            print(f"{self.name}: {self.on_interrupt}", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # Whoever read, `head` or a pager, has seen enough. Python would complain once more on
            # flushing at its end, so the rest goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
