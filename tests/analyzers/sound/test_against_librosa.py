"""Our spectra, levels, mel bands and onset strength against librosa, the reference implementation of all of them.

The analyzers do not call librosa themselves: parts of it are compiled by numba when they are first used, which costs
every analyzer's process seconds, and what they need of it is a few lines of numpy. Here its answers are what ours are
held against, on the sample clip, a tone and noise.
"""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.clip import AUDIO_HZ
from analyzers.common.spectra import HOP, SIZE, bin_hz, mel_matrix, power_frames, to_dbfs
from analyzers.sound.audio_analysis import BANDS, measure
from analyzers.sound.rhythm import EVENT_RANGE_DB, band_rises
from tests.analyzers.sound import tones
from tests.media import run_analyzer, sample_clip

WINDOW_POWER = float(np.square(np.hanning(SIZE + 1)[:-1]).sum())
SOUNDS = ["sample", "tone", "noise"]


def sound(name: str) -> np.ndarray:
    if name == "sample":
        return np.array(sample_clip().audio)
    return tones.sine(440, 3.0) if name == "tone" else tones.noise(3.0)


def magnitudes(audio: np.ndarray) -> np.ndarray:
    """librosa's spectra with our frames: (bins, frames)."""
    import librosa

    return np.abs(librosa.stft(audio, n_fft=SIZE, hop_length=HOP, window="hann", center=True, pad_mode="constant"))


@pytest.mark.parametrize("name", SOUNDS)
def test_spectra(name: str) -> None:
    audio = sound(name)
    ours = np.concatenate(list(power_frames(audio)))
    theirs = np.square(magnitudes(audio)).T * (2 / (SIZE * WINDOW_POWER))
    theirs[:, [0, -1]] /= 2
    assert ours.shape == theirs.shape
    assert ours.max() > 1e-6
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-7 * ours.max())


@pytest.mark.parametrize("name", SOUNDS)
def test_level_of_a_frame(name: str) -> None:
    """librosa takes the power that the window lost for lost; ours gives it back, hence the factor."""
    import librosa

    audio = sound(name)
    theirs = librosa.feature.rms(S=magnitudes(audio), frame_length=SIZE, hop_length=HOP)[0]
    theirs_dbfs = to_dbfs(np.square(theirs) * SIZE / WINDOW_POWER)
    heard = theirs_dbfs > -90
    assert heard.mean() > 0.9
    assert np.abs(to_dbfs(measure(audio).power) - theirs_dbfs)[heard].max() < 0.01


@pytest.mark.parametrize(("name", "tolerance_db"), [("tone", 0.05), ("noise", 0.1)])
def test_level_of_steady_sounds_is_that_of_their_samples(name: str, tolerance_db: float) -> None:
    import librosa

    audio = sound(name)
    theirs = librosa.feature.rms(y=audio, frame_length=SIZE, hop_length=HOP, pad_mode="constant")[0]
    inside = slice(2, -2)  # frames that reach over the ends see part of the sound
    theirs_dbfs = to_dbfs(np.square(theirs[inside]).mean())
    assert to_dbfs(measure(audio).power[inside].mean()) == pytest.approx(theirs_dbfs, abs=tolerance_db)


@pytest.mark.parametrize("bands", [BANDS, 40])
def test_mel_bands_are_those_of_htk(bands: int) -> None:
    import librosa

    theirs = librosa.filters.mel(
        sr=AUDIO_HZ, n_fft=SIZE, n_mels=bands, fmin=60.0, fmax=7600.0, htk=True, norm=None, dtype=np.float64
    )
    np.testing.assert_allclose(mel_matrix(bands), theirs.T, atol=2e-3)


@pytest.mark.parametrize("name", SOUNDS)
def test_centre_of_the_power_spectrum(name: str) -> None:
    """librosa's default weighs with magnitudes; given powers (ours, tested above), it weighs with them."""
    import librosa

    audio = sound(name)
    measured = measure(audio)
    powers = np.concatenate(list(power_frames(audio)))
    theirs_hz = librosa.feature.spectral_centroid(S=powers.T, sr=AUDIO_HZ, freq=bin_hz())[0]
    heard = to_dbfs(measured.power) > -60
    assert heard.mean() > 0.8
    np.testing.assert_allclose(measured.centroid_hz[heard], theirs_hz[heard], rtol=1e-3)


@pytest.mark.parametrize("name", SOUNDS)
def test_onset_strength(name: str) -> None:
    """The mean rise of the mel bands in dB over two frames."""
    import librosa

    bands = measure(sound(name)).bands
    bands_db = librosa.power_to_db(bands.T, ref=1.0, amin=1e-12, top_db=EVENT_RANGE_DB)
    theirs = librosa.onset.onset_strength(S=bands_db, lag=2, max_size=1, center=False, detrend=False)
    ours = band_rises(bands, EVENT_RANGE_DB).mean(axis=1)
    assert ours.max() > 1
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_rolloff_and_flatness_of_the_sample() -> None:
    import librosa

    spectrum = measure(sound("sample")).spectrum[:, None]
    summary = run_analyzer("audio_analysis", sample_clip()).analysis.summary
    rolloff_hz = librosa.feature.spectral_rolloff(S=spectrum, sr=AUDIO_HZ, n_fft=SIZE, roll_percent=0.85)[0, 0]
    assert summary["rolloff_hz"] == pytest.approx(rolloff_hz, abs=AUDIO_HZ / SIZE)
    flatness = librosa.feature.spectral_flatness(S=spectrum, power=1.0)[0, 0]
    assert summary["flatness"] == pytest.approx(flatness, abs=0.01)
