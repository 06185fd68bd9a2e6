"""Looks into a media file before it counts as fetched (does it decode? how long? how large?), draws its thumbnail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

PROBED_PACKETS = 3000
THUMBNAIL_LONG_SIDE_PX = 640
THUMBNAIL_AT_FRACTION = 0.1
THUMBNAIL_SEARCHED_FRAMES = 300
PICTURE_MAX_PIXELS = 50_000_000

# FFmpeg chooses the demuxer by content, and it has some for playlists (which open what they list, on the disk or the
# network), for still pictures and even for plain text. Only these may open a file.
CONTAINERS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,flv,ogg,asf,gif,mxf,nut,dv,rm,"
    "wav,mp3,aac,flac,aiff,amr,caf,ac3,w64"
)


class NotMedia(Exception):
    """The file is not a video or sound from which anything decodes; the text says what FFmpeg found."""


def probe(path: Path) -> dict[str, Any]:
    """Duration in s, and width and height in px as displayed, of a file from which at least one frame decodes.

    A value that the file does not tell is missing; width and height are missing where only sound decodes. It reads to
    the first good picture, so damage further on is not seen. Raises NotMedia.
    """
    import av

    try:
        with _open(path) as container:
            measured: dict[str, Any] = {}
            lengths_s = [float(s.duration * s.time_base) for s in container.streams if s.duration and s.time_base]
            if container.duration:
                lengths_s = [container.duration / av.time_base]
            if lengths_s:
                measured["duration"] = round(max(lengths_s), 3)
            frame = _first_frame(container)
            if frame is None:
                raise NotMedia("nothing in it decodes")
            if isinstance(frame, av.VideoFrame):
                measured["width"], measured["height"] = _displayed_size(frame, container)
            return measured
    except av.FFmpegError as error:
        known = not isinstance(error, av.ArgumentError)  # what a container outside the list gives
        raise NotMedia(error.strerror if known else "it is not in a video or sound container") from error


def _open(path: Path) -> Any:
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    return av.open(str(path.absolute()), metadata_errors="ignore", options=options)


def _first_frame(container: Any) -> Any:
    """The first picture that decodes, else the first sound, else None."""
    import av

    streams = [s for s in container.streams if s.type in ("video", "audio")]
    pictures = any(s.type == "video" for s in streams)
    sound = None
    for count, packet in enumerate(container.demux(streams) if streams else ()):
        if count >= PROBED_PACKETS or (sound and not pictures):
            break
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                return frame
            sound = sound or frame
    return sound


def _displayed_size(frame: Any, container: Any) -> tuple[int, int]:
    """Width and height after squaring the pixels and turning the picture upright."""
    aspect = container.streams.video[0].sample_aspect_ratio or 1
    width, height = (round(frame.width * aspect), frame.height)
    return (height, width) if frame.rotation % 180 else (width, height)


def draw_thumbnail(path: Path, duration_s: float | None, to: Path) -> bool:
    """Save the picture at a tenth of the video as a thumbnail; False when none decodes there."""
    import av

    at_s = (duration_s or 0.0) * THUMBNAIL_AT_FRACTION
    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            if at_s:
                container.seek(int((at_s + (container.start_time or 0) / av.time_base) * av.time_base))
            frame = None
            for count, frame in enumerate(container.decode(stream)):
                if frame.time is None or frame.time >= at_s or count >= THUMBNAIL_SEARCHED_FRAMES:
                    break
            if frame is None:
                return False
            aspect = stream.sample_aspect_ratio or 1
            picture = frame.to_image(width=max(1, round(frame.width * aspect)), height=frame.height)
            save_thumbnail(picture.rotate(frame.rotation, expand=True), to)
            return True
    except (av.FFmpegError, IndexError):
        return False


def save_thumbnail(picture: Image, to: Path) -> None:
    """Save a picture as a baseline JPEG of at most 640 px, upright. Raises ValueError when it is absurdly large."""
    from PIL import ImageOps

    if picture.width * picture.height > PICTURE_MAX_PIXELS:
        raise ValueError(f"a picture of {picture.width}x{picture.height}")
    upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.thumbnail((THUMBNAIL_LONG_SIDE_PX, THUMBNAIL_LONG_SIDE_PX))
    upright.save(to, "JPEG", quality=85, progressive=False)
