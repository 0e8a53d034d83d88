"""Recipes: TOML files that anyone can run again."""

from tighten.recipes.load import load, parse, shipped
from tighten.recipes.schema import Distill, Recipe, StageTable, Training

__all__ = ["Distill", "Recipe", "StageTable", "Training", "load", "parse", "shipped"]
