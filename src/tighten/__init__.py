"""tighten: trained PyTorch networks made very small by constrained training, with a guarantee."""

from tighten.allocation import Allocation, Budget, Evidence, fisher, lamp, magnitude, uniform
from tighten.artifact import Artifact, Sizes, load
from tighten.errors import (
    ArtifactError,
    ConstraintError,
    DataError,
    PlanError,
    RecipeError,
    RunError,
    SetError,
    TightenError,
    TrainingError,
)
from tighten.methods import Admm, Freeze, Masked, Method
from tighten.plan import Plan, Stage
from tighten.progressive import progressive
from tighten.report import Report
from tighten.session import Session
from tighten.sets import (
    Binary,
    BlockSparse,
    ChannelSparse,
    Codebook,
    FilterSparse,
    NMSparse,
    PowerOfTwo,
    Set,
    Sparse,
    Ternary,
    Uniform,
)
from tighten.sites import end_weights, inner_weights, weights

__all__ = [
    "Admm",
    "Allocation",
    "Artifact",
    "ArtifactError",
    "Binary",
    "BlockSparse",
    "Budget",
    "ChannelSparse",
    "Codebook",
    "ConstraintError",
    "DataError",
    "Evidence",
    "FilterSparse",
    "Freeze",
    "Masked",
    "Method",
    "NMSparse",
    "Plan",
    "PlanError",
    "PowerOfTwo",
    "RecipeError",
    "Report",
    "RunError",
    "Session",
    "Set",
    "SetError",
    "Sizes",
    "Sparse",
    "Stage",
    "Ternary",
    "TightenError",
    "TrainingError",
    "Uniform",
    "end_weights",
    "fisher",
    "inner_weights",
    "lamp",
    "load",
    "magnitude",
    "progressive",
    "uniform",
    "weights",
]
