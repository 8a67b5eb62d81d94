"""`python -m pggit_alertd`, the same as the command `pggit-alertd`."""

from pggit_alertd.cli import main

if __name__ == "__main__":
    main()
