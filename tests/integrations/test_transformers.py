"""The Trainer of transformers, the real one, on a small network of random weights and text made here."""

import warnings

import pytest
import torch
from torch import nn

import tighten as tt
from tighten.torchvision_ops import import_torchvision

import_torchvision()
pytest.importorskip("transformers")
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments  # noqa: E402

from tighten.integrations.transformers import Tighten  # noqa: E402

LENGTH, LETTERS, EXAMPLES, BATCH = 12, 11, 32, 8
IN_EPOCH = EXAMPLES // BATCH


def text():
    """Sequences that count up in steps of their own."""
    first = torch.arange(EXAMPLES) % LETTERS
    ids = (first[:, None] + torch.arange(LENGTH) * (1 + first[:, None] % 3)) % LETTERS
    return [{"input_ids": row, "labels": row} for row in ids]


def net():
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": LENGTH, "vocab_size": LETTERS}
    return GPT2LMHeadModel(GPT2Config(**sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))


def plan():
    return tt.Plan(
        [
            tt.Stage({"*.c_*.weight": tt.Sparse()}, tt.Admm(rho_end=1.0), 2, budget=tt.Budget(rate=4)),
            tt.Stage({}, tt.Masked(), 1),
            tt.Stage({"*wte.weight": tt.Uniform(bits=3, per_channel=True)}, tt.Freeze(passes=2), 2),
        ]
    )


def arguments(folder, **settings):
    return TrainingArguments(
        output_dir=str(folder),
        **{
            "num_train_epochs": plan().epochs,
            "per_device_train_batch_size": BATCH,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "constant",
            "save_strategy": "no",
            "logging_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
            "seed": 0,
            "dataloader_pin_memory": False,
            **settings,
        },
    )


def fit(folder, model=None, resume=None, stages=None, steps=IN_EPOCH, callback=None, **settings):
    model = model or net()
    session = tt.Session(model, stages or plan(), steps_per_epoch=steps)
    callback = callback or (lambda s: Tighten(s))
    trainer = Trainer(
        model=model, args=arguments(folder, **settings), train_dataset=text(), callbacks=[callback(session)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train(resume_from_checkpoint=resume)
    return session


def equal(session, other):
    session.check()
    other.check()
    return all(torch.equal(a, b) for a, b in zip(session.model.parameters(), other.model.parameters(), strict=True))


def test_the_plan_is_carried_out_and_the_file_gives_the_network_back(tmp_path):
    session = fit(tmp_path, save_strategy="no")
    session.save(tmp_path / "net.tight")
    again = net()
    artifact = tt.load(tmp_path / "net.tight", again)
    names = [name for name, _ in again.named_parameters() if ".c_" in name and name.endswith("weight")]
    weights = [again.get_parameter(name) for name in names]
    assert sum(int((w != 0).sum()) for w in weights) <= sum(w.numel() for w in weights) // 4
    assert max(len(row.unique()) for row in again.transformer.wte.weight) <= 2**3
    # The head is the embedding.
    assert again.lm_head.weight is again.transformer.wte.weight
    assert artifact.aliases
    for a, b in zip(session.model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def loss_of(logits, ids):
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def adam(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-2)


def in_a_plain_loop(accumulate, clip):
    """The same plan over the Trainer's batches."""
    model = net()
    session, optimizer = tt.Session(model, plan(), steps_per_epoch=IN_EPOCH // accumulate), adam(model)
    for stage in session:
        optimizer.param_groups[0] |= {"lr": 1e-2, "initial_lr": 1e-2}
        scheduler = stage.scheduler(optimizer)
        with stage.attached(optimizer):
            for _ in range(stage.epochs):
                for i in range(0, EXAMPLES, BATCH):
                    ids = torch.stack([example["input_ids"] for example in text()[i : i + BATCH]])
                    (loss_of(model(input_ids=ids).logits, ids) / accumulate).backward()
                    if (i // BATCH + 1) % accumulate == 0:
                        nn.utils.clip_grad_norm_(model.parameters(), clip)
                        optimizer.step()
                        optimizer.zero_grad()
                        scheduler.step()
    return session


@pytest.mark.parametrize(("accumulate", "clip"), [(1, 0.5), (2, 1.0)])
def test_it_gives_what_a_plain_loop_gives(tmp_path, accumulate, clip):
    model = net()
    session = tt.Session(model, plan(), steps_per_epoch=IN_EPOCH // accumulate)
    settings = {"train_sampling_strategy": "sequential", "gradient_accumulation_steps": accumulate}
    trainer = Trainer(
        model=model,
        args=arguments(tmp_path, max_grad_norm=clip, **settings),
        train_dataset=text(),
        callbacks=[Tighten(session)],
        optimizers=(adam(model), None),
        compute_loss_func=lambda outputs, labels, **_: loss_of(outputs.logits, labels) / accumulate,
    )
    trainer.train()
    assert equal(session, in_a_plain_loop(accumulate, clip))


@pytest.mark.parametrize(("by", "step"), [("epoch", IN_EPOCH), ("epoch", 3 * IN_EPOCH), ("steps", 2 * IN_EPOCH)])
def test_a_resume_from_a_checkpoint_folder_gives_the_same_bits(tmp_path, by, step):
    settings = {"save_strategy": by, "save_steps": 2} if by == "steps" else {"save_strategy": by}
    whole = fit(tmp_path / "a", **settings)
    model = net()
    with torch.no_grad():
        model.transformer.wte.weight.zero_()
    resumed = fit(tmp_path / "a", model, resume=str(tmp_path / "a" / f"checkpoint-{step}"), **settings)
    assert equal(whole, resumed)
    elsewhere = tmp_path / "a" / f"checkpoint-{step}"
    moved = fit(
        tmp_path / "b", net(), resume=str(elsewhere), callback=lambda s: Tighten(s, resume=elsewhere), **settings
    )
    assert equal(whole, moved)


def test_a_checkpoint_without_the_session_is_told(tmp_path):
    fit(tmp_path, save_strategy="epoch")
    folder = tmp_path / f"checkpoint-{IN_EPOCH}"
    (folder / "tighten.pt").unlink()
    with pytest.raises(tt.TrainingError, match="resume=FOLDER"):
        fit(tmp_path, net(), resume=str(folder), save_strategy="epoch")


def test_bf16(tmp_path):
    fit(tmp_path, bf16=True).check()


def test_what_cannot_be_is_told_before_the_first_step(tmp_path):
    with pytest.raises(tt.PlanError, match=rf"steps_per_epoch={IN_EPOCH // 2}\)"):
        fit(tmp_path, gradient_accumulation_steps=2)
    with pytest.raises(tt.PlanError, match="the fit only 2"):
        fit(tmp_path, num_train_epochs=2)


def test_the_training_stops_with_the_plan(tmp_path):
    seen = []

    class Count(Tighten):
        def on_epoch_end(self, args, state, control, **more):
            seen.append(state.epoch)
            super().on_epoch_end(args, state, control, **more)

    fit(tmp_path, callback=Count, num_train_epochs=9).check()
    assert len(seen) == plan().epochs
