"""Build .venv with the very versions that uv.lock names, on Linux, from nothing but Python and a package index."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (this file is what tells people whose Python is older)
    sys.exit(
        f"error: {sys.executable}: Python {sys.version.split()[0]} is older than 3.11; make PYTHON=/path/to/python3"
    )
if sys.platform != "linux":
    sys.exit(f"error: callboard runs on Linux, not on {sys.platform}")

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import ssl
import subprocess
import tempfile
import urllib.request
import zipfile
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "callboard-stamp"
UV = VENV / "bin" / "uv"
# The interpreter itself: that of an activated .venv would be deleted while it runs.
PYTHON = os.path.realpath(sys.executable)

UV_VERSION = "0.13.8"
# For each machine a wheel that runs with any C library and its hash, then the hash of the one that pip may prefer.
UV_WHEELS = {
    "x86_64": (
        (
            "https://files.pythonhosted.org/packages/4d/a3/1ac9cd75985371da0d29c9c12132e6d5b5627b9d0de87c5ad97ab9ad69b0/"
            "uv-0.13.8-py3-none-musllinux_1_1_x86_64.whl"
        ),
        "29451c60f5e8b07403e0a175d5229efc36b0289b34143ff4aaa499a5dd52553a",
        "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    ),
    "aarch64": (
        (
            "https://files.pythonhosted.org/packages/9e/f0/d989ac5fcebf83f1c8c5d78974f27788e8364945969eb646f5d0db35d924/"
            "uv-0.13.8-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl"
        ),
        "0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d",
        "5337c30bb893b4f9ce0ceb921ba2da0d13f649da644f40ad3bef84083bef0203",
    ),
}
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
ADVICE = "is there a network? does it need HTTPS_PROXY or SSL_CERT_FILE?"


class BootstrapError(Exception):
    """One line for the user: what, where, what to do."""


def main() -> None:
    """Make .venv ready, one process at a time; return at once if it is."""
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepare()
    finally:
        os.close(lock)


def prepare() -> None:
    place = f"{VENV}\n{PYTHON} {platform.python_version()}\nuv {UV_VERSION}\n"
    inputs = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "uv.lock"))
    wanted = place + hashlib.sha256(inputs).hexdigest()
    found = STAMP.read_text() if is_whole() else ""
    if found == wanted:
        return
    sys.stderr.write(f"preparing {VENV} with {PYTHON} ({platform.python_version()})\n")
    if not found.startswith(place):
        create()
    install()
    STAMP.write_text(wanted)


def is_whole() -> bool:
    """Whether .venv was finished once and its programs can still be started."""
    programs = (VENV / "bin" / "python", VENV / "bin" / "callboard", UV)
    return STAMP.exists() and all(os.access(program, os.X_OK) for program in programs)


def create() -> None:
    """Put an empty virtual environment with uv in it in the place of whatever .venv is."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch_uv(Path(folder))  # first: without a network nothing is destroyed
        if VENV.is_dir() and not VENV.is_symlink():
            shutil.rmtree(VENV)
        else:
            VENV.unlink(missing_ok=True)
        run([PYTHON, "-I", "-m", "venv", "--without-pip", str(VENV)])
        with zipfile.ZipFile(wheel) as archive:
            UV.write_bytes(archive.read(f"uv-{UV_VERSION}.data/scripts/uv"))
    UV.chmod(0o755)


def fetch_uv(folder: Path) -> Path:
    """The verified wheel of uv: by pip, which knows the machine's own index, else from the public one."""
    if platform.machine() not in UV_WHEELS:
        raise BootstrapError(f"no uv is pinned for {platform.machine()}; use: pip install --editable . --group dev")
    url, *hashes = UV_WHEELS[platform.machine()]
    try:
        wheel = download_by_pip(hashes, folder)
    except BootstrapError:
        wheel = download(url, folder)
    if hashlib.sha256(wheel.read_bytes()).hexdigest() not in hashes:
        raise BootstrapError(f"{url}: what came is not the pinned file (sha256 differs); look at your network's proxy")
    return wheel


def download_by_pip(hashes: list[str], folder: Path) -> Path:
    requirement = folder / "uv.txt"
    requirement.write_text(f"uv=={UV_VERSION}" + "".join(f" --hash=sha256:{each}" for each in hashes))
    options = ["--quiet", "--retries=1", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    run([PYTHON, "-m", "pip", "download", *options, f"--dest={folder}", f"--requirement={requirement}"])
    return next(folder.glob("uv-*.whl"))


def download(url: str, folder: Path) -> Path:
    # Without certificates, which a bare machine may lack: the pinned hash is what vouches for the file.
    context = ssl._create_unverified_context()  # noqa: S323
    wheel = folder / url.rpartition("/")[2]
    try:
        with urllib.request.urlopen(url, timeout=30, context=context) as answer, wheel.open("wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file)
    except OSError as exc:
        raise BootstrapError(f"cannot download {wheel.name}: {exc}; {ADVICE}") from exc
    return wheel


def install() -> None:
    """Bring .venv to what uv.lock says, the project itself as editable."""
    try:
        install_locked(own_index())
    except BootstrapError as exc:
        raise BootstrapError(f"{exc}; {ADVICE}") from exc


def install_locked(index: str | None) -> None:
    if index is None:
        run([str(UV), "sync", "--frozen", "--no-build-isolation-package=callboard"])
        return
    # The lock holds the public index's addresses. Another index gives the same versions, checked by the same hashes.
    with tempfile.NamedTemporaryFile(suffix=".txt") as locked:
        run([str(UV), "export", "--frozen", "--no-emit-project", f"--output-file={locked.name}"])
        run([str(UV), "pip", "sync", "--require-hashes", locked.name], UV_DEFAULT_INDEX=index)
    run([str(UV), "pip", "install", "--offline", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])


def own_index() -> str | None:
    """The index that this machine is set to use in the place of the public one."""
    index = next((os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)), "")
    if not index:
        with contextlib.suppress(BootstrapError):
            index = run([PYTHON, "-m", "pip", "config", "get", "global.index-url"]).strip()
    return index if index.rstrip("/") not in {"", "https://pypi.org/simple"} else None


def run(command: list[str], **more: str) -> str:
    """What ``command`` prints, with ``more`` in its environment; its last line of complaint is the error."""
    env = environment() | more
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines()]
        complaints = [line for line in lines if line and not line.startswith("hint:")]
        reason = complaints[-1] if complaints else f"exit status {done.returncode}"
        raise BootstrapError(f"{' '.join(command[:3])}: {reason}")
    return done.stdout


def environment() -> dict[str, str]:
    """For pip and uv: this .venv with this Python, and the machine's certificates if it has any."""
    env = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONHOME"}}
    env |= {
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "VIRTUAL_ENV": str(VENV),
        "UV_PYTHON": str(VENV / "bin" / "python"),
        "UV_NO_PROGRESS": "1",
    }
    if any(Path("/etc/ssl/certs").glob("*")):  # uv has certificates of its own for a machine without
        env.setdefault("UV_SYSTEM_CERTS", "1")
    return env


if __name__ == "__main__":
    try:
        main()
    except (BootstrapError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
