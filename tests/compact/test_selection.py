"""The choice of what goes, on dependency graphs written by hand."""

import torch

from tighten.compact.coupling import Cut, Step
from tighten.compact.selection import removals, together
from tighten.compact.unread import Unread


class Graph:
    """Layers in classes of equal places: what goes in one goes in all."""

    def __init__(self, *classes, obstacle=None):
        self.classes = classes
        self.obstacle = obstacle

    def knows(self, layer):
        return any(Cut(layer, True) in cuts for cuts in self.classes)

    def of(self, layer, neurons):
        (cuts,) = [cuts for cuts in self.classes if Cut(layer, True) in cuts]
        places = tuple(neurons)
        return [Step(cut, places, places, self.obstacle) for cut in cuts]


def outputs(*names):
    return [Cut(name, True) for name in names]


def mask(text):
    return torch.tensor([letter == "x" for letter in text])


def free(neurons, columns=None, fixed=None):
    given = {name: mask(text) for name, text in (columns or {}).items()}
    return Unread({name: mask(text) for name, text in neurons.items()}, given, fixed or {}, ())


def test_joined_layers_lose_what_all_of_them_can_lose():
    parts, notes = removals(Graph(outputs("a", "b")), free({"a": "xx.x", "b": ".xxx"}))
    assert parts == [{Cut("a", True): {1, 3}, Cut("b", True): {1, 3}}]
    assert notes == [
        "'a': 1 unread neuron stays: the neurons of 'b' that they are joined to are alive",
        "'b': 1 unread neuron stays: the neurons of 'a' that they are joined to are alive",
    ]


def test_a_reader_with_weights_holds_its_inputs():
    graph = Graph([Cut("a", True), Cut("b", False)], [Cut("b", True)])
    parts, notes = removals(graph, free({"a": "xx.", "b": "..."}, {"b": "x.."}))
    assert parts == [{Cut("a", True): {0}, Cut("b", False): {0}}]
    assert notes == ["'a': 1 unread neuron stays: 'b' reads them"]


def test_obstacles_and_fixed_modules_hold_all():
    assert removals(Graph(outputs("a"), obstacle="it is tied"), free({"a": "xx."})) == (
        [],
        ["'a': 2 unread neurons stay: it is tied"],
    )
    parts, notes = removals(Graph(outputs("a", "norm")), free({"a": "xx."}, fixed={"norm": "'norm' is used twice"}))
    assert parts == []
    assert notes == ["'a': 2 unread neurons stay: 'norm' is used twice"]


def test_one_neuron_stays_with_all_that_belongs_to_it():
    graph = Graph([Cut("a", True), Cut("b", False)], outputs("b"))
    parts, notes = removals(graph, free({"a": "xxx", "b": "x.x"}, {"b": "xxx"}))
    assert together(parts) == {Cut("a", True): {1, 2}, Cut("b", False): {1, 2}, Cut("b", True): {0, 2}}
    assert notes == ["'a': no neuron is read; one stays, because no layer can be empty"]


def test_nothing_to_do():
    assert removals(Graph(outputs("a")), free({"a": "..."})) == ([], [])
    assert removals(Graph(outputs("a")), free({"a": "...", "unused": "xx"})) == ([], [])
