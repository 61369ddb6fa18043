"""``python -m mmseg_plugin NAME ARGS``: a script of MMSegmentation's, started after the repairs, or one of ours."""

import importlib
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg_plugin import host
from shared_spec.checks import nearest

PROGRAM = 'python -m mmseg_plugin'


OWN = {'recalibration_keys': 'mmseg_plugin.soft_labels.recalibration_keys'}  # each a module with main(arguments)


def tools() -> dict[str, Path]:
    """Name -> script of MMSegmentation's tools folder: the folder of an installation, else that of a checkout.

    A script goes by its name, and by its folder and name; of two with one name the first folder's has it.
    """
    import mmseg

    package = Path(mmseg.__file__).resolve().parent
    folder = next((p for p in (package / '.mim' / 'tools', package.parent / 'tools') if p.is_dir()), None)
    if folder is None:
        return {}
    found = {}
    for path in sorted(folder.rglob('*.py')):
        found[path.relative_to(folder).with_suffix('').as_posix()] = path
        found.setdefault(path.stem, path)
    return found


def main(arguments: Sequence[str]) -> int:
    """Runs the script, whose exit code is that of the process; returns 2, after a sentence, where there is none."""
    host.require()
    scripts = tools()
    names = ', '.join(sorted({path.stem for path in scripts.values()} | set(OWN)))
    name = arguments[0] if arguments else None
    if name in OWN:
        return int(importlib.import_module(OWN[name]).main(arguments[1:]))
    if name in ('-h', '--help'):
        print(f'{PROGRAM} NAME ARGS runs a script of MMSegmentation with these arguments after the repairs.\n{names}')
        return 0
    script: Path | None
    if name and name.endswith('.py') and Path(name).is_file():
        script = Path(name)  # one's own, such as a changed copy of train.py
    else:
        script = scripts.get(name.removesuffix('.py')) if name else None
    if script is None:
        hint = nearest(name, [*scripts, *OWN]) if name else None
        wrong = f'unknown script {name!r}' if name else 'the name of a script is missing'
        wrong += f', did you mean {hint!r}?' if hint else ','
        print(f'{PROGRAM}: {wrong} MMSegmentation has {names or "no tools folder"}', file=sys.stderr)
        return 2
    sys.argv = [str(script), *arguments[1:]]
    sys.path.insert(0, str(script.resolve().parent))  # as Python does for a script
    runpy.run_path(str(script), run_name='__main__')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
