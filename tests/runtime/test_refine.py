from __future__ import annotations

import torch
from torch import fx, nn

from tighten.runtime.choose import Chooser
from tighten.runtime.refine import refine
from tighten.runtime.report import LayerReport


class Slow(nn.Module):
    def forward(self, x):
        for _ in range(300):
            x = x + 1
        return x


class Quick(nn.Module):
    def forward(self, x):
        return x + 300


def test_only_rivals_that_pay_are_taken():
    model = nn.Sequential(nn.Identity(), nn.Identity())
    network = fx.GraphModule(model, fx.Tracer().trace(model))
    network.set_submodule("0", Slow())
    network.set_submodule("1", Quick())
    chooser = Chooser(1, None)
    for name in "01":
        chooser.layers[name] = LayerReport(name, "Identity", None, "dense", 10.0, 10.0)
    chooser.rivals = {"0": {"slices": (Quick(), 12.0)}, "1": {"slices": (Slow(), 11.0)}}
    found = refine(network, chooser, (torch.zeros(2),), 5)
    assert [type(found.get_submodule(name)) for name in "01"] == [Quick, Quick]
    assert (chooser.layers["0"].kernel, chooser.layers["0"].chosen_us) == ("slices", 12.0)
    assert chooser.layers["1"].kernel == "dense"
    assert type(network.get_submodule("0")) is Slow
    assert found(torch.zeros(1)).item() == 600
    chooser.rivals["0"] = {"csr": (Quick(), 1.0)}
    assert refine(network, chooser, (torch.zeros(2),), 0) is network
