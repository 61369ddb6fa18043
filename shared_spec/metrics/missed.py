"""What stands beside infinite distances: how many objects were missed."""


def missed_sentence(state, spec, class_names):
    """'missed in 3 of 60 (image, class), ...' of a ``BoundaryState`` under a ``SurfaceDistance``; '' where none is."""
    missed, of = state.missed(spec)
    if not missed.any() or spec.empty == 'diagonal':
        return ''
    c = int(missed.argmax())
    return (
        f'missed in {missed.sum()} of {of.sum()} (image, class), most of {class_names[c]!r} ({missed[c]} of {of[c]}): one '
        'mask is empty there, so the distance is inf, and so is each mean that has it; rest is the mean of the others'
    )
