import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = "--disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"


@pytest.fixture(autouse=True)
def quiet_progress(monkeypatch):
    """No lines of progress between what a test looks for."""
    monkeypatch.setattr("weaksync.recipes.console._Lines._say", lambda self, line: None)


@pytest.fixture
def browse(tmp_path):
    """Opens a page: what it has become once its scripts have run, and what they said on the way."""
    if CHROMIUM is None:
        pytest.skip("needs chromium, to open the page")

    def open_page(page):
        path = tmp_path / "report.html"
        path.write_text(page, encoding="utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", *QUIET.split(), f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--enable-logging=stderr", "--window-size=1400,1500", "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return open_page


@pytest.fixture(scope="session")
def nllb(tmp_path_factory):
    """Folder of a tiny NLLB that has learnt a few sentences by heart."""
    from .tiny_translators import save_nllb

    folder = tmp_path_factory.mktemp("model") / "nllb-tiny"
    save_nllb(folder)
    return folder
