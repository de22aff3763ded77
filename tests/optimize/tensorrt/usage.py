"""What our sources use of a vendor's library, collected from their syntax trees."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """`chain` is looked up from the library's module on; `arguments` is None where nothing is called."""

    chain: tuple[str, ...]
    arguments: int | None
    keywords: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        return f"{'.'.join(self.chain)} (line {self.line})"


def uses(source: str, roots: Mapping[str, tuple[str, ...]]) -> list[Use]:
    """Every attribute taken of one of the `roots`: expressions such as `trt` or `self._engine`.

    Each stands for a chain: `()` is the module, `("ICudaEngine",)` an object of that class.
    """
    tree = ast.parse(source)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        for tail, base in _unrolled(node):
            if base in roots and tail:
                call = calls.get(id(node))
                found.append(
                    Use(
                        chain=(*roots[base], *tail),
                        arguments=None if call is None else len(call.args),
                        keywords=()
                        if call is None
                        else tuple(k.arg or "**" for k in call.keywords),
                        line=node.lineno,
                    )
                )
                break
    return found


def given_by(source: str, roots: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Names that are assigned what a call on one of the roots gave: each needs a root of its own, or not
    to be one on purpose."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Attribute):
                bases = {base for _, base in _unrolled(function)}
                if bases & set(roots):
                    names |= {ast.unparse(target) for target in node.targets}
    return names


def _unrolled(node: ast.Attribute) -> Iterator[tuple[tuple[str, ...], str]]:
    """`a.b.c` as `(b, c), a` and `(c,), a.b`."""
    tail: tuple[str, ...] = ()
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        tail = (value.attr, *tail)
        value = value.value
        yield tail, ast.unparse(value)
