"""What import statements bind, and what a module asks of those that it imports."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

# Words for all that modules have registered with a library. Who looks at that needs all of them.
_REGISTRIES = (b"metadata", b"registry", b"mappers", b"__subclasses__")
# A name, and the attribute of it that is used.
_USE = re.compile(rb"\b([A-Za-z_]\w*)(?:\s*\.\s*([A-Za-z_]\w*))?")


class Imported(NamedTuple):
    """A name in an import statement. level: number of dots, as of `from ..a import b`, which names "a" and "a.b"."""

    level: int
    name: str


class Taken(NamedTuple):
    """What `from module import name` takes."""

    module: Imported
    name: str


def names_bound(node: ast.AST) -> Iterator[tuple[str, set[Imported]]]:
    """Yield what an import statement binds, and the modules that this may be or come from."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            parts = alias.name.split(".")
            # What is bound is the first, through which those between can be reached as well.
            reached = {Imported(0, ".".join(parts[:length])) for length in range(1, len(parts) + 1)}
            yield alias.asname or parts[0], {Imported(0, alias.name)} if alias.asname else reached
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        for alias in node.names:
            name = f"{module}.{alias.name}" if module else alias.name
            yield alias.asname or alias.name, {Imported(node.level, module), Imported(node.level, name)}


def taken_by(node: ast.AST) -> Iterator[tuple[str, Taken]]:
    """Yield what an import statement binds by taking a name from a module."""
    if isinstance(node, ast.ImportFrom):
        module = Imported(node.level, node.module or "")
        for alias in node.names:
            if alias.name != "*":
                yield alias.asname or alias.name, Taken(module, alias.name)


def names_taken(statements: Iterable[ast.AST], text: bytes) -> tuple[dict[Imported, set[str]], frozenset[Imported]]:
    """Return the names that are taken from each module, and the modules that are asked for in any other way.

    A name is taken by `from module import name`, and by `module.name` where the module was imported by `from package
    import module` and is used in no other way. statements: all of the module.
    """
    taken = defaultdict[Imported, set[str]](set)
    whole: set[Imported] = set()
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    attributes = _attributes(imports, text)
    for node in imports:
        for local, names in names_bound(node):
            if isinstance(node, ast.Import) or local == "*":
                whole |= names
        for local, one in taken_by(node):
            taken[one.module].add(one.name)
            inner = one.module._replace(name=f"{one.module.name}.{one.name}".lstrip("."))
            if local in attributes:
                taken[inner] |= attributes[local]
            else:
                whole.add(inner)
    if any(word in text for word in _REGISTRIES):
        return {}, frozenset({*whole, *taken})
    return dict(taken), frozenset(whole)


def _attributes(imports: Iterable[ast.stmt], text: bytes) -> dict[str, set[str]]:
    """Return the attributes that a text uses of each name, unless it uses that in another way, but for imports."""
    try:
        text.decode()
    except UnicodeDecodeError:
        # Places are told in bytes of UTF-8.
        return {}
    rest = bytearray(text)
    starts = [0, *accumulate(map(len, text.splitlines(keepends=True)))]
    for node in imports:
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        rest[begin:end] = b" " * (end - begin)
    attributes = defaultdict[str, set[str]](set)
    alone: set[str] = set()
    for name, attribute in _USE.findall(rest):
        if attribute:
            attributes[name.decode()].add(attribute.decode())
        else:
            alone.add(name.decode())
    return {name: used for name, used in attributes.items() if name not in alone}
