"""The examples of README.md, run."""

import re
import subprocess
from pathlib import Path

from tests.real.django_sites import make_site

README = Path(__file__).parents[2] / "README.md"


def test_the_jobs_in_the_readme_are_listed_as_it_says(tmp_path: Path) -> None:
    (jobs,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    project = make_site(tmp_path / "one", jobs)

    done = subprocess.run(
        ["env/bin/python", "manage.py", "linod", "--list"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )

    first, *lines = done.stdout.splitlines()
    assert first == "2 scheduled jobs:"
    assert [re.sub(r"next run: .*", "next run: soon)", line) for line in lines] == [
        "[1] Every 10 seconds do send_pending_emails() (last run: [never], next run: soon)",
        "[2] Every 1 day at 20:00:00 do checkdata() (last run: [never], next run: soon)",
    ]
