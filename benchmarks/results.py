"""The raw numbers of a section, as JSON can hold them. Tables and plots are drawn from these alone."""


def comparison(title, cases, reference, note='', unit='logits'):
    """Contenders side by side in some cases: see ``case``; ratios are to ``reference``."""
    return dict(kind='comparison', title=title, cases=cases, reference=reference, note=note, unit=unit)


def case(seconds, peaks=None, unit_bytes=None, left_out=None):
    """One column: name -> seconds of each round, name -> peak bytes; unit_bytes is the size of the logits."""
    return dict(seconds=seconds, peaks=peaks or {}, unit_bytes=unit_bytes, left_out=left_out or {})


def rename(column, names):
    """A case whose contenders have other names."""
    parts = {part: {names[name]: x for name, x in column[part].items()} for part in ('seconds', 'peaks', 'left_out')}
    return column | parts


def merge(sections):
    """Sections of one title, measured in several processes, as one."""
    found = {}
    for section in sections:
        first = found.setdefault(section['title'], section)
        if first is not section:
            first['cases'] |= section['cases']
    return list(found.values())


def scaling(title, axis, points, seconds, note='', left_out=None, slope=True):
    """Cost along an axis: name -> for each point the seconds of each round, or None."""
    return dict(
        kind='scaling', title=title, axis=axis, points=points, seconds=seconds, note=note, left_out=left_out or {},
        slope=slope,
    )  # fmt: skip


def accuracy(title, errors, note='', left_out=None):
    """Errors: case -> name -> [error of the value, error of the gradient]."""
    return dict(kind='accuracy', title=title, errors=errors, note=note, left_out=left_out or {})


def ready_table(title, head, rows, note=''):
    """A table as it is."""
    return dict(kind='plain', title=title, head=head, rows=rows, note=note)


def text(title, body):
    """Markdown as it is."""
    return dict(kind='text', title=title, body=body, note='')
