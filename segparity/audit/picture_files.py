"""Where the pictures of an image are: named in the table, or found in folders by the image's identity."""

from pathlib import Path

from segparity.evaluate.pairs import MAPS, PROBABILITIES

LABELS = (*MAPS, PROBABILITIES)
PHOTOS = (*MAPS, '.jpg', '.jpeg', '.bmp', '.webp')


class Folder:
    """The files below a folder, by relative path and by name, without type and ``suffix``."""

    def __init__(self, path, suffix, kinds, option):
        self.path, self.suffix = Path(path), suffix
        if not self.path.is_dir():
            raise FileNotFoundError(f'{option}: {self.path} is no folder')
        self.by_path, self.by_name = {}, {}
        for file in sorted(self.path.rglob('*')):
            if file.suffix.lower() in kinds:
                relative = without_kind(file.relative_to(self.path).as_posix()).removesuffix(suffix)
                self.by_path.setdefault(relative, file)
                self.by_name.setdefault(relative.rsplit('/', 1)[-1], []).append(file)

    def find(self, identity, suffixes):
        """The file of an image, or None; a bare name counts where only one file has it."""
        plain = without_kind(Path(identity).as_posix())
        for wanted in (plain, *(plain.removesuffix(suffix) for suffix in suffixes if suffix)):
            if wanted in self.by_path:
                return self.by_path[wanted]
            named = self.by_name.get(wanted.rsplit('/', 1)[-1], ())
            if len(named) == 1:
                return named[0]
        return None


def without_kind(name):
    """The name without the ending of a picture file; other dots stay."""
    stem, dot, kind = name.rpartition('.')
    return stem if dot and f'.{kind.lower()}' in {*LABELS, *PHOTOS} else name


class PictureFiles:
    """The files of every table's images: columns first, then folders."""

    def __init__(self, tables, images=None, targets=None, preds=None, suffixes=('', '', '')):
        if preds is not None and len(preds) != len(tables):
            raise ValueError(f'--preds: one folder for each of the {len(tables)} tables, got {len(preds)}')
        self.suffixes = suffixes
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

    def known(self, model, column):
        """Whether anything says where such files are."""
        return self.folders[model][column] is not None or any(self.tables[model].files.get(column, ()))

    def find(self, model, identity, column):
        """The file, or None where it is named nowhere or not there."""
        table = self.tables[model]
        row = self.rows[model].get(identity)
        named = table.files.get(column, [''] * len(table.images))[row] if row is not None else ''
        if named:
            for path in (Path(named), table.path.parent / named):
                if path.is_file():
                    return path
        folder = self.folders[model][column]
        return folder.find(identity, self.suffixes) if folder else None
