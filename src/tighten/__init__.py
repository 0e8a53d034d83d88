"""tighten: trained PyTorch networks made very small by constrained training, with a guarantee."""

from tighten.allocation import (
    Allocation,
    Budget,
    Evidence,
    Share,
    Shares,
    fisher,
    lamp,
    magnitude,
    rate_distortion,
    uniform,
)
from tighten.artifact import Artifact, Sizes, load
from tighten.compact import Compact, compact
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
from tighten.folding import Folding, fold
from tighten.macs import macs_per_weight
from tighten.methods import Admm, Exchange, Feedback, Freeze, Masked, Method, StraightThrough
from tighten.plan import Plan, Stage
from tighten.progressive import progressive
from tighten.report import Report
from tighten.sensing import evidence
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
    "Compact",
    "ConstraintError",
    "DataError",
    "Evidence",
    "Exchange",
    "Feedback",
    "FilterSparse",
    "Folding",
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
    "Share",
    "Shares",
    "Sizes",
    "Sparse",
    "Stage",
    "StraightThrough",
    "Ternary",
    "TightenError",
    "TrainingError",
    "Uniform",
    "compact",
    "end_weights",
    "evidence",
    "fisher",
    "fold",
    "inner_weights",
    "lamp",
    "load",
    "macs_per_weight",
    "magnitude",
    "progressive",
    "rate_distortion",
    "uniform",
    "weights",
]
