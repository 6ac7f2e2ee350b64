"""How long a cold start takes, from `python app.py` to a page with its examples in Chromium: `make first-paint`.

The first round reads PyTorch from the disk, unless something else has just done so.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.support.web.browsing import served_app, started_browser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    answers, paints = [], []
    with started_browser() as browser:
        for number in range(options.rounds):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as runs, served_app(Path(runs)) as address:
                answers.append(time.monotonic() - began)
                page.goto(address)
                page.wait_for_function("[...document.querySelectorAll('#examples img')].some(one => one.naturalWidth)")
                paints.append(time.monotonic() - began)
                page.close()
            print(f"round {number + 1}: answers after {answers[-1]:.1f} s, examples seen after {paints[-1]:.1f} s")
    print(f"median: {statistics.median(answers):.1f} s, {statistics.median(paints):.1f} s")


if __name__ == "__main__":
    main()
