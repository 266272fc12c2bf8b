"""The lock names public addresses only, and .venv is rebuilt when, and only when, something it stands on changed."""

import hashlib
import importlib.util
import re
import tomllib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """.ci/bootstrap.py for a checkout in ``tmp_path``, where creating and installing are noted in ``module.calls``."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / ".ci" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    names = {"ROOT": tmp_path, "VENV": venv, "STAMP": venv / "callboard-stamp", "UV": venv / "bin" / "uv"}
    for name, path in names.items():
        monkeypatch.setattr(module, name, path)
    for name in ("pyproject.toml", "uv.lock"):
        (tmp_path / name).write_text(name)

    def create() -> None:
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        for program in ("python", "uv", "callboard"):
            (venv / "bin" / program).touch(mode=0o755)
        module.calls.append("create")

    vars(module)["calls"] = []
    monkeypatch.setattr(module, "create", create)
    monkeypatch.setattr(module, "install", lambda: module.calls.append("install"))
    return module


def test_the_lock_names_only_the_public_index() -> None:
    text = (ROOT / "uv.lock").read_text()

    hosts = set(re.findall(r"\w+://[^/\"]*", text))
    sources = {tuple(package["source"].items()) for package in tomllib.loads(text)["package"]}

    assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}
    assert sources == {(("registry", "https://pypi.org/simple"),), (("editable", "."),)}


def test_the_lock_is_made_from_the_pyproject_of_today() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (metadata,) = (package["metadata"] for package in lock["package"] if package["name"] == "callboard")

    locked = [
        sorted(each["name"] + each["specifier"] for each in listed)
        for listed in (metadata["requires-dist"], metadata["requires-dev"]["dev"])
    ]

    extras = project["project"]["optional-dependencies"].values()
    ours = [*project["project"]["dependencies"], *chain(*extras)]
    assert locked == [sorted(ours), sorted(project["dependency-groups"]["dev"])]


def test_a_ready_venv_is_left_alone(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.main()
    capsys.readouterr()

    bootstrap.main()

    assert bootstrap.calls == ["create", "install"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock"])
def test_a_changed_lock_is_installed_into_the_same_venv(bootstrap: ModuleType, name: str) -> None:
    bootstrap.main()

    (bootstrap.ROOT / name).write_text("changed")
    bootstrap.main()

    assert bootstrap.calls == ["create", "install", "install"]


def _break(module: ModuleType) -> None:
    (module.VENV / "bin" / "python").unlink()


def _use_another_python(module: ModuleType) -> None:
    vars(module)["PYTHON"] = "/opt/python3.14/bin/python3.14"


def _move(module: ModuleType) -> None:
    stamp = module.STAMP.read_text()
    module.STAMP.write_text(stamp.replace(str(module.VENV), "/where/it/was/built"))


@pytest.mark.parametrize("change", [_break, _use_another_python, _move])
def test_a_venv_that_is_broken_or_not_of_this_place_and_python_is_built_anew(
    bootstrap: ModuleType, change: Callable[[ModuleType], None]
) -> None:
    bootstrap.main()

    change(bootstrap)
    bootstrap.main()

    assert bootstrap.calls == ["create", "install", "create", "install"]


def test_an_install_that_failed_is_repeated(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "install", lambda: bootstrap.run(["/bin/false"]))
        with pytest.raises(bootstrap.BootstrapError, match=r"^/bin/false: exit status 1$"):
            bootstrap.main()

    bootstrap.main()

    assert bootstrap.calls == ["create", "create", "install"]


def test_a_wheel_that_is_not_the_pinned_one_is_refused(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = tmp_path / "uv.whl"
    wheel.write_bytes(b"something else")
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(bootstrap, "download_by_pip", lambda _hashes, _folder: wheel)

    with pytest.raises(bootstrap.BootstrapError, match="not the pinned file"):
        bootstrap.fetch_uv(tmp_path)


def test_where_pip_cannot_help_the_wheel_comes_from_the_public_index(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = tmp_path / "uv.whl"
    wheel.write_bytes(b"the right one")
    digest = hashlib.sha256(b"the right one").hexdigest()
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: "x86_64")
    monkeypatch.setitem(bootstrap.UV_WHEELS, "x86_64", ("https://here/uv.whl", digest))
    monkeypatch.setattr(bootstrap, "PYTHON", "/bin/false")
    monkeypatch.setattr(bootstrap, "download", lambda _url, _folder: wheel)

    assert bootstrap.fetch_uv(tmp_path) == wheel


@pytest.mark.parametrize(
    ("address", "index"),
    [("https://mirror.example/simple", "https://mirror.example/simple"), ("https://pypi.org/simple/", None)],
)
def test_a_machine_with_an_index_of_its_own_uses_that(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, address: str, index: str | None
) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.delenv("UV_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", address)

    assert bootstrap.own_index() == index
