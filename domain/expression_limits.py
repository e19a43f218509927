"""How large what an expression gives may be, and how much may be made on the way there.

JMESPath names a value as often as it likes: `[@,@]|[@,@]|...` doubles with every five characters. What is made so is
small at first, for its parts are shared; whoever writes it as JSON, compares it or flattens it meets them all.
"""

from __future__ import annotations

from typing import Any, Final, cast

from jmespath.visitor import TreeInterpreter

MOST_VALUES: Final = 1_000_000
"""Of one result: objects, lists, texts, numbers, each as often as it is named. Long texts count once for every CHUNK
characters."""
CHUNK: Final = 64
_MOST_MADE: Final = 2 * MOST_VALUES
"""In one expression, with all that is made on the way."""
_MAKING: Final = frozenset(
    {
        "multi_select_list",
        "multi_select_dict",
        "projection",
        "value_projection",
        "filter_projection",
        "flatten",
        "function_expression",
    }
)
"""Nodes that make something new; the others hand on what there is."""


class TooLarge(ValueError):
    """More than anybody could write down."""


def size(found: Any, most: int = MOST_VALUES) -> int:
    """In values, what is shared as often as it is named. Raises TooLarge above `most`, and looks no further."""
    counted = 1
    waiting: list[Any] = [[found]]
    while waiting:
        for each in waiting.pop():
            # By exact types: a million are gone through while other runs wait.
            kind: object = type(each)  # pyright: ignore[reportUnknownVariableType]
            if kind is str:
                counted += len(each) // CHUNK
            elif kind is dict:
                counted += len(each) + sum(map(len, each)) // CHUNK
                waiting.append(each.values())
            elif kind is list:
                counted += len(each)
                waiting.append(each)
        if counted > most:
            raise TooLarge(f"what it makes is larger than {most} values")
    return counted


class Interpreter(TreeInterpreter):
    """For one evaluation. Raises TooLarge, beside what jmespath raises."""

    def __init__(self) -> None:
        super().__init__()
        self._left = _MOST_MADE

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        found = super().visit(node, *args, **kwargs)
        if node["type"] in _MAKING:
            self._count(found)
        return found

    def visit_comparator(self, node: Any, value: Any) -> Any:
        return super().visit_comparator(self._counted(node, value), value)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        counted = self._counted(node, value)
        if node["value"] == "join":
            self._count_joined([child["value"] for child in counted["children"]])
        return super().visit_function_expression(counted, value)

    def _counted(self, node: Any, value: Any) -> Any:
        """The same node, with what it asks for already found: it goes through all of it."""
        found = [self.visit(child, value) for child in node["children"]]
        for each in found:
            self._count(each)
        children: list[dict[str, Any]] = [{"type": "literal", "value": each, "children": []} for each in found]
        return {**node, "children": children}

    def _count_joined(self, given: list[Any]) -> None:
        """What is between the texts is written again and again."""
        match given:
            case [str(between), list()]:
                self._spend(len(cast(list[Any], given[1])) * len(between) // CHUNK)
            case _:
                pass

    def _count(self, found: Any) -> None:
        self._spend(size(found))

    def _spend(self, counted: int) -> None:
        self._left -= counted
        if self._left < 0:
            raise TooLarge(f"what it makes on the way is larger than {_MOST_MADE} values")
