"""Runs the tests of what imports Petals in an interpreter of their own: the import changes the whole process."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).parent / "with_petals"
OPTIONS = ("-p", "tests.unit.worker.with_petals.prepared", "-p", "no:cacheprovider", "-o", "python_files=check_*.py")
PETALS_WARNS = ("-o", "filterwarnings=default")


def test_what_needs_petals() -> None:
    command = [sys.executable, "-m", "pytest", "-q", *OPTIONS, *PETALS_WARNS, str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
