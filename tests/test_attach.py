"""A stage that may end early, and a resume just there."""

import torch
from torch import nn

import tighten as tt

STAGES = [tt.Stage({"*": tt.Sparse(density=0.5)}, tt.Admm(rho=1.0, rho_end=10.0, until=100.0), 5)]
STEPS = 4


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def test_a_stage_resumed_where_it_had_converged_ends_without_another_step():
    model = net()
    session = tt.Session(model, STAGES, steps_per_epoch=STEPS)
    stage = next(iter(session))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with stage.attached(optimizer):
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.ones(2, 6)).square().sum().backward()
            optimizer.step()
        assert stage.converged
        saved = session.state_dict()
    again = tt.Session(model, STAGES, steps_per_epoch=STEPS)
    again.load_state_dict(saved)
    for resumed in again:
        assert resumed.converged
        with resumed.attached(torch.optim.SGD(model.parameters(), lr=1e-2)):
            pass
    again.check()
    assert again.done == 1
