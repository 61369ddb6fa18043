"""The notes that a source calls for: what else changes when its model moves, and what goes wrong without a word."""

from collections.abc import Iterable, Mapping

from segparity.migrate.differences import NOTES
from segparity.migrate.note import Argument, Call, Key, Note, SeenCall, Source
from segparity.migrate.pitfalls import PITFALLS

__all__ = ['NOTES', 'PITFALLS', 'Argument', 'Call', 'Key', 'Note', 'SeenCall', 'notes_for']


def notes_for(calls: Iterable[SeenCall], keys: Mapping[str, object]) -> list[Note]:
    """The notes of NOTES and PITFALLS, each once and in their order, for which the source has evidence.

    calls: those of a source. keys: dotted path -> value of a config; mappings and lists of them are looked into.
    """
    source = Source(calls, keys)
    return [note for note in dict.fromkeys((*NOTES.values(), *PITFALLS.values())) if note.called_for(source)]
