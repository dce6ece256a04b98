"""The list of the page's modules in public/index.html, which lets a browser fetch them all at once.

    python -m scripts._page            write it (after a module was added or taken away)
    python -m scripts._page --check    only compare

Without a bundler a browser learns of a module by the one that imports it, one journey after another; told of all of
them at the beginning, it needs one.
"""

import argparse
import re
from pathlib import Path

PUBLIC = Path(__file__).resolve().parent.parent / "public"
INDEX = PUBLIC / "index.html"
ENTRY = "/app/main.js"
_LIST = re.compile(r'(?:  <link rel="modulepreload" href="[^"]+">\n)*(?=  <script type="module")')
_IMPORT = re.compile(r'^(?:import|export)\b[^;]*?\bfrom "(/[\w./-]+\.js)"', re.MULTILINE)


def modules() -> list[str]:
    """The path of every module that the page needs in order to begin, the entry first; what is fetched later is not."""
    found, left = [ENTRY], [ENTRY]
    while left:
        here = left.pop(0)
        for path in _imports(here):
            if path not in found:
                found.append(path)
                left.append(path)
    return found


def _imports(module: str) -> list[str]:
    code = (PUBLIC / module.lstrip("/")).read_text()
    if module.startswith("/vendor/"):
        return [f"/vendor/{name}" for name in re.findall(r'from"\./([\w-]+\.js)"', code)]
    return _IMPORT.findall(code)


def page() -> str:
    """The page with the list as it must be."""
    links = "".join(f'  <link rel="modulepreload" href="{path}">\n' for path in modules()[1:])
    return _LIST.sub(lambda _: links, INDEX.read_text(), count=1)


def main() -> None:
    """Write, or compare."""
    parser = argparse.ArgumentParser(prog="python -m scripts._page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something differs")
    wanted = page()
    if not parser.parse_args().check:
        INDEX.write_text(wanted)
    elif wanted != INDEX.read_text():
        raise SystemExit("public/index.html does not list the page's modules: python -m scripts._page")


if __name__ == "__main__":
    main()
