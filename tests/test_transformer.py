"""A network with packed attention weights, an embedding tied to the head, and batch norm, through every kind of set."""

import torch
from torch import nn

import tighten as tt


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.norm = nn.BatchNorm1d(16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        hidden = self.encoder(self.embedding(x)).transpose(1, 2)
        return self.head(self.norm(hidden).transpose(1, 2))


def test_every_kind_of_set_on_one_network(tmp_path):
    torch.manual_seed(0)
    model, x = Net(), torch.randint(50, (16, 12))
    support = {
        "*": tt.NMSparse(n=2, m=4),
        "encoder.linear1.weight": tt.BlockSparse((4, 4), density=0.25),
        "encoder.linear2.weight": tt.FilterSparse(density=0.5),
        "encoder.linear*.bias": tt.Sparse(density=0.5),
    }
    levels = {"*": tt.Uniform(bits=4, per_channel=True), "embedding.weight": tt.Codebook(bits=3)}
    plan = [
        tt.Stage(support, tt.Admm(rho_end=1.0), 2),
        tt.Stage(levels, tt.Admm(rho_end=1.0, commit=False), 2),
        tt.Stage(levels, tt.Freeze(passes=2), 2),
        tt.Stage({}, tt.Masked(), 1),
    ]
    session = tt.Session(model, plan, steps_per_epoch=5)
    for stage in session:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        with stage.attached(optimizer):
            for _ in range(stage.epochs * 5):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x).flatten(0, 1), x.flatten()).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
    session.save(tmp_path / "net.tight")
    again = Net()
    artifact = tt.load(tmp_path / "net.tight", again)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert again.head.weight is again.embedding.weight
    assert artifact.aliases == {"head.weight": "embedding.weight"}
    packed = again.encoder.self_attn.in_proj_weight.detach()
    assert int((packed.view(48, 4, 4) != 0).sum(2).max()) <= 2
    assert max(len(row.unique()) for row in packed) <= 2**4
    blocks = (again.encoder.linear1.weight != 0).view(8, 4, 4, 4).permute(0, 2, 1, 3).flatten(2).any(2)
    assert int(blocks.sum()) <= 8 * 4 // 4
    assert int((again.encoder.linear2.weight != 0).any(1).sum()) <= 8
    assert len(again.embedding.weight.detach().unique()) <= 2**3 + 1
    assert int((again.encoder.linear1.bias != 0).sum()) <= 16
