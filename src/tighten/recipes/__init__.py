"""Recipes: TOML files that anyone can run again."""

from tighten.recipes.load import load, parse, shipped
from tighten.recipes.schema import Recipe, StageTable
from tighten.recipes.shrink import ShrinkTable
from tighten.recipes.training import Distill, Recover, Training

__all__ = ["Distill", "Recipe", "Recover", "ShrinkTable", "StageTable", "Training", "load", "parse", "shipped"]
