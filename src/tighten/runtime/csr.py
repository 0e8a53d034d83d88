"""Compressed sparse rows, and their product with a matrix."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

# From this many columns, and this many entries a row, sums of rows of the dense factor are quicker than the library's
# product.
WIDE = 24
_LONG = 24


class Csr(nn.Module):
    """A sparse matrix and a bias, `matrix @ x + bias`.

    Shape: `[I, M]` to `[O, M]`, or `[I]` to `[O]`.
    Cost: one multiplication for each stored entry and column.

    Args:
        rows, columns, values: of the entries, sorted by row.
        bias: one number a row.
        width: how many columns the matrix has.
    """

    def __init__(self, rows: Tensor, columns: Tensor, values: Tensor, bias: Tensor, width: int) -> None:
        super().__init__()
        self.bias = bias
        # 32 bits: wider indices would be narrowed again at every product.
        self.starts = torch.zeros(len(bias) + 1, dtype=torch.int32)
        self.starts[1:] = torch.bincount(rows, minlength=len(bias)).cumsum(0)
        self.columns, self.values = columns.to(torch.int32), values.detach().clone()
        self.matrix = _library_matrix(self.starts, self.columns, self.values, (len(bias), width))

    @classmethod
    def of(cls, matrix: Tensor, bias: Tensor) -> Csr:
        """The stored form of a dense matrix."""
        rows, columns = matrix.nonzero(as_tuple=True)
        return cls(rows, columns, matrix[rows, columns], bias, matrix.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 1:
            return torch.addmv(self.bias, self.matrix, x)
        if x.shape[1] < WIDE or len(self.values) < _LONG * len(self.bias):
            return torch.addmm(self.bias[:, None], self.matrix, x)
        return self.sum_rows(x, x.new_empty(len(self.bias), x.shape[1]))

    def sum_rows(self, x: Tensor, out: Tensor) -> Tensor:
        """The product, written to `out`.

        An embedding bag is this product: each row sums weighted rows of x, which its kernel keeps in registers.
        """
        sums = torch.embedding_bag(
            x, self.columns, self.starts, per_sample_weights=self.values, include_last_offset=True
        )
        return torch.add(sums[0], self.bias[:, None], out=out)


def _library_matrix(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
