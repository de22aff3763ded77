"""What the README says can be typed."""

import re
import shlex
from pathlib import Path

import pytest

import edge_runtime.cli.main
import optimize.cli.main
import train.cli.main
from benchmarks.figures import PAGES, with_figures

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = {
    program.name: program
    for program in (
        train.cli.main.PROGRAM,
        optimize.cli.main.PROGRAM,
        edge_runtime.cli.main.PROGRAM,
    )
}


def commands() -> list[str]:
    """Every line of the README's shell blocks that calls one of our programs."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.partition(" ")[0] in PROGRAMS]


def test_there_are_commands_of_all_three_floors() -> None:
    assert {line.partition(" ")[0] for line in commands()} == set(PROGRAMS)


@pytest.mark.parametrize("line", commands())
def test_each_command_is_understood(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    if program == "edge-inspect" and words[0].startswith("-"):
        words.insert(0, "run")
    assert PROGRAMS[program].parser().parse_args(words)


@pytest.mark.parametrize("target", re.findall(r"^make ([a-z]+)", README, re.MULTILINE))
def test_each_make_target_exists(target: str) -> None:
    assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]
)
def test_each_local_link_leads_somewhere(page: str) -> None:
    source = ROOT / page
    links = re.findall(r"\]\(([^)#]+)", source.read_text(encoding="utf-8"))
    for link in [link for link in links if "://" not in link]:
        assert (source.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_the_figures_are_those_of_the_results(page: str) -> None:
    stands = (ROOT / page).read_text(encoding="utf-8")
    assert with_figures(page) == stands, "run `python -m benchmarks.figures`"
