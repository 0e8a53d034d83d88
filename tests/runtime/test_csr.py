from __future__ import annotations

import pytest
import torch

from tighten.runtime.csr import WIDE, Csr


@pytest.mark.parametrize("columns", [1, 2, WIDE - 1, WIDE, 130])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_product_with_a_matrix_and_with_a_vector(columns, density, dtype):
    torch.manual_seed(0)
    matrix = torch.randn(17, 70, dtype=dtype) * (torch.rand(17, 70) < density)
    bias, x = torch.randn(17, dtype=dtype), torch.randn(70, columns, dtype=dtype)
    product = Csr.of(matrix, bias)
    assert torch.allclose(product(x), matrix @ x + bias[:, None], atol=1e-4)
    assert torch.allclose(product(x[:, 0].contiguous()), matrix @ x[:, 0] + bias, atol=1e-4)
    out = torch.full((17, columns), 7.0, dtype=dtype)
    product.sum_rows(x, out)
    assert torch.allclose(out, matrix @ x + bias[:, None], atol=1e-4)


def test_entries_keep_their_order_and_the_given_tensors_are_left_alone():
    matrix = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [3.0, 0.0, 4.0]])
    before = matrix.clone()
    product = Csr.of(matrix, torch.zeros(3))
    assert product.starts.tolist() == [0, 1, 1, 3]
    assert product.columns.tolist() == [1, 0, 2]
    assert product.values.tolist() == [2.0, 3.0, 4.0]
    matrix.zero_()
    assert torch.equal(product(torch.eye(3)), before)
