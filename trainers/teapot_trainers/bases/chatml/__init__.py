"""The base `chatml`: base.yaml and training.jinja say all of it."""

from functools import partial

from teapot_trainers import trainer_of

trainer = partial(trainer_of, __name__)
