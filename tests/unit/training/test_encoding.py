"""How records become numbers."""

import numpy as np
import pytest

from headrace.errors import ParamsError
from headrace.tasks import image_classification as pictures
from headrace.training import image_classification as program
from headrace.training.encoding import input_shape, learn_encoding, to_numbers


def test_pictures_learn_nothing_and_stay_as_they_are(tmp_path):
    """No copy, and no key in model.json."""
    pixels = np.zeros((2, 4, 4, 1), dtype=np.uint8)

    assert learn_encoding(pictures, program, [tmp_path], {}) == {}
    assert to_numbers(pictures, pixels, {}) is pixels
    assert input_shape({"shape": [4, 4, 1]}, {}) == [4, 4, 1]


@pytest.mark.badinput
def test_an_encoding_of_pictures_is_refused(tmp_path):
    """A setting without effect is announced."""
    with pytest.raises(ParamsError, match=r"train\.encoding has no effect"):
        learn_encoding(pictures, program, [tmp_path], {"max_tokens": 3})
