"""viewer.html: what is in it, and what real browsers do with it, from file:// and without a network."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxpose.export import viewer
from tests.export import browsers, people

# What a page would tell about itself, from its first moment on.
WATCH = """<script>
window.faults = [];
addEventListener("error", e => faults.push(String(e.message || e.target.src || e.target.href)), true);
addEventListener("unhandledrejection", e => faults.push(String(e.reason)));
for (const kind of ["error", "warn"]) { const was = console[kind]; console[kind] = (...a) => { faults.push(a.join(" ")); was(...a); }; }
</script>"""  # noqa: E501


def content(page):
  return json.loads(re.search(r"const data = (\{.*\});\n", page).group(1))


def test_data_come_back_to_a_millimetre_and_a_fraction_of_a_pixel():
  lifted = people.lifted(60)
  data = content(viewer.page(lifted, "A & <B>"))
  shape = (60, 2, 17)
  poses = np.frombuffer(base64.b64decode(data["positions"]), "<i2").reshape(*shape, 3)
  pixels = np.frombuffer(base64.b64decode(data["keypoints"]), "<i2").reshape(*shape, 2) / data["fine"]
  np.testing.assert_array_equal(poses[..., 0] == -32768, np.isnan(lifted.shown[..., 0]))
  there = poses[..., 0] != -32768
  np.testing.assert_allclose(poses[there] / 1000, lifted.shown[there], atol=0.00051)
  seen = np.isfinite(lifted.keypoints_2d).all(-1)
  np.testing.assert_allclose(pixels[seen], lifted.keypoints_2d[seen], atol=0.03)
  assert (data["title"], data["ids"], data["first"], data["frames"]) == ("A & <B>", [1, 4], 100, 60)
  status = np.frombuffer(base64.b64decode(data["status"]), np.uint8).reshape(shape)
  np.testing.assert_array_equal(status, lifted.status)


def test_a_minute_of_two_people_is_less_than_a_megabyte():
  lifted = people.lifted(100, gaps=False)
  long = {
    name: np.resize(getattr(lifted, name), (1800, *getattr(lifted, name).shape[1:]))
    for name in ("positions", "positions_world", "raw", "raw_world", "status", "keypoints_2d", "confidence")
  }
  lifted = people.Lifted(**{**vars(lifted), **long, "frames": np.arange(1800)})
  assert len(viewer.page(lifted).encode()) < 1_000_000


def test_the_page_asks_for_nothing_and_a_title_cannot_break_out():
  page = viewer.page(people.lifted(5), "</script><script>alert(1)</script>")
  assert not re.findall(r"""(?:src|href)=["'](?!data:)|https?://|@import|\bfetch\(|\bimport\b""", page)
  assert page.count("</script>") == 1


def test_without_a_world_people_stand_beside_each_other_on_the_floor():
  lifted = people.lifted(10, gaps=False, world=False)
  data = content(viewer.page(lifted))
  poses = np.frombuffer(base64.b64decode(data["positions"]), "<i2").reshape(10, 2, 17, 3)
  np.testing.assert_array_equal(poses[:, :, 0, 0], [[-1000, 1000]] * 10)
  assert poses[..., 1].min() == 0 and not data["world"]


def difference(one, other):
  """The share of pixels that differ visibly between two PNGs."""
  a, b = (np.asarray(Image.open(io.BytesIO(p)).convert("RGB"), int) for p in (one, other))
  return (np.abs(a - b).max(-1) > 24).mean()


@pytest.mark.parametrize("name", browsers.BROWSERS)
def test_a_real_browser_draws_plays_and_turns(name, tmp_path):
  find, start = browsers.BROWSERS[name]
  if find() is None:
    pytest.skip(f"no {name} on this machine")
  path = tmp_path / "viewer.html"
  viewer.write(path, people.lifted(100), "Two people")
  path.write_text(path.read_text().replace("<head>", "<head>" + WATCH, 1))
  with start(path.as_uri()) as page:
    page.run("await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    assert page.run("return document.querySelector('#frame').textContent").startswith("frame 100")
    before = page.picture()
    colours = np.asarray(Image.open(io.BytesIO(before)).convert("RGB"), int)
    for side in ((0, 114, 178), (213, 94, 0)):  # the bones of both sides are drawn
      assert (np.abs(colours - side).max(-1) < 12).sum() > 300, side
    page.drag(420, 400, 620, 430)
    page.run("await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    after = page.picture()
    assert difference(before, after) > 0.01
    page.run("document.querySelector('#play').click(); await new Promise(r => setTimeout(r, 600))")
    frame = page.run("return Number(document.querySelector('#frame').textContent.split(' ')[1])")
    assert frame > 103
    page.run("document.querySelector('#play').click(); document.querySelector('.person').click()")
    page.run("await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    assert difference(after, page.picture()) > 0.001
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    assert page.run("return window.faults") == []
