"""`python -m pggit_alertd.settings` prints docs/settings.md; `--check FILE` tells whether the file says the same."""

import sys
from pathlib import Path

from pggit_alertd.settings.reference import settings_reference


def main(arguments: list[str]) -> int:
    """Print or check the reference; return the exit status."""
    if not arguments:
        sys.stdout.write(settings_reference())
        return 0
    option, *files = arguments
    if option != "--check" or len(files) != 1:
        sys.stderr.write("usage: python -m pggit_alertd.settings [--check docs/settings.md]\n")
        return 2
    path = Path(files[0])
    if not path.is_file() or path.read_text(encoding="utf-8") != settings_reference():
        sys.stderr.write(f"{path} is not what the program says; run: python -m pggit_alertd.settings > {path}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
