"""The Markdown pages that readers meet, and what is in them: code, commands, links and pictures."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
GUIDES = [README, *DOCS, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
"""Pages with instructions."""
PAGES = [*GUIDES, ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md", *sorted(ROOT.glob("weights/*/README.md"))]
API_PAGE = ROOT / "docs" / "python-and-api.md"


def visible_text(page: Path) -> str:
    """The text of a page without HTML comments."""
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def section(page: Path, title: str) -> str:
    """The text below a heading of the second level, up to the next one."""
    return re.split(r"\n## ", visible_text(page).split(f"\n## {title}\n")[1])[0]


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The arguments of every `python -m ecenet …`, `ecenet …` and `python app.py …` in shell blocks and in inline code.

    `app` stands for `python app.py`, which has the same options.
    """
    text = visible_text(page)
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", without_blocks)]
    lines = [line for block in code_blocks(text, "bash") for line in block.replace("\\\n", " ").splitlines()]
    found = []
    for line in [*lines, *inline]:
        call = re.match(r"(?:.*-m ecenet|ecenet|python (app)\.py)(?=\s|$)(.*)", line.strip())
        if call:
            found.append([*filter(None, [call[1]]), *shlex.split(call[2], comments=True)])
    return [command for command in found if command and command[-1] != "--help"]


def anchors(page: Path) -> set[str]:
    """Of each heading the name by which a link finds it, as GitHub makes it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    """Targets of links and pictures within the repository."""
    return re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8"))


def pictures(page: Path) -> list[Path]:
    return [(page.parent / link).resolve() for link in links(page) if link.endswith((".png", ".svg"))]
