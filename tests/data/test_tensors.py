from __future__ import annotations

import pytest
import torch

from tighten.data import TensorData
from tighten.errors import DataError


def test_subset_takes_pictures_and_classes_together() -> None:
    data = TensorData(torch.arange(5.0).view(5, 1), torch.arange(5))
    part = data.subset(torch.tensor([4, 1]))
    assert len(part) == 2
    assert part.inputs.flatten().tolist() == [4.0, 1.0]
    assert part.targets.tolist() == [4, 1]


def test_wrong_dtype_says_the_fix() -> None:
    with pytest.raises(DataError, match=r"torch.uint8.*inputs.float\(\)"):
        TensorData(torch.zeros(3, 1, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("targets", [torch.zeros(2, dtype=torch.int64), torch.zeros(3, 1, dtype=torch.int64)])
def test_unequal_lengths_are_refused(targets: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"\(3, 1\) do not fit"):
        TensorData(torch.zeros(3, 1), targets)
