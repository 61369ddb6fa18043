"""``_base_ = ['segparity::_base_/losses/...']``: the config fragments of this distribution as base files."""

from pathlib import Path

from shared_spec.checks import nearest

SCOPE = 'segparity::'


def bases(*files: str) -> list[str]:
    """The base files of a config: ``_base_ = __import__('mmseg_plugin').bases('segparity::...', 'mmseg::...')``.

    MMEngine reads ``_base_`` before it imports what ``custom_imports`` names. Called there, this imports the plugin in
    time, so that both kinds of name are found whatever script reads the config.
    """
    from mmseg_plugin import host

    host.require()
    return list(files)


def folder() -> Path:
    """Where the configs are: inside the installed package, or in the repository beside it."""
    root = Path(__file__).resolve().parents[1]
    return next((p for p in (root / 'segparity' / 'configs', root / 'configs') if p.is_dir()), root / 'configs')


def path_of(name: str) -> Path:
    """The file that ``segparity::NAME`` stands for; FileNotFoundError in one sentence where there is none."""
    path = folder() / name
    if path.is_file():
        return path
    hint = nearest(name, [p.relative_to(folder()).as_posix() for p in folder().rglob('*.py')])
    raise FileNotFoundError(f'segparity has no config {name!r}' + (f', did you mean {SCOPE + hint!r}?' if hint else ''))


def find_own_configs() -> bool:
    """mmengine knows the packages of OpenMMLab alone, by a list; ``segparity::`` is answered before it asks."""
    from mmengine.config import Config

    find = Config._get_cfg_path

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(SCOPE):
            return str(path_of(cfg_path.removeprefix(SCOPE))), None
        return find(cfg_path, filename)

    Config._get_cfg_path = staticmethod(get_cfg_path)
    return True
