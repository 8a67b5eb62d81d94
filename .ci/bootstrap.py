"""Makes the virtual environment that every word of the Makefile runs in, with nothing but a Python at hand.

Debian's python3 comes without ensurepip and without pip, so pip itself lies beside this file as the wheel its authors
released, and is checked against its digest before it runs. What is then installed is pinned by version and digest in
lock-*.txt: a release made tomorrow changes nothing here. pip looks where the user's own configuration says
(pip.conf, PIP_INDEX_URL, PIP_CERT, proxies). A stamp in the environment says what it was made from; while that still
holds, nothing is done and no network is needed.

Usage: python3 .ci/bootstrap.py embedded|test FOLDER
"""

import sys

# Before anything an old Python could stumble over: keep this file free of newer syntax than this message.
if sys.version_info < (3, 11):
    sys.exit(
        "pggit-alertd needs Python 3.11 or newer; %s is %d.%d. Name a newer one: make PYTHON=python3.12 ..."
        % (sys.executable, sys.version_info[0], sys.version_info[1])
    )

import hashlib
import os
import subprocess
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PIP = HERE / "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
QUIET = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
COVERS = {"embedded": ("embedded", "test"), "test": ("test",)}  # an environment for tests can also run the demo


def stamp(extra: str) -> str:
    """Return the digest of everything an environment with this extra is made from."""
    made_from = hashlib.sha256(f"{ROOT} {sys.version_info[:2]} {PIP_SHA256}".encode())
    for path in (ROOT / "pyproject.toml", HERE / f"lock-{extra}.txt"):
        made_from.update(path.read_bytes())
    return made_from.hexdigest()


def is_ready(folder: Path, extra: str) -> bool:
    """Tell whether the environment already holds what this extra asks for."""
    if not (folder / "bin" / "python").exists():
        return False
    stamps = ((folder / f".made-{cover}", cover) for cover in COVERS[extra])
    return any(path.is_file() and path.read_text() == stamp(cover) for path, cover in stamps)


def runs_this_python(folder: Path) -> bool:
    """Tell whether the environment belongs to the Python that runs now; after an upgrade of the system it does not."""
    python = folder / "bin" / "python"
    if not python.exists():
        return False
    asked = [str(python), "-I", "-c", "import sys; print(sys.version_info[:2] == (%d, %d))" % sys.version_info[:2]]
    return subprocess.run(asked, capture_output=True, check=False, text=True).stdout.strip() == "True"


def run(folder: Path, *arguments: str) -> None:
    """Run the environment's Python. -I keeps PYTHONPATH and the user's own packages out; so does PIP_USER=0."""
    command = [str(folder / "bin" / "python"), "-I", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PIP_USER": "0"})


def make(folder: Path, extra: str) -> None:
    """Make the environment, or bring an existing one up to date, and stamp it last."""
    if hashlib.sha256(PIP.read_bytes()).hexdigest() != PIP_SHA256:
        sys.exit(f"{PIP} is not the file it should be: its digest differs. Get it from the repository again.")
    if not runs_this_python(folder):
        venv.EnvBuilder(with_pip=False, clear=folder.exists(), symlinks=True).create(folder)
    for cover in COVERS["embedded"]:
        (folder / f".made-{cover}").unlink(missing_ok=True)
    run(folder, f"{PIP}/pip", "install", *QUIET, "--no-index", "--no-deps", str(PIP))
    lock = HERE / f"lock-{extra}.txt"
    run(folder, "-m", "pip", "install", *QUIET, "--require-hashes", "--only-binary", ":all:", "-r", str(lock))
    run(folder, "-m", "pip", "install", *QUIET, "--no-index", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    (folder / f".made-{extra}").write_text(stamp(extra))


def main() -> None:
    """Make sure that the environment named on the command line is there."""
    extra, folder = sys.argv[1], Path(sys.argv[2]).absolute()
    if is_ready(folder, extra):
        return
    print(f"Setting up {folder} ({extra}) ...", flush=True)
    began = time.monotonic()
    try:
        make(folder, extra)
    except PermissionError as error:
        sys.exit(f"Can't write {error.filename}. Own the checkout, or name another place: make VENV=/some/where ...")
    except subprocess.CalledProcessError:
        sys.exit(
            "Could not install what pggit-alertd needs; the lines above say why.\n"
            "It comes from PyPI, or from where your pip configuration points (pip.conf, PIP_INDEX_URL, PIP_CERT,\n"
            "HTTPS_PROXY). Mend that and try again."
        )
    print(f"Ready after {time.monotonic() - began:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
