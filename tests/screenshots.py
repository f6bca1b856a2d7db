"""The README's picture of the explorer: `python tests/screenshots.py` takes it again."""

from pathlib import Path
from tempfile import TemporaryDirectory

from browser import Visit, chromium

import micrograd_plus as mp

PICTURE = Path(__file__).parent.parent / "notebooks" / "figures" / "explorer.png"


def main() -> None:
    neuron = mp.parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0.5, w1=-3, w2=1, b=6.88)
    with TemporaryDirectory() as folder, chromium() as browser:
        visit = Visit(browser, painted=True, viewport={"width": 1280, "height": 720})
        page = visit.go(mp.step_through(neuron).save(Path(folder) / "lesson.html"))
        page.keyboard.press("End")
        for _ in range(2):
            page.keyboard.press("ArrowLeft")
        page.locator("#graph .box").nth(1).click()
        page.screenshot(path=PICTURE)
        visit.close()
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
