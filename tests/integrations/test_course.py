"""A plan in a fit that someone else leads, against the same plan in a plain loop."""

import copy

import pytest
import torch
from tests.integrations.problem import adam, loader, net, plain, plan, same
from torch.nn import functional as F

import tighten as tt
from tighten.integrations.course import Course, steps

BATCHES = len(loader())


class Fit:
    """A trainer of the smallest kind; `closure` runs the backward pass inside the step, as Lightning does."""

    def __init__(self, closure=False, make=adam, stages=None):
        self.model, self.closure = net(), closure
        self.optimizer = make(self.model.parameters())
        self.course = Course(tt.Session(self.model, stages or plan(), steps_per_epoch=BATCHES))
        self.done, self.rates = 0, []

    def step(self, x, y):
        def backward():
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(x), y)
            loss.backward()
            return loss

        if self.closure:
            self.optimizer.step(backward)
        else:
            backward()
            self.optimizer.step()
        self.rates.append(self.optimizer.param_groups[0]["lr"])

    def epochs(self, until):
        while self.done < until:
            for x, y in loader():
                self.step(x, y)
            self.done += 1
            if self.course.end_epoch(self.done):
                return
        return

    def run(self, until=100):
        self.course.begin(self.optimizer, self.done)
        self.epochs(until)
        self.course.end(self.done)
        return self


@pytest.mark.parametrize("closure", [False, True])
def test_one_fit_gives_what_a_loop_over_stages_gives(closure):
    fit = Fit(closure).run()
    assert fit.done == plan().epochs
    assert same(fit.course.session, plain())
    assert set(fit.rates) == {1e-2}, "the curve is on the learning rate only while a step is made"


def test_without_the_curve_the_learning_rate_stays():
    fit = Fit()
    fit.course.curve = False
    assert not same(fit.run().course.session, plain())


@pytest.mark.parametrize("until", [1, 3, 4, 7])
def test_a_resume_gives_the_same_bits(until):
    first = Fit()
    first.course.begin(first.optimizer, 0)
    first.epochs(until)
    saved = copy.deepcopy((first.model.state_dict(), first.optimizer.state_dict(), first.course.state_dict()))
    second = Fit()
    second.model.load_state_dict(saved[0])
    second.optimizer.load_state_dict(saved[1])
    second.course.load_state_dict(saved[2])
    second.done = until
    assert same(second.run().course.session, plain())
    # What was saved is not touched by who went on from it.
    assert saved[2]["first"] <= until


def test_a_checkpoint_of_a_stage_s_last_step_goes_on_with_the_next_stage():
    first = Fit()
    first.course.begin(first.optimizer, 0)
    first.epochs(2)
    for x, y in loader():
        first.step(x, y)
    saved = copy.deepcopy((first.model.state_dict(), first.optimizer.state_dict(), first.course.state_dict()))
    second = Fit()
    second.model.load_state_dict(saved[0])
    second.optimizer.load_state_dict(saved[1])
    second.course.load_state_dict(saved[2])
    second.done = 3
    assert same(second.run().course.session, plain())


def test_a_stage_that_converged_makes_way_for_the_next():
    stages = [tt.Stage({"*": tt.Sparse(density=0.5)}, tt.Admm(rho=1.0, rho_end=10.0, until=100.0), 5), plan()[1]]
    fit = Fit(stages=stages).run()
    assert fit.done == 1 + 2
    fit.course.session.check()


def test_hooks_and_learning_rates_are_gone_afterwards():
    fit = Fit().run()
    before = [p.detach().clone() for p in fit.model.parameters()]
    x, y = next(iter(loader()))
    fit.step(x, y)
    assert not torch.equal(before[0], fit.model[0].weight), "the optimizer is plain again"
    assert not fit.optimizer._optimizer_step_pre_hooks
    assert not fit.optimizer._optimizer_step_post_hooks


def test_an_error_in_a_step_does_not_leave_a_wrong_learning_rate():
    fit = Fit(closure=True)
    fit.course.begin(fit.optimizer, 0)
    x, y = next(iter(loader()))
    fit.step(x, y)

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit.optimizer.step(fail)
    fit.course.release()
    assert fit.optimizer.param_groups[0]["lr"] == 1e-2


def test_closures_that_are_called_again_are_refused_with_the_way_out():
    model = net()
    course = Course(tt.Session(model, plan(), steps_per_epoch=BATCHES))
    with pytest.raises(tt.TrainingError, match="instead of LBFGS"):
        course.begin(torch.optim.LBFGS(model.parameters()), 0)

    class Twice(torch.optim.SGD):
        def step(self, closure=None):
            closure()
            return super().step(closure)

    fit = Fit(closure=True, make=lambda p: Twice(p, lr=0.1))
    with pytest.raises(tt.TrainingError, match="without a closure"):
        fit.run()


def test_an_optimizer_of_other_parameters_is_refused():
    with pytest.raises(tt.TrainingError, match=r"does not hold '0\.weight'"):
        Course(tt.Session(net(), plan(), steps_per_epoch=BATCHES)).begin(adam(net().parameters()), 0)
    with pytest.raises(tt.TrainingError, match="no torch"):
        Course(tt.Session(net(), plan(), steps_per_epoch=BATCHES)).begin(object(), 0)


def test_a_fit_of_other_steps_or_too_few_epochs_is_refused():
    course = Course(tt.Session(net(), plan(), steps_per_epoch=BATCHES))
    course.check(BATCHES, plan().epochs)
    course.check(None, None)
    with pytest.raises(tt.PlanError, match=r"steps_per_epoch=3\)"):
        course.check(3, plan().epochs)
    with pytest.raises(tt.PlanError, match="takes 8 epochs, the fit only 7"):
        course.check(BATCHES, 7)
    assert steps(7, 2) == 4
    assert steps(float("inf"), 2) is None


def test_a_fit_that_ends_too_early_is_told():
    fit = Fit()
    with pytest.warns(UserWarning, match="in stage 'masked' after 1 of its 2 epochs"):
        fit.run(until=4)
    with pytest.raises(tt.TightenError):
        fit.course.session.check()
