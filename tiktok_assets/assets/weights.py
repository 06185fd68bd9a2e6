"""weights/<name>: one asset per model; materializing one fetches and verifies it."""

import dagster as dg

from analyzers.errors import AnalysisError
from analyzers.weights import REGISTRY, Weights, folder_of, registered
from tiktok_assets.execution import DOWNLOAD_POOL, LANE_TAG
from tiktok_assets.weights import fetch, users_of


def weights_key(name: str) -> dg.AssetKey:
    """Key of a model's asset."""
    return dg.AssetKey(["weights", name])


def _description(weights: Weights) -> str:
    licence = weights.licence + (f" ({weights.licence_note})" if weights.licence_note else "")
    used = ", ".join(users_of(weights.name)) or "no analyzer"
    return (
        f"{weights.model}, {weights.size}, loaded by {weights.library}. Used by {used}. Licence: {licence}.\n\n"
        "Materializing it downloads and verifies it. Analyses run without it and say what they lack."
    )


def weights_asset(name: str) -> dg.AssetsDefinition:
    """The asset of one model."""

    @dg.asset(
        key=weights_key(name),
        group_name="weights",
        kinds={"model"},
        owners=["team:tiktok-assets"],
        pool=DOWNLOAD_POOL,
        op_tags={LANE_TAG: "none"},
        description=_description(registered(name)),
    )
    def weights(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            found = fetch(name, context.log.info)
        except AnalysisError as error:
            raise dg.Failure(str(error)) from error
        about = registered(name)
        return dg.MaterializeResult(
            metadata={
                "model": found.model,
                "revision": found.revision,
                "bytes": found.bytes,
                "licence": about.licence,
                "licence_note": about.licence_note,
                "folder": dg.MetadataValue.path(str(folder_of(name))),
            },
            data_version=dg.DataVersion(found.revision),
        )

    return weights


WEIGHTS = [weights_asset(name) for name in REGISTRY]
