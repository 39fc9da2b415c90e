"""What a module's text says of the modules that it imports."""

import ast
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import dropwhile
from types import MappingProxyType
from typing import NamedTuple

from warmfork.snapshot.import_statements import Imported, Taken, names_bound, names_taken, taken_by

# Python's functions that change an attribute of their first argument.
_ATTRIBUTE_SETTERS = frozenset({"setattr", "delattr"})
# Words by which a module is asked for with a text.
_ASKING = (b"import_module", b"__import__", b".modules")


class Statements(NamedTuple):
    """What the statements are about."""

    imports: frozenset[Imported] = frozenset()
    # Names that are taken from each module, and modules that are asked for in any other way.
    taken: Mapping[Imported, AbstractSet[str]] = MappingProxyType({})
    whole: frozenset[Imported] = frozenset()
    # What the module's own names stand for that it takes from others when it is executed.
    bound: Mapping[str, Taken] = MappingProxyType({})
    # What the statements name that are executed with the module.
    executed: frozenset[Imported] = frozenset()
    # What objects come from that the module changes while it is executed.
    registrations: frozenset[Imported] = frozenset()
    # What it imports after it has called a function for nothing but what that does, or changed what it has imported.
    later: frozenset[Imported] = frozenset()
    # Whether it changes something that it has imported, and not only by decorators: modules may see it that import
    # neither this one nor that.
    acts: bool = False
    # Whether it does nothing but import and name things.
    collects: bool = False

    @classmethod
    def of(cls, text: bytes) -> "Statements":
        """Read a module's text; one that cannot be read imports nothing."""
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return cls()
        statements, executed = list(_statements(tree)), list(_executed(tree))
        imported: set[Imported] = set()
        bound: dict[str, set[Imported]] = {}
        for node in statements:
            for local, names in names_bound(node):
                imported |= names
                bound.setdefault(local, set()).update(names)
        taken, whole = names_taken(statements, text)
        if b"for " in text and any(map(_loops, executed)):
            # It may be about all that others have registered.
            taken, whole = {}, whole.union(taken)
        if any(word in text for word in _ASKING):
            # Expressions can be of any size: not all are looked through.
            whole = whole.union(*map(_asked, ast.walk(tree)))
        _add_other_names(executed, bound)
        changed = {root for node in executed for root in _changed(node)}
        acting = dropwhile(lambda node: not (_calls(node) or _changes(node, bound)), executed)
        acts = any(_changes(node, bound) for node in executed)
        acts = acts or any(_acts_on(function, bound) for function in _called_functions(tree, executed))
        return cls(
            imports=frozenset(imported | whole),
            taken=taken,
            whole=whole,
            bound=dict(one for node in tree.body for one in taken_by(node)),
            executed=_imported(executed),
            registrations=frozenset[Imported]().union(*(bound.get(root, set()) for root in changed)),
            later=_imported(acting),
            acts=acts,
            collects=all(map(_collects, executed)),
        )


class Named(NamedTuple):
    """The same with absolute names, for a module that the text is of.

    taken: of which modules names are taken, and nothing else is asked for; packages: those above it and its targets;
    executed: with those above them.
    """

    targets: frozenset[str] = frozenset()
    taken: Mapping[str, AbstractSet[str]] = MappingProxyType({})
    bound: Mapping[str, tuple[str, str]] = MappingProxyType({})
    executed: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    registrations: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    acts: bool = False
    collects: bool = False


def _imported(statements: Iterable[ast.AST]) -> frozenset[Imported]:
    """Return what import statements name."""
    return frozenset(one for node in statements for _, names in names_bound(node) for one in names)


def _add_other_names(executed: Iterable[ast.AST], bound: dict[str, set[Imported]]) -> None:
    """Add what other names stand for something that was imported, or for a part of it."""
    for node in executed:
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call):
            names = set[Imported]().union(*(bound.get(root, ()) for root in _root(node.value)))
            for target in node.targets:
                if names and isinstance(target, ast.Name):
                    bound.setdefault(target.id, set()).update(names)
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            parts = (one.id for one in ast.walk(node.iter) if isinstance(one, ast.Name))
            bound.setdefault(node.target.id, set()).update(*(bound.get(one, ()) for one in parts))


def _asked(node: ast.AST) -> set[Imported]:
    """Return the module that is asked for by a text, as by import_module("a"), sys.modules["a"] or .get("a")."""
    asked: ast.expr | None = None
    if isinstance(node, ast.Subscript) and _is_of_modules(node.value):
        asked = node.slice
    elif isinstance(node, ast.Call) and node.args:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
        is_get = name == "get" and isinstance(function, ast.Attribute) and _is_of_modules(function.value)
        if name in {"import_module", "__import__"} or is_get:
            asked = node.args[0]
    name = asked.value if isinstance(asked, ast.Constant) else None
    return {Imported(0, name)} if isinstance(name, str) and name[:1] != "." else set()


def _is_of_modules(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Attribute) and expression.attr == "modules"


def _calls(node: ast.AST) -> bool:
    """Tell whether a statement calls a function for nothing but what that does."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)


def _changes(node: ast.AST, imported: Container[str]) -> bool:
    """Tell whether a statement, and no decorator of it, changes something that was imported."""
    return not _is_definition(node) and any(root in imported for root in _changed(node))


def _called_functions(tree: ast.Module, executed: Iterable[ast.AST]) -> Iterator[ast.FunctionDef]:
    """Yield the module's own functions that its statements call, and those that these call."""
    own = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    waiting = list(executed)
    while waiting:
        node = waiting.pop()
        value = node.value if isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign | ast.Return) else None
        name = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
        if name in own:
            function = own.pop(name)
            yield function
            waiting += _statements(function)


def _acts_on(function: ast.FunctionDef, imported: Container[str]) -> bool:
    """Tell whether a function changes something that was imported, or that it is given."""
    given = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    return any(root in imported or root in given for node in _statements(function) for root in _changed(node))


def _loops(node: ast.AST) -> bool:
    """Tell whether a statement does something with each of several objects."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr) else None
    is_loop = value is not None and any(isinstance(part, ast.comprehension) for part in ast.walk(value))
    return is_loop or isinstance(node, ast.For)


def _collects(node: ast.AST) -> bool:
    """Tell whether a statement only imports something or gives it a name."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        is_computed = node.value is not None and any(isinstance(part, ast.Call) for part in ast.walk(node.value))
        return not is_computed and all(isinstance(target, ast.Name) for target in targets)
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return not node.decorator_list
    # Of those with others in them, each of these is looked at as well; operators are no statements.
    return isinstance(
        node, ast.Import | ast.ImportFrom | ast.alias | ast.If | ast.Try | ast.ExceptHandler | ast.Pass | ast.operator
    )


def _is_definition(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _executed(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the statements that are executed with the module, also those within others, such as a class's."""
    return _statements(tree, _executed_parts)


def _executed_parts(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return iter(())
    return iter(node.orelse) if isinstance(node, ast.If) and _is_for_types(node.test) else ast.iter_child_nodes(node)


def _statements(
    tree: ast.Module | ast.FunctionDef, parts: Callable[[ast.AST], Iterator[ast.AST]] = ast.iter_child_nodes
) -> Iterator[ast.AST]:
    """Yield the statements in their order, and what is between them, as the handler of an exception.

    parts: of each. Expressions hold no statement, and can be of any size and depth.
    """
    # Without a call for each level, of which a long chain of elif has many.
    waiting = [parts(tree)]
    while waiting:
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
        elif not isinstance(node, ast.expr):
            yield node
            waiting.append(parts(node))


def _is_for_types(test: ast.expr) -> bool:
    """Tell whether a condition is true for type checkers alone."""
    return getattr(test, "attr", None) == "TYPE_CHECKING" or getattr(test, "id", None) == "TYPE_CHECKING"


def _changed(node: ast.AST) -> Iterator[str]:
    """Yield names of the objects that a statement changes, as far as its form tells.

    That is a call whose result nobody wants, or another expression of which nobody wants it, a decorator that is called
    or is an attribute, and an assignment to a part of something, or its deletion.
    """
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield from _root(node.value)
        if isinstance(node.value.func, ast.Name) and node.value.func.id in _ATTRIBUTE_SETTERS and node.value.args:
            yield from _root(node.value.args[0])
    elif isinstance(node, ast.Expr):
        # As a comprehension for what it does: any of its names.
        yield from (one.id for one in ast.walk(node.value) if isinstance(one, ast.Name))
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for decorator in node.decorator_list:
            yield from _root(decorator)
    elif isinstance(node, ast.Assign | ast.Delete):
        for target in node.targets:
            yield from () if isinstance(target, ast.Name) else _root(target)
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        yield from () if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else _root(node.target)


def _root(expression: ast.expr) -> Iterator[str]:
    while isinstance(expression, ast.Attribute | ast.Subscript | ast.Call):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    if isinstance(expression, ast.Name):
        yield expression.id
