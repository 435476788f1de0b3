"""Sizes of references, conditions and patches, against the functions of the stock stack."""

import pytest
import torch
from conftest import picture, request
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit import calculate_dimensions
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from pyruntime import edit, text, vae
from pyruntime.errors import CancelFlag, WorkerError

SIDE = st.integers(16, 9000)
AREA = st.sampled_from([512 * 512, 384 * 384, 768 * 768, 1024 * 1024])


@given(width=SIDE, height=SIDE, area=AREA)
def test_areas_become_sizes_as_in_the_stock_pipelines(width, height, area):
    theirs = calculate_dimensions(area, width / height)[:2]
    if 0 in theirs:  # the stock pipelines fail later, in the resize
        with pytest.raises(WorkerError) as caught:
            edit.area_size(area, width, height)
        assert caught.value.code == "input_bad"
    else:
        assert edit.area_size(area, width, height) == theirs


@given(width=SIDE, height=SIDE, limit=st.sampled_from([12544, 28 * 28 * 1280, 14 * 14 * 4 * 16384]))
def test_smart_resize_equals_the_stock_processor(width, height, limit):
    if max(width, height) / min(width, height) > 200:  # refused there
        return
    assert text.smart_resize(height, width, 28, 3136, limit) == smart_resize(height, width, 28, 3136, limit)


def test_1080p_is_worked_at_the_known_size():
    assert edit.area_size(1024 * 1024, 1920, 1080) == (1376, 768)


def test_a_reference_that_is_too_narrow_is_a_bad_input(loaded, run, tmp_path):
    with pytest.raises(WorkerError) as caught:
        run(loaded("plus"), request(tmp_path, [picture(64, 96), Image.new("RGB", (4000, 2))]))
    assert caught.value.code == "input_bad"


def test_too_many_pictures_and_too_many_pixels(loaded, tmp_path):

    for asked, limit, code in (
        (request(tmp_path, [picture(64, 96)] * 2), 0, "too_many_images"),
        (request(tmp_path, [picture(64, 96)]), 64 * 96 - 1, "too_many_pixels"),
    ):
        with pytest.raises(WorkerError) as caught:
            edit.edit(asked, loaded("edit"), lambda _: None, CancelFlag(), max_pixels=limit)
        assert caught.value.code == code
    edit.edit(request(tmp_path, [picture(64, 96)]), loaded("edit"), lambda _: None, CancelFlag(), max_pixels=64 * 96)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"])
def test_a_source_that_is_no_png_is_a_bad_input(loaded, tmp_path, data):
    asked = request(tmp_path, [picture(64, 96)])
    (tmp_path / "source-0.png").write_bytes(data)
    with pytest.raises(WorkerError) as caught:
        edit.read_sources(asked, 0)
    assert caught.value.code == "input_bad"
    (tmp_path / "source-0.png").unlink()
    with pytest.raises(WorkerError):
        edit.read_sources(asked, 0)


@given(width=SIDE, height=SIDE, to_width=SIDE, to_height=SIDE)
def test_a_cover_is_the_largest_middle_part_of_the_asked_ratio(width, height, to_width, to_height):
    kept = edit.cover(Box(width, height), to_width, to_height)
    assert kept.width == width or kept.height == height
    assert abs(kept.width - kept.height * to_width / to_height) <= 0.5 + 0.5 * to_width / to_height or 1 in kept.size
    assert abs(kept.left - (width - kept.width - kept.left)) <= 1
    assert abs(kept.top - (height - kept.height - kept.top)) <= 1


class Box:
    """A picture without pixels: where a crop lies in it."""

    def __init__(self, width, height, left=0, top=0):
        self.width, self.height, self.left, self.top = width, height, left, top
        self.size = width, height

    def crop(self, box):
        left, top, right, bottom = box
        assert 0 <= left < right <= self.width and 0 <= top < bottom <= self.height
        return Box(right - left, bottom - top, left, top)


def test_a_cover_keeps_the_pixels_of_the_middle():
    wide = Image.new("RGB", (90, 20), "red")
    wide.paste("blue", (30, 0, 60, 20))
    assert edit.cover(wide, 300, 200).getcolors() == [(30 * 20, (0, 0, 255))]


def test_pictures_after_the_first_take_its_shape_only_where_the_model_asks_for_it(loaded, run, tmp_path):
    pictures = [picture(64, 96), picture(200, 64), picture(31, 47)]
    asked = request(tmp_path, pictures, ref_fit="cover")
    fitted = edit.fit(edit.read_sources(asked, 0), asked.ref_fit)
    assert [s.size for s in fitted] == [(64, 96), (43, 64), (31, 46)]
    assert set(edit.reference_sizes(asked, loaded("plus"), fitted)) == {(64, 96)}
    assert run(loaded("plus"), asked).image.size == (64, 96)
    plain = request(tmp_path, pictures)
    assert [s.size for s in edit.fit(pictures, plain.ref_fit)] == [p.size for p in pictures]
    assert len(set(edit.reference_sizes(plain, loaded("plus"), pictures))) > 1


def test_pack_and_unpack_are_inverse():
    latents = torch.randn(1, 4, 1, 6, 10)
    tokens = vae.pack(latents)
    assert tokens.shape == (1, 15, 16)
    assert torch.equal(vae.unpack(tokens, 6, 10), latents)


def test_the_result_has_the_asked_size_and_two_pictures_side_by_side_become_one(loaded, run, tmp_path):
    asked = request(tmp_path, [picture(64, 96), picture(30, 48)], collage=True, out_width=123, out_height=77)
    assert run(loaded("edit"), asked).image.size == (123, 77)
    joined = edit.read_sources(asked, 0)
    assert [j.size for j in joined] == [(124, 96)]
