"""Classical models of texts."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix
from tests.unit.texts import sentences, write_texts

from headrace.baselines.nb_svm import NaiveBayesSvm
from headrace.errors import ParamsError
from headrace.stages.baseline import Params, run

ALL = ("majority", "tfidf_logistic_regression", "tfidf_linear_svm", "nb_svm")


@pytest.fixture
def splits(tmp_path):
    for number, (name, count) in enumerate({"train": 60, "test": 20}.items()):
        write_texts(tmp_path / "splits" / name, sentences(count, seed=number))
    return tmp_path / "splits"


def test_every_model_learns_what_a_word_tells(splits, tmp_path):
    """A floor that does not learn an easy task would let anything through."""
    report = run(Params(models=ALL), splits=splits, out=tmp_path / "out.parquet")

    assert report.models["majority"].accuracy == 0.5
    assert all(report.models[name].accuracy == 1 for name in ALL[1:])
    assert report.features > 20


def test_without_a_share_of_its_own_an_svm_is_naive_bayes():
    """Every word counts as the class ratio says, and no more for one than for another."""
    x = csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1]], dtype=float))
    y = np.array([0, 0, 1, 1])
    plain, svm = NaiveBayesSvm(interpolation=0).fit(x, y), NaiveBayesSvm().fit(x, y)
    ratio = np.log(np.array([2, 2, 3]) / 7) - np.log(np.array([3, 2, 1]) / 6)

    np.testing.assert_allclose(plain.coef_[1] / plain.coef_[1][2], ratio / ratio[2], atol=1e-12)
    assert not np.allclose(svm.coef_[1] / svm.coef_[1][2], ratio / ratio[2])


def test_the_same_texts_give_the_same_bytes(splits, tmp_path):
    """DVC hashes the file."""
    for name in "ab":
        run(Params(models=ALL), splits=splits, out=tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert set(pq.read_table(tmp_path / "a")["model"].to_pylist()) == set(ALL)


@pytest.mark.badinput
def test_models_of_pixels_are_refused_by_name(splits, tmp_path):
    """A recipe copied from pictures says what to change."""
    with pytest.raises(ParamsError, match=r"names 'linear_svm', which the task lacks\. Did you mean 'tfidf_linear_svm'"):
        run(Params(models=("linear_svm",)), splits=splits, out=tmp_path / "out.parquet")


@pytest.mark.badinput
def test_a_setting_that_does_not_exist_is_refused(splits, tmp_path):
    """Before anything is fitted."""
    with pytest.raises(ParamsError, match=r"unknown key 'baseline\.config\.word'"):
        run(Params(models=ALL, config={"word": 2}), splits=splits, out=tmp_path / "out.parquet")
