"""Where the pictures of an image are: named in the table, or found in folders by the image's identity.

A table may come from anybody and name any file. What it names is opened only below the table's own folder, the current
one, and the folders that options name; links in these lead where they lead.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from segparity.audit.tables import Table
from segparity.evaluate.pairs import MAPS, PROBABILITIES, bare_and_type

LABELS = (*MAPS, PROBABILITIES)
PHOTOS = (*MAPS, '.jpg', '.jpeg', '.bmp', '.webp')


class Folder:
    """The files below a folder, by relative path and by name, without type and ``suffix``."""

    def __init__(self, path: str | Path, suffix: str, kinds: Collection[str], option: str) -> None:
        self.path, self.suffix = Path(path), suffix
        if not self.path.is_dir():
            raise FileNotFoundError(f'{option}: {self.path} is no folder')
        self.by_path: dict[str, Path] = {}
        self.by_name: dict[str, list[Path]] = {}
        for file in sorted(self.path.rglob('*')):
            if bare_and_type(file.name)[1].lower() in kinds and file.is_file():
                relative = without_kind(file.relative_to(self.path).as_posix()).removesuffix(suffix)
                self.by_path.setdefault(relative, file)
                self.by_name.setdefault(relative.rsplit('/', 1)[-1], []).append(file)

    def find(self, identity: str, suffixes: Iterable[str]) -> Path | None:
        """The file of an image, or None; a bare name counts where only one file has it."""
        plain = without_kind(Path(identity).as_posix())
        for wanted in (plain, *(plain.removesuffix(suffix) for suffix in suffixes if suffix)):
            if wanted in self.by_path:
                return self.by_path[wanted]
            named = self.by_name.get(wanted.rsplit('/', 1)[-1], ())
            if len(named) == 1:
                return named[0]
        return None


def without_kind(name: str) -> str:
    """The name without the ending of a picture file; other dots stay."""
    bare, kind = bare_and_type(name)
    return bare if kind.lower() in {*LABELS, *PHOTOS} else name


class PictureFiles:
    """The files of every table's images: columns first, then folders.

    ``outside``: (table, image, column) -> the file that the table names and that is not opened, for it lies in none of
    the folders; ``roots`` are more of them.
    """

    def __init__(
        self,
        tables: list[Table],
        images: Path | None = None,
        targets: Path | None = None,
        preds: list[Path] | None = None,
        suffixes: tuple[str, str, str] = ('', '', ''),
        roots: Iterable[Path] = (),
    ) -> None:
        if preds is not None and len(preds) != len(tables):
            raise ValueError(f'--preds: one folder for each of the {len(tables)} tables, got {len(preds)}')
        self.suffixes = suffixes
        self.outside: dict[tuple[str, str, str], str] = {}
        self.roots = [os.curdir, *filter(None, (images, targets, *(preds or ()), *roots))]
        self.rows = {table.name: table.place for table in tables}
        self.tables = {table.name: table for table in tables}
        image, target, pred = suffixes
        shared = {
            'image_file': Folder(images, image, PHOTOS, '--images') if images else None,
            'target_file': Folder(targets, target, LABELS, '--targets') if targets else None,
        }
        self.folders = {
            table.name: {**shared, 'pred_file': Folder(preds[k], pred, LABELS, '--preds') if preds else None}
            for k, table in enumerate(tables)
        }

    def known(self, model: str, column: str) -> bool:
        """Whether anything says where such files are."""
        return self.folders[model][column] is not None or any(self.tables[model].files.get(column, ()))

    def find(self, model: str, identity: str, column: str) -> Path | None:
        """The file, or None where it is named nowhere, not there, or outside."""
        table = self.tables[model]
        row = self.rows[model].get(identity)
        named = table.files.get(column, [''] * len(table.images))[row] if row is not None else ''
        there = [path for path in (named, table.path.parent / named) if os.path.isfile(path)] if named else []
        for path in map(os.path.abspath, there):
            if any(below(path, root) for root in (table.path.parent, *self.roots)):
                return Path(path)
        folder = self.folders[model][column]
        found = folder.find(identity, self.suffixes) if folder else None
        if found is None and there:
            self.outside[model, identity, column] = os.path.abspath(there[0])
        return found


def below(path: str, root: str | Path) -> bool:
    """Whether an absolute path without '..' lies in a folder, as both are written or where their links lead."""
    spellings = ((path, os.path.abspath(root)), (os.path.realpath(path), os.path.realpath(root)))
    return any(Path(one).is_relative_to(other) for one, other in spellings)
