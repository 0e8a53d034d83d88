"""The errors that tighten raises on purpose.

Every message says the fact with the bad value, where it was found, and the fix.
"""


class TightenError(Exception):
    """The base of all errors raised on purpose; the command line prints it and exits with code 2."""


class SetError(TightenError):
    """A set that cannot exist, or a tensor that it cannot be fitted to."""


class PlanError(TightenError):
    """A plan, stage, budget or allocation that cannot be carried out on this model."""


class TrainingError(TightenError):
    """Training that cannot go on: a loss or weight that is not finite, a wrong optimizer."""


class ConstraintError(TightenError):
    """A weight that left its constraint set."""


class ArtifactError(TightenError):
    """A `.tight` file that is damaged, foreign, too new, or of another model."""


class RecipeError(TightenError):
    """A recipe that cannot be read or does not fit what it names."""


class DataError(TightenError):
    """Data that is missing, damaged or of the wrong form."""


class RunError(TightenError):
    """A run folder that cannot be used."""


class CompileError(TightenError):
    """A network that the runtime cannot take as it was given."""
