"""Faster inference of sparse networks on the CPU, with kernels chosen by measurement."""

from tighten.runtime.compile import compile, compile_file
from tighten.runtime.compiled import Compiled
from tighten.runtime.report import LayerReport, Report

__all__ = ["Compiled", "LayerReport", "Report", "compile", "compile_file"]
