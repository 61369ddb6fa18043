"""The names of results as a matrix: what is measured, and over which mean."""


def level_of(name, rows):
    """(score, level) of the name of a result, such as ('mIoU', 'C5'), or None where it has no level."""
    found = [row for row in rows if name.startswith(row) and len(name) > len(row)]
    return (max(found, key=len), name[len(max(found, key=len)) :]) if found else None
