"""What a SpecError carries beside its sentence, and the names under which it comes back."""

import pickle

import pytest

from shared_spec import LOSSES, METRICS, SpecError, from_dict
from shared_spec.checks import Choice, Integer
from shared_spec.parameters import NamedParameters, check_parameter, name_parameters


def refusal(call, *args, **kwargs):
    with pytest.raises(SpecError) as caught:
        call(*args, **kwargs)
    return caught.value


def test_a_value_is_refused_with_its_parts():
    error = refusal(LOSSES['SoftDiceLoss'], smooth=-1)
    assert (error.owner, error.parameter, error.given) == ('SoftDiceLoss', 'smooth', -1)
    assert str(error) == f'SoftDiceLoss: smooth must be {error.allowed}, got -1'


def test_a_name_is_refused_with_those_that_exist():
    error = refusal(LOSSES['SoftDiceLoss'], smoth=1)
    assert (error.owner, error.given, error.parameter) == ('SoftDiceLoss', 'smoth', None)
    assert list(error.allowed) == list(LOSSES['SoftDiceLoss'].parameters())
    error = refusal(from_dict, {'type': 'SoftDice'})
    assert (error.owner, error.given) == (None, 'SoftDice') and 'SoftDiceLoss' in error.allowed


@pytest.mark.parametrize('name', LOSSES)
def test_every_parameter_of_a_loss_is_refused_in_the_words_of_its_world(name):
    """Every loss refuses ``object()`` for every parameter; Keras' constructor says ignore_class for ignore_index."""
    cls, value = LOSSES[name], object()
    for word, parameter in cls.keras_names().items():
        for error, said in (
            (refusal(cls, **{parameter: value}), parameter),
            (refusal(cls.from_keras, {word: value}), word),
        ):
            assert (error.owner, error.parameter, error.given) == (name, said, value)
            assert str(error).startswith(f'{name}: {said} must be {error.allowed}, got ')


def test_a_rule_that_ties_parameters_has_its_owner():
    error = refusal(METRICS['FineGrained'], num_classes=3, binary=True)
    assert (error.owner, error.parameter) == ('FineGrained', None)
    assert str(error.rename(owner='MeanIoU')) == str(error).replace('FineGrained', 'MeanIoU')


def test_a_part_keeps_its_own_name():
    error = refusal(LOSSES['WeightedSumLoss'].from_keras, {'losses': [{'type': 'SoftDiceLoss', 'ignore_class': 'x'}]})
    assert (error.owner, error.parameter) == ('SoftDiceLoss', 'ignore_class')


def test_another_name_leaves_what_was_given_alone():
    """A value that holds the owner's or the parameter's name is no place to replace it."""
    error = SpecError(owner='A', parameter='b', given='A: b must', allowed='A')
    assert str(error.rename(owner='C', parameter='d')) == "C: d must be A, got 'A: b must'"


def test_it_survives_the_way_to_another_process():
    error = refusal(LOSSES['SoftDiceLoss'], norm=7)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is SpecError and vars(back) == vars(error) and str(back) == str(error)
    assert str(back.rename(owner='X')).startswith('X: norm must be ')
    assert str(SpecError('one sentence')) == 'one sentence'


def test_hints_are_given_where_they_are_asked_for():
    assert check_parameter('X', 'a', Integer(), 2.0) == 2
    word = Choice('step', 'epoch')
    assert str(refusal(check_parameter, 'X', 'a', word, 'steps')) == "X: a must be one of 'step', 'epoch', got 'steps'"
    assert str(refusal(check_parameter, 'X', 'a', word, 'steps', hints=True)).endswith(
        "got 'steps', did you mean 'step'?"
    )
    assert str(refusal(check_parameter, 'X', 'a', word, 1, allowed='a word')) == 'X: a must be a word, got 1'


class Base(metaclass=NamedParameters):
    def __init__(self, first=1, *, second=2):
        self.got = first, second


class HandsOn(Base):
    def __init__(self, **kwargs):
        super().__init__(second=5, **kwargs)


class Adds(HandsOn):
    def __init__(self, extra=0, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.got += (extra,)


class Needs(metaclass=NamedParameters):
    def __init__(self, first, *rest, second, third=3):
        self.got = first, rest, second, third


class Foreign(Exception, metaclass=NamedParameters):
    def __init__(self, *args, **anything):
        self.got = anything


def test_what_must_be_given_is_named():
    assert Needs(1, second=2).got == (1, (), 2, 3) and Needs(1, 5, second=2).got == (1, (5,), 2, 3)
    error = refusal(Needs, second=2)
    assert str(error) == 'Needs: first must be given' and (error.owner, error.parameter) == ('Needs', 'first')
    assert str(refusal(Needs, 1)) == 'Needs: second must be given'
    assert str(refusal(name_parameters('X')(lambda a, b=1: a))) == 'X: a must be given'


def test_a_subclass_takes_what_it_hands_on():
    assert HandsOn(first=3).got == (3, 5) and Adds(7, first=3).got == (3, 5, 7) and Foreign(x=1).got == dict(x=1)
    assert str(refusal(HandsOn, frist=3)) == "HandsOn: unknown parameter 'frist', did you mean 'first'?"
    assert str(refusal(Adds, exta=3)) == "Adds: unknown parameter 'exta', did you mean 'extra'?"
    assert str(refusal(Base, third=3)).startswith("Base: unknown parameter 'third', ")
    with pytest.raises(TypeError, match='multiple values'):
        HandsOn(second=3)
