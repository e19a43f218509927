"""What expressions and texts with expressions in them come to."""

import contextlib

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.expressions import Unanswerable, compiled, expressions, faults, filled, holds, text, value, walked


class Data:
    """A scope over plain data, that remembers what was asked for."""

    def __init__(self, data):
        self.data = data
        self.asked = []

    def at(self, path):
        self.asked.append(path)
        return walked(self.data, path)


SCOPE = Data(
    {
        "input": {"n": 7, "text": "seven", "list": [1, 2], "none": None},
        "steps": {"a": {"output": {"b": [{"c": 1}, {"c": 2}]}}, "z": {"output": 1}},
    }
)


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("${input.n}", 7),
        (" ${input.n}", " 7"),
        ("${input.list}", [1, 2]),
        ("${ steps.a.output.b[1].c }", 2),
        ("${steps.a.output.b[*].c}", [1, 2]),
        ("${input.absent}", None),
        ("${steps.absent.output}", None),
        ("n is ${input.n}, ${input.text}: ${input.list}, ${input.none}", "n is 7, seven: [1,2], null"),
        ("${ {a: input.n, b: '}'} }", {"a": 7, "b": "}"}),
        ("costs 5 $${input.n}", "costs 5 ${input.n}"),
        ("$ {input.n} }", "$ {input.n} }"),
        ({"a": ["${input.n}", {"b": "${input.text}"}], "c": 1.5}, {"a": [7, {"b": "seven"}], "c": 1.5}),
        ('${`{"a": "}"}`.a}', "}"),
    ],
)
def test_a_text_that_is_one_expression_becomes_its_value_and_others_are_written(template, found):
    assert filled(template, SCOPE) == found


def test_a_question_is_always_a_text():
    assert text("${input.list}", SCOPE) == "[1,2]"


def test_only_what_is_named_is_read():
    """Values may have to be fetched from far away."""
    scope = Data(SCOPE.data)
    value(compiled("length(steps.a.output.b) > `1` && input.n"), scope)
    assert set(scope.asked) == {("steps", "a"), ("input",)}


@pytest.mark.parametrize("expression", ["abs(input.text)", "sum(input)", 'sort(`[1, "a"]`)', "max_by(input, &a)"])
def test_what_fails_on_the_values_at_hand_says_why(expression):
    assert faults(expression) == []
    with pytest.raises(Unanswerable, match=r"\w+"):
        value(compiled(expression), SCOPE)


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("a ==", "Incomplete"),
        ("foo(a)", "no function foo"),
        ("a[?foo(b)]", "no function foo"),
        ("abs(a, b)", "abs takes 1 values, not 2"),
        ("not_null()", "not_null takes at least 1 values, not 0"),
        ("@", "begin with a name"),
        ("a b", "Unexpected token: b"),
        ("'", "Unclosed"),
    ],
)
def test_faults_are_found_before_anything_runs(expression, fault):
    [found] = faults(expression)
    assert fault in found


def test_faults_of_a_template_are_told_by_their_place():
    found = dict(expressions({"a/b": ["fine", "${a ==}"], "c": "${no end"}))
    assert found.keys() == {"/a~1b/1", "/c"}
    assert all(isinstance(each, str) for each in found.values())


@pytest.mark.parametrize(
    ("found", "is_true"),
    [(0, True), ("x", True), (False, False), ("", False), ([], False), ({}, False), (None, False)],
)
def test_what_holds_is_what_jmespath_takes_for_true(found, is_true):
    assert holds(found) is is_true is (jmespath.search("a && `true` || `false`", {"a": found}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.lists(st.sampled_from("abc"), min_size=1, max_size=4))
def test_the_short_way_along_plain_names_gives_what_jmespath_gives(data, names):
    path = ".".join(names)
    assert value(compiled(path), Data(data)) == jmespath.search(path, data)


@given(st.text(alphabet="${}ab.'\"`\\[]|&!= ", max_size=25))
def test_no_text_whatsoever_breaks_it(written):
    """It is a value or a reason, and the reason is known beforehand where it is one of form."""
    wrong = [found for _, found in expressions(written) if isinstance(found, str)]
    with pytest.raises(Unanswerable) if wrong else contextlib.suppress(Unanswerable):
        filled(written, SCOPE)


DOUBLED = "|[@,@]" * 40
PAIRED = "|{a:@,b:@}" * 40
MEGABYTE = {"input": {"long": "x" * 1_000_000, "many": ["y"] * 100_000, "rows": [{"n": n} for n in range(1_000)]}}


@pytest.mark.parametrize(
    "template",
    [
        f"${{input{DOUBLED}}}",
        f"${{input{PAIRED}}}",
        f"it is ${{input{DOUBLED}}}",
        f"${{to_string(input{DOUBLED})}}",
        f"${{[input{DOUBLED},input{DOUBLED}]|[0]==[1]}}",
        f"${{input.rows[*].[@{'|[@,@][]' * 40}][]}}",
        f"${{input.rows[*].{{n:n,all:[@{'|[@,@]' * 14}]}}}}",
        "${join(input.long, input.many)}",
        "${input.[" + ",".join(["long"] * 100) + "]}",
        "${input.long}" * 100,
        {"all": ["${input.many}"] * 1_000},
    ],
)
def test_what_nobody_could_write_down_is_refused_however_it_is_made(template):
    with pytest.raises(Unanswerable, match=r"larger than|more than"):
        filled(template, Data(MEGABYTE))


@pytest.mark.parametrize("expression", ["{rows: input.many[*].{n: @}}", "sort(input.many)[:3]", "input.[long, long]"])
def test_what_is_large_and_can_be_written_down_is_given(expression):
    assert value(compiled(expression), Data(MEGABYTE)) == jmespath.search(expression, MEGABYTE)


@given(JSON, st.sampled_from(["a == b", "[a, b][]", "keys(a)", "a[?b > `1`].{c: a}", "join(a, b)", "sort_by(a, &b)"]))
def test_the_limits_change_nothing_of_what_jmespath_gives(data, expression):
    scope = {"a": data, "b": data}
    try:
        right = jmespath.search(expression, scope)
    except (ValueError, TypeError):
        with pytest.raises(Unanswerable):
            value(compiled(expression), Data(scope))
    else:
        assert value(compiled(expression), Data(scope)) == right
