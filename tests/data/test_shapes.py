"""Shapes that are said without reading the data, held to the data."""

import inspect

import pytest

from tighten import data
from tighten.data import cifar10, digits, mnist, shape_of


def test_digits():
    assert shape_of("tighten.data:digits") == tuple(digits().test.inputs.shape[1:])


def test_mnist(data_dir):
    assert shape_of("tighten.data:mnist") == tuple(mnist(data_dir).test.inputs.shape[1:])


@pytest.mark.slow
def test_cifar10(cifar_dir):
    assert shape_of("tighten.data:cifar10") == tuple(cifar10(cifar_dir).test.inputs.shape[1:])


def test_every_shipped_data_set_has_a_shape():
    sources = [
        name
        for name in data.__all__
        if inspect.isfunction(getattr(data, name)) and "root" in inspect.signature(getattr(data, name)).parameters
    ]
    assert sorted(sources) == ["cifar10", "digits", "imagefolder", "mnist"]
    assert all(shape_of(f"tighten.data:{name}") for name in sources)


def test_others_are_not_known():
    assert shape_of("my_package.data:pictures") is None
