"""Two programs that find and read lettering, behind one form: RapidOCR, which brings its models, and EasyOCR."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from analyzers.common.denormals import denormals_flushed
from analyzers.common.devices import device_of
from analyzers.common.text_tracks import Reading, plain
from analyzers.errors import AnalysisError
from analyzers.weights import loading, revision_of

OCR_VARIABLE = "TIKTOK_ASSETS_OCR"
SURE = 0.95
"""Score from which a first reading needs no second opinion."""
MIN_DOUBTED = 2
"""Letters of an unsure reading from which on two lines or mirrored text may be behind it; patterns give one or none."""

CLOSER_CUT = 0.1
"""What a second cut leaves out on each side, in heights of the text."""


class TextReader(Protocol):
    """Finds and reads text in (height, width, 3) uint8 BGR pictures."""

    backend: str
    model: str

    def detect(self, picture: np.ndarray) -> list[np.ndarray]:
        """Corners of what looks like text: (4, 2) float32 pixels each, clockwise from the top left."""

    def recognise(self, crop: np.ndarray) -> tuple[str, float]:
        """The one line of text in a picture and how sure that is, 0-1; "" and 0 without any."""


def chosen_ocr() -> str:
    """ "rapidocr", or what `$TIKTOK_ASSETS_OCR` says."""
    return os.environ.get(OCR_VARIABLE) or "rapidocr"


def load_reader(name: str, lane: str, long_side_px: int) -> TextReader:
    """A reader by name.

    Args:
        name: "rapidocr" or "easyocr".
        long_side_px: of the pictures that it will detect text in.

    Raises:
        WeightsMissing: the models of EasyOCR are not installed.
        AnalysisError: they are not those models, or there is no such reader.
    """
    if name == "rapidocr":
        return RapidOcrReader(long_side_px)
    if name == "easyocr":
        return EasyOcrReader(device_of(lane), long_side_px)
    raise AnalysisError(f"{OCR_VARIABLE} is {name!r}; it may be rapidocr or easyocr")


class RapidOcrReader:
    """RapidOCR with the PP-OCR models in its package, on the CPU."""

    model = "PP-OCRv6 small, bundled"

    def __init__(self, long_side_px: int) -> None:
        from importlib.metadata import version

        from rapidocr import RapidOCR

        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        limits = {"Det.limit_type": "max", "Det.limit_side_len": long_side_px}
        self._engine = RapidOCR(params={"Global.log_level": "critical", **limits, **threads})
        self.backend = f"RapidOCR {version('rapidocr')}"

    def detect(self, picture: np.ndarray) -> list[np.ndarray]:
        # the flags stay as they were in the call before unless all are given
        with denormals_flushed():
            found = self._engine(picture, use_det=True, use_cls=False, use_rec=False)
        return [] if found.boxes is None else [np.asarray(q, np.float32) for q in found.boxes]

    def recognise(self, crop: np.ndarray) -> tuple[str, float]:
        with denormals_flushed():
            read = self._engine(crop, use_det=False, use_cls=False, use_rec=True)
        return (read.txts[0].strip(), round(float(read.scores[0]), 4)) if read.txts else ("", 0.0)


class EasyOcrReader:
    """EasyOCR for German and English: CRAFT detects, a CRNN reads. 6 s a picture on a CPU: it is meant for a GPU."""

    def __init__(self, device: str, long_side_px: int) -> None:
        from importlib.metadata import version

        with loading("easyocr_de_en") as folder:
            import easyocr

            self._reader: Any = easyocr.Reader(
                ["de", "en"],
                gpu=False if device == "cpu" else device,
                model_storage_directory=str(folder),
                user_network_directory=str(folder),
                download_enabled=False,
                verbose=False,
                quantize=False,
            )
        self._long_side_px = long_side_px
        self.backend = f"EasyOCR {version('easyocr')}"
        self.model = revision_of("easyocr_de_en")

    def detect(self, picture: np.ndarray) -> list[np.ndarray]:
        upright, tilted = self._reader.detect(picture[..., ::-1], canvas_size=self._long_side_px)
        boxes = [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, x1, y0, y1 in upright[0]]
        return [np.asarray(q, np.float32) for q in (*boxes, *tilted[0])]

    def recognise(self, crop: np.ndarray) -> tuple[str, float]:
        import cv2

        read = self._reader.recognize(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY))
        return (str(read[0][1]).strip(), round(float(read[0][2]), 4)) if read else ("", 0.0)


def detect_at(reader: TextReader, picture: np.ndarray, long_side_px: int) -> list[np.ndarray]:
    """Corners of what looks like text in an RGB picture, looked at no larger than given: (4, 2) float32 pixels of the
    picture each, clockwise from the top left."""
    import cv2

    factor = min(1.0, long_side_px / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else picture
    return [quad / np.float32(factor) for quad in reader.detect(np.ascontiguousarray(small[..., ::-1]))]


def read_lines(
    reader: TextReader, picture: np.ndarray, quad: np.ndarray, time_s: float, mirror: bool
) -> Iterator[tuple[Reading, np.ndarray]]:
    """What stands inside corners of an RGB picture, and which corners each line has; `mirror`: try it mirrored first.

    An unsure reading gets a second opinion: it may be two lines, or mirrored.
    """
    crop = cut_upright(picture, quad)
    if mirror and (reading := _read_mirrored(reader, crop, time_s)):
        yield reading, quad
        return
    text, score = _recognise(reader, crop)
    if score < SURE and len(plain(text)) >= MIN_DOUBTED:
        halves = [_recognise(reader, h) for h in np.array_split(crop, 2)] if crop.shape[1] < 4 * crop.shape[0] else []
        if halves and min(s for _, s in halves) >= SURE and all(len(plain(t)) >= 3 for t, _ in halves):
            for (line, sure), corners in zip(halves, upper_and_lower(quad), strict=True):
                yield Reading(time_s, line, sure), corners
            return
        if not mirror and (reading := _read_mirrored(reader, crop, time_s)):
            yield reading, quad
            return
    yield Reading(time_s, text, score), quad


def read_close(
    reader: TextReader, picture: np.ndarray, quad: np.ndarray, time_s: float
) -> list[tuple[Reading, np.ndarray]]:
    """As `read_lines`, with one more opinion on what stays unsure, from a closer cut: what it cuts off beside dense
    lettering is not taken for letters. The surer one is kept."""
    lines = list(read_lines(reader, picture, quad, time_s, mirror=False))
    if min(r.score for r, _ in lines) < SURE and any(len(plain(r.text)) >= MIN_DOUBTED for r, _ in lines):
        closer = list(read_lines(reader, picture, shrunk(quad, CLOSER_CUT), time_s, mirror=False))
        lines = max(lines, closer, key=lambda found: min(r.score for r, _ in found))
    return lines


def _read_mirrored(reader: TextReader, crop: np.ndarray, time_s: float) -> Reading | None:
    text, score = _recognise(reader, crop[:, ::-1])
    return Reading(time_s, text, score, mirrored=True) if score >= SURE and len(plain(text)) >= 4 else None


def _recognise(reader: TextReader, crop: np.ndarray) -> tuple[str, float]:
    if min(crop.shape[:2]) < 4:
        return "", 0.0
    return reader.recognise(np.ascontiguousarray(crop))


def cut_upright(picture: np.ndarray, quad: np.ndarray) -> np.ndarray:
    """The text inside the corners as a straight BGR picture; tall ones are turned to be read as lines."""
    from rapidocr.utils.process_img import get_rotate_crop_image

    return get_rotate_crop_image(np.ascontiguousarray(picture[..., ::-1]), quad)


def upper_and_lower(quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the upper and of the lower half of what stands inside some."""
    top_left, top_right, low_right, low_left = quad
    left, right = (top_left + low_left) / 2, (top_right + low_right) / 2
    return np.stack([top_left, top_right, right, left]), np.stack([left, right, low_right, low_left])


def shrunk(quad: np.ndarray, heights: float) -> np.ndarray:
    """Corners moved inwards on each side by a share of the height of what stands inside, not past a quarter of it."""
    along, down = quad[1] - quad[0], quad[3] - quad[0]
    width, height = float(np.linalg.norm(along)), float(np.linalg.norm(down))
    x = min(heights * height, width / 4) / max(width, 1e-6) * along
    y = min(heights, 0.25) * down
    return (quad + np.stack([x + y, y - x, -x - y, x - y])).astype(np.float32)
