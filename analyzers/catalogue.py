"""The only list of analyzers: one line each. Order is the order of tables and reports."""

from __future__ import annotations

import importlib
from functools import cache
from graphlib import TopologicalSorter

from analyzers.contract import Analyzer
from analyzers.errors import UnknownAnalyzer

CATALOGUE: dict[str, str] = {
    "qwen2_vl_temporal": "analyzers.language.qwen2_vl_temporal:Qwen2VlTemporal",
    "object_detection": "analyzers.vision.object_detection:ObjectDetection",
    "cut_analysis": "analyzers.vision.cut_analysis:CutAnalysis",
    "camera_analysis": "analyzers.vision.camera_analysis:CameraAnalysis",
    "visual_effects": "analyzers.vision.visual_effects:VisualEffects",
    "composition_analysis": "analyzers.vision.composition_analysis:CompositionAnalysis",
    "content_quality": "analyzers.vision.content_quality:ContentQuality",
    "scene_segmentation": "analyzers.vision.scene_segmentation:SceneSegmentation",
    "color_analysis": "analyzers.vision.color_analysis:ColorAnalysis",
    "audio_analysis": "analyzers.sound.audio_analysis:AudioAnalysis",
    "face_detection": "analyzers.people.face_detection:FaceDetection",
    "age_estimation": "analyzers.people.age_estimation:AgeEstimation",
    "body_pose": "analyzers.people.body_pose:BodyPose",
    "eye_tracking": "analyzers.people.eye_tracking:EyeTracking",
    "face_emotion": "analyzers.people.face_emotion:FaceEmotion",
    "hand_gesture": "analyzers.people.hand_gesture:HandGesture",
    "body_language": "analyzers.people.body_language:BodyLanguage",
    "background_segmentation": "analyzers.vision.background_segmentation:BackgroundSegmentation",
    "text_overlay": "analyzers.vision.text_overlay:TextOverlay",
    "comment_cta_detection": "analyzers.language.comment_cta_detection:CommentCtaDetection",
    "temporal_flow": "analyzers.joined.temporal_flow:TemporalFlow",
    "audio_environment": "analyzers.sound.audio_environment:AudioEnvironment",
    "cross_analyzer_intelligence": "analyzers.joined.cross_analyzer_intelligence:CrossAnalyzerIntelligence",
    "sound_effects": "analyzers.sound.sound_effects:SoundEffects",
    "speech_flow": "analyzers.speech.speech_flow:SpeechFlow",
    "speech_rate": "analyzers.speech.speech_rate:SpeechRate",
    "speech_emotion": "analyzers.speech.speech_emotion:SpeechEmotion",
    "speech_transcription": "analyzers.speech.speech_transcription:SpeechTranscription",
}


@cache
def analyzer_class(name: str) -> type[Analyzer]:
    """The class of an analyzer.

    Raises:
        UnknownAnalyzer: no such name; says which exist.
    """
    if name not in CATALOGUE:
        raise UnknownAnalyzer(f"There is no analyzer {name!r}. There are: {', '.join(CATALOGUE)}.")
    module, _, attribute = CATALOGUE[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


@cache
def run_order() -> tuple[str, ...]:
    """All names, each after the analyses that it needs or uses; within that, in catalogue order."""
    graph = {name: (*analyzer_class(name).spec.after, *analyzer_class(name).spec.uses) for name in CATALOGUE}
    return tuple(TopologicalSorter(graph).static_order())


def with_upstream(names: tuple[str, ...]) -> tuple[str, ...]:
    """The given analyzers and all that they need or use, in run order."""
    wanted: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            spec = analyzer_class(name).spec
            pending += [*spec.after, *spec.uses]
    return tuple(n for n in run_order() if n in wanted)
