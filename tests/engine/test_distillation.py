"""Learning from what the dense network's layers give."""

import copy

import pytest
import torch
from torch import nn

from tighten.engine.distillation import Distillation, matching
from tighten.engine.events import Listener
from tighten.engine.prepare import prepare
from tighten.errors import RecipeError
from tighten.recipes import Distill, load, parse


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


@pytest.fixture
def pair():
    torch.manual_seed(0)
    teacher = network()
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        student[2].weight[0] = 0
    return student, teacher, torch.randn(8, 4), torch.randint(3, (8,))


def loss_of(student, teacher, x, y, **settings):
    with Distillation(student, teacher, Distill(**settings)) as lesson:
        outputs = student(x)
        with torch.no_grad():
            wanted = teacher(x)
        return lesson.loss(nn.functional.cross_entropy(outputs, y), outputs, wanted)


def test_patterns_name_modules_in_the_models_order():
    assert matching(network(), ["3", "[12]"]) == ["1", "2", "3"]
    assert matching(network(), []) == []


def test_a_pattern_for_nothing_is_refused():
    with pytest.raises(RecipeError, match=r"'layer\*', which matches no module of the Sequential: its modules are 0"):
        matching(network(), ["3", "layer*"])


def test_features_add_the_relative_difference_of_their_modules(pair):
    student, teacher, x, y = pair
    plain = loss_of(student, teacher, x, y)
    a, b = (net[:3](x) for net in (student, teacher))
    wanted = ((a - b).square().mean(1) / b.square().mean(1)).mean()
    assert wanted > 0.01
    added = loss_of(student, teacher, x, y, features=["2"], features_weight=0.5) - plain
    torch.testing.assert_close(added, 0.5 * wanted)


def test_equal_networks_add_nothing(pair):
    _, teacher, x, y = pair
    same = copy.deepcopy(teacher)
    torch.testing.assert_close(loss_of(same, teacher, x, y, features=["*"]), loss_of(same, teacher, x, y))


def test_gradients_come_through_features_alone(pair):
    student, teacher, x, _ = pair
    with Distillation(student, teacher, Distill(weight=0.0, features=["2"])) as lesson:
        outputs = student(x)
        wanted = teacher(x).detach()
        lesson.loss(torch.tensor(0.0), outputs, wanted).backward()
    assert student[2].weight.grad.abs().sum() > 0
    assert student[4].weight.grad is None or student[4].weight.grad.abs().sum() == 0
    assert teacher[0].weight.grad is None


def test_parts_of_a_batch_add_up_to_the_whole(pair):
    student, teacher, x, y = pair
    settings = {"features": ["2", "4"]}
    whole = loss_of(student, teacher, x, y, **settings)
    parts = [loss_of(student, teacher, x[i : i + 4], y[i : i + 4], **settings) for i in (0, 4)]
    torch.testing.assert_close(sum(parts) / 2, whole)


def test_nothing_listens_afterwards(pair):
    student, teacher, x, y = pair
    loss_of(student, teacher, x, y, features=["*"])
    assert not any(module._forward_hooks for net in (student, teacher) for module in net.modules())


def test_modules_that_give_no_tensor_are_named():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    model = nn.Sequential(Pair())
    with (
        Distillation(model, copy.deepcopy(model), Distill(features=["0"])),
        pytest.raises(RecipeError, match="'0', which gives a tuple"),
    ):
        model(torch.ones(1))


def with_features(pattern):
    text = load("digits")[1]
    before, stage = text.split("[[stages]]", 1)
    line = f'distill = {{ temperature = 2.0, weight = 0.5, features = ["{pattern}"] }}\n'
    lines = [part for part in f"[[stages]]{stage}".splitlines(keepends=True) if not part.startswith("distill")]
    return parse(before + "".join(lines).replace("[[stages]]\n", "[[stages]]\n" + line), "digits")


def test_a_recipe_is_refused_before_anything_is_trained():
    with pytest.raises(RecipeError, match=r"distill.features has 'block\*'"):
        prepare(with_features("block*"), root=None, download=False, seed=0, listener=Listener())


def test_a_trainer_learns_by_them():
    trainer = prepare(with_features("*"), root=None, download=False, seed=0, listener=Listener())
    trainer.keep_teacher()
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight.mul_(1 + 0.2 * torch.randn(weight.shape, generator=trainer.generator))
    training = next(stage for stage in trainer_stages() if stage.distill)
    optimizer = trainer.optimizer(trainer.model, 1e-3)
    flat = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    losses = [trainer.epoch("stage", n, training, optimizer, flat).loss for n in (1, 2, 3)]
    assert losses[2] < losses[0]
    assert not any(module._forward_hooks for module in trainer.model.modules())


def trainer_stages():
    return with_features("*").stages
