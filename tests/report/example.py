"""A report such as the committed sample gives: 28 analyzers, every status, curves, boxes and words."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

from analyzers.common.face_mesh import MEASURES
from tests.media import REPOSITORY

SCHEMA = json.loads((REPOSITORY / "tiktok_assets" / "report" / "report.schema.json").read_text("utf-8"))
DURATION_S = 12.0
SHOTS = ((0.0, 2.5), (2.5, 3.5), (3.5, 5.5), (5.5, 8.0), (8.0, 10.0), (10.0, 12.0))
PALETTES = (
    (("#1d2740", "dark blue", 0.46), ("#c98a4b", "orange", 0.31), ("#efe3c2", "beige", 0.23)),
    (("#5d86b4", "blue", 0.61), ("#e8e4da", "white", 0.27), ("#a4432c", "red", 0.12)),
    (("#d2562f", "orange", 0.42), ("#1c1b22", "black", 0.3), ("#7a8da6", "gray", 0.28)),
    (("#0b0c14", "black", 0.82), ("#b98f5a", "brown", 0.11), ("#6f88b8", "blue", 0.07)),
    (("#8a4b22", "brown", 0.52), ("#d9b98f", "beige", 0.29), ("#3a1c10", "dark red", 0.19)),
    (("#b3a08a", "beige", 0.44), ("#4d463c", "brown", 0.36), ("#8fa05b", "green", 0.2)),
)
CAMERA = ("pan_right", "static", "static", "zoom_in", "static", "static")
CAPTIONS = (
    (3.7, 5.3, "First woman to pilot the Shuttle", "en", (0.097, 0.646, 0.908, 0.764)),
    (8.4, 9.9, "Für mehr Tipps folgen!", "de", (0.057, 0.814, 0.948, 0.955)),
    (10.2, 11.8, "Link in bio – follow for part 2", "en", (0.08, 0.77, 0.92, 0.9)),
)
SPEECH = ((2.5, 5.1), (7.5, 10.2))
HAND_BOX = (0.2, 0.88, 0.32, 0.96)
FACE_BOX = (0.31, 0.17, 0.72, 0.46)


def segment(
    start_s: float,
    end_s: float,
    label: str,
    confidence: float | None = None,
    box: tuple[float, ...] | None = None,
    **data: Any,
) -> dict[str, Any]:
    where = list(box) if box else None
    return {"start_s": start_s, "end_s": end_s, "label": label, "confidence": confidence, "box": where, "data": data}


def result(
    segments: list[dict[str, Any]] | None = None,
    status: str = "ok",
    reason: str | None = None,
    seconds: float = 0.1,
    backend: str | None = "numpy",
    model: str | None = None,
    **summary: Any,
) -> dict[str, Any]:
    failure = {"kind": "RuntimeError", "message": reason, "retryable": False} if status == "failed" else None
    ran = status in ("ok", "no_signal")
    return {
        "status": status,
        "reason": reason,
        "failure": failure,
        "lane": "cpu_parallel",
        "version": "1-5f0c2a7e" if ran else None,
        "seconds": seconds,
        "backend": backend if ran else None,
        "model": model,
        "coverage": 1.0 if ran else 0.0,
        "summary": summary,
        "segments": segments or [],
    }


def missing(weights: str, size: str, segments: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    reason = f"{weights} ({size}) is not installed; fetch it with: tiktok-assets weights fetch {weights}"
    return result(segments, "weights_missing", reason, 0.0)


def _palette(colors: tuple[tuple[str, str, float], ...]) -> list[dict[str, Any]]:
    return [{"hex": code, "name": name, "share": share} for code, name, share in colors]


def _results() -> dict[str, dict[str, Any]]:
    cuts = [segment(t, t, "cut", c, change_levels=41.2, change_ratio=8.4) for t, c in ((2.5, 0.88), (3.5, 0.91))]
    cuts += [segment(5.5, 5.5, "cut", 0.93, change_levels=52.0), segment(7.7, 8.3, "dissolve", 0.86, residual=0.14)]
    cuts += [segment(10.0, 10.0, "cut", 0.9, change_levels=44.1)]
    cuts += [segment(a, b, "shot", index=i) for i, (a, b) in enumerate(SHOTS)]
    colors = [
        segment(a, b, p[0][1], palette=_palette(p), brightness=42.0, contrast=21.5, saturation=0.44, warmth=0.31)
        for (a, b), p in zip(SHOTS, PALETTES, strict=True)
    ]
    camera = [
        segment(a, b, m, 0.97 - 0.06 * i, pan_widths_per_s=0.31 if m == "pan_right" else 0.0, shake=0.02)
        for i, ((a, b), m) in enumerate(zip(SHOTS, CAMERA, strict=True))
    ]
    beats = [segment(round(0.5 * i, 2), round(0.5 * i, 2), "beat", 0.8) for i in range(1, 22)]
    texts = [segment(a, b, "overlay", 0.96, box, text=t, language=lang) for a, b, t, lang, box in CAPTIONS]
    return {
        "cut_analysis": result(
            sorted(cuts, key=lambda s: s["start_s"]),
            seconds=0.31,
            backend="PySceneDetect 0.7.2",
            shots=6,
            cuts=4,
            dissolves=1,
            cuts_per_minute=25.0,
            mean_shot_s=2.0,
            shortest_shot_s=1.0,
        ),
        "camera_analysis": result(
            camera, seconds=0.52, backend="optical flow and RANSAC (OpenCV)", moving_share=0.42, shake=0.02
        ),
        "color_analysis": result(
            colors,
            seconds=0.18,
            backend="CIELAB histogram and k-means",
            palette=_palette((("#1d2740", "dark blue", 0.4), ("#8a4b22", "brown", 0.33), ("#efe3c2", "beige", 0.27))),
            brightness=41.3,
            contrast=24.8,
            saturation=0.412,
            warmth=0.284,
            is_grayscale=False,
            segments_are="shots",
        ),
        "scene_segmentation": result(
            [segment(0.0, 3.5, "scene", 0.7), segment(3.5, 8.0, "scene", 0.64), segment(8.0, 12.0, "scene", 0.71)],
            backend="colour distance of shots",
            scenes=3,
        ),
        "object_detection": missing("yolov8n", "6.2 MiB"),
        "text_overlay": result(
            texts, seconds=1.42, backend="RapidOCR 3.10", model="PP-OCRv4", texts=3, languages=["de", "en"]
        ),
        "background_segmentation": result(
            [segment(3.5, 5.5, "person", 0.81, person_share=0.38)], seconds=0.24, backend="mediapipe 0.10.21"
        ),
        "visual_effects": result(
            [segment(5.5, 8.0, "possible_zoom", 0.58, strength=0.3)], seconds=0.2, backend="numpy"
        ),
        "content_quality": result(
            [segment(a, b, "sharp" if i % 2 else "slightly_soft", 0.6 + 0.05 * i) for i, (a, b) in enumerate(SHOTS)],
            seconds=0.33,
            technical_sharpness=0.71,
            technical_exposure=0.64,
            technical_noise_db=-38.2,
            aesthetic=None,
        ),
        "composition_analysis": result(
            [segment(3.5, 5.5, "centered", 0.66, headroom_share=0.17)], seconds=0.05, backend="rules"
        ),
        "qwen2_vl_temporal": missing("Qwen/Qwen2-VL-7B-Instruct", "15.5 GiB"),
        "face_detection": result(
            [segment(3.5, 5.5, "face", 0.87, FACE_BOX, track=0, hits=8, height_px_max=297)],
            seconds=0.27,
            backend="mediapipe 0.10.21 FaceDetection, full range",
            people_max=1,
            tracks=1,
            face_share=0.167,
            height_px_max=297,
        ),
        "face_emotion": result(
            [segment(3.5, 5.5, "smile", 0.74, uncertain=False)], seconds=0.12, backend="mediapipe face mesh"
        ),
        "age_estimation": missing("nateraw/vit-age-classifier", "327 MiB"),
        "eye_tracking": result(
            [segment(3.5, 4.4, "looking_at_camera", 0.7), segment(4.4, 5.5, "looking_away", 0.55)],
            seconds=0.2,
            backend="mediapipe face mesh and iris",
            blinks=1,
        ),
        "body_pose": result(
            status="failed", reason="RuntimeError: the graph was closed before the last picture", seconds=0.4
        ),
        "body_language": result(status="upstream_missing", reason="it needs body_pose, which has no result (failed)"),
        "hand_gesture": result(status="no_signal", reason="no hand was found in 8 pictures with a person", seconds=0.3),
        "audio_analysis": result(
            beats,
            seconds=0.61,
            backend="librosa 0.11",
            tempo_bpm=120.2,
            key="A minor",
            key_confidence=0.81,
            loudness_lufs=-17.4,
            loudness_range_db=6.2,
            onsets=47,
        ),
        "audio_environment": result(
            [segment(0.0, 11.0, "music", 0.9), segment(11.0, 12.0, "silence", 0.99)], seconds=0.12
        ),
        "sound_effects": result(status="no_signal", reason="no sudden sound stands out beside speech and beats"),
        "speech_transcription": missing("whisper-base", "139 MiB", [segment(a, b, "speech", 0.93) for a, b in SPEECH]),
        "speech_rate": result(
            [segment(a, b, "normal", None, syllables_per_s=4.4 + a / 10) for a, b in SPEECH],
            seconds=0.09,
            backend="syllable nuclei",
            basis="syllables",
            words_per_minute_wpm=None,
        ),
        "speech_emotion": result(
            [segment(a, b, "calm", 0.41, out_of_domain=True) for a, b in SPEECH], seconds=0.15, backend="prosody"
        ),
        "speech_flow": result(
            [segment(5.1, 7.5, "pause", 0.9, length_s=2.4)], seconds=0.04, backend="silero-vad 6", pause_ratio=0.31
        ),
        "temporal_flow": result(
            [segment(0.0, 3.5, "build_up", 0.6, pace=0.7), segment(3.5, 12.0, "steady", 0.52, pace=0.4)], seconds=0.01
        ),
        "comment_cta_detection": result(
            [
                segment(8.4, 9.9, "follow", 0.95, channel="overlay", quote="Für mehr Tipps folgen!"),
                segment(10.2, 11.8, "link_in_bio", 0.95, channel="overlay"),
            ],
            seconds=0.01,
            backend="patterns de/en",
        ),
        "cross_analyzer_intelligence": result(
            [
                segment(
                    0.0,
                    3.0,
                    "hook",
                    rule="hook_rule",
                    says="the first 3 s have cut, motion, sound",
                    rests_on=[
                        {"analyzer": "cut_analysis", "start_s": 2.5, "end_s": 2.5, "label": "cut"},
                        {"analyzer": "temporal_flow", "start_s": 0.0, "end_s": 3.5, "label": "build_up"},
                    ],
                    missing=["speech_transcription"],
                )
            ],
            seconds=0.01,
            backend="rules",
            insights={"hook": 1},
        ),
    }


def report_of(results: dict[str, dict[str, Any]], **facts: Any) -> dict[str, Any]:
    """A report of these results; `facts` replace values of its metadata."""
    seconds = round(0.6 + sum(r["seconds"] for r in results.values()), 3)
    succeeded = [r for r in results.values() if r["status"] in ("ok", "no_signal")]
    metadata = {
        "video_key": "sample",
        "video_path": "video.mp4",
        "source": "samples/sample.mp4",
        "title": "From the city to the stars",
        "uploader": "tiktok-assets",
        "description": "A clip that the project made itself. Schreib mir in die Kommentare, wohin du fliegst!",
        "upload_date": "20251121",
        "webpage_url": None,
        "tags": ["space", "weltraum", "sample"],
        "view_count": 12345,
        "like_count": 678,
        "duration_s": DURATION_S,
        "truncated": False,
        "width": 576,
        "height": 1024,
        "fps": 30.0,
        "video_codec": "h264",
        "audio_codec": "aac",
        "processing_time_seconds": seconds,
        "total_analyzers": len(results),
        "successful_analyzers": len(succeeded),
        "reconstruction_score": round(100 * len(succeeded) / len(results), 1),
        "realtime_factor": round(seconds / DURATION_S, 4),
        "created_at": "2025-11-21T03:31:00+00:00",
    }
    return {"schema_version": "1.0", "metadata": metadata | facts, "analyzer_results": results}


def example_report(**facts: Any) -> dict[str, Any]:
    return report_of(copy.deepcopy(_results()), **facts)


def example_tracks() -> dict[str, dict[str, np.ndarray]]:
    """Loudness with a silent end, brightness, and a face that moves a little."""
    sound_s = np.arange(0, DURATION_S, 0.1)
    loudness_db = -22 + 6 * np.sin(sound_s * 2 * np.pi * 2) * np.exp(-((sound_s * 2) % 1)) + 2 * np.sin(sound_s)
    loudness_db[sound_s >= 11] = np.nan
    color_s = np.arange(0, DURATION_S, 0.25)
    shot = np.searchsorted([b for _, b in SHOTS], color_s, side="right")
    hits_s = np.arange(3.5, 5.5, 0.25)
    drift = 0.01 * np.sin(hits_s * 3)
    hits = np.column_stack(
        [np.zeros(len(hits_s)), *(np.full(len(hits_s), v) + drift for v in FACE_BOX), np.full(len(hits_s), 0.87)]
    )
    return {
        "audio_analysis": {"loudness_db": loudness_db, "loudness_db_times_s": sound_s},
        "color_analysis": {
            "color_times_s": color_s,
            "brightness": np.array([34.0, 61, 44, 12, 38, 55])[shot] + np.cos(color_s),
            "warmth": np.array([0.3, -0.2, 0.5, 0.1, 0.7, 0.2])[shot],
        },
        "face_detection": {"faces": hits.astype(np.float32), "faces_times_s": hits_s},
    }


def posing_report() -> dict[str, Any]:
    """The example where the person of the third shot is seen whole, with a hand."""
    report = example_report()
    report["analyzer_results"] |= {
        "body_pose": result([segment(3.5, 5.5, "upper_body", 0.95, (0.26, 0.3, 0.78, 0.92), samples=8)]),
        "hand_gesture": result([segment(3.5, 5.5, "open_palm", 0.9, HAND_BOX, number=0, hand="right")]),
    }
    report["analyzer_results"]["face_emotion"]["segments"][0]["data"]["track"] = 0
    return report


def posing_tracks() -> dict[str, dict[str, np.ndarray]]:
    """The tracks of `posing_report`: look, body and hand in each of the pictures with a face."""
    tracks = example_tracks()
    times_s = tracks["face_detection"]["faces_times_s"]
    return tracks | {
        "eye_tracking": {"mesh": _mesh(len(times_s)), "mesh_times_s": times_s},
        "body_pose": {"pose": _pose(len(times_s)), "pose_times_s": times_s},
        "hand_gesture": {"hands": _hands(len(times_s)), "hands_times_s": times_s},
    }


def _mesh(count: int) -> np.ndarray:
    """The face looks 30 degrees to the right; in the last picture its eyes are closed."""
    mesh = np.zeros((count, len(MEASURES)), np.float32)
    mesh[:, MEASURES.index("gaze_yaw_deg")] = 30
    mesh[-1, MEASURES.index("gaze_yaw_deg")] = np.nan
    return mesh


def _pose(count: int) -> np.ndarray:
    """A body with its arms hanging, seen down to the hips."""
    pose = np.zeros((count, 33, 3), np.float32)
    places = {0: (0.52, 0.3), 11: (0.7, 0.5), 12: (0.34, 0.5), 13: (0.76, 0.7), 14: (0.28, 0.7)}
    places |= {15: (0.78, 0.88), 16: (0.26, 0.88), 23: (0.64, 0.92), 24: (0.4, 0.92)}
    for point, place in places.items():
        pose[:, point] = (*place, 0.95)
    return pose


def _hands(count: int) -> np.ndarray:
    """A hand that hangs at the left of the picture: five fingers of four points below a wrist."""
    points = [0.26, 0.88]
    points += [v for finger in range(5) for joint in range(4) for v in (0.2 + 0.03 * finger, 0.9 + 0.02 * joint)]
    return np.tile(np.array([0, 1, *HAND_BOX, 0.9, *points], np.float32), (count, 1))
