"""Two programs that find and read lettering, behind one form: RapidOCR, which brings its models, and EasyOCR."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np

from analyzers.common.devices import device_of
from analyzers.errors import AnalysisError
from analyzers.weights import loading, revision_of

OCR_VARIABLE = "TIKTOK_ASSETS_OCR"


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
        found = self._engine(picture, use_det=True, use_cls=False, use_rec=False)
        return [] if found.boxes is None else [np.asarray(q, np.float32) for q in found.boxes]

    def recognise(self, crop: np.ndarray) -> tuple[str, float]:
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
