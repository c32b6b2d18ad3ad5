"""Records as small pictures for the page."""

import base64
import io

import numpy as np
import pyarrow as pa
from PIL import Image
from tests.measured import write_records

from headrace.evaluation.page.pictures import find_records


def test_thumbnail_is_a_png_one_can_see(tmp_path):
    """A picture of 2 x 2 is enlarged with its pixels kept sharp."""
    pixels = np.array([[[[0], [255]], [[255], [0]]]], dtype=np.uint8)
    data = write_records(tmp_path / "data", 1, image=pa.FixedShapeTensorArray.from_numpy_ndarray(pixels))
    (shown,) = find_records(data, ["0" * 32]).values()
    content = base64.b64decode(shown.picture.removeprefix("data:image/png;base64,"))

    with Image.open(io.BytesIO(content)) as image:
        found = np.asarray(image)
    assert found.shape == (64, 64)
    assert np.array_equal(found, np.kron(pixels[0, :, :, 0], np.ones((32, 32), dtype=np.uint8)))
