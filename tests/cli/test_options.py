"""What help says, read as a user sees it."""

import pytest
from tests.cli.program import tighten


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("run", "runs/RECIPE where not given"),
        ("shrink", "runs/shrink-RECIPE where not given"),
        ("export", "beside the input where not given"),
        ("allocate", "rate-distortion chooses them"),
    ],
)
def test_help_names_what_is_taken_where_nothing_is_given(tmp_path, command, says):
    shown = tighten(command, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    plain = " ".join(shown.stdout.replace("│", " ").split())
    assert says in plain
