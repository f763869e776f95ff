"""Rows that lie end to end are trained as if each stood alone."""

from __future__ import annotations

import itertools
from array import array
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from teapot.errors import PluginError
from teapot.model.encoded import IGNORED, Encoded
from teapot_trainers.batching import flatten, micro_batches, trained_tokens
from teapot_trainers.isolation import require_isolation
from tests.support.tinymodels import write_tiny_model

CPU = torch.device("cpu")


def row(*ids: int, trained: int = 2) -> Encoded:
    """Return a row whose last `trained` tokens are trained."""
    labels = [IGNORED] * (len(ids) - trained) + list(ids[len(ids) - trained :])
    return Encoded(array("i", ids), array("i", labels))


ROWS = [row(1, 5, 6, 7), row(1, 9, 8, 30, 31, trained=3), row(1, 200, 201)]


def test_positions_begin_anew_and_only_trained_tokens_are_predicted() -> None:
    batch = flatten(ROWS)
    assert batch.ids.tolist() == [[1, 5, 6, 7, 1, 9, 8, 30, 31, 1, 200, 201]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4, 0, 1, 2]]
    assert batch.kept.tolist() == [1, 2, 5, 6, 7, 9, 10]
    assert batch.targets.tolist() == [6, 7, 8, 30, 31, 200, 201]
    assert trained_tokens(ROWS) == 7


def test_the_first_token_of_a_row_is_predicted_by_nothing() -> None:
    whole = Encoded(array("i", [3, 4]), array("i", [3, 4]))
    batch = flatten([whole, whole])
    assert (batch.kept.tolist(), batch.targets.tolist()) == ([0, 2], [4, 4])
    assert trained_tokens([whole, whole]) == 2


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 60))
def test_micro_batches_keep_order_and_budget(lengths: list[int], budget: int) -> None:
    rows = [row(*range(length), trained=0) for length in lengths]
    batches = list(micro_batches(rows, budget))
    assert [part for batch in batches for part in batch] == rows
    for batch in batches:
        assert len(batch) == 1 or sum(len(part.ids) for part in batch) <= budget
    for batch, after in itertools.pairwise(batches):
        assert sum(len(part.ids) for part in batch) + len(after[0].ids) > budget


@pytest.fixture(scope="module", params=["apertus", "llama"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tiny") / request.param
    write_tiny_model(folder, request.param, vocab_size=1024)
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )


def loss_and_gradients(model: Any, batches: list[list[Encoded]]) -> tuple[float, list[Any]]:
    model.zero_grad()
    total = 0.0
    for rows in batches:
        batch = flatten(rows)
        logits = model(
            input_ids=batch.ids, position_ids=batch.positions, use_cache=False,
            logits_to_keep=batch.kept,
        ).logits[0]  # fmt: skip
        loss = torch.nn.functional.cross_entropy(logits, batch.targets, reduction="sum")
        loss.backward()
        total += float(loss.detach())
    return total, [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_flat_rows_have_the_loss_and_gradients_of_separate_forwards(model: Any) -> None:
    flat, flat_gradients = loss_and_gradients(model, [ROWS])
    apart, gradients = loss_and_gradients(model, [[part] for part in ROWS])
    assert flat == pytest.approx(apart, rel=1e-6)
    assert len(gradients) == len(flat_gradients) > 0
    for ours, theirs in zip(flat_gradients, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_loss_is_that_of_the_librarys_own_labels(model: Any) -> None:
    for part in ROWS:
        ids, labels = torch.tensor([part.ids.tolist()]), torch.tensor([part.labels.tolist()])
        expected = float(model(input_ids=ids, labels=labels).loss.detach()) * trained_tokens([part])
        assert loss_and_gradients(model, [[part]])[0] == pytest.approx(expected, rel=1e-5)


def test_rows_do_not_see_each_other(model: Any) -> None:
    require_isolation(model, ROWS, CPU)


def test_a_model_in_which_rows_see_each_other_is_refused(model: Any) -> None:
    class Leaking:
        """The same model, given a mask: transformers then no longer keeps rows apart."""

        training = False
        config = model.config

        def eval(self) -> None: ...
        def train(self, mode: bool) -> None: ...
        def __call__(self, input_ids: Any, position_ids: Any, use_cache: bool) -> Any:
            mask = torch.ones_like(input_ids)
            return model(input_ids=input_ids, position_ids=position_ids, attention_mask=mask)

    with pytest.raises(PluginError, match="rows of a batch see each other"):
        require_isolation(Leaking(), ROWS, CPU)
