"""What is installed is all that the program needs: its data files too."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("actors", "protocols", "supervisor")
USE = """
import protocols.plan_parser, supervisor.marker_tables as tables
plan = protocols.plan_parser.parse_plan('[[tasks]]\\nid = "a"\\ncommand = ["claude"]\\n', "plan.toml")
(found,) = tables.choose_markers(plan.tasks).values()
print(tables.__file__, len(found.known) > 10)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what our wheel puts on the path."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_a_wheel_has_each_file_of_our_packages(installed: Path) -> None:
    ours = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    wanted = {path for path in ours if "__pycache__" not in path.parts}

    assert Path("protocols/markers.toml") in wanted
    assert {path for path in wanted if not (installed / path).exists()} == set()


def test_what_is_installed_finds_its_tables_of_markers(installed: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(installed)}

    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert done.stdout.split() == [str(installed / "supervisor" / "marker_tables.py"), "True"]
