"""What stands in the files of the project: no path of one machine, no registry host, and commands that exist."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE_PATH = re.compile(r'(?<![\w.:/])/(root|home|work|tmp|mnt|Users)/\w')
REGISTRY = re.compile(r'pypi[.](org|python)|python[h]osted|download[.]pytorch')
TEXT = {'.py', '.md', '.toml', '.txt', '.yaml', '.yml', '.json', '.html', '.jinja', '.css', '.js', '.svg', '.cfg', ''}


def texts():
    """Text files under version control or about to be; of an unpacked source distribution every one."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split('\0') if name]
    else:
        paths = [path for path in ROOT.rglob('*') if '.venv' not in path.parts]
    return [path for path in paths if path.suffix in TEXT and path.is_file()]


@pytest.mark.parametrize('pattern', [MACHINE_PATH, REGISTRY], ids=['machine_path', 'registry_host'])
def test_no_place_of_one_machine(pattern):
    found = [
        f'{path.relative_to(ROOT)}:{number}: {line.strip()}'
        for path in texts()
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, '\n'.join(found)


def test_the_patterns_find_what_they_look_for():
    assert MACHINE_PATH.search("open('/" + "home/me/x')") and MACHINE_PATH.search('see /' + 'tmp/x')
    assert not MACHINE_PATH.search('https://example.com/home/x') and not MACHINE_PATH.search('a/work/b')
    assert REGISTRY.search('pypi' + '.org')


def test_continuous_integration_runs_the_test_command_and_lint():
    script = ROOT / '.ci' / 'run'
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith('\nmake test\nmake lint')
    assert 'make test' in (ROOT / 'README.md').read_text()


@pytest.mark.skipif(shutil.which('make') is None, reason='make is not installed')
class TestMakefile:
    def make(self, folder, *arguments):
        return subprocess.run(
            ['make', '-f', ROOT / 'Makefile', *arguments], cwd=folder, capture_output=True, text=True, timeout=60
        )

    def test_a_python_that_is_too_old_is_one_sentence(self, tmp_path):
        for name in ('pyproject.toml', 'constraints.txt'):
            (tmp_path / name).touch()
        done = self.make(tmp_path, 'install', 'PYTHON=false')
        assert done.returncode
        assert done.stderr.splitlines()[0] == (
            "segparity needs Python 3.11, 3.12 or 3.13, which 'false' is not: make PYTHON=python3.11 install"
        )
        assert not (tmp_path / '.venv').exists()

    def test_an_unchanged_installation_is_left_alone(self, tmp_path):
        (tmp_path / '.venv' / 'bin').mkdir(parents=True)
        for name in ('pyproject.toml', 'constraints.txt', '.venv/bin/python', '.venv/.installed-tensorflow-cpu'):
            (tmp_path / name).touch()
        assert 'Nothing to be done' in self.make(tmp_path, 'install').stdout
        os.utime(tmp_path / '.venv' / '.installed-tensorflow-cpu', (1, 1))
        assert 'pip install' in self.make(tmp_path, '-n', 'install').stdout
