"""The pictures of a report in the guide: one in light at the width of a screen, one in dark at that of a phone.

python docs/pictures/report.py runs/digits          # needs a Chromium
"""

import html
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SHOTS = {"report": (1, 1100, 1500), "report-phone": (0, 390, 1500)}
"""Name: scheme (0 is dark), width, height."""


def shoot(page: Path, out: Path, scheme: int, width: int, height: int) -> None:
    """One picture; the page lies in a frame, because browsers have no windows as narrow as phones."""
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"
        text = html.escape(page.read_text(encoding="utf-8"), quote=True)
        style = f'style="border: 0; width: {width}px; height: {height}px"'
        frame.write_text(f'<body style="margin: 0"><iframe {style} srcdoc="{text}"></iframe>', encoding="utf-8")
        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   f"--window-size={max(width, 500)},{height}", f"--blink-settings=preferredColorScheme={scheme}",
                   f"--screenshot={out}", frame.as_uri()]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    if width < 500:
        from PIL import Image

        Image.open(out).crop((0, 0, width, height)).save(out, optimize=True)


if __name__ == "__main__":
    for name, shot in SHOTS.items():
        shoot(Path(sys.argv[1]) / "report.html", HERE / f"{name}.png", *shot)
